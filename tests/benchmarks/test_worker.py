import pytest

from benchmarks.scenarios import BEFORE, NAIVE, scenario, scenarios
from benchmarks.slots import Slots, WorkerError
from benchmarks.trees import CHECKOUT, Tree
from benchmarks.worker import EndlessRun


class Machine:
    """Steps of known lengths on a clock of its own."""

    def __init__(self, step_seconds, setup_seconds, num_steps, networks=1):
        self.now = 0.0
        self.num_starts = 0
        self._settings = (step_seconds, setup_seconds, num_steps, networks)

    def clock(self):
        return self.now

    def start(self):
        self.num_starts += 1
        step_seconds, setup_seconds, num_steps, networks = self._settings
        self.now += setup_seconds
        for _ in range(num_steps):
            self.now += step_seconds
            yield networks
        self.now += setup_seconds  # clean-up


def test_burst_ends_with_the_step_that_fills_its_time():
    machine = Machine(step_seconds=2, setup_seconds=50, num_steps=100)
    run = EndlessRun(machine.start, machine.clock)
    assert run.burst(5) == (3, 6)
    assert run.burst(4) == (2, 4)
    assert machine.num_starts == 1


def test_setting_up_first_step_and_clean_up_are_not_timed():
    machine = Machine(step_seconds=2, setup_seconds=50, num_steps=4)  # 3 timed steps a run
    run = EndlessRun(machine.start, machine.clock)
    assert run.burst(20) == (10, 20)
    assert machine.num_starts == 4


def test_a_stacks_step_counts_for_each_of_its_networks():
    machine = Machine(step_seconds=2, setup_seconds=0, num_steps=100, networks=3)
    assert EndlessRun(machine.start, machine.clock).burst(10) == (15, 10)


@pytest.mark.parametrize("name", scenarios())
def test_scenarios_are_whole(name):
    chosen = scenario(name)
    names = [candidate.name for candidate in chosen.candidates]
    assert len(set(names)) == len(names)
    assert set(chosen.baselines) <= set(names)
    assert [chosen.candidate(each).name for each in names] == names
    assert chosen.batch_size == (128 if name.startswith("resnet") else 64)
    assert chosen.work_per_step == (128 if name.startswith("resnet") else 1)
    for candidate in chosen.candidates:
        assert candidate.num_workers == 0 or candidate.code == NAIVE
        assert candidate.needs_before == (candidate.code == BEFORE)


def test_unknown_names_are_told_with_the_known_ones():
    with pytest.raises(ValueError, match="scenario = 'x': must be one of digits-dense, digits-dns"):
        scenario("x")
    with pytest.raises(ValueError, match="candidate = 'x': must be one of naive, "):
        scenario("digits-dense").candidate("x")


def test_a_naive_worker_answers_bursts():
    chosen = scenario("digits-dense")
    with Slots(chosen, chosen.candidate("naive"), Tree(CHECKOUT, "test"), burst_seconds=0.05) as slots:
        slots.wait_until_ready()
        for _ in range(2):
            (burst,) = slots()
            assert burst.work >= 1
            assert burst.seconds >= 0.05


def test_a_worker_that_imports_other_code_is_refused(tmp_path):
    chosen = scenario("digits-dense")
    (tmp_path / "benchmarks").symlink_to(
        CHECKOUT / "benchmarks"
    )  # but no rc_core: the installed one is found
    with (
        Slots(chosen, chosen.candidate("naive"), Tree(tmp_path, "test"), burst_seconds=0.05) as slots,
        pytest.raises(WorkerError, match=r"digits-dense, naive: imported .* not the code in"),
    ):
        slots.wait_until_ready()


def test_a_worker_that_ended_tells_why(tmp_path):
    chosen = scenario("digits-dense")
    package = tmp_path / "benchmarks"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "worker.py").write_text("raise SystemExit('the disk is on fire')")
    with (
        Slots(chosen, chosen.candidate("naive"), Tree(tmp_path, "test"), burst_seconds=0.05) as slots,
        pytest.raises(WorkerError, match=r"(?s)ended with code 1:.*the disk is on fire"),
    ):
        slots.wait_until_ready()
