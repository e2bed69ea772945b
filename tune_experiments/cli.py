"""The command line: `rcsweep` and `python -m tune_experiments`.

Heavy packages (torch, Ray, pandas) are imported inside the commands that need them, so that help, plan and
status answer at once.
"""

from __future__ import annotations

import os
import sys
from typing import Annotated

import tyro
from tyro.conf import subcommand

from tune_experiments.commands.compare import Compare
from tune_experiments.commands.dash import Dash
from tune_experiments.commands.data import Data
from tune_experiments.commands.doctor import Doctor
from tune_experiments.commands.options import EXIT_FAILED, EXIT_INTERRUPTED, EXIT_USAGE, UsageError
from tune_experiments.commands.results import Export, Figure, Report
from tune_experiments.commands.single import Eval, Prune, Train
from tune_experiments.commands.status import Status
from tune_experiments.commands.sweep import Plan, Retry, Run
from tune_experiments.plan import PlanError

Command = (
    Annotated[Run, subcommand("run")]
    | Annotated[Retry, subcommand("retry")]
    | Annotated[Plan, subcommand("plan")]
    | Annotated[Status, subcommand("status")]
    | Annotated[Export, subcommand("export")]
    | Annotated[Dash, subcommand("dash")]
    | Annotated[Report, subcommand("report")]
    | Annotated[Figure, subcommand("figure")]
    | Annotated[Compare, subcommand("compare")]
    | Annotated[Train, subcommand("train")]
    | Annotated[Prune, subcommand("prune")]
    | Annotated[Eval, subcommand("eval")]
    | Annotated[Data, subcommand("data")]
    | Annotated[Doctor, subcommand("doctor")]
)

DESCRIPTION = """How much can a network be compressed once it has memorised random labels?

Trains networks on labels randomized by 0-100%, prunes each to several sparsities with Dynamic Network
Surgery, and reports training accuracy against sparsity.

  rcsweep run digits               the whole experiment in minutes; needs no data and no GPU
  rcsweep status digits            how far it is
  rcsweep dash digits              the same in the browser, live, with every figure
  rcsweep report digits --out digits.html
"""


def main(arguments: list[str] | None = None) -> None:
    """Parse, run, exit: 0 complete, 1 failed, 2 usage, 3 some cells failed."""
    try:
        command = tyro.cli(
            Command,
            prog="rcsweep",
            description=DESCRIPTION,
            args=arguments,
            config=(tyro.conf.OmitSubcommandPrefixes, tyro.conf.OmitArgPrefixes),
        )
        code = command.run()
        sys.stdout.flush()
    except BrokenPipeError:
        # The reader of a pipe went away, as in `rcsweep status NAME | head`: nobody is left to tell.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = EXIT_FAILED
    except KeyboardInterrupt:  # before a sweep has begun, or in another command
        print("rcsweep: interrupted", file=sys.stderr)
        code = EXIT_INTERRUPTED
    except (UsageError, PlanError) as error:
        print(f"rcsweep: {error}", file=sys.stderr)
        code = EXIT_USAGE
    except (ValueError, OSError, ModuleNotFoundError) as error:
        if os.environ.get("RCSWEEP_DEBUG"):
            raise
        print(f"rcsweep: {error}", file=sys.stderr)
        code = EXIT_FAILED
    sys.exit(code)
