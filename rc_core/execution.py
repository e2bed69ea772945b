"""One cell from start to record: resume, run, checkpoint, evaluate, write. Used with and without Ray."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from rc_core.attempts import Attempt, require_same
from rc_core.cells import Cell, PruneCell, TrainCell, cell_to_dict
from rc_core.checkpointer import CellInterrupted, Checkpointer
from rc_core.checkpoints import (
    FINAL,
    Checkpoint,
    CheckpointError,
    checkpoint_name,
    checkpoint_steps,
    delete_checkpoints,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)
from rc_core.datasets import Split
from rc_core.evaluation import accuracies_by_label_kind, accuracy, predict
from rc_core.examples import CellExamples, cell_examples
from rc_core.experiment import (
    HISTORY_FILE,
    RECORD_FILE,
    empty_row,
    read_json,
    read_record,
    write_json,
)
from rc_core.history import DivergenceError
from rc_core.labels import labels_sha256
from rc_core.provenance import code_version, host_name, package_versions, utc_now
from rc_core.recipes import Recipe, recipe_to_dict
from rc_core.storage import Storage
from rc_core.training import DenseTraining, Hook, Phase, Surgery, build_model, run_phase, select

# The part of the state that children of a finished cell and later evaluations need.
_FINAL_PARTS = ("model.", "mask.")


@dataclass(frozen=True, kw_only=True)
class Execution:
    """How a cell is run: settings that decide speed and safety, and bits only through the thread count.

    Attributes:
        device: `auto` (a GPU where there is one), `cpu`, `cuda`, `cuda:1`, ...
        threads: CPU threads of torch; results are bit-identical only at equal counts.
        checkpoint_seconds: time between checkpoints.
        keep_checkpoints: newest checkpoints kept while the cell runs.
        hooks: see each phase after every step.
        should_stop: asked after every step, hence quick; True makes the cell write a checkpoint and raise
            `CellInterrupted`.
        report: called with one line for everything that a user should know.
        code_version: recorded; the driver's is handed on, since workers may not see the repository.
    """

    device: str = "auto"
    threads: int = 1
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


def run_cell(
    cell: Cell,
    recipe: Recipe,
    train: Split,
    test: Split,
    num_classes: int,
    folder: Storage,
    *,
    parent: Storage | None = None,
    execution: Execution | None = None,
) -> dict[str, Any]:
    """Run a cell to its record, or return the record that is there already.

    Continues from the newest whole checkpoint in `folder`; for the same thread count the record's figures are
    those of an undisturbed run, bit for bit.

    Args:
        cell: what to run.
        recipe: its settings.
        train: first `recipe.num_train_examples` of the training file.
        test: the same for the test file.
        num_classes: K.
        folder: the cell's own folder.
        parent: folder of the finished parent; required for a pruning.
        execution: see there.

    Returns:
        The record, as in `record.json`.

    Raises:
        CheckpointError: the parent is not finished, or its checkpoint is damaged.
        ValueError: the folder holds another cell, or one of another recipe.
        DivergenceError: the loss is no longer finite.
        CellInterrupted: `execution.should_stop` said so.
    """
    execution = execution or Execution()
    record = read_record(folder)
    if record is not None:
        require_same(record, cell, recipe, f"{folder.location}/{RECORD_FILE}")
        delete_checkpoints(folder, keep_newest=0)  # left where a process died right after its record
        return record
    attempt = Attempt(folder, cell, recipe)

    def say(line: str) -> None:
        attempt.say(line)
        execution.report(f"{cell.cell_id}: {line}")

    if RECORD_FILE in folder.names():
        say(f"{RECORD_FILE} is damaged: the cell is run again")
    try:
        record = _run_attempt(cell, recipe, train, test, num_classes, folder, parent, execution, attempt, say)
    except CellInterrupted:
        attempt.write_log()
        raise
    except Exception as error:
        attempt.fail(error)
        raise
    attempt.say(f"done: train accuracy {record['row']['train_accuracy']:.4f}")
    attempt.write_log()
    # A process that outlived its driver or its node may have been first: it found the same figures.
    written = read_record(folder)
    if written is None:
        write_json(
            folder, RECORD_FILE, record
        )  # its presence means done, so it is written after all the rest
    delete_checkpoints(folder, keep_newest=0)
    return written or record


def _run_attempt(
    cell: Cell,
    recipe: Recipe,
    train: Split,
    test: Split,
    num_classes: int,
    folder: Storage,
    parent: Storage | None,
    execution: Execution,
    attempt: Attempt,
    say: Callable[[str], None],
) -> dict[str, Any]:
    """Everything of `run_cell` between the attempt's start and its record, which is returned."""
    start_seconds = time.perf_counter()
    device = resolve_device(execution.device)
    torch.set_num_threads(execution.threads)
    torch.backends.cudnn.deterministic = True  # bit-identical resumes, at some cost in speed
    torch.backends.cudnn.benchmark = False
    examples = cell_examples(
        train,
        test,
        randomization=cell.randomization,
        seed=cell.seed,
        num_classes=num_classes,
        device=device,
    )
    warm_start = finished_parent(cell, recipe, parent) if isinstance(cell, PruneCell) else None
    phase = _start(cell, recipe, examples, num_classes, device, warm_start)
    parent_sha256 = warm_start.sha256 if warm_start else None
    described: dict[str, Any] = {
        "cell": cell_to_dict(cell),
        "recipe": recipe_to_dict(recipe),
        "parent_sha256": parent_sha256,
    }
    spent_seconds = _resume(phase, folder, cell, recipe, parent_sha256, say)
    checkpointer = Checkpointer(
        folder,
        described,
        every_seconds=execution.checkpoint_seconds,
        keep_newest=execution.keep_checkpoints,
        should_stop=execution.should_stop,
        zero_seconds=start_seconds - spent_seconds,
        say=say,
    )
    run_phase(phase, (checkpointer, *execution.hooks))
    figures, layers = _measure(phase, examples)
    final_tensors = {
        name: tensor for name, tensor in phase.tensors().items() if name.startswith(_FINAL_PARTS)
    }
    final_sha256 = save_checkpoint(folder.folder(FINAL), phase.step, final_tensors, described)
    write_json(folder, HISTORY_FILE, {"format": 1, "columns": phase.history.columns})
    wall_seconds = checkpointer.wall_seconds
    batch_size = recipe.train.batch_size if isinstance(cell, TrainCell) else recipe.prune.batch_size
    row = empty_row(cell, recipe) | figures
    row |= {
        "status": "done",
        "randomization_actual": float(examples.given.redrawn.mean()),
        "parent_sha256": parent_sha256,
        "steps": phase.step,
        "wall_seconds": wall_seconds,
        "images_per_second": phase.step * batch_size / wall_seconds,
        "device": device.type,
        "threads": execution.threads,
        "label_sha256": labels_sha256(examples.given.labels),
        "data_sha256": train.sha256,
        "code_version": execution.code_version,
    }
    return {
        "format": 1,
        "cell": described["cell"],
        "recipe": described["recipe"],
        "row": row,
        "layers": layers,
        "labels": {
            "num_examples": len(examples.train),
            "num_redrawn": int(examples.given.redrawn.sum()),
            "num_wrong": int((examples.given.labels != examples.true_labels).sum()),
        },
        "checkpoint_sha256": final_sha256,
        "provenance": {
            "host": host_name(),
            "device": torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu",
            "threads": execution.threads,
            "code_version": execution.code_version,
            "versions": package_versions(),
            "started": attempt.started,
            "ended": utc_now(),
            "attempts": attempt.all,
        },
    }


