"""Cells trained side by side in one network: each as if it were alone."""

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rc_core.cells import Cell, PruneCell, TrainCell
from rc_core.checkpointer import CellInterrupted
from rc_core.checkpoints import CheckpointError, checkpoint_steps
from rc_core.datasets import Split
from rc_core.device_step import Numerics
from rc_core.execution import Execution
from rc_core.history import DivergenceError
from rc_core.member import Job, Member
from rc_core.recipes import PruneSchedule, Recipe, TrainSchedule, preset
from rc_core.resnet import GroupedLinear, ResNet
from rc_core.runs import run_cell, run_cells
from rc_core.stack_run import StackRun
from rc_core.stacking import padded_size, rows_of, stack_size, stack_states, state_of
from rc_core.storage import LocalStorage
from rc_core.training import NetworkPhase

NUM_STEPS = 24
RECIPE = Recipe(
    name="tiny",
    dataset="digits",
    num_train_examples=60,
    num_test_examples=40,
    depth=8,
    width=8,
    batch_norm_momentum=0.1,
    train=TrainSchedule(num_steps=NUM_STEPS, batch_size=32),
    prune=PruneSchedule(
        num_steps=NUM_STEPS,
        batch_size=32,
        learning_rate=1.0,
        min_update_probability=1.0,
        num_threshold_updates=6,
    ),
)
TRAININGS = tuple(TrainCell(randomization=p, seed=s) for s in (42, 43) for p in (0.0, 0.5, 1.0))
PRUNINGS = tuple(
    PruneCell(randomization=p, seed=s, sparsity=S)
    for p, s, S in ((0.0, 42, 0.5), (0.5, 42, 0.9), (0.5, 43, 0.7), (1.0, 43, 0.8), (0.5, 42, 0.5))
)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def splits() -> tuple[Split, Split]:
    from sklearn.datasets import load_digits

    source = load_digits()
    images = np.round(source.images[:, :, :, None] * 255 / 16).astype(np.uint8)
    labels = source.target.astype(np.int64)
    return Split(images[:60], labels[:60], 1_000, "a" * 64), Split(images[-40:], labels[-40:], 797, "b" * 64)


def execution(**options: Any) -> Execution:
    settings = {"device": "cpu", "stacked": True, "checkpoint_seconds": 0.0, "code_version": "test"}
    return Execution(report=options.pop("report", lambda line: None), **(settings | options))


def job(root: Path, cell: Cell) -> Job:
    def folder(of: Cell) -> LocalStorage:
        return LocalStorage(root / of.cell_id)

    return Job(cell, folder(cell), folder(cell.parent) if cell.parent else None)


def run(root: Path, cells, splits, recipe: Recipe = RECIPE, **options: Any) -> list[Any]:
    return run_cells([job(root, cell) for cell in cells], recipe, *splits, 10, execution(**options))


@pytest.fixture(scope="module")
def apart(splits, tmp_path_factory) -> Path:
    """Every cell run by itself, beside its own copy."""
    root = tmp_path_factory.mktemp("apart")
    for cell in (*TRAININGS, *PRUNINGS):
        run(root, [cell], splits, checkpoint_seconds=1e9)
    return root


def assert_same_results(found: Path, wanted: Path, cells) -> None:
    """Bit for bit: weights, masks, curves; and every figure but times."""
    for cell in cells:
        ours, theirs = (LocalStorage(root / cell.cell_id) for root in (found, wanted))
        assert ours.read("final/state.safetensors") == theirs.read("final/state.safetensors"), cell
        assert ours.read("history.json") == theirs.read("history.json"), cell
        rows = [json.loads(folder.read("record.json"))["row"] for folder in (ours, theirs)]
        for row in rows:
            for name in ("wall_seconds", "images_per_second"):
                del row[name]
        assert rows[0] == rows[1]
        assert checkpoint_steps(ours) == []
        assert "failure.json" not in ours.names()


# A network does not know its neighbours


@pytest.mark.parametrize("groups", [[5], [2, 3], [4, 1], [1, 1, 3]], ids=str)
def test_a_cell_s_bits_do_not_depend_on_the_cells_beside_it(tmp_path, splits, apart, groups):
    for cells in (TRAININGS[:5], PRUNINGS):
        left = list(cells)
        if cells is PRUNINGS:
            run(tmp_path, [TRAININGS[5]], splits)
            left.reverse()
        for size in groups:
            run(tmp_path, left[:size], splits, checkpoint_seconds=1e9)
            left = left[size:]
    assert_same_results(tmp_path, apart, [*TRAININGS, *PRUNINGS])


