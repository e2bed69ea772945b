"""Numerics: what each choice may change, and when a step is replayed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pytest
import torch

from rc_core.cells import PruneCell, TrainCell
from rc_core.device_step import DeviceStep, Numerics
from rc_core.examples import Examples
from rc_core.recipes import PruneSchedule, Recipe, TrainSchedule
from rc_core.surgery import Surgery
from rc_core.training import DenseTraining, build_model, initial_state

CPU = torch.device("cpu")
NUM_STEPS = 10
RECIPE = Recipe(
    name="tiny",
    dataset="digits",
    depth=8,
    width=4,
    batch_norm_momentum=0.1,
    train=TrainSchedule(num_steps=NUM_STEPS, batch_size=32, learning_rates=(0.01, 0.01, 0.01, 0.01)),
    prune=PruneSchedule(
        num_steps=NUM_STEPS,
        batch_size=32,
        learning_rate=0.01,
        min_update_probability=1.0,
        num_threshold_updates=5,
    ),
)
CELLS = (TrainCell(randomization=0.0, seed=3), TrainCell(randomization=0.0, seed=4))


@pytest.fixture(scope="module", autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def finished(kind: str, numerics: Numerics, num_networks: int = 1) -> DenseTraining | Surgery:
    random = np.random.default_rng(1)
    images = torch.from_numpy(random.integers(0, 256, (64, 8, 8, 1), dtype=np.uint8))
    examples = [Examples(images, torch.from_numpy(random.integers(0, 10, 64)))] * num_networks
    cells = CELLS[:num_networks]
    model = build_model(RECIPE, in_channels=1, num_classes=10, device=CPU, num_networks=num_networks)
    phase: DenseTraining | Surgery
    if kind == "train":
        phase = DenseTraining(cells, RECIPE, model, examples, numerics)
    else:
        prunings = [PruneCell(randomization=0.0, seed=cell.seed, sparsity=0.5) for cell in cells]
        starts = [initial_state(RECIPE, model, cell.seed) for cell in cells]
        phase = Surgery(prunings, RECIPE, model, examples, starts, numerics)
    for _ in range(NUM_STEPS):
        phase.advance()
    return phase


def losses(phase: DenseTraining | Surgery) -> list[float]:
    assert len(phase.histories[0].columns["train_loss"]) == NUM_STEPS  # every step is a log point
    return phase.histories[0].columns["train_loss"]


def dense_weights(phase: DenseTraining | Surgery) -> torch.Tensor:
    """Trained weights as one vector; a pruning's before masks, whose flips would hide how close they are."""
    part = "dense." if isinstance(phase, Surgery) else "model."
    chosen = [
        tensor for name, tensor in phase.tensors().items() if name.startswith(part) and tensor.ndim >= 2
    ]
    return torch.cat([tensor.flatten() for tensor in chosen])


def distance(ours: torch.Tensor, theirs: torch.Tensor) -> float:
    return float((ours - theirs).norm() / theirs.norm())


@pytest.mark.parametrize("precision", ["float16", "", "BFLOAT16"])
def test_an_unknown_precision_is_refused(precision: str) -> None:
    with pytest.raises(ValueError, match=f"precision = '{precision}': must be one of float32, bfloat16"):
        Numerics(precision=precision)


def test_without_compilation_the_model_is_called_itself() -> None:
    model = torch.nn.Linear(1, 1)
    assert Numerics().compiled(model) is model
    assert Numerics(compile=True).compiled(model) is not model


