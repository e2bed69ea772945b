"""Estimates against what autograd keeps and what the allocator hands out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from rc_core.cells import PruneCell, TrainCell
from rc_core.device_memory import (
    CONTEXT_BYTES,
    activation_bytes,
    cap_process,
    estimate_memory,
    fits,
)
from rc_core.device_step import Numerics
from rc_core.evaluation import predict
from rc_core.examples import Examples
from rc_core.recipes import PruneSchedule, Recipe, TrainSchedule, preset
from rc_core.resnet import kernels
from rc_core.surgery import Surgery
from rc_core.training import build_model, initial_state

CPU = torch.device("cpu")
SMALL = Recipe(
    name="small",
    dataset="cifar10",
    num_train_examples=64,
    num_test_examples=64,
    depth=14,
    width=8,
    train=TrainSchedule(num_steps=8, batch_size=32),
    prune=PruneSchedule(num_steps=8, batch_size=32),
)
CELLS = (TrainCell(randomization=0.0, seed=1), TrainCell(randomization=0.0, seed=2))


def kept_bytes(recipe: Recipe, *, image_size: int, num_networks: int, precision: str) -> int:
    """Bytes of the different storages that a forward pass keeps, parameters and buffers left out."""
    model = build_model(recipe, in_channels=3, num_classes=10, device=CPU, num_networks=num_networks)
    own = {tensor.untyped_storage().data_ptr() for tensor in (*model.parameters(), *model.buffers())}
    images = torch.rand(recipe.train.batch_size, 3 * num_networks, image_size, image_size)
    storages: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    with (
        torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor),
        Numerics(precision=precision).autocast(CPU)(),
    ):
        model(images.to(memory_format=torch.channels_last)).sum().backward()
    return sum(storage.nbytes() for pointer, storage in storages.items() if pointer not in own)


@pytest.mark.parametrize(
    ("depth", "width", "image_size", "num_networks", "precision"),
    [
        (14, 8, 16, 1, "float32"),
        (14, 8, 16, 3, "float32"),
        (20, 16, 16, 1, "bfloat16"),
        (56, 16, 32, 1, "float32"),
    ],
)
def test_activations_are_what_autograd_keeps(
    depth: int, width: int, image_size: int, num_networks: int, precision: str
) -> None:
    recipe = replace(SMALL, depth=depth, width=width)
    measured = kept_bytes(recipe, image_size=image_size, num_networks=num_networks, precision=precision)
    estimated = activation_bytes(
        recipe, image_size=image_size, in_channels=3, num_networks=num_networks, precision=precision
    )
    assert estimated == pytest.approx(measured, rel=0.03)


def test_activations_of_the_smallest_network_by_hand() -> None:
    recipe = replace(
        SMALL, depth=8, width=1, train=TrainSchedule(batch_size=1), prune=PruneSchedule(batch_size=1)
    )
    # 4x4 images, one channel; blocks 1x4x4 -> 1x4x4 -> 2x2x2 -> 4x1x1; two tensors before and two after each
    # block's first convolution; last normalisation and ReLU 4x1x1 each; the image.
    elements = (2 * 16 + 2 * 16) + (2 * 16 + 2 * 8) + (2 * 8 + 2 * 4) + 2 * 4 + 16
    assert (
        activation_bytes(recipe, image_size=4, in_channels=1, num_networks=2, precision="float32")
        == 2 * 4 * elements
    )


@pytest.mark.parametrize("num_networks", [1, 2])
def test_a_pruning_takes_from_the_allocator_what_was_estimated(num_networks: int) -> None:
    recipe = replace(SMALL, train=TrainSchedule(num_steps=8), prune=PruneSchedule(num_steps=8))
    images = np.random.default_rng(0).integers(0, 256, (500, 32, 32, 3), dtype=np.uint8)
    estimated = estimate_memory(
        recipe,
        image_size=32,
        in_channels=3,
        num_networks=num_networks,
        precision="float32",
        num_train_examples=len(images),
        is_captured=False,
    )
    cells = [PruneCell(randomization=0.0, seed=cell.seed, sparsity=0.5) for cell in CELLS[:num_networks]]
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiled:
        examples = Examples(torch.from_numpy(images), torch.zeros(len(images), dtype=torch.int64))
        model = build_model(recipe, in_channels=3, num_classes=10, device=CPU, num_networks=num_networks)
        starts = [initial_state(recipe, model, cell.seed) for cell in cells]
        phase = Surgery(cells, recipe, model, [examples] * num_networks, starts)
        for _ in range(2):
            phase.advance()
        predict(build_model(recipe, in_channels=3, num_classes=10, device=CPU), examples)
    in_use, peak = 0, 0
    for event in profiled.profiler.kineto_results.events():
        if event.name() == "[memory]":
            in_use += event.nbytes()
            peak = max(peak, in_use)
    # The images lie in the array that they came in, and there is no CUDA here.
    expected = sum(estimated) - estimated.data - estimated.context
    assert expected == pytest.approx(peak, rel=0.25)


def test_the_paper_recipe_by_parts() -> None:
    memory = estimate_memory(
        preset("paper").recipe,
        image_size=32,
        in_channels=3,
        num_networks=2,
        precision="float32",
        num_train_examples=50_000,
        num_test_examples=10_000,
    )
    assert memory.data == 60_000 * 3072 + (50_000 * 3 + 10_000) * 8
    assert memory.tables == 2 * (64_000 * 128 * 8 + 20_000 * 59)
    assert memory.weights == 2 * 851_760 * 41
    assert memory.context == CONTEXT_BYTES


def test_the_paper_network_has_the_prunable_weights_that_are_counted() -> None:
    recipe = preset("paper").recipe
    model = build_model(recipe, in_channels=3, num_classes=10, device=CPU)
    assert sum(kernel.numel() for kernel in kernels(model).values()) == 851_760
    assert len(kernels(model)) == 59


def test_capture_keeps_activations_twice() -> None:
    def need(is_captured: bool) -> int:
        return estimate_memory(
            SMALL,
            image_size=16,
            in_channels=3,
            num_networks=1,
            precision="float32",
            num_train_examples=64,
            is_captured=is_captured,
        ).total

    once = activation_bytes(SMALL, image_size=16, in_channels=3, num_networks=1, precision="float32")
    assert need(True) - need(False) == once


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"num_networks": 0}, "num_networks = 0: must be at least 1"),
        ({"image_size": 0}, "image_size = 0: must be at least 1"),
        ({"precision": "float16"}, "precision = 'float16': must be one of float32, bfloat16"),
    ],
)
def test_an_argument_out_of_range_is_named(changed: dict[str, object], message: str) -> None:
    arguments: dict[str, object] = {
        "image_size": 16,
        "in_channels": 3,
        "num_networks": 1,
        "precision": "float32",
        "num_train_examples": 64,
    }
    with pytest.raises(ValueError, match=message):
        estimate_memory(SMALL, **(arguments | changed))  # type: ignore[arg-type]


def test_processes_fit_up_to_the_usable_part() -> None:
    assert fits(30, total_bytes=100, num_processes=3)
    assert not fits(31, total_bytes=100, num_processes=3)
    assert fits(100, total_bytes=100, usable_fraction=1.0)
    with pytest.raises(ValueError, match="num_processes = 0"):
        fits(1, total_bytes=100, num_processes=0)
    with pytest.raises(ValueError, match="usable_fraction = 0"):
        fits(1, total_bytes=100, usable_fraction=0)


def test_a_cap_is_set_on_a_gpu_and_only_there(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[float, torch.device]] = []
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda *given: calls.append(given))
    cap_process(0.25, CPU)
    cap_process(0.25, torch.device("cuda:1"))
    assert calls == [(0.25, torch.device("cuda:1"))]
    with pytest.raises(ValueError, match=r"fraction = 1.5: must be in \(0, 1\]"):
        cap_process(1.5, CPU)