def finished_parent(cell: PruneCell, recipe: Recipe, parent: Storage | None) -> Checkpoint:
    """The final checkpoint of a pruning cell's parent, verified against the parent's record.

    Raises:
        CheckpointError: the parent is not finished, or its checkpoint is damaged.
        ValueError: the folder holds another cell or recipe.
    """
    if parent is None:
        raise ValueError(f"{cell.cell_id}: a pruning needs the folder of its parent, {cell.parent.cell_id}")
    record = read_json(parent, RECORD_FILE)
    if record is None:
        raise CheckpointError(f"{parent.location}: {cell.parent.cell_id} is not finished; train it first")
    require_same(record, cell.parent, recipe, f"{parent.location}/{RECORD_FILE}")
    checkpoint = load_checkpoint(parent.folder(FINAL))
    if checkpoint.sha256 != record["checkpoint_sha256"]:
        raise CheckpointError(
            f"{parent.location}: the checkpoint's SHA-256 {checkpoint.sha256} is not the recorded "
            f"{record['checkpoint_sha256']}; delete the folder and train {cell.parent.cell_id} again"
        )
    return checkpoint


def _start(
    cell: Cell,
    recipe: Recipe,
    examples: CellExamples,
    num_classes: int,
    device: torch.device,
    warm_start: Checkpoint | None,
) -> DenseTraining | Surgery:
    in_channels = examples.train.images.shape[3]
    model = build_model(recipe, in_channels=in_channels, num_classes=num_classes, device=device)
    if isinstance(cell, TrainCell):
        return DenseTraining(cell, recipe, model, examples.train)
    assert warm_start is not None
    return Surgery(cell, recipe, model, examples.train, select(warm_start.tensors, "model."))


