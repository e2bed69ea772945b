import itertools
import math
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import nn
from torch.nn import functional as F
from torch.nn.utils import prune

from rc_core.pruning.dns import DynamicNetworkSurgery, magnitude_threshold, updated_mask
from rc_core.recipes import PruneSchedule
from rc_core.schedules import threshold_due


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Tensors here are tiny: more threads cost time and win none."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def operated(
    weight: torch.Tensor,
    mask: torch.Tensor,
    threshold: torch.Tensor,
    prune_below: float = 0.9,
    splice_above: float = 1.1,
) -> torch.Tensor:
    return updated_mask(weight, mask, prune_below * threshold, splice_above * threshold)


magnitudes = st.floats(-10, 10, allow_subnormal=False)
vectors = hnp.arrays(np.float64, st.integers(1, 60), elements=magnitudes)


# The threshold


@given(vectors, st.floats(0, 1))
def test_the_threshold_is_numpy_s_nearest_percentile(weight, sparsity):
    found = magnitude_threshold(torch.from_numpy(weight), sparsity)
    assert found.item() == np.quantile(np.abs(weight), sparsity, method="nearest")


@given(vectors, st.integers(0, 1000))
def test_the_threshold_is_numpy_s_at_every_sparsity_that_a_cell_can_have(weight, thousandth):
    found = magnitude_threshold(torch.from_numpy(weight), thousandth / 1000)
    assert found.item() == np.percentile(np.abs(weight), thousandth / 10, method="nearest")


@pytest.mark.parametrize(
    ("number", "sparsity", "index"),
    [
        (11, 0.9, 9),
        (11, 0.0, 0),
        (11, 1.0, 10),
        (10, 0.5, 4),  # 4.5: a half goes to the even index
        (12, 0.5, 6),  # 5.5
        (2, 0.5, 0),  # 0.5
        (4, 0.5, 2),  # 1.5
        (5, 0.9, 4),  # 3.6
        (5, 0.8, 3),  # 3.2
        (1, 0.7, 0),
    ],
)
def test_the_threshold_by_hand(number, sparsity, index):
    weight = torch.arange(number, dtype=torch.float32) + 1
    shuffled = weight[torch.randperm(number, generator=torch.Generator().manual_seed(1))]
    signs = torch.where(torch.arange(number) % 2 == 0, 1.0, -1.0)
    assert magnitude_threshold(shuffled * signs, sparsity).item() == index + 1


def test_the_threshold_of_any_shape_and_memory_layout():
    weight = torch.randn(4, 3, 3, 3, generator=torch.Generator().manual_seed(1))
    wanted = np.percentile(np.abs(weight.numpy()), 70, method="nearest")
    for tensor in (weight, weight.to(memory_format=torch.channels_last), weight.transpose(0, 2)):
        found = magnitude_threshold(tensor, 0.7)
        assert found.shape == ()
        assert found.dtype == torch.float32
        assert found.item() == wanted


def test_the_threshold_among_equal_weights():
    weight = torch.tensor([0.5, -0.5, 0.5, 0.0, 0.0])
    assert [magnitude_threshold(weight, s).item() for s in (0, 0.3, 0.5, 1)] == [0, 0, 0.5, 0.5]


# The mask


def test_the_mask_by_hand():
    # t = 1: pruned up to .9, spliced from 1.1 on, as before between them.
    weight = torch.tensor([0.0, 0.5, -0.9, 0.901, -1.0, 1.099, 1.1, -2.0], dtype=torch.float64)
    threshold = torch.tensor(1.0, dtype=torch.float64)
    kept, masked = torch.ones(8, dtype=torch.bool), torch.zeros(8, dtype=torch.bool)
    assert operated(weight, kept, threshold).tolist() == [0, 0, 0, 1, 1, 1, 1, 1]
    assert operated(weight, masked, threshold).tolist() == [0, 0, 0, 0, 0, 0, 1, 1]
    mixed = torch.tensor([1, 0, 0, 1, 0, 0, 0, 1], dtype=torch.bool)
    assert operated(weight, mixed, threshold).tolist() == [0, 0, 0, 1, 0, 0, 1, 1]
    assert mixed.tolist() == [1, 0, 0, 1, 0, 0, 0, 1]  # not changed in place


