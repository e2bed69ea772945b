"""What nodes say of themselves, and what is made of it."""

import platform
import subprocess
import sys
from importlib.metadata import version

import pytest

from rc_core.experiment import DRIVER_FILE, write_json
from rc_core.storage import LocalStorage
from tune_experiments import node_versions, node_watch
from tune_experiments.node_versions import code_sha256, describe_node, differences
from tune_experiments.node_watch import node_problem


def test_versions_are_those_of_the_packages_without_local_parts(monkeypatch):
    described = describe_node()
    assert list(described) == ["Python", "ray", "torch", "numpy", "safetensors", "rcsweep's code"]
    assert described["Python"] == platform.python_version()
    assert described["numpy"] == version("numpy")
    monkeypatch.setattr(node_versions.importlib.metadata, "version", lambda name: "2.11.0+cu130")
    assert describe_node()["torch"] == "2.11.0"


def test_a_package_that_is_not_there_is_called_none(monkeypatch):
    def absent(name):
        raise node_versions.importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(node_versions.importlib.metadata, "version", absent)
    assert describe_node()["torch"] == "none"
    assert code_sha256(("no_such_package",)) == "none"


@pytest.mark.parametrize("change", ["content", "name", "new file"])
def test_the_code_s_hash_tells_any_change_and_nothing_else(tmp_path, monkeypatch, change):
    package = tmp_path / "some_package" / "inner"
    package.mkdir(parents=True)
    for path in (package.parent / "__init__.py", package / "module.py"):
        path.write_text("x = 1\n")
    monkeypatch.syspath_prepend(tmp_path)
    before = code_sha256(("some_package",))
    assert len(before) == 12
    (package / "__pycache__").mkdir()
    (package / "__pycache__" / "module.pyc").write_bytes(b"x")
    (package / "py.typed").touch()
    assert code_sha256(("some_package",)) == before
    if change == "content":
        (package / "module.py").write_text("x = 2\n")
    elif change == "name":
        (package / "module.py").rename(package / "other.py")
    else:
        (package / "empty.py").touch()
    assert code_sha256(("some_package",)) != before


def test_differences_name_both_sides():
    driver = {"Python": "3.12.3", "torch": "2.11.0", "ray": "2.60.0"}
    assert differences(driver, dict(driver)) == []
    assert differences(driver, {"Python": "3.12.3", "torch": "2.10.0"}) == [
        "torch is 2.10.0, the driver has 2.11.0",
        "ray is none, the driver has 2.60.0",
    ]


def test_describing_a_node_needs_the_standard_library_alone():
    """It is carried to nodes that may have nothing else."""
    code = (
        "import runpy, sys; sys.meta_path.insert(0, type('No', (), {'find_spec': staticmethod("
        "lambda name, path=None, target=None: (_ for _ in ()).throw(ImportError(name)) "
        "if name.partition('.')[0] not in sys.stdlib_module_names else None)})); "
        f"print(runpy.run_path({node_versions.__file__!r})['PACKAGES'])"
    )
    done = subprocess.run([sys.executable, "-S", "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout


def test_a_node_with_other_versions_has_a_problem_with_a_way_out(tmp_path, monkeypatch):
    monkeypatch.setattr(node_watch, "host_name", lambda: "gpu-7")
    problem = node_problem(LocalStorage(tmp_path), "token", describe_node() | {"torch": "9.9.9"})
    assert problem.startswith(
        f"node gpu-7 differs from the driver: torch is {version('torch').partition('+')[0]}"
    )
    assert "the driver has 9.9.9; " in problem
    assert "`ray up`" in problem


def test_a_node_that_sees_the_driver_s_heartbeat_has_none(tmp_path):
    write_json(LocalStorage(tmp_path), DRIVER_FILE, {"token": "this driver's"})
    assert node_problem(LocalStorage(tmp_path), "this driver's", describe_node()) is None


@pytest.mark.parametrize("there", ["nothing", "another driver's copy", "damaged"])
def test_a_folder_that_is_not_the_driver_s_is_a_problem(tmp_path, monkeypatch, there):
    monkeypatch.setattr(node_watch, "VISIBLE_SECONDS", 0.1)
    if there == "another driver's copy":
        write_json(LocalStorage(tmp_path), DRIVER_FILE, {"token": "an older one's"})
    elif there == "damaged":
        (tmp_path / DRIVER_FILE).write_text("{")
    problem = node_problem(LocalStorage(tmp_path), "this driver's", describe_node())
    assert f"does not see what the driver writes to {tmp_path}" in problem
    assert "--storage must be s3://bucket/prefix" in problem
