"""Finished cells, read back: the record, and the network measured once more."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch

from rc_core.cells import cell_from_dict
from rc_core.checkpoints import FINAL, CheckpointError, load_checkpoint
from rc_core.dataset_info import dataset_info
from rc_core.datasets import load_recipe_splits
from rc_core.evaluation import accuracies_by_label_kind, accuracy, predict
from rc_core.examples import cell_examples, splits_on_device
from rc_core.execution import resolve_device
from rc_core.experiment import RECORD_FILE, read_json
from rc_core.recipes import recipe_from_dict
from rc_core.storage import Storage
from rc_core.training import build_model, select


def read_finished_record(folder: Storage) -> dict[str, Any]:
    """The record of a finished cell.

    Raises:
        CheckpointError: the cell is not finished, or there is none.
    """
    record = read_json(folder, RECORD_FILE)
    if record is None:
        raise CheckpointError(f"{folder.location}: no finished cell here ({RECORD_FILE} is missing)")
    return record


def evaluate_finished(
    folder: Storage,
    split: Literal["train", "test"],
    *,
    data_dir: Path | None = None,
    device: str = "auto",
    threads: int = 1,
) -> dict[str, float | str | None]:
    """Measure a finished network on one split of its data.

    Args:
        folder: the cell's folder.
        split: `train`: with the cell's own randomized labels; `test`: with true labels.
        data_dir: folder of the TFRecords.
        device: see `Execution`.
        threads: see `Execution`.

    Returns:
        The columns of the result row that belong to the split.

    Raises:
        CheckpointError: the cell is not finished, or its checkpoint is damaged.
        ValueError: the data are not those that the cell was trained on.
    """
    record = read_finished_record(folder)
    recipe, cell = recipe_from_dict(record["recipe"]), cell_from_dict(record["cell"])
    train, test = load_recipe_splits(recipe, data_dir=data_dir)
    if train.sha256 != record["row"]["data_sha256"]:
        raise ValueError(
            f"--data: the training file has SHA-256 {train.sha256}, but {cell.cell_id} was trained on "
            f"{record['row']['data_sha256']}"
        )
    torch.set_num_threads(threads)
    on_device = resolve_device(device)
    num_classes = dataset_info(recipe.dataset, data_dir).num_classes
    examples = cell_examples(
        splits_on_device(train, test, on_device),
        randomization=cell.randomization,
        seed=cell.seed,
        num_classes=num_classes,
    )
    in_channels = examples.train.images.shape[3]
    model = build_model(recipe, in_channels=in_channels, num_classes=num_classes, device=on_device)
    model.load_state_dict(select(load_checkpoint(folder.folder(FINAL)).tensors, "model."))
    if split == "test":
        classes = predict(model, examples.test).classes
        return {"cell_id": cell.cell_id, "test_accuracy": accuracy(classes, test.labels)}
    on_train = predict(model, examples.train)
    return {
        "cell_id": cell.cell_id,
        **accuracies_by_label_kind(on_train.classes, examples.given, examples.true_labels),
        "train_loss": on_train.mean_loss,
    }
