"""Measurements of the product by itself; `python -m benchmarks.NAME`."""
