"""Whether another process still runs."""

import os
import signal
import subprocess
import sys

from rc_core.processes import process_lives, process_space


def test_a_process_lives_until_it_dies_and_a_zombie_is_dead():
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert process_lives(process.pid)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # dead, but not reaped: a zombie
    assert not process_lives(process.pid)
    process.communicate()
    assert not process_lives(process.pid)


def test_this_process_lives_in_its_own_space():
    assert process_lives(os.getpid())
    script = "from rc_core.processes import process_space; print(process_space())"
    other = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == process_space()
