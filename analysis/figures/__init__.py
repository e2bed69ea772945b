"""The figures: one file each, with an info NamedTuple, a pure `get_..._info`, `plot_...` and `caption`."""
