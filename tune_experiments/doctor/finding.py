"""What a check found."""

from __future__ import annotations

import importlib
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any


class Level(StrEnum):
    """How bad it is. `NOT_CHECKED` says what could not be looked at, and why."""

    OK = "ok"
    NOT_CHECKED = "not checked"
    WARNING = "warning"
    PROBLEM = "problem"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Attributes:
        level: how bad it is.
        subject: what was looked at, in a word or as a path into the file.
        message: what was seen.
        way_out: what to do; empty where there is nothing to do.
    """

    level: Level
    subject: str
    message: str
    way_out: str = ""

    def to_dict(self) -> dict[str, str]:
        """Plain-JSON form."""
        return asdict(self)

    def to_lines(self) -> list[str]:
        """The finding as text: a line, and below it the way out."""
        lines = [f"{self.level.value:<12} {self.subject}: {self.message}"]
        if self.way_out:
            lines.append(f"{'':<12} -> {self.way_out}")
        return lines


def ok(subject: str, message: str) -> Finding:
    """All is well."""
    return Finding(Level.OK, subject, message)


def not_checked(subject: str, message: str, way_out: str = "") -> Finding:
    """It could not be looked at."""
    return Finding(Level.NOT_CHECKED, subject, message, way_out)


def warning(subject: str, message: str, way_out: str) -> Finding:
    """It works, and may not be what is wanted."""
    return Finding(Level.WARNING, subject, message, way_out)


def problem(subject: str, message: str, way_out: str) -> Finding:
    """It will not work, or is dangerous."""
    return Finding(Level.PROBLEM, subject, message, way_out)


def has_problem(findings: Iterable[Finding]) -> bool:
    """Whether one of them is a problem."""
    return any(finding.level is Level.PROBLEM for finding in findings)


def optional_module(name: str) -> Any | None:
    """The module of a package that only some checks need; None where it is not installed."""
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return None