def _resume(
    phase: Phase,
    folder: Storage,
    cell: Cell,
    recipe: Recipe,
    parent_sha256: str | None,
    say: Callable[[str], None],
) -> float:
    """Continue from the newest whole checkpoint; returns the seconds that it took to get there."""
    checkpoint, passed_over = newest_checkpoint(folder)
    for line in passed_over:
        say(f"damaged checkpoint passed over: {line}")
    if checkpoint is None:
        delete_checkpoints(folder, keep_newest=0)
        return 0.0
    require_same(checkpoint.meta, cell, recipe, f"{folder.location}: its checkpoint")
    if checkpoint.meta["parent_sha256"] != parent_sha256:
        raise CheckpointError(
            f"{folder.location}: its checkpoint started from a parent with SHA-256 "
            f"{checkpoint.meta['parent_sha256']}, but the parent is now {parent_sha256}; "
            "delete the folder"
        )
    for step in checkpoint_steps(folder):
        if step > checkpoint.step:  # damaged; left there it would count as the newest and new ones be deleted
            folder.delete(checkpoint_name(step))
    phase.restore(checkpoint.step, checkpoint.tensors, checkpoint.meta["history"])
    say(f"resumed at step {checkpoint.step} of {phase.num_steps}")
    return float(checkpoint.meta["wall_seconds"])


def _measure(
    phase: DenseTraining | Surgery, examples: CellExamples
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Figures of the result row and, for a pruning, the weights kept in each kernel."""
    on_train = predict(phase.model, examples.train)
    if not math.isfinite(on_train.mean_loss):  # the last step may be the one that breaks the network
        raise DivergenceError(
            f"training diverged: the loss is {on_train.mean_loss} after the last step, {phase.step}; "
            "lower the learning rate or change the seed"
        )
    on_test = predict(phase.model, examples.test)
    figures: dict[str, float | None] = {
        **accuracies_by_label_kind(on_train.classes, examples.given, examples.true_labels),
        "train_loss": on_train.mean_loss,
        "test_accuracy": accuracy(on_test.classes, examples.test.labels.cpu().numpy()),
    }
    if isinstance(phase, DenseTraining):
        return figures | {"sparsity": 0.0}, []
    num_kept = phase.surgery.num_kept()
    layers = [
        {
            "name": name,
            "shape": list(mask.shape),
            "num_weights": mask.numel(),
            "num_kept": num_kept[name],
        }
        for name, mask in phase.surgery.masks.items()
    ]
    return figures | {"sparsity": phase.surgery.achieved_sparsity()}, layers
