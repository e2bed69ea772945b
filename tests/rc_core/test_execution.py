import hashlib
import json
import os
import shutil
import struct
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch

from rc_core.cells import Cell, PruneCell, TrainCell
from rc_core.checkpoints import CheckpointError, checkpoint_name, checkpoint_steps, load_checkpoint
from rc_core.datasets import Split
from rc_core.execution import Execution, resolve_device
from rc_core.experiment import COLUMNS
from rc_core.history import DivergenceError
from rc_core.recipes import PruneSchedule, Recipe, TrainSchedule, recipe_to_dict
from rc_core.resnet import ResNet
from rc_core.runs import run_cell
from rc_core.storage import LocalStorage, Storage
from rc_core.training import Hook, Phase

NUM_STEPS = 16
TRAIN = TrainCell(randomization=0.5, seed=42)
PRUNE = PruneCell(randomization=0.5, seed=42, sparsity=0.83)
NUM_FILE_RECORDS = 1_000

# A large rate and frequent updates, so that weights are spliced back in so short a run.
RECIPE = Recipe(
    name="tiny",
    dataset="digits",
    num_train_examples=50,
    num_test_examples=40,
    depth=8,
    width=2,
    batch_norm_momentum=0.1,
    train=TrainSchedule(num_steps=NUM_STEPS, batch_size=16),
    prune=PruneSchedule(
        num_steps=NUM_STEPS,
        batch_size=16,
        learning_rate=2.0,
        min_update_probability=1.0,
        num_threshold_updates=4,
    ),
)


def changed(**train: Any) -> Recipe:
    fields = {"num_steps": NUM_STEPS, "batch_size": 16} | train
    return Recipe(name="tiny", dataset="digits", depth=8, width=2, train=TrainSchedule(**fields))


@pytest.fixture(scope="module")
def splits() -> tuple[Split, Split]:
    """The first 50 digits for training and 40 others for the test."""
    from sklearn.datasets import load_digits

    source = load_digits()
    images = np.round(source.images[:, :, :, None] * 255 / 16).astype(np.uint8)
    labels = source.target.astype(np.int64)
    return (
        Split(images[:50], labels[:50], NUM_FILE_RECORDS, "a" * 64),
        Split(images[-40:], labels[-40:], 797, "b" * 64),
    )


class StopError(Exception):
    """Stands for a killed process."""


def stop_at(step: int) -> Hook:
    def hook(phase: Phase) -> None:
        if phase.step == step:
            raise StopError

    return hook


class Run(NamedTuple):
    """Outcome of `run`: the record, and the lines that the user saw."""

    record: dict[str, Any]
    lines: list[str]


@pytest.fixture(scope="module")
def run(splits, trained):
    """Runs a cell, by default with a checkpoint after every step and the finished parent."""

    def function(cell: Cell, folder: Storage, recipe: Recipe = RECIPE, **options: Any) -> Run:
        lines: list[str] = []
        parent = options.pop("parent", trained if isinstance(cell, PruneCell) else None)
        data = options.pop("splits", splits)
        settings = {"device": "cpu", "checkpoint_seconds": 0.0, "code_version": "test"} | options
        execution = Execution(report=lines.append, **settings)
        return Run(run_cell(cell, recipe, *data, 10, folder, parent=parent, execution=execution), lines)

    return function


@pytest.fixture(scope="module")
def trained(splits, tmp_path_factory) -> LocalStorage:
    """An undisturbed training without a single checkpoint on the way."""
    folder = LocalStorage(tmp_path_factory.mktemp("trained"))
    execution = Execution(device="cpu", checkpoint_seconds=1e9, code_version="test", report=lambda line: None)
    run_cell(TRAIN, RECIPE, *splits, 10, folder, execution=execution)
    return folder


@pytest.fixture(scope="module")
def pruned(run, tmp_path_factory) -> LocalStorage:
    """An undisturbed pruning without a single checkpoint on the way."""
    folder = LocalStorage(tmp_path_factory.mktemp("pruned"))
    run(PRUNE, folder, checkpoint_seconds=1e9)
    return folder


def read(folder: LocalStorage, name: str) -> dict[str, Any]:
    value: dict[str, Any] = json.loads(folder.read(name))
    return value