def test_the_edges_of_the_band_can_be_moved():
    weight, kept = torch.tensor([1.0, 1.5, 2.0, 2.5]), torch.tensor([True, True, False, False])
    new = operated(weight, kept, torch.tensor(1.0), prune_below=1.0, splice_above=2.5)
    assert new.tolist() == [False, True, False, True]


def test_a_threshold_of_zero_prunes_nothing():
    weight = torch.tensor([0.0, -0.0, 1e-30, -3.0])
    assert operated(weight, torch.ones(4, dtype=torch.bool), torch.tensor(0.0)).all()


@given(vectors, st.floats(0, 10), st.data())
def test_the_mask_element_by_element(weight, threshold, data):
    mask = data.draw(hnp.arrays(np.bool_, len(weight)))
    new = operated(
        torch.from_numpy(weight), torch.from_numpy(mask), torch.tensor(threshold, dtype=torch.float64)
    )
    for value, before, after in zip(weight, mask, new.tolist(), strict=True):
        if abs(value) >= 1.1 * threshold:
            assert after
        elif abs(value) <= 0.9 * threshold:
            assert not after
        else:
            assert after == before


@given(st.integers(2, 60), st.data(), st.integers(0, 2**31))
def test_without_a_band_the_mask_is_torch_s_own_magnitude_pruning(number, data, seed):
    amount = data.draw(st.integers(0, number - 1))
    layer = nn.Linear(number, 1, bias=False)
    # Distinct magnitudes: among equal ones the choice is free.
    values = np.random.RandomState(seed).permutation(number) + 1.0
    with torch.no_grad():
        layer.weight.copy_(torch.from_numpy(values * np.random.RandomState(seed).choice([-1, 1], number)))
    threshold = magnitude_threshold(layer.weight.detach(), amount / (number - 1))
    mask = operated(
        layer.weight.detach(),
        torch.ones_like(layer.weight, dtype=torch.bool),
        threshold,
        prune_below=1.0,
        splice_above=1.0,
    )
    prune.l1_unstructured(layer, "weight", amount=amount)
    assert torch.equal(mask, layer.weight_mask.bool())
    assert int((~mask).sum()) == amount


# A whole surgery against an independent one in NumPy


class NumpySurgery:
    """Dense layers with ReLU between them, softmax cross-entropy, and surgery on the kernels only.

    The schedule is written as in the experiment's description for 20,000 steps; `stretch` is how many of
    those steps one step here stands for.
    """

    def __init__(
        self, kernels: list[np.ndarray], biases: list[np.ndarray], sparsity: float, stretch: float
    ) -> None:
        self.dense = [kernel.copy() for kernel in kernels]
        self.biases = biases
        self.velocities = [np.zeros_like(kernel) for kernel in kernels]
        self.masks = [np.ones(kernel.shape) for kernel in kernels]
        self.thresholds = [0.0] * len(kernels)
        self.sparsity, self.stretch = sparsity, stretch
        self.num_pruned = self.num_spliced = self.num_refreshes = 0

    def gradients(self, x: np.ndarray, labels: np.ndarray) -> list[np.ndarray]:
        """Of the mean loss, with respect to w * m; kernels are (outputs, inputs)."""
        used = [w * m for w, m in zip(self.dense, self.masks, strict=True)]
        activations = [x]
        for index, (kernel, bias) in enumerate(zip(used, self.biases, strict=True)):
            x = x @ kernel.T + bias
            if index < len(used) - 1:
                x = np.maximum(x, 0)
            activations.append(x)
        exponentials = np.exp(x - x.max(axis=1, keepdims=True))
        delta = exponentials / exponentials.sum(axis=1, keepdims=True)
        delta[np.arange(len(labels)), labels] -= 1
        delta /= len(labels)
        found = []
        for index in reversed(range(len(used))):
            found.append(delta.T @ activations[index])
            delta = (delta @ used[index]) * (activations[index] > 0)
        return found[::-1]

    def step(self, step: int, x: np.ndarray, labels: np.ndarray, coins: np.ndarray) -> None:
        rate = 0.05 / (1 + 0.1 * (step * self.stretch) / 200)
        for index, gradient in enumerate(self.gradients(x, labels)):
            self.velocities[index] = 0.9 * self.velocities[index] + gradient
            self.dense[index] -= rate * self.velocities[index]
        paper_step = (step + 1) * self.stretch
        if paper_step % 500 == 0:
            ramp = self.sparsity * (1 - (1 - min(paper_step, 15_000) / 15_000) ** 3)
            self.thresholds = [np.percentile(np.abs(w), 100 * ramp, method="nearest") for w in self.dense]
            self.num_refreshes += 1
        probability = 1 / (1 + 0.2 * math.floor(paper_step / 100))
        for index, weight in enumerate(self.dense):
            if coins[index] > probability:
                continue
            threshold, mask = self.thresholds[index], self.masks[index].copy()
            mask[np.abs(weight) <= 0.9 * threshold] = 0
            mask[np.abs(weight) >= 1.1 * threshold] = 1
            self.num_pruned += int((mask < self.masks[index]).sum())
            self.num_spliced += int((mask > self.masks[index]).sum())
            self.masks[index] = mask


