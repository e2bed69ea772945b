"""What faults do to files: deterministic for a given random generator."""

from __future__ import annotations

import random
from pathlib import Path


def flip_byte(path: Path, rng: random.Random) -> int:
    """Change one byte in place; returns its position."""
    content = bytearray(path.read_bytes())
    position = rng.randrange(len(content))
    content[position] ^= 0xFF
    path.write_bytes(content)
    return position


def cut_in_half(path: Path) -> None:
    """Keep the first half of a file, as a crash in the middle of a write does."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def strew(experiment: Path, cell: Path) -> None:
    """Leave what killed processes and people leave: temporary files, a folder, an empty checkpoint."""
    for folder in (experiment, cell):
        for name in (".record.json.k3j2h1", ".state.safetensors.x0", "notes.txt", "record.json~"):
            (folder / name).write_bytes(b'{"half')
    (experiment / "lost+found").mkdir(exist_ok=True)
    (cell / "checkpoint-00099999").mkdir(exist_ok=True)