def figures(record: dict[str, Any]) -> dict[str, Any]:
    """A record without what tells of time and place."""
    row = {k: v for k, v in record["row"].items() if k not in ("wall_seconds", "images_per_second")}
    return {k: v for k, v in record.items() if k != "provenance"} | {"row": row}


def assert_same_result(found: LocalStorage, wanted: LocalStorage) -> None:
    """Bit for bit: weights, masks, statistics, curves and every figure of the record."""
    assert figures(read(found, "record.json")) == figures(read(wanted, "record.json"))
    assert found.read("history.json") == wanted.read("history.json")
    for name in ("final/state.safetensors", "final/checkpoint.json"):
        assert found.read(name) == wanted.read(name)
    assert_tidy(found)


def assert_tidy(folder: LocalStorage) -> None:
    """Neither checkpoints of the way nor traces of a failure."""
    assert {"final", "history.json", "record.json"} <= set(folder.names())
    assert "failure.json" not in folder.names()
    assert checkpoint_steps(folder) == []


def assert_nothing_begun(folder: Path) -> None:
    """No result and no checkpoint; notes about the attempt may be there."""
    names = set(LocalStorage(folder).names())
    assert not names & {"record.json", "history.json", "final"}
    assert checkpoint_steps(LocalStorage(folder)) == []


@pytest.fixture(scope="module")
def undisturbed(trained, pruned):
    return {TRAIN: trained, PRUNE: pruned}


def test_the_runs_here_prune_and_splice(pruned):
    columns = read(pruned, "history.json")["columns"]
    assert columns["num_pruned"][-1] > 500
    assert columns["num_spliced"][-1] > 20


# Stop and go on

