"""Which code a driver and a Ray worker of a tree import: two paths as JSON.

Command:  python -m benchmarks.imported_code      in a tree's folder, with its environment (see trees.py)

`benchmarks.sweeps` asks before it measures: a sweep whose workers import another version measures that one.
"""

from __future__ import annotations

import json
import tempfile

from rc_core.storage import open_storage
from tune_experiments import ray_environment


def imported_paths() -> list[str]:
    """Files of rc_core and tune_experiments in this process."""
    import rc_core
    import tune_experiments.trainables

    return [str(rc_core.__file__), str(tune_experiments.trainables.__file__)]


def main() -> None:
    """Start Ray as a sweep does and ask one worker."""
    ray_environment.prepare(None)
    import ray

    from tune_experiments.ray_session import session

    with tempfile.TemporaryDirectory() as folder, session(None, open_storage(folder)):
        from_worker = ray.get(ray.remote(imported_paths).remote())
    print(json.dumps({"driver": imported_paths(), "worker": from_worker}))


if __name__ == "__main__":
    main()
