import dataclasses
import os

import pytest

from benchmarks import conditions
from rc_core.provenance import code_version


def test_conditions_at_begin_and_end(monkeypatch):
    monkeypatch.setattr(os, "getloadavg", lambda: (0.126, 1.0, 2.0))
    begun = conditions.begin("python -m benchmarks.steps")
    monkeypatch.setattr(os, "getloadavg", lambda: (3.0, 2.0, 1.0))
    ended = conditions.end(begun)
    assert begun.load_after is None
    assert ended == dataclasses.replace(begun, load_after=(3.0, 2.0, 1.0))
    assert ended.load_before == (0.13, 1.0, 2.0)
    assert ended.command == "python -m benchmarks.steps"
    assert ended.code_version == code_version()
    assert ended.cpu_count == os.cpu_count()
    assert ended.device == "cpu"


def test_cpu_model_is_read_from_the_kernel(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nmodel name\t: Fast: 9000\nprocessor\t: 1\nmodel name\t: Other\n")
    assert conditions.cpu_model(path) == "Fast: 9000"


def test_cpu_model_without_the_kernels_file(tmp_path, monkeypatch):
    monkeypatch.setattr(conditions.platform, "processor", lambda: "")
    monkeypatch.setattr(conditions.platform, "machine", lambda: "riscv64")
    assert conditions.cpu_model(tmp_path / "missing") == "riscv64"


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--quick", "--out", "/x/y.json", "--rounds", "3"], "python -m m --quick --rounds 3"),
        (["--out=/x/y.json"], "python -m m"),
        (["--scenarios", "a b"], "python -m m --scenarios 'a b'"),
    ],
)
def test_command_line_names_no_place(arguments, expected):
    assert conditions.command_line("m", arguments) == expected
