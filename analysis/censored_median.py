"""The median of thresholds of which some are known only to lie beyond the grid."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

from analysis.statistics import Threshold


class CensoredMedian(NamedTuple):
    """Lower median of thresholds s*.

    Attributes:
        sparsity: None where it is left-censored or unknown; the bound where it is right-censored.
        censoring: `none`; `left`: below the grid; `right`: `sparsity` or more; `missing`: no threshold is
            known.
        n: thresholds that it rests on; those that unfinished cells leave open are not among them.
    """

    sparsity: float | None
    censoring: Literal["none", "left", "right", "missing"]
    n: int


def censored_median(thresholds: Iterable[Threshold]) -> CensoredMedian:
    """The lower median: half of the thresholds or more are at most as large.

    Censored thresholds keep their rank: left-censored ones lie below, right-censored ones above all others.
    Of an even number the lower of the two middle ones is taken, for the mean with a censored one is not
    known.
    """
    known = [found for found in thresholds if found.censoring != "missing"]
    if not known:
        return CensoredMedian(None, "missing", 0)
    middle = sorted(known, key=_rank)[(len(known) - 1) // 2]
    return CensoredMedian(middle.sparsity, middle.censoring, len(known))


def _rank(threshold: Threshold) -> float:
    if threshold.censoring == "left" or threshold.sparsity is None:
        return -math.inf
    return math.inf if threshold.censoring == "right" else threshold.sparsity
