"""Processes of this machine: who this one is, and whether another still lives."""

from __future__ import annotations

import os
from pathlib import Path

from rc_core.provenance import host_name


def process_space() -> str:
    """Where a process id means something: host and, on Linux, PID namespace (containers may share a name)."""
    try:
        return f"{host_name()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return host_name()


def process_lives(pid: int) -> bool:
    """Whether a process of this process space runs; one that died and was not waited for does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:  # no /proc here, or the process died this moment
        return not Path("/proc/self/stat").exists()
    return state not in "ZX"
