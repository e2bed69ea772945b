"""The colours of both modes as CSS variables: the figures' own (analysis/figures/theme.py)."""

from __future__ import annotations

from analysis.figures.theme import SHADES

COLORS = "\n".join(
    [
        ":root { color-scheme: light; "
        + " ".join(f"--{name}: {shade.light};" for name, shade in SHADES.items())
        + " }",
        ":root.dark { color-scheme: dark; "
        + " ".join(f"--{name}: {shade.dark};" for name, shade in SHADES.items())
        + " }",
        "",
    ]
)
