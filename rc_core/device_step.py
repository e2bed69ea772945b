"""How a step is computed: precision, compilation, and replay of the whole step as one CUDA graph.

A step of these networks is some hundred small kernels; on a GPU launching them one by one takes longer than
computing them. A step asks the device for no number, so it can be captured once and replayed.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch

PRECISIONS = ("float32", "bfloat16")

# Steps before the capture: they create gradients, momentum and cuDNN's workspaces.
_NUM_EAGER_STEPS = 3


@dataclass(frozen=True, kw_only=True)
class Numerics:
    """How networks are computed; every choice here changes bits or speed, none the method.

    Attributes:
        precision: of convolutions and activations: `float32`, or `bfloat16` by autocast. Master weights,
            batch-norm statistics, thresholds, masks and the loss are float32 in either case, and in stacks
            on CPUs parts of some convolutions (see `grouped_convolution`).
        compile: whether torch.compile fuses the network; takes half a minute at the start, and a compiler.
        capture: whether steps are replayed as a CUDA graph; without effect on the CPU.
    """

    precision: str = "float32"
    compile: bool = False
    capture: bool = True

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision = {self.precision!r}: must be one of {', '.join(PRECISIONS)}")

    def compiled(self, model: torch.nn.Module) -> Callable[..., Any]:
        """The model, fused where that is asked for."""
        return torch.compile(model, dynamic=False) if self.compile else model

    def autocast(self, device: torch.device) -> Callable[[], AbstractContextManager[Any]]:
        """Makes the context in which the forward pass runs."""
        if self.precision == "float32":
            return nullcontext
        return partial(torch.autocast, device.type, dtype=torch.bfloat16)


class DeviceStep:
    """Calls a step, or replays it.

    Args:
        step: does a step; its argument is None for steps that are the same work, and anything else for one
            that needs the host: that one is never replayed.
        numerics: see there.
        device: where the step runs.
    """

    def __init__(self, step: Callable[[int | None], None], numerics: Numerics, device: torch.device) -> None:
        self._step = step
        self._captures = numerics.capture and device.type == "cuda"
        self._graph: torch.cuda.CUDAGraph | None = None
        self._num_eager = 0

    def __call__(self, host_work: int | None = None) -> None:
        """Do one step."""
        if not self._captures or host_work is not None:
            self._step(host_work)
        elif self._num_eager < _NUM_EAGER_STEPS:
            self._num_eager += 1
            stream = torch.cuda.Stream()
            stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(stream):
                self._step(None)
            torch.cuda.current_stream().wait_stream(stream)
        else:
            if self._graph is None:
                self._graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(self._graph):  # records the work without doing it
                    self._step(None)
            self._graph.replay()
