import copy
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from rc_core.cells import PruneCell, TrainCell
from rc_core.examples import Examples
from rc_core.history import DivergenceError, History, Window, log_due
from rc_core.recipes import PruneSchedule, Recipe, TrainSchedule
from rc_core.resnet import ResNet, kernels
from rc_core.seeding import batch_order, mask_coins
from rc_core.surgery import Surgery
from rc_core.training import DenseTraining, NetworkPhase, build_model, run_phase

NUM_STEPS = 32
TRAIN_CELL = TrainCell(randomization=0.5, seed=42)
PRUNE_CELL = PruneCell(randomization=0.5, seed=42, sparsity=0.83)


# The pruning's learning rate is ten times the paper's, so that weights are spliced back in so short a run.
def recipe(train_steps: int = NUM_STEPS, prune_steps: int = NUM_STEPS, **prune: float) -> Recipe:
    return Recipe(
        name="tiny",
        dataset="digits",
        depth=8,
        width=2,
        batch_norm_momentum=0.1,
        train=TrainSchedule(num_steps=train_steps, batch_size=16),
        prune=PruneSchedule(
            num_steps=prune_steps,
            batch_size=16,
            **({"min_update_probability": 0.25, "learning_rate": 0.5, "num_threshold_updates": 8} | prune),
        ),
    )


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def examples() -> Examples:
    """The first 50 digits with half of their labels made up."""
    from sklearn.datasets import load_digits

    source = load_digits()
    images = np.round(source.images[:50, :, :, None] * 255 / 16).astype(np.uint8)
    labels = source.target[:50].astype(np.int64)
    labels[::2] = np.random.RandomState(1).randint(10, size=25)
    return Examples(torch.from_numpy(images), torch.from_numpy(labels))


def network(settings: Recipe) -> ResNet:
    return build_model(settings, in_channels=1, num_classes=10, device=torch.device("cpu"))


def training(
    examples: Examples, settings: Recipe | None = None, cell: TrainCell = TRAIN_CELL
) -> DenseTraining:
    settings = settings or recipe()
    return DenseTraining([cell], settings, network(settings), [examples])


@pytest.fixture(scope="module")
def warm_start(examples) -> dict[str, torch.Tensor]:
    """State of a network after a training, with scales, shifts and biases that are not at their start."""
    phase = training(examples)
    run_phase(phase)
    return {name: tensor.clone() for name, tensor in phase.model.state_dict().items()}


def surgery(
    examples: Examples,
    warm_start: dict[str, torch.Tensor],
    settings: Recipe | None = None,
    cell: PruneCell = PRUNE_CELL,
) -> Surgery:
    settings = settings or recipe()
    return Surgery([cell], settings, network(settings), [examples], [warm_start])


def batch(examples: Examples, indices: np.ndarray) -> tuple[torch.Tensor, torch.Tensor]:
    """As described: uint8/255 in [0, 1], no augmentation."""
    images = examples.images.numpy()[indices].astype(np.float32) / np.float32(255)
    return torch.from_numpy(images.transpose(0, 3, 1, 2).copy()), examples.labels[torch.from_numpy(indices)]


