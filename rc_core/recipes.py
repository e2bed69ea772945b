"""What is run: frozen settings of one experiment, and the named presets that ship with the package.

A `Recipe` is everything that decides a cell's numbers besides the cell itself (randomization, sparsity,
seed). It is stored in `sweep.json`; two sweeps under one name must have equal recipes.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rc_core.cells import Grid


def _require(condition: bool, name: str, value: object, allowed: str) -> None:
    if not condition:
        raise ValueError(f"{name} = {value!r}: must be {allowed}")


@dataclass(frozen=True, kw_only=True)
class TrainSchedule:
    """Nesterov SGD with a piecewise-constant learning rate (science: Zhou et al. 2019, released code).

    The boundaries are stated in steps of a reference run and scale with `num_steps`.

    Attributes:
        num_steps: optimisation steps.
        batch_size: examples a step.
        momentum: Nesterov momentum, [0, 1).
        reference_steps: the run length in which `boundary_steps` are stated.
        boundary_steps: ascending; the rate changes after each, in reference steps.
        learning_rates: one more than boundaries.
    """

    num_steps: int = 64_000
    batch_size: int = 128
    momentum: float = 0.9
    reference_steps: int = 64_000
    boundary_steps: tuple[int, ...] = (400, 32_000, 48_000)
    learning_rates: tuple[float, ...] = (0.001, 0.1, 0.01, 0.001)

    def __post_init__(self) -> None:
        _require(self.num_steps >= 1, "train.num_steps", self.num_steps, "at least 1")
        _require(self.batch_size >= 1, "train.batch_size", self.batch_size, "at least 1")
        _require(self.reference_steps >= 1, "train.reference_steps", self.reference_steps, "at least 1")
        _require(
            all(0 <= rate < math.inf for rate in self.learning_rates),
            "train.learning_rates",
            self.learning_rates,
            "finite and at least 0",
        )
        _require(0 <= self.momentum < 1, "train.momentum", self.momentum, "in [0, 1)")
        _require(
            len(self.learning_rates) == len(self.boundary_steps) + 1,
            "train.learning_rates",
            self.learning_rates,
            f"one longer than boundary_steps ({len(self.boundary_steps)})",
        )
        _require(
            list(self.boundary_steps) == sorted(self.boundary_steps),
            "train.boundary_steps",
            self.boundary_steps,
            "ascending",
        )


@dataclass(frozen=True, kw_only=True)
class PruneSchedule:
    """Dynamic Network Surgery, warm-started (Guo, Yao, Chen 2016; settings of Zhou et al. 2019).

    With T = `num_steps` and t the completed steps: learning rate `learning_rate` / (1 +
    `learning_rate_decay` * t/T); update probability max(`min_update_probability`, 1 / (1 +
    `probability_decay` * floor(`num_probability_stairs` * t/T))); sparsity ramp S (1 - (1 - min(t, R)/R)^3)
    with R = `ramp_fraction` * T; thresholds refreshed `num_threshold_updates` times in T steps. The defaults
    are the paper's at T = 20,000.

    Attributes:
        num_steps: optimisation steps.
        batch_size: examples a step.
        momentum: heavy-ball momentum, [0, 1).
        learning_rate: at the first step.
        learning_rate_decay: inverse-time decay over the whole run.
        probability_decay: inverse-time decay of the update probability per stair.
        num_probability_stairs: stairs of the update probability in the whole run.
        min_update_probability: floor under the update probability, [0, 1].
        ramp_fraction: part of the run after which the target sparsity is reached, (0, 1].
        num_threshold_updates: threshold refreshes in the whole run.
        prune_below: |w| <= prune_below * threshold prunes.
        splice_above: |w| >= splice_above * threshold splices.
    """

    num_steps: int = 20_000
    batch_size: int = 128
    momentum: float = 0.9
    learning_rate: float = 0.05
    learning_rate_decay: float = 10.0
    probability_decay: float = 0.2
    num_probability_stairs: int = 200
    min_update_probability: float = 0.0
    ramp_fraction: float = 0.75
    num_threshold_updates: int = 40
    prune_below: float = 0.9
    splice_above: float = 1.1

    def __post_init__(self) -> None:
        _require(self.num_steps >= 1, "prune.num_steps", self.num_steps, "at least 1")
        _require(self.batch_size >= 1, "prune.batch_size", self.batch_size, "at least 1")
        for name in ("learning_rate", "learning_rate_decay", "probability_decay"):
            value = getattr(self, name)
            _require(0 <= value < math.inf, f"prune.{name}", value, "finite and at least 0")
        for name in ("num_probability_stairs", "num_threshold_updates"):
            _require(getattr(self, name) >= 1, f"prune.{name}", getattr(self, name), "at least 1")
        _require(0 <= self.momentum < 1, "prune.momentum", self.momentum, "in [0, 1)")
        _require(0 < self.ramp_fraction <= 1, "prune.ramp_fraction", self.ramp_fraction, "in (0, 1]")
        _require(
            0 <= self.min_update_probability <= 1,
            "prune.min_update_probability",
            self.min_update_probability,
            "in [0, 1]",
        )
        _require(
            0 < self.prune_below <= self.splice_above,
            "prune.prune_below",
            self.prune_below,
            f"in (0, splice_above = {self.splice_above}]",
        )


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Every setting that decides the numbers of a cell, besides the cell itself.

    Attributes:
        name: the preset's name; a changed copy keeps it and differs in the fields.
        dataset: name of a prepared data set (`digits`, `cifar10`, or a class-folder set).
        num_train_examples: first records of the training file that are used; None = all.
        num_test_examples: the same for the test file.
        image_size: side in pixels after averaging by an integer factor; None = as stored.
        depth: ResNet depth, 6n + 2.
        width: channels of the first stage; the stages have 1, 2 and 4 times as many.
        batch_norm_momentum: in torch's sense, i.e. 1 - decay, (0, 1].
        noise: label noise kind.
        train: the training schedule.
        prune: the pruning schedule.
    """

    name: str
    dataset: str
    num_train_examples: int | None = None
    num_test_examples: int | None = None
    image_size: int | None = None
    depth: int = 56
    width: int = 16
    batch_norm_momentum: float = 0.003
    noise: str = "symmetric"
    train: TrainSchedule = field(default_factory=TrainSchedule)
    prune: PruneSchedule = field(default_factory=PruneSchedule)

    def __post_init__(self) -> None:
        _require(self.depth >= 8 and (self.depth - 2) % 6 == 0, "depth", self.depth, "6n + 2 with n >= 1")
        _require(self.width >= 1, "width", self.width, "at least 1")
        for name in ("num_train_examples", "num_test_examples", "image_size"):
            value = getattr(self, name)
            _require(value is None or value >= 1, name, value, "at least 1, or None")
        _require(
            0 < self.batch_norm_momentum <= 1, "batch_norm_momentum", self.batch_norm_momentum, "in (0, 1]"
        )
        _require(self.noise == "symmetric", "noise", self.noise, "'symmetric'")

    @property
    def model(self) -> str:
        """Name of the network for tables, e.g. `resnet56-w16`."""
        return f"resnet{self.depth}-w{self.width}"


