import time
from types import SimpleNamespace

import pytest
from torch.profiler import ProfilerActivity, profile

from benchmarks.parts import (
    BATCH_NORM,
    CONVOLUTION,
    DATA,
    DISPATCH,
    LOGGING,
    MASKS,
    OPTIMIZER,
    OTHER_KERNELS,
    Marked,
    marked,
    part_of,
    seconds_by_part,
)


def event(name, parent=None, microseconds=0.0):
    return SimpleNamespace(name=name, cpu_parent=parent, self_cpu_time_total=microseconds)


@pytest.mark.parametrize(
    ("names", "part"),
    [
        (["aten::mkldnn_convolution"], CONVOLUTION),
        (["ConvolutionBackward0", "aten::convolution_backward"], CONVOLUTION),
        (["aten::native_batch_norm"], BATCH_NORM),
        (["aten::threshold_backward"], OTHER_KERNELS),
        (["autograd::engine::evaluate_function: ConvolutionBackward0"], DISPATCH),
        (["torch::autograd::AccumulateGrad"], DISPATCH),
        (["Optimizer.step#SGD.step", "aten::add_"], OPTIMIZER),
        (["part:masks", "Optimizer.step#SGD.step", "aten::add_"], OPTIMIZER),
        (["part:masks", "aten::gt"], MASKS),
        (["part:data"], DATA),
        (["enumerate(DataLoader)#_SingleProcessDataLoaderIter.__next__", "aten::stack"], DATA),
        (["part:logging", "aten::conv2d"], LOGGING),
    ],
)
def test_the_innermost_range_decides_then_the_name(names, part):
    innermost = None
    for name in names:
        innermost = event(name, innermost)
    assert part_of(innermost) == part


def test_seconds_add_up_to_the_wall_time():
    masks = event("part:masks", None, 500_000)
    events = [
        masks,
        event("aten::gt", masks, 250_000),
        event("aten::conv2d", None, 1_000_000),
        event("aten::relu", None, 125_000),
        event("autograd::engine::evaluate_function", None, 125_000),
    ]
    seconds = seconds_by_part(events, wall_seconds=3.0)
    expected = {MASKS: 0.75, CONVOLUTION: 1.0, OTHER_KERNELS: 0.125, DISPATCH: 1.125}  # .125 + 1 not covered
    assert {part: value for part, value in seconds.items() if value} == expected
    assert sum(seconds.values()) == 3.0


class Work:
    def sleep(self, seconds):
        time.sleep(seconds)
        return "slept"


def test_marked_functions_are_seen_and_left_as_they_were():
    original = Work.sleep
    with marked([Marked(DATA, Work, "sleep")]), profile(activities=[ProfilerActivity.CPU]) as profiler:
        assert Work().sleep(0.03) == "slept"
    assert Work.sleep is original
    seconds = seconds_by_part(profiler.events(), wall_seconds=1.0)
    assert 0.03 <= seconds[DATA] < 0.5
    assert seconds[DATA] + seconds[DISPATCH] == pytest.approx(1.0)


def test_a_function_that_is_gone_is_named():
    with pytest.raises(AttributeError, match="no attribute 'gone'"), marked([Marked(DATA, Work, "gone")]):
        pass
