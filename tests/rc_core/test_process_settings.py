"""What `prepare_process` sets, seen from outside, in processes of their own: allocators are per process."""

import subprocess
import sys

import pytest

COUNT_FAULTS = """
import resource, sys, torch
from rc_core.cells import TrainCell
from rc_core.datasets import load_recipe_splits
from rc_core.examples import splits_on_device
from rc_core.process_settings import prepare_process
from rc_core.recipes import preset
from rc_core.training import DenseTraining, build_model
prepare_process(1, keep_memory=sys.argv[1] == "keep")
recipe = preset("digits").recipe
examples = splits_on_device(*load_recipe_splits(recipe), torch.device("cpu")).train
model = build_model(recipe, in_channels=1, num_classes=10, device=torch.device("cpu"), num_networks=8)
phase = DenseTraining([TrainCell(randomization=0.0, seed=1)] * 8, recipe, model, [examples] * 8)
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    phase.advance()
before = faults()
for _ in range(20):
    phase.advance()
print((faults() - before) // 20)
"""


def printed(program: str, *arguments: str) -> list[str]:
    command = [sys.executable, "-c", program, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()


@pytest.mark.skipif(sys.platform != "linux", reason="glibc's allocator")
def test_freed_memory_is_kept_between_steps():
    (kept,), (given_back,) = printed(COUNT_FAULTS, "keep"), printed(COUNT_FAULTS, "do not")
    assert int(kept) < 100 < int(given_back)


def test_threads_are_set_and_kernels_are_repeatable():
    program = (
        "import torch; from rc_core.process_settings import prepare_process; prepare_process(3);"
        "print(torch.get_num_threads(), torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark)"
    )
    assert printed(program) == ["3", "True", "False"]
