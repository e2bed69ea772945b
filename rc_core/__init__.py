"""The science: data, labels, networks, training, pruning and bounds. Runs without Ray."""

__version__ = "0.1.0"
