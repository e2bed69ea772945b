"""`python -m chaos`: disturb sweeps and say whether they stood it.

Command:  make chaos          (python -m chaos --seeds 1,2,3,4,5 --faults 20)
Time:     about 25 minutes on 2 CPU cores
Result:   for every seed 0 cells lost, 0 finished cells redone, 0 differences; exit code 0
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from chaos.harness import ChaosSettings, run_chaos
from chaos.results import format_table
from rc_core.experiment import write_json
from rc_core.provenance import code_version, package_versions, utc_now
from rc_core.storage import LocalStorage


def main() -> int:
    """Parse, run, print, write; returns the exit code: 1 where a property is violated."""
    parser = argparse.ArgumentParser(
        prog="python -m chaos", description="Disturb sweeps; see chaos/__init__.py."
    )
    parser.add_argument("--seeds", default="1,2,3,4,5", help="chaos seeds; odd: local Ray, even: 3 Ray nodes")
    parser.add_argument("--faults", type=int, default=20, help="faults for each seed")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument(
        "--keep", type=Path, help="new folder for experiments and output; default: a temporary one"
    )
    options = parser.parse_args()
    seeds = [int(seed) for seed in options.seeds.split(",")]
    settings = ChaosSettings(num_faults=options.faults)
    provenance = {
        "command": f"python -m chaos --seeds {options.seeds} --faults {options.faults}",
        "started": utc_now(),
        "code_version": code_version(),
        "versions": package_versions(),
        "machine": f"{os.cpu_count()} CPU cores, no GPU",
        "sweep": ["rcsweep", "run", settings.recipe, *settings.grid],
        "checkpoint_seconds": settings.checkpoint_seconds,
    }
    results = run_chaos(seeds, settings, options.keep)
    print(f"\n{format_table(results)}")
    if options.out:
        write_json(
            LocalStorage(options.out.parent),
            options.out.name,
            {
                "format": 1,
                "provenance": provenance | {"ended": utc_now()},
                "seeds": [result.to_dict() for result in results],
            },
        )
    violated = [result.seed for result in results if result.violations]
    if violated:
        print(f"\nVIOLATED for seeds {', '.join(map(str, violated))}; see above", file=sys.stderr)
        return 1
    print("\nevery sweep ended complete and equal to the undisturbed one")
    return 0


if __name__ == "__main__":
    sys.exit(main())
