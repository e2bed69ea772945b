"""`rcsweep dash` as a process: what it prints, what it refuses, how it ends."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tune_experiments.cli import main
from tune_experiments.commands.dash import Dash

ROOT = Path(__file__).resolve().parents[2]
TOKEN = "0123456789abcdef&/?"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that it printed."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tune_experiments", "dash", *arguments],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, line + process.stdout.read()
        yield process, found[0]
    finally:
        process.kill()
        process.communicate(timeout=30)


def fetch(address: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(address, timeout=60) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def refused(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["dash", *arguments])
    assert ended.value.code == 2
    return capsys.readouterr().err


@pytest.mark.timeout(120)
def test_serves_what_is_not_there_yet_and_ends_cleanly(tmp_path: Path) -> None:
    port = free_port()
    with running("digits", "--storage", str(tmp_path / "later"), "--port", str(port)) as (process, address):
        assert address == f"http://127.0.0.1:{port}/e/digits"
        status, page = fetch(address)
        assert (status, "react-entry-point" in page) == (200, True)
        process.send_signal(signal.SIGINT)
        rest, _ = process.communicate(timeout=30)
        assert process.returncode == 0
        assert rest.endswith("rcsweep dash: ended\n")
        assert "Traceback" not in rest


@pytest.mark.timeout(120)
def test_the_printed_address_has_the_token(tmp_path: Path) -> None:
    port = free_port()
    file = tmp_path / "token"
    file.write_text(TOKEN + "\n")
    with running("--storage", str(tmp_path), "--port", str(port), "--token-file", str(file)) as (_, address):
        assert address == f"http://127.0.0.1:{port}/?token=0123456789abcdef%26%2F%3F"
        assert fetch(address.partition("?")[0])[0] == 401
        # urllib follows the redirect without the cookie.
        request = urllib.request.Request(
            address.partition("?")[0], headers={"Authorization": f"Bearer {TOKEN}"}
        )
        with urllib.request.urlopen(request, timeout=60) as response:
            assert response.status == 200


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "10.1.2.3"])
def test_the_network_needs_a_token(capsys: pytest.CaptureFixture[str], host: str) -> None:
    said = refused(capsys, "digits", "--host", host)
    assert f"--host {host}: others on the network could read the experiment" in said
    assert "--token-file" in said
    assert "ssh -L 8050:localhost:8050" in said


def test_a_port_in_use(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        said = refused(capsys, "digits", "--storage", str(tmp_path), "--port", str(port))
    assert f"port {port} of 127.0.0.1 is in use; choose another one with --port" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--token", "short"], "--token: has 5 characters; it must have at least 16"),
        (["--token", "x" * 16, "--no-token"], "--token, --token-file and --no-token: give one of them"),
        (["--token-file", "/nowhere/token"], "--token-file /nowhere/token: No such file or directory"),
        (["--port", "0"], "--port 0: must be from 1 to 65535"),
    ],
)
def test_options_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], arguments: list[str], message: str
) -> None:
    assert message in refused(capsys, *arguments)


def test_an_empty_token_file_is_no_token(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "token").write_text("")
    said = refused(capsys, "--host", "0.0.0.0", "--token-file", str(tmp_path / "token"))
    assert "--token: has 0 characters" in said


def test_names_paths_and_folders_of_experiments(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "sweep.json").write_text("{}")

    def found(experiment: str | None, storage: str) -> tuple[str | None, str, str]:
        experiments = Dash(experiment=experiment, storage=storage)._experiments()
        assert experiments.parent is not None
        return experiments.only, experiments.parent.location, experiments.words("a")

    root = str(tmp_path)
    words = f"a --storage {root}"
    assert found(None, root) == (None, root, words)
    assert found("a", root) == ("a", root, words)
    assert found(f"{root}/a", "results") == ("a", root, words)
    assert found(f"{root}/", "results")[:2] == (None, root)
    # Nothing is there yet: it is taken for an experiment that begins later.
    assert found(f"{root}/b", "results")[:2] == ("b", root)


@pytest.mark.timeout(60)
def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from tune_experiments.cli import main\n"
        "try: main(['dash', '--help'])\n"
        "except SystemExit: pass\n"
        "print(sorted({'dash', 'flask', 'pandas', 'plotly', 'ray', 'torch'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "It only reads; Ctrl-C ends it." in done.stdout