def cross_entropy(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    return (logits.logsumexp(dim=1) - logits[torch.arange(len(labels)), labels]).mean()


# Training against a loop written by hand


def test_training_is_nesterov_sgd_on_shuffled_batches(examples):
    phase = training(examples)
    model = copy.deepcopy(phase.model).train()
    run_phase(phase)

    order = batch_order(42, "train", num_examples=50, batch_size=16, num_steps=NUM_STEPS)
    # 400, 32,000 and 48,000 of 64,000 are .2, 16 and 24 of 32.
    rates = [0.001] + [0.1] * 16 + [0.01] * 8 + [0.001] * 7
    velocities = [torch.zeros_like(parameter) for parameter in model.parameters()]
    losses, hits = [], []
    for indices, rate in zip(order, rates, strict=True):
        images, labels = batch(examples, indices)
        logits = model(images)
        loss = cross_entropy(logits, labels)
        losses.append(loss.item())
        hits.append((logits.argmax(dim=1) == labels).float().mean().item())
        gradients = torch.autograd.grad(loss, list(model.parameters()))
        with torch.no_grad():
            for parameter, velocity, gradient in zip(model.parameters(), velocities, gradients, strict=True):
                velocity.mul_(0.9).add_(gradient)
                parameter.sub_(rate * (gradient + 0.9 * velocity))

    columns = phase.histories[0].columns
    assert columns["step"] == list(range(1, NUM_STEPS + 1))
    assert columns["learning_rate"] == rates
    np.testing.assert_allclose(columns["train_loss"], losses, rtol=1e-4)
    np.testing.assert_allclose(columns["train_accuracy"], hits, atol=1e-6)
    for (name, wanted), found in zip(
        model.state_dict().items(), phase.model.state_dict().values(), strict=True
    ):
        torch.testing.assert_close(found, wanted, rtol=1e-3, atol=1e-4, msg=name)
    assert losses[-1] < losses[0]


def test_training_begins_as_the_seed_says(examples):
    one, same, other = (
        training(examples, cell=TrainCell(randomization=p, seed=s)).model.state_dict()
        for p, s in ((0.5, 42), (1.0, 42), (0.5, 43))
    )
    for name, tensor in one.items():
        assert torch.equal(tensor, same[name])
    assert not torch.equal(one["stem.weight"], other["stem.weight"])


# Surgery against a loop written by hand


def test_surgery_is_that_of_the_paper_on_the_seed_s_batches_and_coins(examples, warm_start):
    phase = surgery(examples, warm_start)
    model = network(recipe())
    model.load_state_dict(warm_start)
    model.train()
    run_phase(phase)

    order = batch_order(42, "prune", num_examples=50, batch_size=16, num_steps=NUM_STEPS)
    names = [name for name, parameter in model.named_parameters() if parameter.ndim > 1]
    coins = mask_coins(42, num_steps=NUM_STEPS, num_kernels=len(names))
    used = [parameter for parameter in model.parameters() if parameter.ndim > 1]
    dense = [parameter.detach().clone() for parameter in used]
    masks = [np.ones(parameter.shape, dtype=bool) for parameter in used]
    velocities = [torch.zeros_like(parameter) for parameter in used]
    thresholds = [0.0] * len(used)
    num_pruned = num_spliced = 0
    columns = phase.histories[0].columns
    for step in range(NUM_STEPS):
        # Torch's own loss and memory layout: masks are compared for equality, so rounding must be the same.
        images, labels = batch(examples, order[step])
        loss = F.cross_entropy(model(images.contiguous(memory_format=torch.channels_last)), labels)
        assert columns["train_loss"][step] == pytest.approx(loss.item(), rel=1e-4)
        gradients = torch.autograd.grad(loss, used)
        fraction = (step + 1) / NUM_STEPS
        rate = 0.5 / (1 + 10 * step / NUM_STEPS)
        assert columns["learning_rate"][step] == pytest.approx(rate, rel=1e-12)
        target = 0.83 * (1 - (1 - min(fraction / 0.75, 1)) ** 3)
        probability = max(0.25, 1 / (1 + 0.2 * ((step + 1) * 200 // NUM_STEPS)))
        for index, gradient in enumerate(gradients):
            velocities[index].mul_(0.9).add_(gradient)
            dense[index].add_(velocities[index], alpha=-rate)
            sizes = dense[index].abs().numpy()
            if (step + 1) % 4 == 0:  # 8 refreshes in 32 steps
                thresholds[index] = np.percentile(sizes, 100 * target, method="nearest")
            if coins[step, index] <= probability:
                new = masks[index].copy()
                new[sizes <= 0.9 * thresholds[index]] = False
                new[sizes >= 1.1 * thresholds[index]] = True
                num_pruned += int((masks[index] & ~new).sum())
                num_spliced += int((new & ~masks[index]).sum())
                masks[index] = new
            used[index].data.copy_(dense[index] * torch.from_numpy(masks[index]))
        masked = sum(int((~mask).sum()) for mask in masks) / sum(mask.size for mask in masks)
        assert columns["sparsity"][step] == pytest.approx(masked, rel=1e-12)
        assert columns["sparsity_target"][step] == pytest.approx(target, rel=1e-12)
        assert columns["update_probability"][step] == pytest.approx(probability, rel=1e-12)
        assert (columns["num_pruned"][step], columns["num_spliced"][step]) == (num_pruned, num_spliced)

    assert num_spliced > 5
    np.testing.assert_allclose(phase.surgery.thresholds[0].numpy(), thresholds, rtol=1e-4)
    for name, mask, parameter in zip(names, masks, used, strict=True):
        np.testing.assert_array_equal(phase.surgery.masks[name].numpy(), mask)
        found = dict(phase.model.named_parameters())[name].detach()
        torch.testing.assert_close(found, parameter.detach(), rtol=1e-3, atol=1e-5)
        assert (found.numpy()[~mask] == 0).all()  # committed
        assert torch.equal(phase.surgery.dense[name], found)


def test_surgery_moves_kernels_and_statistics_and_nothing_else(examples, warm_start):
    phase = surgery(examples, warm_start)
    run_phase(phase)
    state, prunable = phase.model.state_dict(), kernels(phase.model)
    statistics = [name for name in state if "running" in name]
    rest = [name for name in state if name not in prunable and name not in statistics]
    assert (len(prunable), len(statistics)) == (11, 14)
    assert sorted(name for name in rest if not name.endswith("num_batches_tracked")) == sorted(
        name for name, parameter in phase.model.named_parameters() if parameter.ndim == 1
    )
    for name in [*prunable, *statistics]:
        assert not torch.equal(state[name], warm_start[name]), name
    for name in rest:
        if name.endswith("num_batches_tracked"):
            assert state[name].item() == warm_start[name].item() + NUM_STEPS
        else:
            assert torch.equal(state[name], warm_start[name]), name
            assert (warm_start[name] != 0).any()


def test_surgery_leaves_its_warm_start_as_it_was(examples, warm_start):
    before = {name: tensor.clone() for name, tensor in warm_start.items()}
    run_phase(surgery(examples, warm_start))
    assert all(torch.equal(tensor, before[name]) for name, tensor in warm_start.items())


def seen_images(phase: DenseTraining | Surgery) -> list[torch.Tensor]:
    """What goes into the network, step by step."""
    seen: list[torch.Tensor] = []
    phase.model.register_forward_pre_hook(lambda model, inputs: seen.append(inputs[0].clone()))
    run_phase(phase)
    return seen


def test_children_of_a_seed_see_the_same_batches_whatever_their_sparsity_and_randomization(
    examples, warm_start
):
    settings = recipe(4, 4)
    runs = [
        seen_images(
            surgery(examples, warm_start, settings, PruneCell(randomization=p, seed=seed, sparsity=sparsity))
        )
        for p, seed, sparsity in ((0.5, 42, 0.5), (0.5, 42, 0.9), (1.0, 42, 0.9), (0.5, 43, 0.5))
    ]
    trained = seen_images(training(examples, settings))
    for step in range(4):
        assert torch.equal(runs[0][step], runs[1][step])
        assert torch.equal(runs[0][step], runs[2][step])
        assert not torch.equal(runs[0][step], runs[3][step])
        assert not torch.equal(runs[0][step], trained[step])


# Stop and go on: in memory, after every single step


def both_kinds(
    examples: Examples, warm_start: dict[str, torch.Tensor], kind: str, settings: Recipe | None = None
) -> NetworkPhase:
    if kind == "train":
        return training(examples, settings)
    return surgery(examples, warm_start, settings)


def copied(phase: NetworkPhase) -> tuple[int, dict[str, torch.Tensor], dict[str, list[float]]]:
    tensors = {name: tensor.detach().clone().contiguous() for name, tensor in phase.tensors().items()}
    return phase.step, tensors, copy.deepcopy(phase.histories[0].columns)


def restore(
    phase: NetworkPhase, step: int, tensors: dict[str, torch.Tensor], history: dict[str, list[float]]
) -> None:
    phase.restore(step, [tensors], [history])


def assert_same_bits(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        assert tensor.dtype == other[name].dtype, name
        same = tensor.contiguous().numpy().tobytes() == other[name].contiguous().numpy().tobytes()
        assert same, name


@pytest.mark.parametrize("kind", ["train", "prune"])
def test_a_run_restored_after_any_step_ends_with_the_same_bits(examples, warm_start, kind):
    whole, states = both_kinds(examples, warm_start, kind), []
    run_phase(whole, [lambda phase: states.append(copied(phase))])
    wanted = copied(whole)
    assert [step for step, _, _ in states] == list(range(1, NUM_STEPS + 1))
    if kind == "prune":
        assert whole.histories[0].columns["num_spliced"][-1] > 5
        assert {"thresholds", "num_pruned", "num_spliced"} <= wanted[1].keys()
    for state in states:
        resumed = both_kinds(examples, warm_start, kind)
        restore(resumed, *copy.deepcopy(state))
        assert_same_bits(copied(resumed)[1], state[1])
        run_phase(resumed)
        found = copied(resumed)
        assert_same_bits(found[1], wanted[1])
        assert (found[0], found[2]) == (wanted[0], wanted[2])


@pytest.mark.parametrize("kind", ["train", "prune"])
def test_a_run_restored_between_two_log_points_has_the_same_curves(examples, warm_start, kind):
    # 64 steps and 50 log points: some entries are the means of two steps.
    settings, states = recipe(64, 64), []
    whole = both_kinds(examples, warm_start, kind, settings)
    run_phase(whole, [lambda phase: states.append(copied(phase))])
    between = [state for state in states if state[0] not in whole.histories[0].columns["step"]]
    assert len(between) == 14
    for state in between[::6]:
        assert state[1]["window"][2] == 16
        resumed = both_kinds(examples, warm_start, kind, settings)
        restore(resumed, *copy.deepcopy(state))
        run_phase(resumed)
        assert resumed.histories[0].columns == whole.histories[0].columns


@pytest.mark.parametrize("kind", ["train", "prune"])
def test_a_run_is_repeatable_and_keeps_momentum_in_its_state(examples, warm_start, kind):
    runs = [both_kinds(examples, warm_start, kind) for _ in range(2)]
    for phase in runs:
        run_phase(phase)
    assert_same_bits(copied(runs[0])[1], copied(runs[1])[1])
    # Without its momentum a restored run goes elsewhere: the state above is needed.
    states: list[tuple] = []
    run_phase(both_kinds(examples, warm_start, kind), [lambda phase: states.append(copied(phase))])
    step, tensors, history = states[9]
    for name, tensor in tensors.items():
        if name.startswith("momentum."):
            assert (tensor != 0).any(), name
            tensor.zero_()
    other = both_kinds(examples, warm_start, kind)
    restore(other, step, tensors, history)
    run_phase(other)
    assert not torch.equal(other.tensors()["model.stem.weight"], runs[0].tensors()["model.stem.weight"])


# The loop


class CountingPhase:
    """A phase that does nothing but count."""

    def __init__(self, num_steps: int, step: int = 0) -> None:
        self.step, self.num_steps = step, num_steps
        self.events: list[str] = []

    def advance(self) -> None:
        self.step += 1
        self.events.append(f"step {self.step}")

    def finish(self) -> None:
        self.events.append("finish")


def test_hooks_see_every_step_in_their_order():
    phase = CountingPhase(5, step=3)
    run_phase(
        phase, [lambda p: phase.events.append(f"a{p.step}"), lambda p: phase.events.append(f"b{p.step}")]
    )
    assert phase.events == ["step 4", "a4", "b4", "step 5", "a5", "b5", "finish"]


def test_a_hook_that_raises_stops_the_run_unfinished():
    phase = CountingPhase(5)

    def stop(p: CountingPhase) -> None:
        if p.step == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_phase(phase, iter([stop]))
    assert phase.events == ["step 1", "step 2"]
    run_phase(phase)
    assert phase.events == ["step 1", "step 2", "step 3", "step 4", "step 5", "finish"]


def test_a_run_at_its_end_is_only_finished():
    phase = CountingPhase(5, step=5)
    run_phase(phase)
    assert phase.events == ["finish"]


# Divergence


def run_until_it_diverges(phase: DenseTraining | Surgery, log_every: int) -> None:
    finite: list[bool] = []
    phase.model.register_forward_hook(
        lambda model, inputs, logits: finite.append(bool(logits.isfinite().all()))
    )
    with pytest.raises(DivergenceError) as caught:
        run_phase(phase)
    first_bad = finite.index(False) + 1
    step = math.ceil(first_bad / log_every) * log_every  # the next log point
    assert phase.step == step
    assert f"training diverged: the loss is nan at or shortly before step {step};" in str(caught.value)


@pytest.mark.parametrize(("num_steps", "log_every"), [(32, 1), (200, 4)])
def test_a_diverging_training_stops_and_names_the_step(examples, num_steps, log_every):
    wild = TrainSchedule(num_steps=num_steps, batch_size=16, boundary_steps=(), learning_rates=(1e30,))
    settings = Recipe(name="wild", dataset="digits", depth=8, width=2, train=wild)
    run_until_it_diverges(training(examples, settings), log_every)


def test_a_diverging_surgery_stops_and_names_the_step(examples, warm_start):
    run_until_it_diverges(surgery(examples, warm_start, recipe(learning_rate=1e30)), 1)


# The curves


def test_a_window_by_hand():
    window = Window(torch.device("cpu"), num_networks=2)
    logits = torch.tensor([[2.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    window.add(torch.tensor([0.5, 1.5]), torch.stack([logits, logits]), torch.tensor([[0, 2], [0, 1]]))
    window.add(torch.tensor([2.0, 3.0]), logits[:1].expand(2, 1, 3), torch.tensor([[0], [1]]))
    assert window.sums.tolist() == [[3.0, 2.0, 3.0], [6.0, 2.0, 3.0]]
    assert window.flush() == [
        {"train_loss": 1.0, "train_accuracy": 2 / 3},
        {"train_loss": 2.0, "train_accuracy": 2 / 3},
    ]
    assert window.sums.tolist() == [[0, 0, 0]] * 2


def test_log_points_are_the_means_of_the_steps_between_them(examples):
    # 120 steps and 50 points: every second or third step, the last one among them.
    dense = training(examples, recipe(120))
    losses: list[float] = []
    dense.model.register_forward_hook(
        lambda model, inputs, logits: losses.append(
            cross_entropy(logits.detach(), examples.labels[order[len(losses)]]).item()
        )
    )
    order = batch_order(42, "train", num_examples=50, batch_size=16, num_steps=120)
    run_phase(dense)
    columns = dense.histories[0].columns
    assert columns["step"] == [math.ceil(k * 120 / 50) for k in range(1, 51)]
    wanted = [
        np.mean(losses[start:end])
        for start, end in zip([0, *columns["step"][:-1]], columns["step"], strict=True)
    ]
    np.testing.assert_allclose(columns["train_loss"], wanted, rtol=1e-5)


@given(st.integers(1, 2_000))
def test_there_are_50_log_points_or_one_a_step(num_steps):
    due = [completed for completed in range(1, num_steps + 1) if log_due(completed, num_steps)]
    assert len(due) == min(50, num_steps)
    assert due[-1] == num_steps
    gaps = np.diff([0, *due])
    assert gaps.max() - gaps.min() <= 1


def test_a_history_has_columns_of_equal_length():
    history = History()
    history.append(step=1, loss=0.5)
    history.append(loss=0.25, step=2)
    assert history.columns == {"step": [1, 2], "loss": [0.5, 0.25]}
    with pytest.raises(ValueError, match=r"columns \['step'\]: must be \['loss', 'step'\]"):
        history.append(step=3)
    assert History({"step": [1]}).columns == {"step": [1]}
