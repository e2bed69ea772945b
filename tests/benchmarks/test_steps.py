import os
from pathlib import Path

import pytest

from benchmarks import steps
from benchmarks.scenarios import scenario
from rc_core.dataset_info import DATA_VARIABLE


@pytest.mark.parametrize(("variable", "folder"), [(None, "data"), ("", "data"), ("elsewhere", "elsewhere")])
def test_data_directory_becomes_absolute(tmp_path, monkeypatch, variable, folder):
    monkeypatch.setenv(DATA_VARIABLE, "to be put back")
    if variable is None:
        monkeypatch.delenv(DATA_VARIABLE)
    else:
        monkeypatch.setenv(DATA_VARIABLE, variable)
    monkeypatch.chdir(tmp_path)
    steps.fix_data_directory()
    assert Path(os.environ[DATA_VARIABLE]) == tmp_path / folder


def test_scenarios_without_their_data_say_what_to_run(tmp_path, monkeypatch):
    monkeypatch.setenv(DATA_VARIABLE, str(tmp_path))
    assert "rcsweep data prepare cifar10" in steps.find_data(scenario("resnet20"))
    assert steps.find_data(scenario("digits-dense")) is None


def test_missing_history_leaves_the_version_before_out(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(steps, "BEFORE_COMMIT", "0" * 40)
    product, before = steps.open_trees(tmp_path)
    assert before is None
    assert (product.root / "rc_core" / "training.py").exists()
    assert "the version before is left out: commit 0000000" in capsys.readouterr().err
