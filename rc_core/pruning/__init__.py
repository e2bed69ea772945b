"""Pruning methods. One module a method; `dns` is the one of the paper."""
