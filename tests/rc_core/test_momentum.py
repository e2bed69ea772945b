import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rc_core.momentum import descend

vectors = hnp.arrays(np.float64, (4, 5), elements=st.floats(-10, 10))


@settings(deadline=None)  # torch's first optimizer takes half a second
@given(vectors, st.floats(0, 0.99), st.booleans(), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_steps_are_those_of_torch_s_sgd(drawn, momentum, nesterov, rates):
    nesterov = nesterov and momentum > 0
    values, *gradients = torch.from_numpy(drawn)
    ours, velocity = values.clone(), torch.zeros(5, dtype=torch.float64)
    theirs = torch.nn.Parameter(values.clone())
    optimizer = torch.optim.SGD([theirs], lr=0.0, momentum=momentum, nesterov=nesterov, foreach=False)
    for gradient, rate in zip(gradients, rates, strict=True):
        theirs.grad = gradient.clone()
        optimizer.param_groups[0]["lr"] = rate
        optimizer.step()
        rate_tensor = torch.tensor([rate], dtype=torch.float64)
        descend(ours, gradient.clone(), velocity, rate=rate_tensor, momentum=momentum, nesterov=nesterov)
    np.testing.assert_allclose(ours.numpy(), theirs.detach().numpy(), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("nesterov", [False, True])
def test_what_becomes_of_a_weight_does_not_depend_on_its_place(nesterov):
    generator = torch.Generator().manual_seed(0)
    one, rate = torch.rand(3, 1, generator=generator), torch.rand(1, generator=generator)
    for size in (1, 15, 16, 17, 100):
        for place in {0, size // 2, size - 1}:
            values, gradients, velocity = torch.rand(3, size, generator=generator)
            for row, alone in zip((values, gradients, velocity), one, strict=True):
                row[place] = alone
            descend(values, gradients, velocity, rate=rate, momentum=0.9, nesterov=nesterov)
            expected = [tensor.clone() for tensor in one]
            descend(*expected, rate=rate, momentum=0.9, nesterov=nesterov)
            assert values[place] == expected[0]
            assert velocity[place] == expected[2]
