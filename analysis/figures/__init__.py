"""The figures: one file each, with an info NamedTuple, a pure `get_..._info`, `plot_...` and `caption`."""

# What `rcsweep figure` can draw; here, so that its help imports neither pandas nor plotly.
FIGURE_NAMES = (
    "tradeoff",
    "heatmap",
    "curves",
    "slots",
    "threshold",
    "surgery",
    "gap",
    "memorization",
    "forgetting",
    "cost",
    "published",
)
