import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from rc_core.staging import atomic_file, staging_directory

PROJECT = Path(__file__).parents[2]


def test_a_staging_directory_disappears_and_what_was_renamed_stays(tmp_path):
    with staging_directory(tmp_path / "new") as staging:
        (staging / "a").write_text("kept")
        (staging / "b").write_text("dropped")
        os.replace(staging / "a", tmp_path / "new" / "a")
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a"]


def test_a_new_parent_that_stays_empty_disappears(tmp_path):
    def interrupted() -> None:
        with staging_directory(tmp_path / "new") as staging:
            (staging / "a").mkdir()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(tmp_path.iterdir())


def test_an_old_empty_parent_stays(tmp_path):
    with staging_directory(tmp_path):
        pass
    assert tmp_path.is_dir()


def test_an_atomic_file_replaces_at_the_end_only(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with atomic_file(path) as file:
        file.write(b"new")
        file.flush()
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"


def test_a_failed_atomic_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"new")

    def fail() -> None:
        with atomic_file(path) as file:
            file.write(b"half")
            raise OSError("disk")

    with pytest.raises(OSError, match="disk"):
        fail()
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_files_and_directories_follow_the_umask(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_file(tmp_path / "a") as file:
            file.write(b"x")
        with staging_directory(tmp_path) as staging:
            staging.rename(tmp_path / "b")
    finally:
        os.umask(before)
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "b").stat().st_mode & 0o777 == 0o750


def test_partials_of_killed_processes_are_removed_after_a_day(tmp_path):
    day_seconds = 24 * 3600
    for name, age_seconds in {"old": day_seconds + 60, "young": day_seconds - 60}.items():
        directory, file = (
            tmp_path / f".rcsweep-partial-{name}-dir",
            tmp_path / f".rcsweep-partial-{name}-file",
        )
        directory.mkdir()
        (directory / "half").write_text("x")
        file.write_text("x")
        then = time.time() - age_seconds
        os.utime(directory, (then, then))
        os.utime(file, (then, then))
    with staging_directory(tmp_path):
        pass
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        ".rcsweep-partial-young-dir",
        ".rcsweep-partial-young-file",
    ]


@pytest.mark.parametrize("signal_number", [signal.SIGTERM, signal.SIGINT])
def test_a_terminated_process_leaves_nothing(tmp_path, signal_number):
    script = (
        "import sys, time, pathlib\n"
        "from rc_core.staging import atomic_file, staging_directory\n"
        "out = pathlib.Path(sys.argv[1])\n"
        "with staging_directory(out) as part, atomic_file(part / 'a'), atomic_file(out / 'b') as file:\n"
        "    file.write(b'half')\n"
        "    print('ready', flush=True)\n"
        "    time.sleep(60)\n"
    )
    out = tmp_path / "out"
    with subprocess.Popen(
        [sys.executable, "-c", script, str(out)],
        cwd=PROJECT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ready\n"
        assert len(list(out.iterdir())) == 2
        process.send_signal(signal_number)
        code = process.wait(timeout=20)
    assert code == (143 if signal_number == signal.SIGTERM else -signal.SIGINT)
    assert not out.exists()


def test_the_application_s_signal_handler_stays(tmp_path):
    def handler(number: int, frame: object) -> None: ...

    before = signal.signal(signal.SIGTERM, handler)
    try:
        with staging_directory(tmp_path):
            assert signal.getsignal(signal.SIGTERM) is handler
    finally:
        signal.signal(signal.SIGTERM, before)
    with staging_directory(tmp_path):
        assert signal.getsignal(signal.SIGTERM) is not before
    assert signal.getsignal(signal.SIGTERM) is before


def test_staging_works_in_a_thread(tmp_path):
    seen: list[bool] = []

    def stage() -> None:
        with staging_directory(tmp_path) as staging:
            seen.append(staging.is_dir())

    thread = threading.Thread(target=stage)
    thread.start()
    thread.join()
    assert seen == [True]