STOPS = [
    (1,),
    (2,),
    (NUM_STEPS // 2,),
    (NUM_STEPS - 1,),
    (NUM_STEPS,),
    (1, 2, 3),
    (5, 5, 11, NUM_STEPS),
]


@pytest.mark.parametrize("stops", STOPS, ids=str)
@pytest.mark.parametrize("cell", [TRAIN, PRUNE], ids=["train", "prune"])
def test_a_stopped_run_ends_like_an_undisturbed_one(tmp_path, run, undisturbed, cell, stops):
    folder, reached = LocalStorage(tmp_path), 0
    for stop in stops:
        if stop == reached:  # the same stop again: the process dies before its first step
            with pytest.raises(StopError):
                run(cell, folder, hooks=(stop_at(stop + 1),))
            reached = stop + 1
            continue
        with pytest.raises(StopError):
            run(cell, folder, hooks=(stop_at(stop),))
        reached = stop
        assert "record.json" not in folder.names()
    # A step's checkpoint comes before its hooks; the last step has none.
    newest = min(reached, NUM_STEPS - 1)
    assert checkpoint_steps(folder)[0] == newest
    _, lines = run(cell, folder)
    assert lines == [f"{cell.cell_id}: resumed at step {newest} of {NUM_STEPS}"]
    assert_same_result(folder, undisturbed[cell])


@pytest.mark.parametrize("cell", [TRAIN, PRUNE], ids=["train", "prune"])
def test_a_run_stopped_before_its_first_checkpoint_begins_anew(tmp_path, run, undisturbed, cell):
    folder = LocalStorage(tmp_path)
    with pytest.raises(StopError):
        run(cell, folder, hooks=(stop_at(5),), checkpoint_seconds=1e9)
    assert checkpoint_steps(folder) == []
    assert run(cell, folder).lines == []
    assert_same_result(folder, undisturbed[cell])


def test_only_the_newest_checkpoints_are_kept_and_none_of_a_finished_cell(tmp_path, run):
    folder, seen = LocalStorage(tmp_path), []
    run(TRAIN, folder, hooks=(lambda phase: seen.append(checkpoint_steps(folder)),), keep_checkpoints=3)
    wanted = [list(range(step, max(step - 3, 0), -1)) for step in range(1, NUM_STEPS)]
    assert seen == [*wanted, wanted[-1]]
    assert checkpoint_steps(folder) == []


def test_checkpoints_come_by_the_clock(tmp_path, run, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rc_core.stack_run.time.perf_counter", lambda: now[0])
    folder, seen = LocalStorage(tmp_path), []

    def tick(phase: Phase) -> None:
        seen.append(checkpoint_steps(folder)[:1])
        now[0] += 10.0

    run(TRAIN, folder, hooks=(tick,), checkpoint_seconds=35.0)
    # After step n the clock shows 10 (n - 1): the 40 of step 5, the 80 of step 9, the 120 of step 13.
    assert seen == [[]] * 4 + [[5]] * 4 + [[9]] * 4 + [[13]] * 4
    assert read(folder, "record.json")["row"]["wall_seconds"] == 10.0 * NUM_STEPS
    assert read(folder, "record.json")["row"]["images_per_second"] == pytest.approx(16 * 16 / 160)


def test_the_time_of_a_resumed_run_is_that_of_all_its_parts(tmp_path, run, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("rc_core.stack_run.time.perf_counter", lambda: now[0])

    def tick(phase: Phase) -> None:
        now[0] += 10.0

    folder = LocalStorage(tmp_path)
    with pytest.raises(StopError):
        run(TRAIN, folder, hooks=(tick, stop_at(6)))
    now[0] = 5_000.0
    run(TRAIN, folder, hooks=(tick,))
    # The checkpoint of step 6 was taken at 50; ten more steps take 100.
    assert read(folder, "record.json")["row"]["wall_seconds"] == 150.0


# Damage


def stopped(folder: LocalStorage, run, cell: Cell = TRAIN, step: int = 9, **options: Any) -> None:
    with pytest.raises(StopError):
        run(cell, folder, hooks=(stop_at(step),), **options)


@pytest.mark.parametrize("cell", [TRAIN, PRUNE], ids=["train", "prune"])
@pytest.mark.parametrize("damage", ["flip", "truncate", "no tensors", "no description", "not utf-8"])
def test_a_damaged_checkpoint_is_passed_over_and_named(tmp_path, run, undisturbed, cell, damage):
    folder = LocalStorage(tmp_path)
    stopped(folder, run, cell)
    newest = tmp_path / checkpoint_name(9)
    tensors, description = newest / "state.safetensors", newest / "checkpoint.json"
    content = bytearray(tensors.read_bytes())
    if damage == "flip":
        content[-1] ^= 1
        tensors.write_bytes(content)
    elif damage == "truncate":
        tensors.write_bytes(content[: len(content) // 2])
    elif damage == "no tensors":
        tensors.unlink()
    elif damage == "no description":
        description.unlink()
    else:
        description.write_bytes(b"\xff" + description.read_bytes())
    _, lines = run(cell, folder)
    assert len(lines) == 2
    assert lines[0].startswith(f"{cell.cell_id}: damaged checkpoint passed over: {newest}")
    assert lines[1] == f"{cell.cell_id}: resumed at step 8 of {NUM_STEPS}"
    assert_same_result(folder, undisturbed[cell])


def test_without_a_whole_checkpoint_a_run_begins_anew(tmp_path, run, undisturbed):
    folder = LocalStorage(tmp_path)
    stopped(folder, run)
    for step in (8, 9):
        os.truncate(tmp_path / checkpoint_name(step) / "state.safetensors", 100)
    _, lines = run(TRAIN, folder)
    assert ["passed over" in line for line in lines] == [True, True]
    assert_same_result(folder, undisturbed[TRAIN])


@pytest.mark.parametrize("keep", [1, 2])
@pytest.mark.parametrize("whole", [[], [3]], ids=["none whole", "an old one whole"])
def test_damaged_checkpoints_do_not_crowd_out_new_ones(tmp_path, run, whole, keep):
    # Ones that were left there would count as the newest, and every new one would be deleted at once.
    folder = LocalStorage(tmp_path)
    stopped(folder, run, keep_checkpoints=99)
    for step in range(1, 10):
        if step in (8, 9):
            os.truncate(tmp_path / checkpoint_name(step) / "state.safetensors", 100)
        elif step not in whole:
            shutil.rmtree(tmp_path / checkpoint_name(step))
    stopped(folder, run, step=5, keep_checkpoints=keep)
    assert checkpoint_steps(folder) == [5, 4][:keep]
    assert run(TRAIN, folder).lines == [f"{TRAIN.cell_id}: resumed at step 5 of {NUM_STEPS}"]


class FailingStorage(LocalStorage):
    """A folder in which the writing of one file kills the process."""

    def __init__(self, path: Path, fatal: str) -> None:
        super().__init__(path)
        self.fatal = fatal

    def folder(self, name: str) -> "FailingStorage":
        return FailingStorage(self.path / name, self.fatal)

    def write(self, name: str, content: bytes) -> None:
        if str(self.path / name).endswith(self.fatal):
            raise StopError
        super().write(name, content)


@pytest.mark.parametrize(
    "fatal", ["final/state.safetensors", "final/checkpoint.json", "history.json", "record.json"]
)
@pytest.mark.parametrize("cell", [TRAIN, PRUNE], ids=["train", "prune"])
@pytest.mark.parametrize("checkpoint_seconds", [0, 1e9], ids=["checkpoints", "none"])
def test_a_run_killed_between_its_last_step_and_its_record_gives_the_same_record(
    tmp_path, run, undisturbed, cell, fatal, checkpoint_seconds
):
    with pytest.raises(StopError):
        run(cell, FailingStorage(tmp_path, fatal), checkpoint_seconds=checkpoint_seconds)
    assert "record.json" not in os.listdir(tmp_path)
    run(cell, LocalStorage(tmp_path))
    assert_same_result(LocalStorage(tmp_path), undisturbed[cell])


def test_a_failure_s_trace_is_gone_when_the_cell_is_done(tmp_path, run):
    folder = LocalStorage(tmp_path)
    folder.write("failure.json", b'{"error": "first attempt"}')
    run(TRAIN, folder)
    assert_tidy(folder)


# Finished cells and folders of other ones


@pytest.mark.parametrize("cell", [TRAIN, PRUNE], ids=["train", "prune"])
def test_a_finished_cell_is_returned_without_work(tmp_path, run, undisturbed, cell):
    shutil.copytree(undisturbed[cell].path, tmp_path / "cell")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cell").rglob("*")}
    record, lines = run(cell, LocalStorage(tmp_path / "cell"), parent=None, hooks=(stop_at(1),))
    assert record == read(undisturbed[cell], "record.json")
    assert lines == []
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "cell").rglob("*")} == before


@pytest.mark.parametrize("cell", [TRAIN, PRUNE], ids=["train", "prune"])
def test_the_record_of_a_process_that_was_first_is_left_alone(tmp_path, run, undisturbed, cell):
    theirs = undisturbed[cell].read("record.json")

    def finish_elsewhere(phase: Phase) -> None:
        if phase.step == phase.num_steps:
            (tmp_path / "record.json").write_bytes(theirs)

    record, _ = run(cell, LocalStorage(tmp_path), hooks=(finish_elsewhere,))
    assert record == json.loads(theirs)
    assert (tmp_path / "record.json").read_bytes() == theirs
    assert_same_result(LocalStorage(tmp_path), undisturbed[cell])


def test_a_damaged_record_is_named_in_the_log_and_replaced(tmp_path, run, undisturbed):
    folder = LocalStorage(tmp_path)
    folder.write("record.json", undisturbed[TRAIN].read("record.json")[:100])
    run(TRAIN, folder)
    assert_same_result(folder, undisturbed[TRAIN])
    assert "record.json is damaged: the cell is run again" in folder.read("log.txt").decode()


OTHER_CELLS = [
    TrainCell(randomization=0.5, seed=43),
    TrainCell(randomization=0.3, seed=42),
    PRUNE,
]


@pytest.mark.parametrize("cell", OTHER_CELLS, ids=lambda cell: cell.cell_id)
def test_a_folder_with_another_finished_cell_is_refused(run, trained, cell):
    with pytest.raises(ValueError, match=r"record\.json: holds another cell .*choose another output folder"):
        run(cell, trained)


@pytest.mark.parametrize("cell", OTHER_CELLS, ids=lambda cell: cell.cell_id)
def test_a_folder_with_another_cell_under_way_is_refused(tmp_path, run, cell):
    folder = LocalStorage(tmp_path)
    stopped(folder, run)
    before = {path: path.read_bytes() for path in tmp_path.rglob("*.*")}
    with pytest.raises(ValueError, match=r"attempts\.json: holds another cell than"):
        run(cell, folder)
    (tmp_path / "attempts.json").unlink()  # the checkpoint itself knows, too
    with pytest.raises(ValueError, match="its checkpoint: holds another cell than"):
        run(cell, folder)
    assert checkpoint_steps(folder) == [9, 8]
    kept = {path: content for path, content in before.items() if path.parent != tmp_path}
    assert {path: path.read_bytes() for path in kept} == kept


def test_another_recipe_is_refused(tmp_path, run, trained):
    with pytest.raises(ValueError, match=r"record\.json: holds another recipe"):
        run(TRAIN, trained, changed())
    folder = LocalStorage(tmp_path)
    stopped(folder, run)
    with pytest.raises(ValueError, match=r"attempts\.json: holds another recipe; .*num_steps: 16 \| 20000"):
        run(TRAIN, folder, changed())


# Parents


def test_a_pruning_needs_its_parent(tmp_path, run):
    with pytest.raises(ValueError, match=r"needs the folder of its parent, train-p0\.50-s42"):
        run(PRUNE, LocalStorage(tmp_path), parent=None)


def test_an_unfinished_parent_is_refused(tmp_path, run):
    parent = LocalStorage(tmp_path / "parent")
    for _ in range(2):
        with pytest.raises(CheckpointError, match=r"train-p0\.50-s42 is not finished; train it first"):
            run(PRUNE, LocalStorage(tmp_path / "child"), parent=parent)
        if not parent.path.exists():
            stopped(parent, run)
    assert_nothing_begun(tmp_path / "child")


@pytest.mark.parametrize("damage", ["flip", "missing", "another network"])
def test_a_damaged_parent_is_refused(tmp_path, run, trained, damage):
    shutil.copytree(trained.path, tmp_path / "parent")
    tensors = tmp_path / "parent" / "final" / "state.safetensors"
    if damage == "flip":
        content = bytearray(tensors.read_bytes())
        content[len(content) // 2] ^= 4
        tensors.write_bytes(content)
        message = "the file is damaged"
    elif damage == "missing":
        shutil.rmtree(tensors.parent)
        message = "not a whole checkpoint"
    else:  # a whole checkpoint, but not the one of the record
        other = LocalStorage(tmp_path / "other")
        run(TrainCell(randomization=0.5, seed=43), other)
        shutil.rmtree(tensors.parent)
        shutil.copytree(other.path / "final", tensors.parent)
        message = r"is not the recorded \w+; delete the folder and train train-p0\.50-s42 again"
    with pytest.raises(CheckpointError, match=message):
        run(PRUNE, LocalStorage(tmp_path / "child"), parent=LocalStorage(tmp_path / "parent"))
    assert_nothing_begun(tmp_path / "child")


@pytest.mark.parametrize(
    "cell",
    [
        PruneCell(randomization=0.5, seed=43, sparsity=0.9),
        PruneCell(randomization=1.0, seed=42, sparsity=0.9),
    ],
    ids=lambda cell: cell.cell_id,
)
def test_a_foreign_parent_is_refused(tmp_path, run, cell):
    with pytest.raises(ValueError, match="holds another cell"):
        run(cell, LocalStorage(tmp_path))


def test_a_parent_of_another_recipe_is_refused(tmp_path, run):
    with pytest.raises(ValueError, match="holds another recipe"):
        run(PRUNE, LocalStorage(tmp_path), changed())


def test_a_half_done_pruning_does_not_go_on_from_another_parent(tmp_path, run, splits):
    # The same training once more, of other images: other weights under the same name.
    child, parent = LocalStorage(tmp_path / "child"), LocalStorage(tmp_path / "parent")
    stopped(child, run, PRUNE)
    train, test = splits
    run(TRAIN, parent, splits=(train._replace(images=255 - train.images), test))
    with pytest.raises(
        CheckpointError, match=r"started from a parent with SHA-256 \w+, but the parent is now"
    ):
        run(PRUNE, child, parent=parent)


# Divergence


@pytest.mark.parametrize("num_steps", [1, NUM_STEPS])
def test_a_diverging_training_fails_and_names_the_step(tmp_path, run, num_steps):
    # With a single step its loss is still finite: only the network that it leaves behind is broken.
    recipe = changed(num_steps=num_steps, boundary_steps=(), learning_rates=(1e38,))
    folder = LocalStorage(tmp_path)
    with pytest.raises(DivergenceError, match=r"training diverged: the loss is nan .*step,? \d+;"):
        run(TRAIN, folder, recipe)
    assert "record.json" not in folder.names()


# The record


def test_the_record_of_a_training(trained, splits):
    record = read(trained, "record.json")
    row = record["row"]
    assert tuple(row) == COLUMNS
    assert record["cell"] == {"phase": "train", "randomization": 0.5, "seed": 42}
    assert record["recipe"] == recipe_to_dict(RECIPE)
    tensors = trained.read("final/state.safetensors")
    assert record["checkpoint_sha256"] == hashlib.sha256(tensors).hexdigest()
    expected = {
        "cell_id": "train-p0.50-s42",
        "status": "done",
        "randomization": 0.5,
        "sparsity": 0.0,
        "sparsity_target": None,
        "parent_id": None,
        "parent_sha256": None,
        "steps": NUM_STEPS,
        "device": "cpu",
        "threads": 1,
        "data_sha256": "a" * 64,
        "code_version": "test",
        "error": None,
    }
    assert {name: row[name] for name in expected} == expected
    assert record["layers"] == []
    assert row["wall_seconds"] > 0
    assert row["images_per_second"] == pytest.approx(NUM_STEPS * 16 / row["wall_seconds"])
    history = read(trained, "history.json")["columns"]
    assert history["step"] == list(range(1, NUM_STEPS + 1))


def drawn_labels(true_labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Given labels and which are redrawn, for the whole file as described."""
    rng = np.random.RandomState(42)
    new = rng.randint(10, size=NUM_FILE_RECORDS)[:50]
    redrawn = rng.random_sample(size=NUM_FILE_RECORDS)[:50] <= 0.5
    return np.where(redrawn, new, true_labels), redrawn


@pytest.mark.parametrize("cell", [TRAIN, PRUNE], ids=["train", "prune"])
def test_the_recorded_labels_are_those_of_numpy(undisturbed, splits, cell):
    record, true_labels = read(undisturbed[cell], "record.json"), splits[0].labels
    labels, redrawn = drawn_labels(true_labels)
    assert record["row"]["randomization_actual"] == redrawn.mean()
    assert record["labels"] == {
        "num_examples": 50,
        "num_redrawn": redrawn.sum(),
        "num_wrong": (labels != true_labels).sum(),
    }
    packed = struct.pack("<50q", *labels.tolist())
    assert record["row"]["label_sha256"] == hashlib.sha256(packed).hexdigest()


@pytest.mark.parametrize("cell", [TRAIN, PRUNE], ids=["train", "prune"])
def test_the_recorded_accuracies_are_those_of_the_final_network(undisturbed, splits, cell):
    folder = undisturbed[cell]
    row = read(folder, "record.json")["row"]
    model = ResNet(depth=8, width=2, in_channels=1).double().eval()
    state = load_checkpoint(folder.folder("final")).tensors
    model.load_state_dict(
        {k.removeprefix("model."): v.double() for k, v in state.items() if k.startswith("model.")}
    )

    def classify(images: np.ndarray) -> np.ndarray:
        inputs = torch.from_numpy(images.transpose(0, 3, 1, 2) / 255.0)
        with torch.no_grad():
            return model(inputs).numpy()

    train, test = splits
    labels, redrawn = drawn_labels(train.labels)
    logits = classify(train.images)
    predicted = logits.argmax(axis=1)
    assert row["train_accuracy"] == (predicted == labels).mean()
    assert row["accuracy_kept"] == (predicted == labels)[~redrawn].mean()
    assert row["accuracy_redrawn"] == (predicted == labels)[redrawn].mean()
    assert row["accuracy_true"] == (predicted == train.labels)[redrawn].mean()
    assert row["test_accuracy"] == (classify(test.images).argmax(axis=1) == test.labels).mean()
    loss = (np.log(np.exp(logits).sum(axis=1)) - logits[np.arange(50), labels]).mean()
    assert row["train_loss"] == pytest.approx(loss, rel=1e-4)


@pytest.mark.parametrize("p", [0.0, 1.0])
def test_accuracies_of_no_examples_are_null(tmp_path, run, p):
    run(TrainCell(randomization=p, seed=42), LocalStorage(tmp_path))
    row = read(LocalStorage(tmp_path), "record.json")["row"]
    assert row["randomization_actual"] == p
    assert (row["accuracy_kept"] is None, row["accuracy_redrawn"] is None) == (p == 1, p == 0)
    assert (row["accuracy_true"] is None) == (p == 0)


def test_the_record_of_a_pruning(pruned, trained):
    record = read(pruned, "record.json")
    row = record["row"]
    assert tuple(row) == COLUMNS
    expected = {
        "cell_id": "prune-p0.50-s42-dns-S0.830",
        "status": "done",
        "pruner": "dns",
        "sparsity_target": 0.83,
        "parent_id": "train-p0.50-s42",
        "parent_sha256": hashlib.sha256(trained.read("final/state.safetensors")).hexdigest(),
        "steps": NUM_STEPS,
    }
    assert {name: row[name] for name in expected} == expected
    assert row["parent_sha256"] == read(trained, "record.json")["checkpoint_sha256"]


def test_the_final_weights_are_masked_and_counted(pruned):
    record = read(pruned, "record.json")
    tensors = load_checkpoint(pruned.folder("final")).tensors
    masks = {name.removeprefix("mask."): mask for name, mask in tensors.items() if name.startswith("mask.")}
    assert len(masks) == 11
    num_masked = num_weights = 0
    for name, mask in masks.items():
        weight = tensors[f"model.{name}"]
        assert (weight[~mask] == 0).all()
        assert (weight[mask] != 0).all()
        num_masked += int((weight == 0).sum())
        num_weights += weight.numel()
    assert record["row"]["sparsity"] == pytest.approx(num_masked / num_weights, rel=1e-12)
    assert record["row"]["sparsity"] == read(pruned, "history.json")["columns"]["sparsity"][-1]
    assert record["layers"] == [
        {
            "name": name,
            "shape": list(tensors[f"model.{name}"].shape),
            "num_weights": tensors[f"model.{name}"].numel(),
            "num_kept": int(masks[name].sum()),
        }
        for name in (layer["name"] for layer in record["layers"])
    ]
    assert {layer["name"] for layer in record["layers"]} == set(masks)


def test_a_final_checkpoint_has_what_children_need_and_nothing_of_the_way(trained, pruned):
    names = set(load_checkpoint(trained.folder("final")).tensors)
    assert {name.partition(".")[0] for name in names} == {"model"}
    names = set(load_checkpoint(pruned.folder("final")).tensors)
    assert {name.partition(".")[0] for name in names} == {"model", "mask"}


def test_pruning_leaves_the_parent_as_it_was(tmp_path, run, trained):
    shutil.copytree(trained.path, tmp_path / "parent")
    before = {path: path.read_bytes() for path in (tmp_path / "parent").rglob("*") if path.is_file()}
    run(PRUNE, LocalStorage(tmp_path / "child"), parent=LocalStorage(tmp_path / "parent"))
    after = {path: path.read_bytes() for path in (tmp_path / "parent").rglob("*") if path.is_file()}
    assert after == before


def test_children_of_one_parent_share_their_order_of_batches(tmp_path, run):
    seen: dict[float, list[bytes]] = {}
    for sparsity in (0.5, 0.9):
        images = seen.setdefault(sparsity, [])

        def watch(phase: Phase, images: list[bytes] = images) -> None:
            if not images:  # from the second step on
                phase.model.register_forward_pre_hook(
                    lambda model, inputs: images.append(inputs[0].numpy().tobytes())
                )
                images.append(b"")

        folder = LocalStorage(tmp_path / str(sparsity))
        run(PruneCell(randomization=0.5, seed=42, sparsity=sparsity), folder, hooks=(watch,))
    assert len(seen[0.5]) == NUM_STEPS
    assert seen[0.5] == seen[0.9]


# Devices and threads


def test_the_thread_count_is_set_and_recorded(tmp_path, run):
    before, seen = torch.get_num_threads(), []

    def look(phase: Phase) -> None:
        seen.append(torch.get_num_threads())

    try:
        record, _ = run(TRAIN, LocalStorage(tmp_path), changed(num_steps=2), hooks=(look,), threads=2)
    finally:
        torch.set_num_threads(before)
    assert set(seen) == {2}
    assert record["row"]["threads"] == record["provenance"]["threads"] == 2


def test_devices_by_name(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert resolve_device("auto") == resolve_device("cpu") == torch.device("cpu")
    with pytest.raises(ValueError, match=r"device = 'cuda:1': no CUDA device is visible here"):
        resolve_device("cuda:1")
    with pytest.raises(ValueError, match=r"device = 'gpu': must be auto, cpu, cuda or cuda:N"):
        resolve_device("gpu")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    assert resolve_device("auto") == torch.device("cuda")
    assert resolve_device("cuda:1") == torch.device("cuda:1")
