"""What a node runs: Python, the packages that decide numbers, and rcsweep's own code.

Ray carries this module to a node as it is (`register_pickle_by_value`), since the node may have an older one
or none. So it imports the standard library alone.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Mapping
from pathlib import Path

PACKAGES = ("ray", "torch", "numpy", "safetensors")
CODE = ("rc_core", "tune_experiments")
NONE = "none"


def describe_node() -> dict[str, str]:
    """Versions by name, `none` for what is not installed; that of the code is a hash of its source files.

    The local part of a version (`2.11.0+cu130`) is left out: the head's torch may be built without CUDA.
    """
    versions = {"Python": platform.python_version()}
    for package in PACKAGES:
        try:
            versions[package] = importlib.metadata.version(package).partition("+")[0]
        except importlib.metadata.PackageNotFoundError:
            versions[package] = NONE
    versions["rcsweep's code"] = code_sha256(CODE)
    return versions


def code_sha256(packages: tuple[str, ...]) -> str:
    """SHA-256 over names and content of the packages' source files, its first 12 digits.

    `none` where a package is missing.
    """
    digest = hashlib.sha256()
    for package in packages:
        spec = importlib.util.find_spec(package)
        if spec is None or not spec.submodule_search_locations:
            return NONE
        root = Path(next(iter(spec.submodule_search_locations)))
        for path in sorted(root.rglob("*.py")):
            content = path.read_bytes()
            digest.update(f"{package}/{path.relative_to(root).as_posix()} {len(content)}\n".encode())
            digest.update(content)
    return digest.hexdigest()[:12]


def differences(driver: Mapping[str, str], node: Mapping[str, str]) -> list[str]:
    """What a node has otherwise than the driver, e.g. `torch is 2.10.0, the driver has 2.11.0`."""
    return [
        f"{name} is {node.get(name, NONE)}, the driver has {version}"
        for name, version in driver.items()
        if node.get(name, NONE) != version
    ]