@pytest.mark.parametrize(("precision", "dtype"), [("float32", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_precision_is_that_of_matrix_products(precision: str, dtype: torch.dtype) -> None:
    with Numerics(precision=precision).autocast(CPU)():
        assert torch.nn.functional.linear(torch.ones(2, 2), torch.ones(2, 2)).dtype == dtype


@pytest.mark.parametrize("kind", ["train", "prune"])
def test_capture_changes_no_bit_on_the_cpu(kind: str) -> None:
    captured, eager = (finished(kind, Numerics(capture=capture)) for capture in (True, False))
    for name, tensor in eager.tensors().items():
        assert torch.equal(captured.tensors()[name], tensor), name
    assert losses(captured) == losses(eager)


@pytest.mark.parametrize("num_networks", [1, 2])
@pytest.mark.parametrize("kind", ["train", "prune"])
def test_bfloat16_stays_close_to_float32(kind: str, num_networks: int) -> None:
    half = finished(kind, Numerics(precision="bfloat16"), num_networks)
    whole = finished(kind, Numerics(), num_networks)
    # bfloat16 has 8 bits: a relative rounding error of 2**-9 in each of some twenty layers.
    assert losses(half) == pytest.approx(losses(whole), rel=20 * 2**-9)
    assert losses(half) != losses(whole)
    assert distance(dense_weights(half), dense_weights(whole)) < 0.01


@pytest.mark.parametrize("kind", ["train", "prune"])
def test_with_bfloat16_everything_that_is_kept_is_float32(kind: str) -> None:
    phase = finished(kind, Numerics(precision="bfloat16"))
    dtypes = {name: tensor.dtype for name, tensor in phase.tensors().items()}
    others = {
        name: dtype
        for name, dtype in dtypes.items()
        if dtype != torch.float32 and not name.endswith("num_batches_tracked")
    }
    masks = {name: torch.bool for name in dtypes if name.startswith("mask.")}
    counts = {"num_pruned": torch.int64, "num_spliced": torch.int64} if kind == "prune" else {}
    assert others == masks | counts | {"window": torch.float64}
    assert len(masks) == (11 if kind == "prune" else 0)  # stem, 3 blocks of 2, 3 projections, classifier


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("kind", ["train", "prune"])
def test_compiled_steps_stay_close_to_eager_ones(kind: str, precision: str) -> None:
    compiled = finished(kind, Numerics(precision=precision, compile=True))
    eager = finished(kind, Numerics(precision=precision))
    # A weight at the edge of the band can be masked a step sooner or later; in so small a network that shows.
    tolerance = 1e-4 if (kind, precision) == ("train", "float32") else 20 * 2**-9
    before_masks = 1e-6 if precision == "float32" else tolerance
    assert losses(compiled)[:3] == pytest.approx(losses(eager)[:3], rel=before_masks)
    assert losses(compiled) == pytest.approx(losses(eager), rel=tolerance)
    assert distance(dense_weights(compiled), dense_weights(eager)) < tolerance


class FakeCuda:
    """Stands in for torch.cuda, and notes what is asked of it. Work in a capture is recorded, not done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.calls: list[str] = []
        self.is_capturing = False
        cuda = self

        class Stream:
            def wait_stream(self, other: object) -> None:
                cuda.calls.append("wait")

        class CUDAGraph:
            def replay(self) -> None:
                cuda.calls.append("replay")

        @contextmanager
        def stream(of: object) -> Iterator[None]:
            cuda.calls.append("side stream")
            yield
            cuda.calls.append("main stream")

        @contextmanager
        def graph(of: object) -> Iterator[None]:
            cuda.is_capturing = True
            yield
            cuda.is_capturing = False

        for name, fake in (
            ("Stream", Stream),
            ("CUDAGraph", CUDAGraph),
            ("current_stream", Stream),
            ("stream", stream),
            ("graph", graph),
        ):
            monkeypatch.setattr(torch.cuda, name, fake)

    def step(self, host_work: int | None) -> None:
        did = "captured" if self.is_capturing else "eager"
        self.calls.append(did if host_work is None else f"{did} {host_work}")


WARM_UP = ["wait", "side stream", "eager", "main stream", "wait"]


def test_steps_are_warmed_up_captured_once_and_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)
    step = DeviceStep(cuda.step, Numerics(), torch.device("cuda"))
    for _ in range(6):
        step()
    assert cuda.calls == [*WARM_UP * 3, "captured", "replay", "replay", "replay"]


def test_steps_that_need_the_host_are_neither_captured_nor_replayed(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = FakeCuda(monkeypatch)
    step = DeviceStep(cuda.step, Numerics(), torch.device("cuda"))
    for host_work in (1, None, None, 4, None, 6, None, 8, None):
        step(host_work)
    assert cuda.calls == [
        "eager 1",
        *WARM_UP * 2,
        "eager 4",
        *WARM_UP,
        "eager 6",
        "captured",
        "replay",
        "eager 8",
        "replay",
    ]


@pytest.mark.parametrize(
    ("numerics", "device"), [(Numerics(capture=False), "cuda"), (Numerics(), "cpu")], ids=["off", "cpu"]
)
def test_nothing_is_captured_where_it_is_off_or_there_is_no_gpu(
    numerics: Numerics, device: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = FakeCuda(monkeypatch)
    step = DeviceStep(cuda.step, numerics, torch.device(device))
    for _ in range(5):
        step()
    assert cuda.calls == ["eager"] * 5


def test_a_pruning_hands_just_its_refreshes_to_the_host() -> None:
    seen: list[int | None] = []
    recipe = replace(RECIPE, prune=replace(RECIPE.prune, num_threshold_updates=2))
    phase = finished("prune", Numerics())
    assert isinstance(phase, Surgery)
    phase.schedule, phase.step = recipe.prune, 0
    phase._device_step = lambda refresh: seen.append(refresh)  # type: ignore[assignment]
    phase._log = lambda: None  # type: ignore[method-assign]
    for _ in range(NUM_STEPS):
        phase.advance()
    assert seen == [None, None, None, None, 5, None, None, None, None, 10]