@pytest.mark.parametrize("width", [2, 4, 16])
def test_that_holds_for_other_widths(tmp_path, splits, width):
    recipe = replace(RECIPE, width=width)
    run(tmp_path / "apart", TRAININGS[:1], splits, recipe)
    for name, cells in (("first", TRAININGS[:3]), ("last", TRAININGS[2::-1])):
        run(tmp_path / name, cells, splits, recipe)
        assert_same_results(tmp_path / name, tmp_path / "apart", TRAININGS[:1])


def test_it_holds_in_bfloat16(tmp_path, splits):
    numerics = Numerics(precision="bfloat16")
    cells = TRAININGS[4:5]
    run(tmp_path / "apart", cells, splits, numerics=numerics)
    run(tmp_path / "together", TRAININGS[:5], splits, numerics=numerics)
    assert_same_results(tmp_path / "together", tmp_path / "apart", cells)


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("num_cells", [1, 3, 5])
def test_batch_norm_rounds_every_network_of_a_filled_stack_alike(num_cells, precision):
    # Rare without copies: in bfloat16 one gradient in a million, in the last of an odd number of networks.
    width, size = 8, padded_size(num_cells, 8, precision)
    for seed in range(40):
        random = torch.Generator().manual_seed(seed)
        x, gradient = (torch.randn(64, width, 8, 8, generator=random) for _ in range(2))
        scale, bias = torch.rand(width, generator=random) + 0.5, torch.randn(width, generator=random)
        x, gradient = (
            each.repeat(1, size, 1, 1).to(getattr(torch, precision), memory_format=torch.channels_last)
            for each in (x, gradient / 100)
        )
        out = torch.nn.functional.batch_norm(
            x.requires_grad_(), None, None, scale.repeat(size), bias.repeat(size), training=True
        )
        out.backward(gradient)
        for found in (out.detach(), x.grad):
            first, *others = found.chunk(size, dim=1)
            assert all(torch.equal(first, other) for other in others), seed


def test_a_stack_is_that_many_networks_trained_apart(tmp_path, splits):
    # Ordinary convolutions round differently from grouped ones, so figures are close, not equal.
    recipe = replace(RECIPE, prune=replace(RECIPE.prune, learning_rate=0.05))
    plain, stacked = tmp_path / "plain", tmp_path / "stacked"
    for cells in (TRAININGS, PRUNINGS):
        run(stacked, cells, splits, recipe)
        for cell in cells:
            parent = stacked / cell.parent.cell_id if cell.parent else None  # the same for both
            plain_job = Job(cell, LocalStorage(plain / cell.cell_id), parent and LocalStorage(parent))
            run_cells([plain_job], recipe, *splits, 10, execution(stacked=False))
    for cell in (*TRAININGS, *PRUNINGS):
        ours, theirs = (
            json.loads((root / cell.cell_id / "history.json").read_text())["columns"]
            for root in (plain, stacked)
        )
        assert ours.keys() == theirs.keys()
        for name in {"step", "learning_rate", "sparsity_target", "update_probability"} & ours.keys():
            assert ours[name] == theirs[name]
        # Rounding grows from step to step as in any two runs of different rounding.
        np.testing.assert_allclose(ours["train_loss"][:6], theirs["train_loss"][:6], rtol=1e-5)
        np.testing.assert_allclose(ours["train_loss"], theirs["train_loss"], rtol=0.05)
        if "sparsity" in ours:
            np.testing.assert_allclose(ours["sparsity"], theirs["sparsity"], atol=2e-3)


