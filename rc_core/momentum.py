"""SGD with momentum on a flat buffer."""

from __future__ import annotations

import torch
from torch import Tensor


@torch.no_grad()
def descend(
    values: Tensor, gradients: Tensor, velocity: Tensor, *, rate: Tensor, momentum: float, nesterov: bool
) -> None:
    """One step in place: v := mu v + g; then w := w - rate v, or with Nesterov w := w - rate (g + mu v).

    As `torch.optim.SGD` with the same settings (Sutskever et al. 2013, as torch has it). Each product and sum
    is rounded on its own, unlike in torch's optimizers, so that what becomes of a weight does not depend on
    its place in the buffer, and a network's bits not on its neighbours in a stack.

    Args:
        values: (n,) w.
        gradients: (n,) g; its content is lost.
        velocity: (n,) v, 0 at the start.
        rate: (1,) learning rate, on the device.
        momentum: mu in [0, 1).
        nesterov: see above.
    """
    velocity.mul_(momentum).add_(gradients)
    if nesterov:
        values.sub_(gradients.add_(velocity * momentum).mul_(rate))
    else:
        values.sub_(torch.mul(velocity, rate, out=gradients))
