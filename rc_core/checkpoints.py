"""Checkpoints: everything that a bit-identical resume needs, written atomically, without pickle.

    checkpoint-<completed steps>/  of a run under way: all that is needed to go on
    final/                         of a finished cell: all that its children and an evaluation need
        state.safetensors          tensors by name
        checkpoint.json            the rest, and the SHA-256 of the tensors

The JSON is written last and names the hash of the tensors, so a checkpoint that was cut off while it was
written, or damaged later, is not read as a whole one. Every random stream is a function of the seed and the
step (seeding.py), so the step is all the random state there is.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import Any, NamedTuple

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from rc_core.storage import Storage

TENSORS_FILE = "state.safetensors"
META_FILE = "checkpoint.json"
FINAL = "final"
_FOLDER = re.compile(r"checkpoint-(\d+)")


class CheckpointError(ValueError):
    """A checkpoint is missing, incomplete or damaged; the message names it."""


class Checkpoint(NamedTuple):
    """A checkpoint in memory.

    Attributes:
        step: completed steps.
        tensors: state by name, on the CPU.
        meta: plain JSON: cell, recipe, history, whether the cell is finished, ...
        sha256: of the tensors file.
    """

    step: int
    tensors: dict[str, Tensor]
    meta: dict[str, Any]
    sha256: str


def checkpoint_name(step: int) -> str:
    """Folder name of the checkpoint after that many steps."""
    return f"checkpoint-{step:08d}"


def checkpoint_steps(cell_folder: Storage) -> list[int]:
    """Steps of the resumable checkpoints in a cell's folder, whole or not, newest first."""
    matches = (_FOLDER.fullmatch(name) for name in cell_folder.names())
    return sorted((int(match[1]) for match in matches if match), reverse=True)


def save_checkpoint(folder: Storage, step: int, tensors: dict[str, Tensor], meta: dict[str, Any]) -> str:
    """Write a checkpoint and return the SHA-256 of its tensors.

    Equal tensors give an equal hash. A checkpoint that lies in the folder already is replaced.

    Args:
        folder: the checkpoint's own folder.
        step: completed steps.
        tensors: by name; copied to the CPU.
        meta: plain JSON without NaN.
    """
    content = save_tensors({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()})
    sha256 = hashlib.sha256(content).hexdigest()
    folder.delete(META_FILE)
    folder.write(TENSORS_FILE, content)
    described = {"format": 1, "step": step, "tensors_sha256": sha256, **meta}
    described["meta_sha256"] = _meta_sha256(described)
    folder.write(META_FILE, (json.dumps(described, allow_nan=False) + "\n").encode())
    return sha256


def _meta_sha256(described: dict[str, Any]) -> str:
    """Hash of the JSON's other fields, in a form that does not depend on their order."""
    return hashlib.sha256(json.dumps(described, sort_keys=True, allow_nan=False).encode()).hexdigest()


def load_checkpoint(folder: Storage) -> Checkpoint:
    """Read a checkpoint from its folder and verify its hash.

    Raises:
        CheckpointError: it is missing, incomplete or damaged.
        OSError: it cannot be read just now, e.g. the network is down; that says nothing about the checkpoint.
    """
    try:
        meta = json.loads(folder.read(META_FILE))
        if meta.pop("meta_sha256") != _meta_sha256(meta):
            raise CheckpointError(f"{folder.location}/{META_FILE}: not what was written; the file is damaged")
        content = folder.read(TENSORS_FILE)
        sha256 = hashlib.sha256(content).hexdigest()
        if sha256 != meta["tensors_sha256"]:
            raise CheckpointError(
                f"{folder.location}/{TENSORS_FILE}: SHA-256 is {sha256}, but {META_FILE} says "
                f"{meta['tensors_sha256']}; the file is damaged"
            )
        return Checkpoint(meta["step"], load_tensors(content), meta, sha256)
    except (
        FileNotFoundError,
        NotADirectoryError,
        KeyError,
        TypeError,
        AttributeError,
        SafetensorError,
    ) as error:
        raise CheckpointError(f"{folder.location}: not a whole checkpoint ({error})") from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise CheckpointError(f"{folder.location}/{META_FILE}: not valid JSON ({error})") from error


def newest_checkpoint(cell_folder: Storage) -> tuple[Checkpoint | None, list[str]]:
    """The newest whole resumable checkpoint or None, and a line for each damaged one passed over."""
    passed_over: list[str] = []
    for step in checkpoint_steps(cell_folder):
        try:
            return load_checkpoint(cell_folder.folder(checkpoint_name(step))), passed_over
        except CheckpointError as error:
            passed_over.append(str(error))
    return None, passed_over


def delete_checkpoints(cell_folder: Storage, *, keep_newest: int) -> None:
    """Delete all but the newest resumable checkpoints."""
    for step in checkpoint_steps(cell_folder)[keep_newest:]:
        cell_folder.delete(checkpoint_name(step))
