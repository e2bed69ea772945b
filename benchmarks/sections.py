"""The file of results: one JSON object with a section for every benchmark, each written by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from rc_core.staging import atomic_file

DEFAULT_FILE = Path("docs") / "results" / "performance.json"

_FORMAT = 1


def read_sections(path: Path) -> dict[str, Any]:
    """The sections by name; none where there is no file.

    Raises:
        ValueError: the file is no results file of this version.
    """
    if not path.exists():
        return {}
    content = json.loads(path.read_text())
    if not isinstance(content, dict) or content.pop("format", None) != _FORMAT:
        raise ValueError(
            f"{path}: must be a results file of format {_FORMAT}; move it away and measure again"
        )
    return content


def write_section(path: Path, name: str, section: dict[str, Any]) -> None:
    """Replace one section and leave the others as they are.

    Args:
        path: of the file; made with its folder where it is missing.
        name: the section's.
        section: plain JSON.

    Raises:
        ValueError: the file is no results file of this version.
    """
    content = {"format": _FORMAT, **read_sections(path), name: section}
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path) as file:
        file.write(json.dumps(content, indent=1).encode() + b"\n")
