"""Who may import whom.

rc_core knows neither Ray nor pandas nor plotly nor the packages above it; analysis knows neither torch nor
Ray; only tune_experiments knows Ray; and nothing imports tune_experiments. Imports inside functions and under
TYPE_CHECKING count.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

FORBIDDEN = {
    "rc_core": {"ray", "pandas", "plotly", "dash", "analysis", "tune_experiments"},
    "analysis": {"torch", "torchvision", "ray", "tune_experiments"},
    "tune_experiments": set[str](),
}
HEAVY = {"torch", "torchvision", "ray"}


@dataclass(frozen=True)
class Import:
    """An absolute module name, its line, and whether it is executed when the module around it is imported."""

    module: str
    line: int
    on_import: bool

    @property
    def top(self) -> str:
        return self.module.partition(".")[0]


def module_name(path: Path, root: Path) -> str:
    parts = path.relative_to(root).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def modules_of(package: str, root: Path = ROOT) -> dict[str, Path]:
    """Every module below `root`/`package`, by dotted name, found without importing anything."""
    return {module_name(path, root): path for path in sorted((root / package).rglob("*.py"))}


def imports_of(path: Path, root: Path = ROOT) -> list[Import]:
    """Every import of a file: statements anywhere, import_module("...") and __import__("...").

    `from a import b` gives a and a.b, since b may be a module.
    """
    package = module_name(path, root).split(".")
    if path.name != "__init__.py":
        package = package[:-1]

    def walk(node: ast.AST, on_import: bool) -> Iterator[Import]:
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno, on_import) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            source = ".".join([*above, *([node.module] if node.module else [])])
            yield Import(source, node.lineno, on_import)
            yield from (Import(f"{source}.{alias.name}", node.lineno, on_import) for alias in node.names)
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            called = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            name = node.args[0].value
            if called in {"import_module", "__import__"} and isinstance(name, str):
                yield Import(name, node.lineno, on_import)
        is_function = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        is_type_checking = isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)
        for child in ast.iter_child_nodes(node):
            yield from walk(child, on_import and not is_function and not is_type_checking)

    return list(walk(ast.parse(path.read_text(), filename=str(path)), on_import=True))


def violations(package: str, forbidden: set[str], root: Path = ROOT) -> list[str]:
    """`file:line imports module` for each import that `package` may not have."""
    found = {
        f"{path.relative_to(root)}:{imported.line} imports {imported.top}"
        for path in modules_of(package, root).values()
        for imported in imports_of(path, root)
        if imported.top in forbidden
    }
    return sorted(found)


def loaded_with(module: str, root: Path = ROOT) -> set[str]:
    """The rc_core modules that importing `module` loads, by reading alone, `module` included."""
    files = modules_of("rc_core", root) | modules_of("analysis", root)
    loaded: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in files or name in loaded:
            continue
        loaded.add(name)
        waiting.append(name.rpartition(".")[0])
        waiting += [imported.module for imported in imports_of(files[name], root) if imported.on_import]
    return loaded


def heavy_imports(module: str, root: Path = ROOT) -> list[str]:
    """`name imports torch` for each module that comes along with `module` and itself loads torch or Ray."""
    files = modules_of("rc_core", root) | modules_of("analysis", root)
    return sorted(
        f"{name} imports {imported.top}"
        for name in loaded_with(module, root)
        for imported in set(imports_of(files[name], root))
        if imported.on_import and imported.top in HEAVY
    )


@pytest.mark.parametrize("package", FORBIDDEN)
def test_package_keeps_to_its_layer(package: str) -> None:
    assert modules_of(package), f"{package} has no modules: is the test looking in the right place?"
    assert violations(package, FORBIDDEN[package]) == []


@pytest.mark.parametrize("module", modules_of("analysis"))
def test_analysis_rests_on_modules_without_torch(module: str) -> None:
    assert heavy_imports(module) == []


def test_importing_analysis_loads_neither_torch_nor_ray() -> None:
    """One process for all modules: what each loads beyond the ones before it, by module."""
    code = (
        "import importlib, json, sys\n"
        "loaded, seen = {}, set()\n"
        "for module in sys.argv[1:]:\n"
        "    importlib.import_module(module)\n"
        "    now = {name.partition('.')[0] for name in sys.modules}\n"
        "    loaded[module], seen = sorted(now - seen), now\n"
        "print(json.dumps(loaded))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, *modules_of("analysis")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    loaded = json.loads(done.stdout.splitlines()[-1])
    assert "analysis" in loaded["analysis"]
    forbidden = HEAVY | {"tune_experiments"}
    assert {name: forbidden & set(new) for name, new in loaded.items() if forbidden & set(new)} == {}


def plant(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_detector_finds_every_way_to_import(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "rc_core/__init__.py": "",
            "rc_core/clean.py": "import numpy, torch\nfrom rc_core import labels\nfrom . import rays\n",
            "rc_core/deep/late.py": "def run():\n    from ray.tune import Tuner\n    return Tuner\n",
            "rc_core/deep/named.py": (
                "import importlib\nimportlib.import_module('pandas.io')\n__import__('plotly')\n"
            ),
            "rc_core/deep/typed.py": (
                "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import tune_experiments.plan as p\n"
            ),
            "rc_core/text.py": "import_ray = 'import ray'  # import ray\n",
        },
    )
    assert violations("rc_core", FORBIDDEN["rc_core"], tmp_path) == [
        "rc_core/deep/late.py:2 imports ray",
        "rc_core/deep/named.py:2 imports pandas",
        "rc_core/deep/named.py:3 imports plotly",
        "rc_core/deep/typed.py:3 imports tune_experiments",
    ]


def test_detector_resolves_relative_imports(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "analysis/figures/__init__.py": "from . import curves\n",
            "analysis/figures/curves.py": "from .. import results\nfrom ..results import load\n",
        },
    )
    figures = [i.module for i in imports_of(tmp_path / "analysis/figures/__init__.py", tmp_path)]
    curves = [i.module for i in imports_of(tmp_path / "analysis/figures/curves.py", tmp_path)]
    assert figures == ["analysis.figures", "analysis.figures.curves"]
    assert curves == ["analysis", "analysis.results", "analysis.results", "analysis.results.load"]


def test_detector_follows_rc_core_to_torch(tmp_path: Path) -> None:
    plant(
        tmp_path,
        {
            "analysis/__init__.py": "",
            "analysis/light.py": "from rc_core.cells import Cell\n",
            "analysis/heavy.py": "from rc_core import seeding\n",
            "rc_core/__init__.py": "",
            "rc_core/cells.py": "def network():\n    import torch\n    return torch\n",
            "rc_core/seeding.py": "from rc_core.streams import named\n",
            "rc_core/streams.py": "import torch\n",
        },
    )
    assert heavy_imports("analysis.light", tmp_path) == []
    assert heavy_imports("analysis.heavy", tmp_path) == ["rc_core.streams imports torch"]
