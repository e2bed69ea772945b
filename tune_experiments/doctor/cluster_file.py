"""A cluster file of `ray up`: read, and validated by Ray itself."""

from __future__ import annotations

import contextlib
import copy
import io
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tune_experiments.doctor.finding import Finding, not_checked, ok, optional_module, problem

COMMAND_KEYS = (
    *("initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands"),
    *("head_start_ray_commands", "worker_start_ray_commands"),
)


class ClusterFileError(ValueError):
    """The file cannot be used at all; the message says why."""


@dataclass(frozen=True, kw_only=True)
class ClusterFile:
    """A cluster file.

    Attributes:
        path: of the file.
        written: its content, without Ray's defaults.
    """

    path: Path
    written: dict[str, Any]

    @property
    def provider(self) -> dict[str, Any]:
        """The section `provider`."""
        section: dict[str, Any] = self.written["provider"]
        return section

    @property
    def provider_type(self) -> str:
        """`aws`, `local`, ..."""
        return str(self.provider.get("type"))

    @property
    def node_types(self) -> dict[str, dict[str, Any]]:
        """The section `available_node_types`; empty for the provider `local`."""
        return self.written.get("available_node_types") or {}

    @property
    def head_type(self) -> str | None:
        """Name of the head's node type."""
        return self.written.get("head_node_type")

    @property
    def worker_types(self) -> dict[str, dict[str, Any]]:
        """The node types that are not the head's."""
        return {name: node for name, node in self.node_types.items() if name != self.head_type}

    @property
    def mounts(self) -> dict[str, str]:
        """Target on the nodes -> source on this machine."""
        return self.written.get("file_mounts") or {}

    def commands(self, *keys: str) -> str:
        """The shell commands of the file, and the scripts that it ships and they name, as one text.

        Args:
            keys: of COMMAND_KEYS; none = all of them.
        """
        lines = [line for key in keys or COMMAND_KEYS for line in self.written.get(key) or ()]
        text = "\n".join(map(str, lines))
        scripts = [
            script.read_text(errors="replace")
            for target, script in self.shipped_files()
            if script.suffix == ".sh" and target in text
        ]
        return "\n".join([text, *scripts])

    def shipped_files(self) -> Iterator[tuple[str, Path]]:
        """(target on the nodes, file here) of mounted files, and of what lies directly in mounted folders."""
        for target, source in self.mounts.items():
            local = local_path(source)
            if local.is_file():
                yield target, local
            elif local.is_dir():
                yield from (
                    (f"{target.rstrip('/')}/{file.name}", file)
                    for file in sorted(local.iterdir())
                    if file.is_file()
                )


def local_path(source: str) -> Path:
    """Where Ray looks for a file of this machine: relative to the working directory, `~` expanded."""
    return Path(os.path.expanduser(source))


def read_cluster_file(path: Path) -> ClusterFile:
    """The content of a cluster file.

    Raises:
        ClusterFileError: it is no YAML mapping with a `provider`, or cannot be read.
    """
    yaml = optional_module("yaml")
    if yaml is None:
        raise ClusterFileError(f"{path}: reading it needs Ray; install it with: pip install 'rcsweep[sweep]'")
    try:
        written = yaml.safe_load(path.read_text())
    except OSError as error:
        raise ClusterFileError(
            f"{path}: cannot be read: {error.strerror}; name another with --cluster"
        ) from error
    except yaml.YAMLError as error:
        raise ClusterFileError(f"{path}: is no YAML: {error}") from error
    if not isinstance(written, dict) or not isinstance(written.get("provider"), dict):
        raise ClusterFileError(f"{path}: has no section 'provider', so it is no cluster file of 'ray up'")
    return ClusterFile(path=path, written=written)


def check_by_ray(file: ClusterFile) -> list[Finding]:
    """Ray's own schema and validation. What they refuse is not looked at any further: it may have any shape.

    Raises:
        ClusterFileError: Ray is not installed.
    """
    subject = "Ray's validation"
    ray_util = optional_module("ray.autoscaler._private.util")
    jsonschema = optional_module("jsonschema")
    if ray_util is None or jsonschema is None:
        raise ClusterFileError(
            f"{file.path}: checking it needs Ray; install it with: pip install 'rcsweep[sweep]'"
        )
    said = io.StringIO()
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            ray_util.validate_config(ray_util.prepare_config(copy.deepcopy(file.written)))
    except jsonschema.ValidationError as error:
        where = ".".join(map(str, error.absolute_path)) or "the file"
        found = problem(subject, f"{where}: {error.message}", "correct the key; see Ray's ray-schema.json")
    except Exception as error:  # ValueError, KeyError, TypeError, click's and others, by what is wrong
        text = f"{type(error).__name__}: {error}" if str(error) else _plain(said.getvalue())
        found = problem(subject, text, "correct the file")
    else:
        return [ok(subject, "passed")]
    return [found, not_checked("everything else", "Ray refuses the file", "correct that, then ask again")]


def is_spot(node: Mapping[str, Any]) -> bool:
    """Whether a node type asks for spot instances."""
    options = (node.get("node_config") or {}).get("InstanceMarketOptions") or {}
    return bool(options.get("MarketType") == "spot")


def strings_in(value: object, where: str = "") -> Iterator[tuple[str, str]]:
    """(path into the file, string) for every string in it, keys included."""
    if isinstance(value, dict):
        for key, child in value.items():
            inner = f"{where}.{key}" if where else str(key)
            yield inner, str(key)
            yield from strings_in(child, inner)
    elif isinstance(value, list):
        for index, child in enumerate(value):
            yield from strings_in(child, f"{where}[{index}]")
    elif isinstance(value, str):
        yield where, value


def _plain(text: str) -> str:
    """Without terminal colours, on one line."""
    return " ".join(re.sub(r"\x1b\[[\d;]*m", "", text).split())
