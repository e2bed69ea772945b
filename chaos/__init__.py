"""A sweep is disturbed again and again, and must end as if nothing had happened.

    faults.py       which faults there are, and the choice that a seed makes of them
    damage.py       what a fault does to files
    driver.py       `rcsweep run` as a process that can be killed
    cells.py        which cells run, and which are finished, read from the experiment's folder
    ledger.py       whether a finished cell was run again
    disk.py         a small disk that can be filled
    nodes.py        a small Ray cluster whose nodes can be killed
    supervisor.py   gives the command again until the sweep is complete
    disturbance.py  does the faults
    comparison.py   the result against that of an undisturbed run
    results.py      what came out, and its table
    harness.py      all of it for several seeds; __main__.py is the command, `make chaos`

The tests of single faults (tests/tune_experiments/test_faults.py) use the same parts. Linux only.
"""
