"""Every exhibit of one experiment by its name, in the order in which they are presented."""

from __future__ import annotations

from analysis.exhibits.cost import COST
from analysis.exhibits.curves import CURVES
from analysis.exhibits.exhibit import ExhibitKind
from analysis.exhibits.gap import GAP
from analysis.exhibits.heatmap import HEATMAP
from analysis.exhibits.memorization import FORGETTING, MEMORIZATION
from analysis.exhibits.published import PUBLISHED
from analysis.exhibits.slots import SLOTS
from analysis.exhibits.surgery import SURGERY
from analysis.exhibits.threshold import THRESHOLD
from analysis.exhibits.tradeoff import TRADEOFF
from analysis.figures import FIGURE_NAMES

_KINDS = (
    TRADEOFF,
    HEATMAP,
    THRESHOLD,
    MEMORIZATION,
    FORGETTING,
    GAP,
    PUBLISHED,
    CURVES,
    SURGERY,
    SLOTS,
    COST,
)
EXHIBITS: dict[str, ExhibitKind] = {kind.name: kind for kind in _KINDS}
assert set(EXHIBITS) == set(FIGURE_NAMES)
