"""Versions that a cluster file installs, against those of this machine."""

from __future__ import annotations

import re
import sys
from importlib import metadata

from tune_experiments.doctor.cluster_file import ClusterFile
from tune_experiments.doctor.finding import Finding, not_checked, ok, problem, warning

# Ray wants one version on every node; torch and numpy decide the bits of results.
MUST_AGREE = ("ray",)
SHOULD_AGREE = ("torch", "torchvision", "numpy")

_PIN = r"(?<![\w-]){name}(?:\[[^\]]*\])?==([\w.+]+)"
_IMAGE = r"rayproject/ray[\w-]*:(\d+\.\d+\.\d+)"


def check_versions(file: ClusterFile) -> list[Finding]:
    """Pins in the commands and in shipped constraint files, Python, and the container's image."""
    setup = file.commands(
        "initialization_commands", "setup_commands", "head_setup_commands", "worker_setup_commands"
    )
    constraints = "\n".join(
        path.read_text()
        for target, path in file.shipped_files()
        if path.suffix == ".txt" and target.rpartition("/")[2] in setup
    )
    findings = []
    for name in (*MUST_AGREE, *SHOULD_AGREE):
        pins = re.findall(_PIN.format(name=name), f"{setup}\n{constraints}")
        if name == "ray":
            pins += re.findall(_IMAGE, "\n".join(map(str, (file.written.get("docker") or {}).values())))
        findings += judge_pins(name, pins, _installed(name))
    findings += _check_python(setup)
    return findings


def judge_pins(name: str, pins: list[str], installed: str | None) -> list[Finding]:
    """Whether a package is pinned to the version that is installed here."""
    report = problem if name in MUST_AGREE else warning
    if not pins:
        return [
            report(
                name, "the setup commands pin no version", f"install with -c constraints.txt, or {name}==..."
            )
        ]
    if len(set(pins)) > 1:
        return [problem(name, f"pinned to {' and to '.join(sorted(set(pins)))}", "pin one version")]
    if installed is None:
        return [not_checked(name, f"{pins[0]} on the nodes; not installed here to compare with")]
    if pins[0] != installed.partition("+")[0] and pins[0] != installed:
        return [
            report(
                name,
                f"{pins[0]} on the nodes, {installed} here",
                f"pip install {name}=={pins[0]} here, or change the pin",
            )
        ]
    return [ok(name, f"{installed}, here and on the nodes")]


def _check_python(setup: str) -> list[Finding]:
    wanted = sorted(set(re.findall(r"(?<![\w.])python(3\.\d+)\b", setup)))
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    named = [
        version
        for version in wanted
        if f"PYTHON=python{version}" in setup or f"python{version} -m venv" in setup
    ]
    if not named:
        return [
            warning(
                "Python", "the setup commands name no minor version", "PYTHON=python3.12 on every node alike"
            )
        ]
    too_old = [version for version in named if int(version.partition(".")[2]) < 11]
    if too_old or len(named) > 1:
        return [problem("Python", f"{' and '.join(named)} on the nodes", "one version, 3.11 or newer")]
    if named[0] != here:
        return [
            warning(
                "Python",
                f"{named[0]} on the nodes, {here} here",
                "harmless for ray up, exec and submit; for ray.init from here it must be the same",
            )
        ]
    return [ok("Python", f"{here}, here and on the nodes")]


def _installed(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
