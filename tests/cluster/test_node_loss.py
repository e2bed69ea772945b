"""A node of a Ray cluster dies in the middle of a sweep, and another one joins.

Ray reads once in a process whether it wants tokens: nothing that is collected beside this may import it.
"""

import random

import pytest

from chaos.cells import running_cells, whole_checkpoints
from chaos.comparison import compare_exports, compare_files
from chaos.driver import Driver
from chaos.nodes import ray_nodes

LIMIT_SECONDS = 400
GRID = ("--randomization", "0,1", "--sparsity", "0.9", "--seeds", "42", "--checkpoint-seconds", "0.5")

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(1800)]


def run_to_the_end(arguments, output):
    driver = Driver(arguments, output)
    try:
        assert driver.wait(LIMIT_SECONDS) == 0, driver.output
    finally:
        driver.end_processes()


@pytest.mark.filterwarnings(
    "ignore::ResourceWarning"
)  # Ray's own sockets and processes, when a node is killed
def test_a_node_dies_and_another_joins_and_the_results_are_equal(tmp_path):
    undisturbed, disturbed = tmp_path / "undisturbed", tmp_path / "disturbed"
    run_to_the_end(["run", "digits", *GRID, "--storage", str(undisturbed)], tmp_path / "undisturbed.txt")

    with ray_nodes(num_workers=2) as nodes:
        driver = Driver(
            ["run", "digits", *GRID, "--storage", str(disturbed), "--address", nodes.address],
            tmp_path / "disturbed.txt",
            environment=nodes.environment,
        )
        try:

            def both_slots_are_busy():
                cells = running_cells(disturbed / "digits", 0)
                return len(cells) == 2 and all(whole_checkpoints(cell.folder) for cell in cells)

            assert driver.wait_until(both_slots_are_busy, LIMIT_SECONDS), driver.output
            nodes.kill_one(random.Random(0))
            nodes.add_one()
            assert driver.wait(LIMIT_SECONDS) == 0, driver.output
        finally:
            driver.end_processes()

    logs = [path.read_text() for path in (disturbed / "digits").glob("*/log.txt")]
    assert len(logs) == 4
    assert sum("resumed at step" in log for log in logs) >= 1
    exports = [tmp_path / f"{folder.name}.csv" for folder in (undisturbed, disturbed)]
    for folder, export in zip((undisturbed, disturbed), exports, strict=True):
        run_to_the_end(["export", str(folder / "digits"), "--out", str(export)], tmp_path / "export.txt")
    assert compare_exports(*exports) == []
    assert compare_files(undisturbed / "digits", disturbed / "digits") == []
