"""Processes of this machine: who this one is, and whether another still lives."""

from __future__ import annotations

import os

from rc_core.provenance import host_name


def process_space() -> str:
    """Where a process id means something: host and, on Linux, PID namespace (containers may share a name)."""
    try:
        return f"{host_name()} {os.readlink('/proc/self/ns/pid')}"
    except OSError:
        return host_name()


def process_lives(pid: int) -> bool:
    """Whether a process of this process space exists."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
