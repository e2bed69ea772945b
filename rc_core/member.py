"""One cell among those trained together: its folder, what it starts from, and what it leaves behind."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from rc_core.attempts import Attempt, require_same
from rc_core.cells import Cell, PruneCell, TrainCell, cell_to_dict
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
from rc_core.evaluation import accuracies_by_label_kind, accuracy, predict
from rc_core.examples import CellExamples
from rc_core.experiment import HISTORY_FILE, RECORD_FILE, empty_row, read_json, read_record, write_json
from rc_core.history import DivergenceError
from rc_core.labels import labels_sha256
from rc_core.provenance import host_name, package_versions, utc_now
from rc_core.recipes import Recipe, recipe_to_dict
from rc_core.resnet import ResNet
from rc_core.storage import Storage
from rc_core.surgery import Surgery
from rc_core.training import DenseTraining

# The part of the state that children of a finished cell and later evaluations need.
_FINAL_PARTS = ("model.", "mask.")


class Job(NamedTuple):
    """A cell to run.

    Attributes:
        cell: what to run.
        folder: the cell's own folder.
        parent: folder of the finished parent; required for a pruning.
    """

    cell: Cell
    folder: Storage
    parent: Storage | None = None


class Member:
    """A cell under way.

    Attributes:
        cell: see `Job`.
        progress: the checkpoint to go on from; None at the start.

    Args:
        job: see there.
        recipe: its settings.
        stack: name of the stack; None for a cell alone.
        report: takes a line that the user should see.
        keep_checkpoints: newest checkpoints kept while the cell runs.

    Raises:
        ValueError: the folder is that of another cell or recipe.
    """

    def __init__(
        self,
        job: Job,
        recipe: Recipe,
        *,
        stack: str | None,
        report: Callable[[str], None],
        keep_checkpoints: int,
    ) -> None:
        self.cell, self._folder, self._parent = job
        self._recipe, self._report, self._keep_checkpoints = recipe, report, keep_checkpoints
        self._attempt = Attempt(self._folder, self.cell, recipe, stack)
        self.progress: Checkpoint | None = None
        self._parent_sha256: str | None = None
        if RECORD_FILE in self._folder.names():
            self.say(f"{RECORD_FILE} is damaged: the cell is run again")

    def say(self, line: str) -> None:
        """A line for the log and for the user."""
        self._attempt.say(line)
        self._report(f"{self.cell.cell_id}: {line}")

    def fail(self, error: Exception) -> None:
        """Note a failure."""
        self._attempt.fail(error)

    def stop(self) -> None:
        """Write the log: the cell was asked to stop."""
        self._attempt.write_log()

    def load_parent(self, known: dict[str, Checkpoint]) -> Checkpoint | None:
        """What a pruning starts from; None for a training.

        Args:
            known: parents loaded already, by id; gets this one.

        Raises:
            CheckpointError: the parent is not finished, or its checkpoint is damaged.
            ValueError: the parent's folder holds another cell or recipe.
        """
        if not isinstance(self.cell, PruneCell):
            return None
        parent_id = self.cell.parent.cell_id
        if parent_id not in known:
            known[parent_id] = finished_parent(self.cell, self._recipe, self._parent)
        self._parent_sha256 = known[parent_id].sha256
        return known[parent_id]

    def load_progress(self) -> None:
        """Find the newest whole checkpoint; say which damaged ones are passed over.

        Raises:
            CheckpointError: it started from another parent than the present one.
            ValueError: it is another cell's or recipe's.
        """
        folder = self._folder
        checkpoint, passed_over = newest_checkpoint(folder)
        for line in passed_over:
            self.say(f"damaged checkpoint passed over: {line}")
        self.progress = checkpoint
        if checkpoint is None:
            delete_checkpoints(folder, keep_newest=0)
            return
        require_same(checkpoint.meta, self.cell, self._recipe, f"{folder.location}: its checkpoint")
        if checkpoint.meta["parent_sha256"] != self._parent_sha256:
            raise CheckpointError(
                f"{folder.location}: its checkpoint started from a parent with SHA-256 "
                f"{checkpoint.meta['parent_sha256']}, but the parent is now {self._parent_sha256}; "
                "delete the folder"
            )
        for step in checkpoint_steps(folder):
            if (
                step > checkpoint.step
            ):  # damaged; left there it would count as the newest, and new ones deleted
                folder.delete(checkpoint_name(step))

    @property
    def step(self) -> int:
        """Steps that the cell has behind it, by its newest checkpoint."""
        return self.progress.step if self.progress else 0

    def _described(self) -> dict[str, Any]:
        return {
            "cell": cell_to_dict(self.cell),
            "recipe": recipe_to_dict(self._recipe),
            "parent_sha256": self._parent_sha256,
        }

    def save(self, phase: DenseTraining | Surgery, network: int, wall_seconds: float) -> None:
        """Write a checkpoint of one network of a phase, and delete those that are no longer kept."""
        history = phase.histories[network].columns
        save_checkpoint(
            self._folder.folder(checkpoint_name(phase.step)),
            phase.step,
            phase.tensors(network),
            self._described() | {"history": history, "wall_seconds": wall_seconds},
        )
        delete_checkpoints(self._folder, keep_newest=self._keep_checkpoints)

    def finish(
        self,
        phase: DenseTraining | Surgery,
        network: int,
        *,
        alone: ResNet,
        examples: CellExamples,
        wall_seconds: Callable[[], float],
        settings: dict[str, Any],
    ) -> dict[str, Any]:
        """Measure a network at its end, and write what stays of the cell; its record is returned.

        Args:
            phase: finished.
            network: the cell's index in it.
            alone: a model for one network; gets the cell's.
            examples: the cell's.
            wall_seconds: asked when all but the record is written.
            settings: columns of the row that say how the cell was run.

        Raises:
            DivergenceError: the last step broke the network.
        """
        alone.load_state_dict(phase.network_state(network))
        figures, layers = _measure(phase, network, alone, examples)
        final_tensors = {
            name: tensor for name, tensor in phase.tensors(network).items() if name.startswith(_FINAL_PARTS)
        }
        described = self._described()
        final_sha256 = save_checkpoint(self._folder.folder(FINAL), phase.step, final_tensors, described)
        columns = phase.histories[network].columns
        write_json(self._folder, HISTORY_FILE, {"format": 1, "columns": columns})
        seconds = wall_seconds()
        recipe = self._recipe
        batch_size = recipe.train.batch_size if isinstance(self.cell, TrainCell) else recipe.prune.batch_size
        row = empty_row(self.cell, recipe) | figures | settings
        row |= {
            "status": "done",
            "randomization_actual": float(examples.given.redrawn.mean()),
            "parent_sha256": self._parent_sha256,
            "steps": phase.step,
            "wall_seconds": seconds,
            "images_per_second": phase.step * batch_size / seconds,
            "label_sha256": labels_sha256(examples.given.labels),
        }
        device = examples.train.labels.device
        record = {
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
                "threads": row["threads"],
                "num_networks": len(phase.cells),
                "code_version": row["code_version"],
                "versions": package_versions(),
                "started": self._attempt.started,
                "ended": utc_now(),
                "attempts": self._attempt.all,
            },
        }
        self._attempt.say(f"done: train accuracy {row['train_accuracy']:.4f}")
        self._attempt.write_log()
        # A process that outlived its driver or its node may have been first: it found the same figures.
        written = read_record(self._folder)
        if written is None:  # its presence means done, so it is written after all the rest
            write_json(self._folder, RECORD_FILE, record)
        delete_checkpoints(self._folder, keep_newest=0)
        return written or record


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


def _measure(
    phase: DenseTraining | Surgery, network: int, alone: ResNet, examples: CellExamples
) -> tuple[dict[str, float | None], list[dict[str, Any]]]:
    """Figures of the result row and, for a pruning, the weights kept in each kernel."""
    on_train = predict(alone, examples.train)
    if not math.isfinite(on_train.mean_loss):  # the last step may be the one that breaks the network
        raise DivergenceError(
            f"training diverged: the loss is {on_train.mean_loss} after the last step, {phase.step}; "
            "lower the learning rate or change the seed"
        )
    on_test = predict(alone, examples.test)
    figures: dict[str, float | None] = {
        **accuracies_by_label_kind(on_train.classes, examples.given, examples.true_labels),
        "train_loss": on_train.mean_loss,
        "test_accuracy": accuracy(on_test.classes, examples.test.labels.cpu().numpy()),
    }
    if isinstance(phase, DenseTraining):
        return figures | {"sparsity": 0.0}, []
    num_kept = phase.num_kept(network)
    layers = [
        {
            "name": name,
            "shape": list(mask.shape),
            "num_weights": mask.numel(),
            "num_kept": num_kept[name],
        }
        for name, mask in phase.masks(network).items()
    ]
    return figures | {"sparsity": phase.achieved_sparsity(network)}, layers
