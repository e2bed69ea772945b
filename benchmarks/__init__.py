"""Measurements of the product, by itself and against other ways to do the same; `python -m benchmarks.NAME`.

`steps`: optimisation steps; `sweeps`: whole sweeps; `step_profile`: where a step's time goes; `overhead`:
what a sweep costs besides its cells. `table` puts the results into the documentation.
"""
