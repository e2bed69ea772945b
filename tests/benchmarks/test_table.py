import dataclasses
import sys

import pytest

from benchmarks import table
from benchmarks.harness import Spread, summarize
from benchmarks.sections import read_sections, write_section

RATES = {"naive": [10.0, 20.0, 40.0], "product": [25.0, 60.0, 80.0]}
COMPARISON = summarize(RATES, name="digits-dense", title="digits", unit="steps/s", baseline="naive")

COMPARISON_TABLE = """\
| digits (n = 3) | steps/s | times naive |
| --- | ---: | ---: |
| **naive** | 20.0 (10.0 to 40.0) | 1.00 (1.00 to 1.00) |
| product | 60.0 (25.0 to 80.0) | 2.50 (2.00 to 3.00) |"""

PROFILE = {
    "scenario": "digits-dns",
    "candidate": "product",
    "num_steps": 10,
    "num_rounds": 3,
    "unprofiled_seconds": 0.03,
    "seconds": {"data": 0.01, "masks": 0.03, "logging": 0.0},
}

CONDITIONS = {
    "command": "python -m benchmarks.steps",
    "code_version": "0.1.0+g1234567",
    "versions": {"torch": "2.14.1"},
    "cpu_model": "Fast 9000",
    "cpu_count": 2,
    "device": "cpu",
    "date": "2026-11-22T16:00:00.000+00:00",
    "load_before": [0.5, 0.1, 0.2],
    "load_after": [2.25, 1.0, 0.5],
}

SECTIONS = {
    "steps": {"conditions": CONDITIONS, "comparisons": [dataclasses.asdict(COMPARISON)]},
    "profiles": {"conditions": CONDITIONS | {"command": "other"}, "profiles": [PROFILE]},
}

DOCUMENT = """\
# Performance

<!-- table: digits-dense -->
| old |
<!-- end of table -->

Prose.

<!-- table: profile-digits-dns-product -->
<!-- end of table -->
"""


def test_comparison_table():
    assert table.comparison_table(COMPARISON) == COMPARISON_TABLE


def test_profile_table_leaves_out_parts_without_time():
    assert table.profile_table(PROFILE).splitlines() == [
        "| digits-dns, product (fastest of 3) | ms a step | share |",
        "| --- | ---: | ---: |",
        "| data | 1.000 | 25% |",
        "| masks | 3.000 | 75% |",
        "| all, profiled | 4.000 | 100% |",
        "| all, not profiled | 3.000 |  |",
    ]


def test_conditions_table():
    rows = table.conditions_table(SECTIONS).splitlines()
    rest = "| 0.1.0+g1234567 | 2 x Fast 9000 | torch 2.14.1 | 2026-11-22 | 0.5, 2.25 |"
    assert rows[2:] == [
        "| `python -m benchmarks.steps` " + rest,
        "| `other` " + rest,
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [(12345.6, "12,346"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (0.1234, "0.123")],
)
def test_three_digits(value, text):
    assert table.format_spread(Spread(median=value, minimum=1, maximum=1)) == f"{text} (1.00 to 1.00)"


def test_document_is_filled_between_the_markers_only():
    result = table.filled(DOCUMENT, table.all_tables(SECTIONS))
    assert result == (
        f"# Performance\n\n<!-- table: digits-dense -->\n{COMPARISON_TABLE}\n<!-- end of table -->\n\n"
        "Prose.\n\n"
        f"<!-- table: profile-digits-dns-product -->\n{table.profile_table(PROFILE)}\n<!-- end of table -->\n"
    )
    assert table.filled(result, table.all_tables(SECTIONS)) == result


def test_every_table_has_a_name():
    assert set(table.all_tables(SECTIONS)) == {"digits-dense", "profile-digits-dns-product", "conditions"}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ("<!-- table: x -->\n<!-- end of table -->", "table = 'x': must be one of conditions, digits-dense"),
        ("<!-- table: digits-dense -->\n", "a marker has no partner"),
        ("<!-- end of table -->\n", "a marker has no partner"),
        (
            "<!-- table: digits-dense -->\n<!-- table: conditions -->\n<!-- end of table -->",
            "a marker has no partner",
        ),
    ],
)
def test_markers_that_do_not_fit_are_told(document, message):
    with pytest.raises(ValueError, match=message):
        table.filled(document, table.all_tables(SECTIONS))


def test_command_fills_and_checks(tmp_path, monkeypatch):
    results, document = tmp_path / "sub" / "performance.json", tmp_path / "performance.md"
    for name, section in SECTIONS.items():
        write_section(results, name, section)
    document.write_text(DOCUMENT)
    command = ["table", "--results", str(results), "--document", str(document)]
    monkeypatch.setattr(sys, "argv", [*command, "--check"])
    with pytest.raises(SystemExit, match=r"performance\.md differs"):
        table.main()
    assert document.read_text() == DOCUMENT
    monkeypatch.setattr(sys, "argv", command)
    table.main()
    assert document.read_text() == table.filled(DOCUMENT, table.all_tables(SECTIONS))
    monkeypatch.setattr(sys, "argv", [*command, "--check"])
    table.main()


def test_sections_are_replaced_one_by_one(tmp_path):
    path = tmp_path / "results.json"
    assert read_sections(path) == {}
    write_section(path, "steps", {"a": 1})
    write_section(path, "sweeps", {"b": 2})
    write_section(path, "steps", {"a": 3})
    assert read_sections(path) == {"steps": {"a": 3}, "sweeps": {"b": 2}}


def test_a_file_of_another_kind_is_not_overwritten(tmp_path):
    path = tmp_path / "results.json"
    path.write_text('{"rows": []}')
    with pytest.raises(ValueError, match="must be a results file of format 1"):
        write_section(path, "steps", {})
    assert path.read_text() == '{"rows": []}'
