from __future__ import annotations

from contextlib import suppress

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from analysis.dashboard.filters import Filters, chosen, level_text, matching, parse, query
from rc_core.experiment import STATUSES

fractions = st.floats(0, 1).filter(lambda value: str(value) != "-0.0")
keys = st.from_regex(r"[a-z][a-z0-9_-]{0,8}\.[a-z][a-z0-9_-]{0,8}", fullmatch=True)
texts = st.text(min_size=1, max_size=12).filter(lambda text: text.isprintable())


@st.composite
def all_filters(draw: st.DrawFn) -> Filters:
    choices = draw(st.dictionaries(keys, texts, max_size=3))
    return Filters(
        randomizations=tuple(draw(st.lists(fractions, unique=True, max_size=3))),
        sparsities=tuple(draw(st.lists(st.none() | fractions, unique=True, max_size=3))),
        seeds=tuple(draw(st.lists(st.integers(0, 2**32 - 1), unique=True, max_size=3))),
        statuses=tuple(draw(st.lists(st.sampled_from(STATUSES), unique=True))),
        sort=draw(st.sampled_from(["", "seed", "-train_accuracy"])),
        page=draw(st.integers(1, 10_000)),
        other=draw(st.just("") | texts),
        is_live=draw(st.booleans()),
        choices=tuple(sorted(choices.items())),
    )


@given(all_filters())
def test_a_link_brings_the_view_back(filters: Filters) -> None:
    assert parse(query(filters)) == filters


@given(st.text(max_size=60))
def test_any_query_is_read_or_refused_as_a_value(search: str) -> None:
    with suppress(ValueError):
        filters = parse(search)
        assert parse(query(filters)) == filters


def test_query_is_short_and_readable() -> None:
    filters = Filters(
        randomizations=(0.0, 0.5),
        sparsities=(None, 0.95),
        seeds=(42,),
        statuses=("failed",),
        sort="-train_accuracy",
        page=2,
        is_live=False,
        choices=(("tradeoff.axis", "halvings"),),
    )
    assert query(filters) == (
        "?p=0,0.5&S=dense,0.95&seed=42&status=failed&sort=-train_accuracy&page=2&live=off&tradeoff.axis=halvings"
    )
    assert query(Filters()) == ""


@pytest.mark.parametrize(
    ("search", "message"),
    [
        ("?p=2", "p = '2': must be a number from 0 to 1"),
        ("?p=nan", "p = 'nan': must be a number from 0 to 1"),
        ("?S=half", "S = 'half': must be a number from 0 to 1, or dense"),
        ("?seed=1.5", "seed = '1.5': must be a whole number"),
        ("?status=lost", "status = 'lost': must be one of done"),
        ("?page=0", "page = 0: must be at least 1"),
        ("?live=maybe", "live = 'maybe': must be on or off"),
        ("?<b>.axis=1", "'<b>.axis': a control is named"),
    ],
)
def test_what_cannot_be_read_is_named(search: str, message: str) -> None:
    with pytest.raises(ValueError, match="^" + message.replace("?", r"\?")):
        parse(search)


def test_other_keys_mean_nothing() -> None:
    assert parse("?utm_source=mail&p=1") == Filters(randomizations=(1.0,))


FRAME = pd.DataFrame(
    {
        "cell_id": ["train-a", "train-b", "prune-a", "prune-b"],
        "phase": ["train", "train", "prune", "prune"],
        "randomization": [0.0, 0.5, 0.0, 0.5],
        "sparsity_target": [None, None, 0.5, 0.9],
        "seed": [42, 43, 42, 43],
        "status": ["done", "done", "failed", "missing"],
    }
)


@pytest.mark.parametrize(
    ("search", "expected"),
    [
        ("", ["train-a", "train-b", "prune-a", "prune-b"]),
        ("?p=0.5", ["train-b", "prune-b"]),
        ("?S=dense", ["train-a", "train-b"]),
        ("?S=dense,0.9", ["train-a", "train-b", "prune-b"]),
        ("?seed=42&S=0.5", ["prune-a"]),
        ("?status=failed,missing", ["prune-a", "prune-b"]),
        ("?p=0.25", []),
    ],
)
def test_rows_that_filters_let_through(search: str, expected: list[str]) -> None:
    assert matching(FRAME, parse(search))["cell_id"].tolist() == expected


def test_a_control_is_set_and_taken_back() -> None:
    once = chosen(Filters(), "tradeoff.axis", "halvings")
    assert once.choices_of("tradeoff") == {"axis": "halvings"}
    assert once.choices_of("trade") == {}
    assert chosen(once, "tradeoff.axis", "") == Filters()


def test_levels_keep_their_digits() -> None:
    assert [level_text(level) for level in (None, 0.0, 1.0, 0.95, 0.123456789)] == [
        "dense",
        "0",
        "1",
        "0.95",
        "0.123456789",
    ]
