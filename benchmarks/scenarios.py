"""What is measured: settings and candidates of every comparison of steps, as data."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from rc_core.recipes import Recipe, preset

# Whose code a candidate runs.
NAIVE, BEFORE, PRODUCT, PLAIN = "naive", "before", "product", "plain"

SMALL_STACK_SIZES, LARGE_STACK_SIZE = (2, 4, 8), 2
STACK_SIZES_COMPARED = (4, 8, 12, 16, 24)


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """One way to do the steps.

    Attributes:
        name: for people, unique in the scenario.
        code: `naive` (naive.py), `before` (the version before the change), `product`, or `plain`: the
            product's network and batches with a plain SGD step on the kernels.
        num_processes: processes that work at the same time; their throughputs are added up.
        threads: torch threads of each.
        num_workers: loader processes of each; naive alone has a loader.
        num_networks: networks of a stack; only the product has stacks.
        compiled: whether torch.compile fuses the networks; dense steps of the product only.
        precision: of convolutions and activations, see `device_step.Numerics`; the product only.
        keeps_memory: whether the allocator keeps freed memory; the product does.
        huge_pages: whether it takes its memory in pages of 2 MB where the kernel has them.
    """

    name: str
    code: str
    num_processes: int = 1
    threads: int = 1
    num_workers: int = 0
    num_networks: int = 1
    compiled: bool = False
    precision: str = "float32"
    keeps_memory: bool = True
    huge_pages: bool = False

    @property
    def needs_before(self) -> bool:
        """Whether it runs in the tree of the version before."""
        return self.code == BEFORE


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """One comparison.

    Attributes:
        name: short name, unique.
        title: what is compared, for people.
        recipe: data, network and schedules.
        phase: `train` or `prune`.
        sparsity: target of a pruning.
        unit: `steps/s` or `images/s`; a step of a stack is as many steps as it has networks.
        burst_seconds: length of a candidate's turn.
        candidates: in the order of their turns.
        baselines: names; the fastest of them is the baseline.
    """

    name: str
    title: str
    recipe: Recipe
    phase: str
    sparsity: float = 0.9
    unit: str = "steps/s"
    burst_seconds: float = 3.0
    candidates: tuple[Candidate, ...]
    baselines: tuple[str, ...]

    @property
    def batch_size(self) -> int:
        """Examples of one step of one network."""
        return self.recipe.train.batch_size if self.phase == "train" else self.recipe.prune.batch_size

    @property
    def work_per_step(self) -> int:
        """Units of work in one step of one network."""
        return self.batch_size if self.unit == "images/s" else 1

    def candidate(self, name: str) -> Candidate:
        """The candidate of that name.

        Raises:
            ValueError: there is none.
        """
        for candidate in self.candidates:
            if candidate.name == name:
                return candidate
        known = ", ".join(each.name for each in self.candidates)
        raise ValueError(f"candidate = {name!r}: must be one of {known}")


_NAIVE = (
    Candidate(name="naive", code=NAIVE),
    Candidate(name="naive, 1 loader process", code=NAIVE, num_workers=1),
)
_ONE_PROCESS = (
    *_NAIVE,
    Candidate(name="before", code=BEFORE),
    Candidate(name="product", code=PRODUCT),
    *(
        Candidate(name=f"product, stack of {size}", code=PRODUCT, num_networks=size)
        for size in SMALL_STACK_SIZES
    ),
)

_NAIVE_TWO_CORES = (
    Candidate(name="naive, 2 threads", code=NAIVE, threads=2),
    Candidate(name="naive, 2 threads, 1 loader process", code=NAIVE, threads=2, num_workers=1),
    Candidate(name="naive, 2 processes", code=NAIVE, num_processes=2),
    Candidate(name="naive, 2 processes, 1 loader process each", code=NAIVE, num_processes=2, num_workers=1),
)
_TWO_CORES = (
    *_NAIVE_TWO_CORES,
    Candidate(name="before, 2 processes", code=BEFORE, num_processes=2),
    Candidate(name="product, 2 processes", code=PRODUCT, num_processes=2),
    Candidate(
        name=f"product, 2 processes, stacks of {LARGE_STACK_SIZE}",
        code=PRODUCT,
        num_processes=2,
        num_networks=LARGE_STACK_SIZE,
    ),
)


# What was tried and is not used on CPUs, or what a part of the product is worth.
_SMALL_DENSE_TRIALS = (
    Candidate(
        name="product, stack of 8, freed memory given back", code=PRODUCT, num_networks=8, keeps_memory=False
    ),
    Candidate(name="product, stack of 8, compiled", code=PRODUCT, num_networks=8, compiled=True),
)
_LARGE_TRIALS = (
    Candidate(name="product, 2 processes, compiled", code=PRODUCT, num_processes=2, compiled=True),
)
_LARGE_BFLOAT16 = Candidate(
    name="product, 2 processes, bfloat16", code=PRODUCT, num_processes=2, precision="bfloat16"
)
_STACK_TRIALS = (
    Candidate(name="product, stack of 16, huge pages", code=PRODUCT, num_networks=16, huge_pages=True),
    Candidate(name="product, stack of 16, bfloat16", code=PRODUCT, num_networks=16, precision="bfloat16"),
)


def _names(candidates: tuple[Candidate, ...]) -> tuple[str, ...]:
    return tuple(candidate.name for candidate in candidates)


def _small(recipe: Recipe, phase: str) -> Scenario:
    """Steps of a small recipe, one process and one thread each."""
    kind = {"train": "dense", "prune": "DNS"}[phase]
    return Scenario(
        name=f"{recipe.name}-{kind.lower()}",
        title=f"{recipe.name}: {kind} step, {recipe.model}, batch {recipe.train.batch_size}",
        recipe=recipe,
        phase=phase,
        candidates=(
            *_ONE_PROCESS,
            *(_SMALL_DENSE_TRIALS if recipe.name == "digits" and kind == "dense" else ()),
        ),
        baselines=_names(_NAIVE),
    )


def _large(depth: int) -> Scenario:
    """Dense training on CIFAR-10 as it is, both cores busy."""
    recipe = dataclasses.replace(preset("paper").recipe, depth=depth)
    recipe = dataclasses.replace(recipe, train=dataclasses.replace(recipe.train, num_steps=2_000))
    return Scenario(
        name=f"resnet{depth}",
        title=f"CIFAR-10, 32x32: dense step, {recipe.model}, batch {recipe.train.batch_size}, two cores",
        recipe=recipe,
        phase="train",
        unit="images/s",
        burst_seconds=6.0,
        candidates=(*_TWO_CORES, _LARGE_BFLOAT16, *(_LARGE_TRIALS if depth == 20 else ())),
        # The usual way is one training with all threads; two at once are shown beside it.
        baselines=_names(_NAIVE_TWO_CORES[:2]),
    )


def _surgery_overhead(num_networks: int) -> Scenario:
    """What the surgery costs on top of the same step without it, for one network or a stack."""
    recipe = preset("digits").recipe
    suffix, kind = (f"-{num_networks}", f"stack of {num_networks} ") if num_networks > 1 else ("", "")
    before = (Candidate(name="before", code=BEFORE),) if num_networks == 1 else ()
    return Scenario(
        name=f"surgery-overhead{suffix}",
        title=f"digits: DNS step against a plain SGD step on the same kernels, {kind}{recipe.model}",
        recipe=recipe,
        phase="prune",
        candidates=(
            Candidate(name="plain SGD", code=PLAIN, num_networks=num_networks),
            *before,
            Candidate(name="product", code=PRODUCT, num_networks=num_networks),
        ),
        baselines=("plain SGD",),
    )


def _stack_sizes(phase: str) -> Scenario:
    """Which bound of a stack's size is best: what `stacking.stack_size` rests on."""
    recipe = preset("digits").recipe
    alone = Candidate(name="product", code=PRODUCT)
    stacks = [
        Candidate(name=f"product, stack of {size}", code=PRODUCT, num_networks=size)
        for size in STACK_SIZES_COMPARED
    ]
    return Scenario(
        name=f"stack-sizes-{phase}",
        title=f"digits: {phase} step, by size of the stack",
        recipe=recipe,
        phase=phase,
        candidates=(alone, *stacks, *_STACK_TRIALS),
        baselines=("product",),
    )


def scenarios() -> dict[str, Scenario]:
    """Every scenario by name."""
    small = [
        _small(preset(name).recipe, phase)
        for name in ("digits", "cifar-tiny")
        for phase in ("train", "prune")
    ]
    surgery = [_surgery_overhead(num_networks) for num_networks in (1, SMALL_STACK_SIZES[1])]
    sizes = [_stack_sizes(phase) for phase in ("train", "prune")]
    return {each.name: each for each in (*small, *surgery, *sizes, _large(20), _large(56))}


def scenario(name: str) -> Scenario:
    """The scenario of that name.

    Raises:
        ValueError: there is none.
    """
    known = scenarios()
    if name not in known:
        raise ValueError(f"scenario = {name!r}: must be one of {', '.join(known)}")
    return known[name]
