"""How cells are run: settings that decide speed and safety."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch

from rc_core.device_step import Numerics
from rc_core.provenance import code_version
from rc_core.training import Hook


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How cells are run: settings that decide speed and safety.

    Of these only `threads`, `stacked` and `numerics` touch bits, in the last places.

    Attributes:
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1`, ...
        threads: CPU threads of torch; results are bit-identical only at equal counts.
        stacked: whether networks lie side by side in grouped convolutions. A cell alone is then trained
            beside a copy of itself: its bits are those that it has in any stack.
        numerics: precision, compilation and capture.
        checkpoint_seconds: time between checkpoints.
        keep_checkpoints: newest checkpoints kept while the cell runs.
        hooks: see each phase after every step.
        should_stop: asked after every step, hence quick; True makes the cells write a checkpoint and stop.
        report: called with one line for everything that a user should know.
        code_version: recorded; the driver's is handed on, since workers may not see the repository.
    """

    device: str = "auto"
    threads: int = 1
    stacked: bool = False
    numerics: Numerics = field(default_factory=Numerics)
    checkpoint_seconds: float = 60.0
    keep_checkpoints: int = 2
    hooks: Sequence[Hook] = ()
    should_stop: Callable[[], bool] = lambda: False
    report: Callable[[str], None] = print
    code_version: str = field(default_factory=code_version)


def resolve_device(name: str) -> torch.device:
    """The torch device of that name; `auto` takes a GPU where there is one.

    Raises:
        ValueError: no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise ValueError(f"device = {name!r}: must be auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device = {name!r}: no CUDA device is visible here; use --device cpu")
    return device