class Perceptron(nn.Module):
    """The same layers in torch; its biases are not trained."""

    def __init__(self, sizes: tuple[int, ...]) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Linear(inputs, outputs) for inputs, outputs in itertools.pairwise(sizes)
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        return self.layers[-1](x)

    def kernels(self) -> dict[str, nn.Parameter]:
        return {f"layers.{i}.weight": layer.weight for i, layer in enumerate(self.layers)}


def refresh(schedule: PruneSchedule, completed: int) -> int | None:
    return completed if threshold_due(schedule, completed) else None


@dataclass
class Pair:
    """A surgery in torch and its oracle, on the same batches and coins."""

    model: Perceptron
    surgery: DynamicNetworkSurgery
    oracle: NumpySurgery
    inputs: np.ndarray
    labels: np.ndarray
    batches: np.ndarray
    coins: np.ndarray

    def step(self, step: int) -> None:
        batch = self.batches[step]
        x, labels = self.inputs[batch], self.labels[batch]
        F.cross_entropy(self.model(torch.from_numpy(x)), torch.from_numpy(labels)).backward()
        self.surgery.step(torch.tensor([step]), refresh(self.surgery.schedule, step + 1))
        self.oracle.step(step, x, labels, self.coins[step])

    def check(self) -> None:
        oracle = self.oracle
        for index, (name, kernel) in enumerate(self.model.kernels().items()):
            mask, dense = oracle.masks[index], oracle.dense[index]
            assert ((mask == 1) == self.surgery.masks[name].numpy()).all()
            assert np.abs(dense - self.surgery.dense[name].numpy()).max() < 1e-9
            assert np.abs(dense * mask - kernel.detach().numpy()).max() < 1e-9
            assert abs(self.surgery.thresholds[0, index].item() - oracle.thresholds[index]) < 1e-9
        assert self.surgery.count().num_pruned.item() == oracle.num_pruned
        assert self.surgery.count().num_spliced.item() == oracle.num_spliced


def pair(schedule: PruneSchedule, num_steps: int, sparsity: float, sizes: tuple[int, ...]) -> Pair:
    rng = np.random.RandomState(3)
    torch.manual_seed(3)
    model = Perceptron(sizes).double()
    for layer in model.layers:
        layer.bias.requires_grad_(False)
    num_examples = 200
    inputs = rng.standard_normal((num_examples, sizes[0]))
    labels = rng.randint(sizes[-1], size=num_examples)
    coins = rng.random_sample((num_steps, len(sizes) - 1))
    return Pair(
        model,
        DynamicNetworkSurgery(model.kernels(), schedule, [sparsity], [coins]),
        NumpySurgery(
            [kernel.detach().numpy().copy() for kernel in model.kernels().values()],
            [layer.bias.numpy().copy() for layer in model.layers],
            sparsity,
            20_000 / schedule.num_steps,
        ),
        inputs,
        labels,
        rng.randint(num_examples, size=(num_steps, 4)),
        coins,
    )