def recipe_to_dict(recipe: Recipe) -> dict[str, Any]:
    """Plain-JSON form of a recipe (tuples as lists)."""
    as_dict = dataclasses.asdict(recipe)
    for schedule in ("train", "prune"):
        as_dict[schedule] = {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in as_dict[schedule].items()
        }
    return as_dict


def recipe_from_dict(data: dict[str, Any]) -> Recipe:
    """Inverse of `recipe_to_dict`.

    Raises:
        ValueError: a field is unknown or out of range.
    """

    def build(cls: Callable[..., Any], values: dict[str, Any], where: str) -> Any:
        known = {f.name for f in dataclasses.fields(cls)}  # type: ignore[arg-type]
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(
                f"{where}: unknown field(s) {', '.join(unknown)}; written by a newer version of rcsweep?"
            )
        return cls(**{k: tuple(v) if isinstance(v, list) else v for k, v in values.items()})

    fields = dict(data)
    fields["train"] = build(TrainSchedule, fields.get("train", {}), "recipe.train")
    fields["prune"] = build(PruneSchedule, fields.get("prune", {}), "recipe.prune")
    recipe: Recipe = build(Recipe, fields, "recipe")
    return recipe


def differing_fields(ours: dict[str, Any], theirs: dict[str, Any], prefix: str = "") -> list[str]:
    """Lines `field: ours | theirs` for every leaf in which two recipe dictionaries differ."""
    lines = []
    for key in sorted(ours.keys() | theirs.keys()):
        mine, other = ours.get(key), theirs.get(key)
        if isinstance(mine, dict) and isinstance(other, dict):
            lines += differing_fields(mine, other, f"{prefix}{key}.")
        elif mine != other:
            lines.append(f"{prefix}{key}: {mine!r} | {other!r}")
    return lines


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A recipe with the grid that `rcsweep run NAME` uses when none is given, and what it costs.

    Attributes:
        recipe: the settings.
        grid: the default grid.
        train_step_seconds: measured time of one training step, in seconds; of a stack, one network's share.
        prune_step_seconds: measured time of one pruning step, the same.
        timed_on: device of the two; estimates for another are only as good as the comparison.
    """

    recipe: Recipe
    grid: Grid
    train_step_seconds: float
    prune_step_seconds: float
    timed_on: str = "one CPU core"


def smoke() -> Preset:
    """A whole sweep in seconds, for tests and for trying an installation. Its numbers mean nothing.

    Command:  rcsweep run smoke
    Time:     about 10 s on 2 CPU cores (2 trainings, 4 prunings)
    Result:   six finished cells and a report
    """
    return Preset(
        recipe=Recipe(
            name="smoke",
            dataset="digits",
            num_train_examples=200,
            num_test_examples=100,
            depth=8,
            width=4,
            batch_norm_momentum=0.1,
            train=TrainSchedule(num_steps=60, batch_size=32),
            prune=PruneSchedule(num_steps=60, batch_size=32, min_update_probability=0.25),
        ),
        grid=Grid(randomizations=(0.0, 1.0), sparsities=(0.5, 0.9), seeds=(42,)),
        train_step_seconds=0.007,
        prune_step_seconds=0.007,
    )


def digits() -> Preset:
    """The effect in minutes, on data that needs no download (scikit-learn's digits, 1,000 images of 8x8).

    Command:  rcsweep run digits        (or: make sweep)
    Time:     1 minute on 2 CPU cores (9 trainings, 45 prunings)
    Result:   every dense network memorises its labels (training accuracy 1.000); at S = .9 training accuracy
              is about .99 for true labels, .44 at p = .5 and .21 for random ones (mean of 3 seeds)
    """
    return Preset(
        recipe=Recipe(
            name="digits",
            dataset="digits",
            num_train_examples=1_000,
            depth=8,
            width=8,
            batch_norm_momentum=0.1,
            train=TrainSchedule(num_steps=600, batch_size=64),
            prune=PruneSchedule(num_steps=500, batch_size=64, min_update_probability=0.25),
        ),
        grid=Grid(randomizations=(0.0, 0.5, 1.0), sparsities=(0.5, 0.7, 0.8, 0.9, 0.95), seeds=(42, 43, 44)),
        train_step_seconds=0.0026,
        prune_step_seconds=0.0025,
    )


def cifar_tiny() -> Preset:
    """The same on real images: the first 1,000 records of CIFAR-10, averaged to 8x8x3.

    Command:  rcsweep run cifar-tiny --data DIR
    Time:     2 minutes on 2 CPU cores (9 trainings, 45 prunings)
    Result:   dense training accuracy 1.000; at S = .8 about .75 (p = 0), .61 (p = .5), .60 (p = 1)
    """
    return Preset(
        recipe=Recipe(
            name="cifar-tiny",
            dataset="cifar10",
            num_train_examples=1_000,
            num_test_examples=2_000,
            image_size=8,
            depth=8,
            width=8,
            batch_norm_momentum=0.1,
            train=TrainSchedule(num_steps=1_500, batch_size=64),
            prune=PruneSchedule(num_steps=1_000, batch_size=64, min_update_probability=0.25),
        ),
        grid=Grid(randomizations=(0.0, 0.5, 1.0), sparsities=(0.5, 0.7, 0.8, 0.9, 0.95), seeds=(42, 43, 44)),
        train_step_seconds=0.0026,
        prune_step_seconds=0.0025,
    )


def cifar_small() -> Preset:
    """Half-way to the paper: 5,000 records of CIFAR-10 at 16x16 and a ResNet-20.

    Command:  rcsweep run cifar-small --data DIR
    Time:     hours on a CPU (15 trainings of 6,000 steps, 75 prunings of 3,000)
    Result:   not measured yet
    """
    return Preset(
        recipe=Recipe(
            name="cifar-small",
            dataset="cifar10",
            num_train_examples=5_000,
            num_test_examples=5_000,
            image_size=16,
            depth=20,
            width=16,
            batch_norm_momentum=0.03,
            train=TrainSchedule(num_steps=6_000, batch_size=128),
            prune=PruneSchedule(num_steps=3_000, batch_size=128, min_update_probability=0.1),
        ),
        grid=Grid(
            randomizations=(0.0, 0.3, 0.5, 0.7, 1.0),
            sparsities=(0.5, 0.7, 0.8, 0.9, 0.95),
            seeds=(42, 43, 44),
        ),
        train_step_seconds=0.128,
        prune_step_seconds=0.129,
    )


def paper() -> Preset:
    """The experiment of Zhou et al. (ICLR 2019), section on randomization: CIFAR-10, ResNet-56 v2.

    Command:  rcsweep run paper --data DIR --gpus-per-trial 1
    Time:     12.5 V100-hours a seed with the authors' code; 820,000 steps a seed
    Result:   the published table (README of the released code): at S = .9 training accuracy .979 for p = 0
              and .208 for p = 1
    """
    return Preset(
        recipe=Recipe(name="paper", dataset="cifar10"),
        grid=Grid(
            randomizations=(0.0, 0.3, 0.5, 0.7, 1.0), sparsities=(0.5, 0.6, 0.7, 0.8, 0.9), seeds=(42, 43, 44)
        ),
        train_step_seconds=0.0549,
        prune_step_seconds=0.0549,
        timed_on="one V100, the authors' code",
    )


PRESETS: dict[str, Callable[[], Preset]] = {
    "smoke": smoke,
    "digits": digits,
    "cifar-tiny": cifar_tiny,
    "cifar-small": cifar_small,
    "paper": paper,
}


def preset(name: str) -> Preset:
    """The preset of that name.

    Raises:
        ValueError: no such preset; the message lists the names.
    """
    if name not in PRESETS:
        raise ValueError(f"recipe = {name!r}: must be one of {', '.join(PRESETS)}")
    return PRESETS[name]()
