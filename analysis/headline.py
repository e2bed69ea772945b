"""What the sweep says in one sentence, and what speaks against believing it. Nothing here overclaims."""

from __future__ import annotations

from typing import Any

import pandas as pd

from analysis.statistics import PairedDifference, headline_place, paired_difference

# Below this many seeds an interval rests on hardly any knowledge of the spread.
FEW_SEEDS = 5
# Cells named in a warning; of more, their number.
MAX_NAMES = 10
# A parent below this training accuracy has not memorised its labels.
MEMORISED = 0.99

RULE = (
    "The comparison is fixed before any result is seen: lowest against highest randomization, at the highest "
    "sparsity that the grid has for every seed of both; differences are taken seed by seed. Where labels "
    "are random, forgetting the noise costs training accuracy by itself, so a part of the difference is "
    "label noise: the accuracies on kept and redrawn labels are shown apart."
)


def headline(frame: pd.DataFrame) -> str:
    """One sentence with the paired difference, its interval and n, or that there is nothing to claim."""
    place = headline_place(frame)
    if place is None:
        return (
            "No comparison: it needs two randomizations and a sparsity that the grid has for every seed of "
            "both."
        )
    return describe(paired_difference(frame, *place))


def describe(found: PairedDifference) -> str:
    """The sentence for one paired difference of training accuracy."""
    where = f"At target sparsity {found.sparsity:g}"
    low, high = f"p = {found.p_low:g}", f"p = {found.p_high:g}"
    interval = found.interval
    order = "higher" if (interval.mean or 0) > 0 else "lower"
    count = len(found.unfinished_seeds)
    lack = ""
    if count:
        lack = f" {count} more seed{'s lack' if count > 1 else ' lacks'} a finished cell there."
    if interval.mean is None:
        return f"No comparison yet: {where[0].lower()}{where[1:]} no seed has finished both {low} and {high}."
    if interval.low is None or interval.high is None:
        return (
            f"{where} the only seed with both cells finished ({found.seeds[0]}) has a training accuracy "
            f"{abs(interval.mean):.3f} {order} at {low} than at {high}. One seed gives no interval: nothing "
            "is claimed." + lack
        )
    numbers = (
        f"mean paired difference {interval.mean:+.3f}, 95% t-interval {interval.low:+.3f} to "
        f"{interval.high:+.3f}, n = {interval.n} seeds"
    )
    if interval.low <= 0 <= interval.high:
        return (
            f"{where} the training accuracies at {low} and {high} cannot be told apart ({numbers}: it "
            f"includes 0)." + lack
        )
    return f"{where} training accuracy is {order} at {low} than at {high} ({numbers})." + lack


def warnings(frame: pd.DataFrame) -> list[str]:
    """Everything that a reader should know before believing a number; plain text, a sentence or two each."""
    found = []
    counts = frame["status"].value_counts()
    num_open = len(frame) - int(counts.get("done", 0))
    if num_open:
        parts = ", ".join(f"{count} {status}" for status, count in counts.items() if status != "done")
        found.append(
            f"{num_open} of {len(frame)} cells are not finished ({parts}). Means are over the finished ones; "
            "run the same command again to fill the grid."
        )
    done = frame[frame["status"] == "done"]
    seeds_of_level = frame.groupby("randomization")["seed"].nunique()
    num_seeds = int(seeds_of_level.min()) if len(seeds_of_level) else 0
    if 0 < num_seeds < FEW_SEEDS:
        found.append(
            f"n = {num_seeds} seed{'s' * (num_seeds > 1)}: "
            + (
                "no interval can be given"
                if num_seeds == 1
                else "intervals are wide and assume normal values"
            )
            + f". {FEW_SEEDS} or more seeds are advised before anything is concluded."
        )
    parents = done[done["phase"] == "train"]
    weak = parents[parents["train_accuracy"] < MEMORISED]
    if len(weak):
        names = _listed([f"{row.cell_id} ({row.train_accuracy:.3f})" for row in weak.itertuples()])
        found.append(
            f"{len(weak)} of {len(parents)} finished dense networks stay below a training accuracy of "
            f"{MEMORISED:g}: {names}. They have not memorised their labels, so what pruning costs them is "
            "not comparable."
        )
    undefined = done[done["train_accuracy"].isna()]
    if len(undefined):
        names = _listed(list(undefined["cell_id"]))
        found.append(f"{len(undefined)} finished cells have no training accuracy (not a number): {names}.")
    for column, words, advice in (
        ("code_version", "code versions", "Compare cells of one version only."),
        ("data_sha256", "data sets", "Their numbers are not comparable."),
        ("threads", "thread counts", "Runs repeat bit by bit only at one thread count."),
        ("device", "kinds of device", "Runs repeat bit by bit only on one kind."),
    ):
        values = sorted({str(value) for value in done[column].dropna()})
        if len(values) > 1:
            found.append(f"The cells come from {len(values)} {words} ({', '.join(values)}). {advice}")
    return found


def _listed(names: list[str]) -> str:
    more = f" and {len(names) - MAX_NAMES} more" if len(names) > MAX_NAMES else ""
    return ", ".join(names[:MAX_NAMES]) + more


def unfinished_cells(frame: pd.DataFrame) -> list[tuple[str, str, str]]:
    """(cell id, status, error) of every cell that is not finished, failed ones first."""
    order = {"failed": 0, "parent-failed": 1, "running": 2, "missing": 3}
    rows: list[dict[str, Any]] = frame.loc[frame["status"] != "done", ["cell_id", "status", "error"]].to_dict(
        "records"
    )  # type: ignore[assignment]
    listed = [(row["cell_id"], row["status"], "" if pd.isna(row["error"]) else row["error"]) for row in rows]
    return sorted(listed, key=lambda row: order.get(row[1], 4))
