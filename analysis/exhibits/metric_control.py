"""The control of which accuracy is shown, as `rcsweep compare --metric` and the result table name them."""

from __future__ import annotations

from analysis.exhibits.exhibit import Control
from analysis.grid import METRICS

METRIC = Control("metric", "Metric", tuple(METRICS.items()))
