"""A sweep service as a simulation of discrete events: how long, how busy, and what becomes the limit.

costs.json      every cost with its unit and its source: a command that measured it, or an assumption
costs.py        the same as settings; cluster.py: what is simulated
server.py       what everybody shares: the driver's loop, the network of the head, the object store
simulation.py   cells, trials, slots, nodes and losses in time
scenarios.py    the clusters and sweeps of docs/scaling.md; tables.py and figure.py show them
measure.py      measures the costs of this machine; check.py holds a prediction against a sweep
"""
