"""Single-cell commands in an environment that has neither Ray nor pandas nor plotly.

The environment is a real one: a bare venv whose site-packages links to what the running one has, less the
extras.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Distribution names and the modules that belong to them; both begin the names in site-packages.
LEFT_OUT = ("ray", "pandas", "plotly", "pyarrow", "rich", "dash", "tensorboardx")


def is_left_out(entry: str) -> bool:
    """Whether an entry of site-packages belongs to LEFT_OUT: `ray`, `ray-2.60.0.dist-info`, but not `raylib`.

    Path files and editable installs are left out, too: the project comes in by a path file of our own.
    """
    name = entry.lower()
    if name.endswith(".pth") or name.startswith("__editable__") or name == "__pycache__":
        return True
    return any(name == word or name.startswith((f"{word}-", f"{word}.", f"{word}_")) for word in LEFT_OUT)


@pytest.fixture(scope="module")
def python_without_ray(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The interpreter of the new environment."""
    directory = tmp_path_factory.mktemp("without-ray") / "venv"
    venv.EnvBuilder(with_pip=False, symlinks=os.name != "nt").create(directory)
    paths = {"base": str(directory), "platbase": str(directory)}
    site_packages = Path(sysconfig.get_path("purelib", "venv", vars=paths))
    for source in {sysconfig.get_path("purelib"), sysconfig.get_path("platlib")}:
        for entry in Path(source).iterdir():
            target = site_packages / entry.name
            if not is_left_out(entry.name) and not target.exists():
                target.symlink_to(entry, target_is_directory=entry.is_dir())
    (site_packages / "rcsweep.pth").write_text(f"{ROOT}\n")
    return Path(sysconfig.get_path("scripts", "venv", vars=paths)) / Path(sys.executable).name


def run(python: Path, *arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    environment = {
        name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "PYTHONHOME"}
    }
    return subprocess.run(
        [str(python), *arguments],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def run_command(python: Path, *arguments: str, cwd: Path) -> str:
    done = run(python, "-m", "tune_experiments", *arguments, cwd=cwd)
    assert done.returncode == 0, f"rcsweep {' '.join(arguments)}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.mark.parametrize(
    "entry", ["ray", "ray-2.60.0.dist-info", "pandas.libs", "pandas-stubs", "rich", "tensorboardX"]
)
def test_extras_are_left_out(entry: str) -> None:
    assert is_left_out(entry)


@pytest.mark.parametrize(
    "entry", ["numpy", "torch", "raylib", "richness-1.0.dist-info", "safetensors", "six.py"]
)
def test_everything_else_stays(entry: str) -> None:
    assert not is_left_out(entry)


@pytest.mark.parametrize("module", ["ray", "pandas", "plotly", "pyarrow", "rich"])
def test_environment_lacks(module: str, python_without_ray: Path, tmp_path: Path) -> None:
    done = run(python_without_ray, "-c", f"import {module}", cwd=tmp_path)
    assert done.returncode != 0
    assert f"No module named '{module}'" in done.stderr


@pytest.mark.parametrize(
    "module", ["numpy", "torch", "safetensors", "tfrecord", "tyro", "rc_core", "tune_experiments"]
)
def test_environment_has(module: str, python_without_ray: Path, tmp_path: Path) -> None:
    done = run(python_without_ray, "-c", f"import {module}; print({module}.__file__)", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if module in {"rc_core", "tune_experiments"}:
        assert Path(done.stdout.strip()).parent == ROOT / module


def test_train_prune_eval(python_without_ray: Path, tmp_path: Path) -> None:
    trained, pruned = tmp_path / "trained", tmp_path / "pruned"
    run_command(
        python_without_ray,
        *("train", "--recipe", "smoke", "--randomization", "1", "--seed", "42", "--out", str(trained)),
        cwd=tmp_path,
    )
    run_command(
        python_without_ray,
        *("prune", "--parent", str(trained), "--sparsity", "0.8", "--out", str(pruned)),
        cwd=tmp_path,
    )
    answer = run_command(python_without_ray, "eval", str(pruned), "--split", "train", "--json", cwd=tmp_path)

    evaluated = json.loads(answer)
    row = json.loads((pruned / "record.json").read_text())["row"]
    assert row["phase"] == "prune"
    assert row["randomization"] == 1.0
    assert row["seed"] == 42
    assert row["sparsity_target"] == 0.8
    # Surgery ends below its target, since weights between its two thresholds keep their state.
    assert 0.7 < row["sparsity"] <= 0.81
    accuracies = {
        name: value for name, value in evaluated.items() if "accuracy" in name and value is not None
    }
    assert "train_accuracy" in accuracies
    for name, value in accuracies.items():
        assert 0.0 <= value <= 1.0, name
    assert evaluated["train_accuracy"] == row["train_accuracy"]