@pytest.mark.parametrize(
    ("schedule_steps", "num_steps", "num_refreshes"),
    [
        (400, 400, 40),  # the whole of a scaled run
        (20_000, 1_100, 2),  # the beginning of the paper's own
    ],
)
@pytest.mark.parametrize(("sparsity", "sizes"), [(0.9, (12, 16, 14, 10)), (0.6, (10, 20, 5))])
def test_surgery_agrees_with_an_independent_one(schedule_steps, num_steps, num_refreshes, sparsity, sizes):
    both = pair(PruneSchedule(num_steps=schedule_steps), num_steps, sparsity, sizes)
    biases = [layer.bias.clone() for layer in both.model.layers]
    for step in range(num_steps):
        both.step(step)
        both.check()
    oracle = both.oracle
    assert oracle.num_refreshes == num_refreshes
    assert oracle.num_pruned > 100
    assert oracle.num_spliced > 20
    masked = sum(int((mask == 0).sum()) for mask in oracle.masks)
    assert masked == oracle.num_pruned - oracle.num_spliced
    assert both.surgery.achieved_sparsity().item() == pytest.approx(
        masked / sum(mask.size for mask in oracle.masks), rel=1e-12
    )
    assert [number.item() for number in both.surgery.num_kept().values()] == [
        int(mask.sum()) for mask in oracle.masks
    ]
    for layer, before in zip(both.model.layers, biases, strict=True):
        assert torch.equal(layer.bias, before)
    for index, name in enumerate(both.model.kernels()):
        dense = both.surgery.dense[name].numpy()
        np.testing.assert_allclose(dense, oracle.dense[index], rtol=1e-9, atol=1e-10)
    # Before the end is committed masked weights have values of their own; after it they are gone.
    assert any((dense[mask == 0] != 0).any() for dense, mask in zip(oracle.dense, oracle.masks, strict=True))
    both.surgery.commit()
    for index, (name, kernel) in enumerate(both.model.kernels().items()):
        final = oracle.dense[index] * oracle.masks[index]
        np.testing.assert_allclose(both.surgery.dense[name].numpy(), final, rtol=1e-9, atol=1e-11)
        np.testing.assert_allclose(kernel.detach().numpy(), final, rtol=1e-9, atol=1e-11)
        assert (kernel.detach().numpy()[oracle.masks[index] == 0] == 0).all()
    x = torch.from_numpy(both.inputs)
    hidden = both.inputs
    for index in range(len(sizes) - 1):
        hidden = hidden @ (oracle.dense[index] * oracle.masks[index]).T + oracle.biases[index]
        if index < len(sizes) - 2:
            hidden = np.maximum(hidden, 0)
    np.testing.assert_allclose(both.model(x).detach().numpy(), hidden, rtol=1e-8, atol=1e-10)


# Single rules by hand


def four_weights(
    values: list[float], schedule: PruneSchedule, sparsity: float, coins: list[list[float]]
) -> tuple[nn.Parameter, DynamicNetworkSurgery]:
    kernel = nn.Parameter(torch.tensor([values], dtype=torch.float64))
    return kernel, DynamicNetworkSurgery({"k": kernel}, schedule, [sparsity], [np.array(coins)])


def move(kernel: nn.Parameter, surgery: DynamicNetworkSurgery, step: int, gradient: list[float]) -> None:
    kernel.grad = torch.tensor([gradient], dtype=torch.float64)
    surgery.step(torch.tensor([step]), refresh(surgery.schedule, step + 1))


def test_a_masked_weight_moves_by_its_gradient_and_is_spliced_back():
    # Rate .1 without decay or momentum, S = .5 at once, thresholds refreshed after every step.
    schedule = PruneSchedule(
        num_steps=4,
        learning_rate=0.1,
        learning_rate_decay=0.0,
        momentum=0.0,
        ramp_fraction=0.25,
        num_threshold_updates=4,
    )
    kernel, surgery = four_weights([1.0, -0.2, 0.3, 2.0, -3.0], schedule, 0.5, [[0.0]] * 4)
    move(kernel, surgery, 0, [0, 0, 0, 0, 0])  # t = 1.0, the third of five: .2 and .3 go, 1.0 stays
    assert surgery.thresholds.tolist() == [[1.0]]
    assert kernel.tolist() == [[1.0, 0.0, 0.0, 2.0, -3.0]]
    assert surgery.dense["k"].tolist() == [[1.0, -0.2, 0.3, 2.0, -3.0]]
    assert (
        surgery.achieved_sparsity().item(),
        int(surgery.count().num_pruned),
        int(surgery.count().num_spliced),
    ) == (
        0.4,
        2,
        0,
    )
    move(kernel, surgery, 1, [0, 13, 0, 0, 0])  # dense -.2 - 1.3 = -1.5 = t: back in, and 1.0 is below 1.35
    np.testing.assert_allclose(surgery.dense["k"].numpy(), [[1.0, -1.5, 0.3, 2.0, -3.0]])
    assert surgery.masks["k"].tolist() == [[False, False, False, True, True]]
    move(kernel, surgery, 2, [0, 10, 0, 0, 0])  # dense -2.5; t = 2.0: spliced, and 2.0 stays in the band
    np.testing.assert_allclose(kernel.detach().numpy(), [[0.0, -2.5, 0.0, 2.0, -3.0]])
    assert (int(surgery.count().num_pruned), int(surgery.count().num_spliced)) == (3, 1)
    move(kernel, surgery, 3, [-30, 0, 0, 0, 0])  # the warm start's 1.0 moved although masked: 4.0
    np.testing.assert_allclose(kernel.detach().numpy(), [[4.0, -2.5, 0.0, 0.0, -3.0]])
    assert (int(surgery.count().num_pruned), int(surgery.count().num_spliced)) == (4, 2)


