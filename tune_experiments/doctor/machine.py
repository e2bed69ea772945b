"""What `rcsweep doctor` looks at on this machine."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
from importlib import metadata
from pathlib import Path

from rc_core.dataset_info import CIFAR10
from rc_core.datasets import locate_split
from tune_experiments.doctor.finding import Finding, not_checked, ok, optional_module, problem, warning

GIB = 2**30

# Of a sweep's own: the driver (.3 GiB), Ray's processes (.5 GiB) and two trials (.5 GiB each).
SMALL_MEMORY_BYTES = 2 * GIB
SMALL_DISK_BYTES = 5 * GIB
# Ray keeps arrays that processes share here; it falls back to the disk where this is too small.
SMALL_SHARED_MEMORY_BYTES = GIB
# Ray refuses to make objects beyond.
FULL_DISK_FRACTION = 0.95

WORTH_NAMING = ("torch", "torchvision", "ray", "numpy", "pandas", "pyarrow")


def check_python(version: tuple[int, ...] = sys.version_info[:3]) -> list[Finding]:
    """Python 3.11 or newer."""
    text = ".".join(map(str, version))
    if version < (3, 11):
        return [problem("Python", text, "rcsweep needs 3.11 or newer: make PYTHON=python3.12 distclean test")]
    return [ok("Python", f"{text}, {sys.executable}")]


def check_packages(distribution: str = "rcsweep") -> list[Finding]:
    """Versions of what is installed, and what does not fit the project's own requirements."""
    packaging = optional_module("packaging.requirements")
    if packaging is None:
        return [not_checked("packages", "versions cannot be compared", "pip install packaging")]
    findings = []
    missing_extras: dict[str, list[str]] = {}
    for line in metadata.requires(distribution) or ():
        requirement = packaging.Requirement(line)
        extra = re.search(r"extra == ['\"](\w+)['\"]", line)
        if extra and extra[1] in ("all", "dev"):
            continue
        try:
            version = metadata.version(requirement.name)
        except metadata.PackageNotFoundError:
            if extra:
                missing_extras.setdefault(extra[1], []).append(requirement.name)
            else:
                findings.append(
                    problem(requirement.name, "is not installed", f"pip install '{requirement.name}'")
                )
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            findings.append(
                problem(
                    requirement.name,
                    f"{version} is installed, {requirement.specifier} is needed",
                    "pip install -c constraints.txt -e '.[all]'",
                )
            )
        elif requirement.name in WORTH_NAMING:
            findings.append(ok(requirement.name, version))
    unique = {(finding.subject, finding.message): finding for finding in findings}
    return [*unique.values(), *(_missing_extra(extra, names) for extra, names in missing_extras.items())]


def _missing_extra(extra: str, names: list[str]) -> Finding:
    return warning(
        f"extra {extra!r}",
        f"{', '.join(names)}: not installed",
        f"pip install -c constraints.txt -e '.[{extra}]'",
    )


def check_cpus() -> list[Finding]:
    """CPUs that this process may use, against those of the machine."""
    total = os.cpu_count() or 1
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total
    quota = cpu_quota(_read(Path("/sys/fs/cgroup/cpu.max")))
    if usable < total or (quota is not None and quota < total):
        allowed = min(usable, quota if quota is not None else usable)
        return [
            warning(
                "CPUs",
                f"{total}, of which this process may use {allowed:g}",
                "Ray counts them all; on a cluster's node say ray start --num-cpus",
            )
        ]
    return [ok("CPUs", f"{total}")]


def cpu_quota(cpu_max: str) -> float | None:
    """CPUs that a control group allows, from its `cpu.max` ("QUOTA PERIOD" or "max PERIOD"); None = all."""
    fields = cpu_max.split()
    if len(fields) != 2 or fields[0] == "max":
        return None
    return int(fields[0]) / int(fields[1])


def check_memory() -> list[Finding]:
    """Memory that is free, within the control group's limit, and shared memory."""
    available = meminfo_bytes(_read(Path("/proc/meminfo")), "MemAvailable")
    if available is None:
        return [not_checked("memory", "/proc/meminfo is not there on this system")]
    limit = _read(Path("/sys/fs/cgroup/memory.max")).strip()
    used = _read(Path("/sys/fs/cgroup/memory.current")).strip()
    if limit.isdecimal() and used.isdecimal():
        available = min(available, int(limit) - int(used))
    text = f"{available / GIB:.1f} GiB free"
    if available < SMALL_MEMORY_BYTES:
        findings = [warning("memory", text, "end other programs, or run fewer trials at a time")]
    else:
        findings = [ok("memory", text)]
    if Path("/dev/shm").is_dir():
        free = shutil.disk_usage("/dev/shm").free
        if free < SMALL_SHARED_MEMORY_BYTES:
            findings.append(
                warning(
                    "shared memory",
                    f"/dev/shm has {free / GIB:.2f} GiB free; Ray falls back to the disk",
                    "in a container: docker run --shm-size=2g",
                )
            )
    return findings


def meminfo_bytes(meminfo: str, field: str) -> int | None:
    """A field of /proc/meminfo, in bytes; None where it is missing."""
    found = re.search(rf"^{field}:\s+(\d+) kB", meminfo, re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def check_disks(results: str) -> list[Finding]:
    """Free space where results go (if that is local) and where Ray puts its files."""
    places = {"temporary files": Path(os.environ.get("RAY_TMPDIR") or tempfile.gettempdir())}
    if "://" not in results:
        folder = Path(results).expanduser().absolute()
        places = {"results": next(path for path in (folder, *folder.parents) if path.exists())} | places
    return [
        judge_disk(f"disk of {name}", path, *shutil.disk_usage(path)[::2]) for name, path in places.items()
    ]


def judge_disk(subject: str, path: Path, total_bytes: int, free_bytes: int) -> Finding:
    """Whether a disk has room for a sweep, and for Ray."""
    text = f"{path}: {free_bytes / GIB:.1f} of {total_bytes / GIB:.1f} GiB free"
    if free_bytes < (1 - FULL_DISK_FRACTION) * total_bytes:
        return problem(subject, f"{text}; Ray makes no objects on a disk that is 95% full", "free some space")
    if free_bytes < SMALL_DISK_BYTES:
        return warning(subject, text, "'rcsweep plan RECIPE' tells what a sweep needs")
    return ok(subject, text)


def check_data(data_dir: Path | None = None) -> list[Finding]:
    """Whether CIFAR-10 is found, and what the digits are made from."""
    findings = []
    try:
        found = locate_split(CIFAR10, "train", data_dir)
        locate_split(CIFAR10, "test", data_dir)
        findings.append(ok("CIFAR-10", str(found.parent)))
    except FileNotFoundError as error:
        findings.append(warning("CIFAR-10", "not found; the recipe 'digits' does without", str(error)))
    return findings


def check_browser() -> list[Finding]:
    """Whether there is a browser that draws image files."""
    chromium = optional_module("choreographer.browsers.chromium")
    if chromium is None:
        return [warning("image files", "kaleido is not installed", "pip install 'rcsweep[images]'")]
    path = os.environ.get("BROWSER_PATH") or chromium.Chromium.find_browser(skip_local=False)
    if path is None or not os.access(path, os.X_OK):
        return [
            warning(
                "image files",
                "no Chromium or Chrome for 'rcsweep figure'; reports do without",
                "Debian: apt-get install chromium; or name it in BROWSER_PATH",
            )
        ]
    return [ok("image files", f"drawn by {path}")]


def _read(path: Path) -> str:
    try:
        return path.read_text()
    except OSError:
        return ""
