"""`python -m tune_experiments` is `rcsweep`."""

from tune_experiments.cli import main

if __name__ == "__main__":
    main()