def test_momentum_is_heavy_ball_and_the_rate_decays():
    schedule = PruneSchedule(num_steps=2, learning_rate=0.5, learning_rate_decay=3.0, ramp_fraction=1.0)
    kernel, surgery = four_weights([10.0, 20.0], schedule, 0.0, [[0.0]] * 2)
    move(kernel, surgery, 0, [2.0, 0.0])  # v = 2, rate .5
    np.testing.assert_allclose(kernel.detach().numpy(), [[9.0, 20.0]])
    move(kernel, surgery, 1, [1.0, 4.0])  # v = .9 * 2 + 1 = 2.8 and 4, rate .5 / (1 + 3/2) = .2
    np.testing.assert_allclose(kernel.detach().numpy(), [[8.44, 19.2]])


def test_thresholds_are_stored_between_refreshes():
    schedule = PruneSchedule(
        num_steps=4, num_threshold_updates=2, ramp_fraction=0.5, momentum=0, learning_rate=1.0
    )
    kernel, surgery = four_weights([1.0, 2.0, 3.0], schedule, 0.5, [[0.0]] * 4)
    seen = []
    for step in range(4):
        move(kernel, surgery, step, [0.0, -0.1, 0.0])
        seen.append(surgery.thresholds.item())
    # Rates are 1, 1/3.5, 1/6, 1/8.5; the second weight stays the median and is looked at after steps 2 and 4.
    after_two = 2 + 0.1 * (1 + 1 / 3.5)
    assert seen == pytest.approx([0, after_two, after_two, after_two + 0.1 * (1 / 6 + 1 / 8.5)], rel=1e-12)


def test_a_coin_decides_for_each_kernel_apart():
    # Step 2 of 10: stair 40 of the run, so the probability is the floor, .25; a coin up to it updates.
    schedule = PruneSchedule(
        num_steps=10, num_threshold_updates=10, ramp_fraction=0.1, min_update_probability=0.25
    )
    kernels = {name: nn.Parameter(torch.tensor([1.0, 10.0, 20.0])) for name in ("a", "b", "c")}
    coins = np.tile([0.1, 0.25, 0.2500001], (10, 1))
    surgery = DynamicNetworkSurgery(kernels, schedule, [0.5], [coins])
    for step in range(2):
        for kernel in kernels.values():
            kernel.grad = torch.zeros(3)
        surgery.step(torch.tensor([step]), refresh(surgery.schedule, step + 1))
    assert surgery.thresholds.tolist() == [[10, 10, 10]]
    assert [mask.tolist() for mask in surgery.masks.values()] == [
        [False, True, True],
        [False, True, True],
        [True, True, True],
    ]
    assert {name: number.tolist() for name, number in surgery.num_kept().items()} == {
        "a": [2],
        "b": [2],
        "c": [3],
    }
    assert surgery.achieved_sparsity().item() == pytest.approx(2 / 9)


def test_the_warm_start_is_copied_and_every_mask_begins_at_one():
    kernel = nn.Parameter(torch.tensor([[1.0, -2.0]]))
    surgery = DynamicNetworkSurgery({"k": kernel}, PruneSchedule(num_steps=1), [0.5], [np.zeros((1, 1))])
    assert surgery.masks["k"].all()
    assert surgery.thresholds.tolist() == [[0]]
    assert surgery.achieved_sparsity().item() == 0
    with torch.no_grad():
        kernel.zero_()
    assert surgery.dense["k"].tolist() == [[1.0, -2.0]]


def test_coins_must_fit_the_kernels():
    kernel = nn.Parameter(torch.zeros(2))
    with pytest.raises(ValueError, match=r"coins\.shape = \(5, 2\): must have 1 columns, one per kernel"):
        DynamicNetworkSurgery({"k": kernel}, PruneSchedule(), [0.5], [np.zeros((5, 2))])