def test_k_networks_side_by_side_compute_what_they_compute_apart():
    settings = {"depth": 8, "width": 4, "in_channels": 3, "num_classes": 5}
    apart = [ResNet(**settings).double() for _ in range(3)]
    for seed, model in enumerate(apart):
        model.initialize(seed)
    together = ResNet(**settings, num_networks=3).double()
    together.load_state_dict(stack_states([model.state_dict() for model in apart]))
    images = torch.rand(3, 6, 3, 8, 8, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    weights = torch.rand(6, 15, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    logits = together(images.transpose(0, 1).flatten(1, 2))
    (logits * weights).sum().backward()
    for index, model in enumerate(apart):
        alone = model(images[index])
        (alone * weights[:, 5 * index : 5 * index + 5]).sum().backward()
        torch.testing.assert_close(logits[:, 5 * index : 5 * index + 5], alone)
        for (name, parameter), stacked in zip(model.named_parameters(), together.parameters(), strict=True):
            torch.testing.assert_close(rows_of(stacked.grad, index, 3), parameter.grad, msg=name)
        state = state_of(together.state_dict(), index, 3)
        for name, tensor in model.state_dict().items():
            torch.testing.assert_close(state[name], tensor, msg=name)


def test_a_grouped_linear_layer_by_hand():
    layer = GroupedLinear(2, 1, num_networks=2)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([[1.0, 2.0], [3.0, 4.0]]))
        layer.bias.copy_(torch.tensor([0.5, -0.5]))
    x = torch.tensor([[1.0, 1.0, 1.0, 0.0], [0.0, 1.0, 2.0, 2.0]])
    out = layer(x)
    assert out.tolist() == [[3.5, 2.5], [2.5, 13.5]]
    (out * torch.tensor([[1.0, 10.0], [2.0, 20.0]])).sum().backward()
    assert layer.bias.grad.tolist() == [3.0, 30.0]
    assert layer.weight.grad.tolist() == [[1.0, 3.0], [50.0, 40.0]]


def test_states_are_stacked_row_by_row_and_taken_apart_again():
    one = {"w": torch.tensor([[1.0], [2.0]]), "count": torch.tensor(7)}
    two = {"w": torch.tensor([[3.0], [4.0]]), "count": torch.tensor(7)}
    stacked = stack_states([one, two])
    assert stacked["w"].tolist() == [[1], [2], [3], [4]]
    assert stacked["count"].tolist() == 7
    for index, state in enumerate((one, two)):
        for name, tensor in state_of(stacked, index, 2).items():
            assert torch.equal(tensor, state[name])


# Stop and go on


class StopError(Exception):
    """Stands for a killed process."""


def stop_at(step: int):
    def hook(phase: NetworkPhase) -> None:
        if phase.step == step:
            raise StopError

    return hook


@pytest.mark.parametrize("cells", [TRAININGS[:3], PRUNINGS], ids=["train", "prune"])
@pytest.mark.parametrize("stop", [1, 11, NUM_STEPS])
def test_a_stack_that_died_goes_on_as_other_stacks(tmp_path, splits, apart, cells, stop):
    run(tmp_path, TRAININGS if cells is PRUNINGS else (), splits)
    with pytest.raises(StopError):
        run(tmp_path, cells, splits, hooks=(stop_at(stop),))
    lines: list[str] = []
    for part in (cells[2:], cells[:2]):
        run(tmp_path, part, splits, report=lines.append)
    newest = min(stop, NUM_STEPS - 1)
    assert sorted(lines) == sorted(
        f"{cell.cell_id}: resumed at step {newest} of {NUM_STEPS}" for cell in cells
    )
    assert_same_results(tmp_path, apart, cells)


def test_cells_that_have_come_unequally_far_go_on_in_stacks_of_equals(tmp_path, splits, apart):
    cells, sizes = TRAININGS[:5], []
    for step, part in ((5, cells[:2]), (9, cells[2:3])):
        with pytest.raises(StopError):
            run(tmp_path, part, splits, hooks=(stop_at(step),))

    def look(phase: NetworkPhase) -> None:
        if phase.step == phase.num_steps:
            sizes.append(len(phase.cells))

    run(tmp_path, cells, splits, hooks=(look,))
    assert sizes == [2, 2, 2]  # two at step 5, one at 9 beside its copy, two at the start
    assert_same_results(tmp_path, apart, cells)


def test_a_finished_cell_is_not_run_again_with_its_neighbours(tmp_path, splits, apart):
    run(tmp_path, TRAININGS[:1], splits)
    before = (tmp_path / TRAININGS[0].cell_id / "record.json").stat().st_mtime_ns
    outcomes = run(tmp_path, TRAININGS[:3], splits)
    assert [outcome["provenance"]["num_networks"] for outcome in outcomes] == [2, 2, 2]
    assert (tmp_path / TRAININGS[0].cell_id / "record.json").stat().st_mtime_ns == before
    assert_same_results(tmp_path, apart, TRAININGS[:3])


def test_a_stack_that_is_asked_to_stop_saves_every_cell(tmp_path, splits, apart):
    steps = iter(range(1, 1_000))
    outcomes = run(
        tmp_path, TRAININGS[:3], splits, checkpoint_seconds=1e9, should_stop=lambda: next(steps) == 7
    )
    assert all(isinstance(outcome, CellInterrupted) for outcome in outcomes)
    for cell in TRAININGS[:3]:
        folder = LocalStorage(tmp_path / cell.cell_id)
        assert checkpoint_steps(folder) == [7]
        assert "stopped at step 7 of 24, checkpoint written" in folder.read("log.txt").decode()
    run(tmp_path, TRAININGS[:3], splits)
    assert_same_results(tmp_path, apart, TRAININGS[:3])


# One of them fails


def test_a_network_that_diverges_leaves_its_neighbours_alone(tmp_path, splits, apart, monkeypatch):
    """One network of three is broken by hand after its fifth step."""

    def break_one(phase: NetworkPhase) -> None:
        if phase.step == 5:
            with torch.no_grad():
                rows_of(phase.model.stem.weight, 1, 3).fill_(float("nan"))

    outcomes = run(tmp_path, TRAININGS[:3], splits, hooks=(break_one,))
    assert isinstance(outcomes[1], DivergenceError)
    assert "the loss is nan at or shortly before step 6;" in str(outcomes[1])
    folder = LocalStorage(tmp_path / TRAININGS[1].cell_id)
    assert json.loads(folder.read("failure.json"))["error"].startswith("DivergenceError: training diverged")
    assert "record.json" not in folder.names()
    assert checkpoint_steps(folder) == [5, 4]
    assert_same_results(tmp_path, apart, [TRAININGS[0], TRAININGS[2]])


def test_a_pruning_whose_parent_is_damaged_leaves_its_neighbours_alone(tmp_path, splits, apart):
    run(tmp_path, TRAININGS, splits)
    tensors = tmp_path / TRAININGS[0].cell_id / "final" / "state.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-4] + b"oops")
    outcomes = run(tmp_path, PRUNINGS, splits)
    assert isinstance(outcomes[0], CheckpointError)
    assert "the file is damaged" in str(outcomes[0])
    assert_same_results(tmp_path, apart, PRUNINGS[1:])


def test_a_cell_in_a_foreign_folder_leaves_its_neighbours_alone(tmp_path, splits, apart):
    jobs = [job(tmp_path, cell) for cell in TRAININGS[:3]]
    run_cell(TRAININGS[3], RECIPE, *splits, 10, jobs[0].folder, execution=execution())
    outcomes = run_cells(jobs, RECIPE, *splits, 10, execution())
    assert isinstance(outcomes[0], ValueError)
    assert "holds another cell than train-p0.00-s42" in str(outcomes[0])
    assert_same_results(tmp_path, apart, TRAININGS[1:3])


def test_an_error_of_the_process_is_noted_for_every_cell(tmp_path, splits):
    with pytest.raises(StopError):
        run(tmp_path, TRAININGS[:2], splits, hooks=(stop_at(3),))
    for cell in TRAININGS[:2]:
        failure = json.loads((tmp_path / cell.cell_id / "failure.json").read_text())
        assert failure["error"] == "StopError: "


def test_a_stack_that_does_not_fit_in_memory_is_halved(tmp_path, splits, apart, monkeypatch):
    """A device with room for two networks, as the CPU has no limit to run into."""
    sizes, start = [], StackRun._start_phase

    def start_if_it_fits(self, members, examples):
        sizes.append(len(members))
        if len(members) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return start(self, members, examples)

    monkeypatch.setattr(StackRun, "_start_phase", start_if_it_fits)
    lines: list[str] = []
    run(tmp_path, TRAININGS[:5], splits, report=lines.append)
    assert sizes == [5, 2, 3, 1, 2]
    assert "train-p0.00-s42: out of memory with 5 networks in a stack: going on with half of them" in lines
    assert_same_results(tmp_path, apart, TRAININGS[:5])

    def never(self, members, examples):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(StackRun, "_start_phase", never)
    with pytest.raises(torch.OutOfMemoryError):
        run(tmp_path / "small", TRAININGS[:2], splits)


def test_cells_that_were_written_before_memory_ran_out_are_not_run_again(
    tmp_path, splits, apart, monkeypatch
):
    finish, finished = Member.finish, []

    def finish_until_full(self, *arguments, **options):
        finished.append(self.cell)
        if len(finished) == 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return finish(self, *arguments, **options)

    monkeypatch.setattr(Member, "finish", finish_until_full)
    run(tmp_path, TRAININGS[:3], splits)
    assert finished == [*TRAININGS[:2], *TRAININGS[1:3]]
    assert_same_results(tmp_path, apart, TRAININGS[:3])


# What is recorded


def test_a_stack_s_time_is_shared_and_its_attempts_have_a_name_in_common(tmp_path, splits, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rc_core.stack_run.time.perf_counter", lambda: now[0])

    def tick(phase: NetworkPhase) -> None:
        now[0] += 10.0

    records = run(tmp_path, TRAININGS[:4], splits, hooks=(tick,), checkpoint_seconds=1e9)
    rows = [record["row"] for record in records]
    assert [row["wall_seconds"] for row in rows] == [10 * NUM_STEPS / 4] * 4
    assert rows[0]["images_per_second"] == pytest.approx(32 * NUM_STEPS / 60)
    assert {(row["stacked"], row["precision"]) for row in rows} == {(True, "float32")}
    assert {record["provenance"]["num_networks"] for record in records} == {4}
    names = {record["provenance"]["attempts"][0]["stack"] for record in records}
    assert len(names) == 1
    assert len(names.pop()) == 8
    (alone,) = run(tmp_path, TRAININGS[4:5], splits, hooks=(tick,))
    assert "stack" not in alone["provenance"]["attempts"][0]
    assert alone["row"]["stacked"]
    assert alone["provenance"]["num_networks"] == 2  # beside its copy
    (plain,) = run(tmp_path, TRAININGS[5:6], splits, hooks=(tick,), stacked=False)
    assert not plain["row"]["stacked"]
    assert plain["provenance"]["num_networks"] == 1


@pytest.mark.parametrize(
    ("num_cells", "width", "precision", "size"),
    [
        (1, 8, "float32", 2),
        (5, 8, "float32", 5),
        (1, 16, "float32", 2),
        (1, 4, "float32", 2),
        (3, 4, "float32", 4),
        (3, 2, "float32", 4),
        (2, 3, "float32", 8),
        (5, 8, "bfloat16", 6),
        (6, 8, "bfloat16", 6),
        (1, 4, "bfloat16", 4),
        (3, 16, "bfloat16", 3),
    ],
)
def test_copies_fill_a_stack_up_to_whole_groups_of_channels(num_cells, width, precision, size):
    assert padded_size(num_cells, width, precision) == size


def test_small_networks_on_a_cpu_are_stacked():
    digits, small, paper = (preset(name).recipe for name in ("digits", "cifar-small", "paper"))
    assert stack_size(digits, 8, "cpu") == 16
    assert stack_size(digits, 8, "cuda") == 1
    assert stack_size(small, 16, "cpu") == 1
    assert stack_size(paper, 32, "cpu") == 1


def test_copies_of_a_phase_do_not_share_state(splits):
    """The flat buffers behind parameters are those of one phase."""
    from rc_core.examples import Examples
    from rc_core.training import DenseTraining, build_model

    train, _ = splits
    examples = Examples(torch.from_numpy(train.images), torch.from_numpy(train.labels))
    model = build_model(RECIPE, in_channels=1, num_classes=10, device=torch.device("cpu"), num_networks=2)
    phase = DenseTraining(TRAININGS[:2], RECIPE, model, [examples] * 2)
    before = copy.deepcopy(phase.model.state_dict())
    states = [phase.network_state(network) for network in (0, 1)]
    for name, tensor in states[0].items():
        assert torch.equal(tensor, states[1][name])  # one seed
    phase.advance()
    assert not torch.equal(phase.model.state_dict()["stem.weight"], before["stem.weight"])
