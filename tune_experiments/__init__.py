"""The sweep: plans the grid, runs its cells on Ray Tune, and holds the `rcsweep` command."""
