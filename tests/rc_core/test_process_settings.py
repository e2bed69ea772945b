"""What `prepare_process` sets, seen from outside, in processes of their own: allocators are per process."""

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys, torch
from rc_core.process_settings import keep_freed_memory
torch.set_num_threads(1)
if sys.argv[1] == "keep":
    print(keep_freed_memory())
def work():
    for _ in range(200):
        large = [torch.ones(300_000) for _ in range(4)]
        del large
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def printed(program: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_kept():
    said, faults = printed(COUNT_FAULTS, "keep")
    (faults_without,) = printed(COUNT_FAULTS, "do not")
    assert said == "True"
    # 960 MB of tensors are touched: 234,000 pages of 4 KiB, were each of them mapped anew.
    assert int(faults) < 2_000 < int(faults_without)


def test_threads_are_set_and_kernels_are_repeatable():
    program = (
        "import torch; from rc_core.process_settings import prepare_process; prepare_process(3);"
        "print(torch.get_num_threads(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)"
    )
    assert printed(program) == ["3", "True", "False"]
