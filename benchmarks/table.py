"""Tables of the results for docs/performance.md, between markers, so that text and data cannot drift apart.

Command:  python -m benchmarks.table [--results FILE.json] [--document FILE.md] [--check]
Markers:  `<!-- table: NAME -->` and `<!-- end of table -->`, each on a line of its own; NAME is a scenario of
          `benchmarks.steps`, `sweep-time`, `wall-time`, either with `-N-seeds`,
          `profile-SCENARIO-CANDIDATE`..., or `conditions`
Result:   the document with the tables as the results have them; --check: only exit code 1 where they differ
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness import Comparison, Spread, comparison_from_dict
from benchmarks.sections import DEFAULT_FILE, read_sections

DEFAULT_DOCUMENT = Path("docs") / "performance.md"

_BLOCK = re.compile(r"(<!-- table: (?P<name>[^\n]+?) -->\n).*?(<!-- end of table -->)", re.DOTALL)
_MARKER = re.compile(r"<!-- (?:table: |end of table )")


def comparison_table(comparison: Comparison) -> str:
    """A comparison as a Markdown table, its number of rounds and its baseline in the heading."""
    rows = [
        (
            f"**{each.name}**" if each.name == comparison.baseline else each.name,
            format_spread(each.rate),
            format_spread(each.ratio),
        )
        for each in comparison.measured
    ]
    title = f"{comparison.title} (n = {comparison.num_rounds})"
    return format_table((title, comparison.unit, f"times {comparison.baseline}"), rows)


def profile_table(profile: Mapping[str, Any]) -> str:
    """Where a step's time goes, as a Markdown table; parts that take no time are left out."""
    total_seconds = sum(profile["seconds"].values())
    rows = [
        (part, f"{1e3 * seconds / profile['num_steps']:.3f}", f"{seconds / total_seconds:.0%}")
        for part, seconds in profile["seconds"].items()
        if seconds
    ]
    rows.append(("all, profiled", f"{1e3 * total_seconds / profile['num_steps']:.3f}", "100%"))
    rows.append(
        ("all, not profiled", f"{1e3 * profile['unprofiled_seconds'] / profile['num_steps']:.3f}", "")
    )
    title = f"{profile['scenario']}, {profile['candidate']} (fastest of {profile['num_rounds']})"
    return format_table((title, "ms a step", "share"), rows)


def conditions_table(sections: Mapping[str, Any]) -> str:
    """Command, code, machine, date and load of every section."""
    rows = []
    for section in sections.values():
        stated = section["conditions"]
        rows.append(
            (
                f"`{stated['command']}`",
                stated["code_version"],
                f"{stated['cpu_count']} x {stated['cpu_model']}",
                f"torch {stated['versions'].get('torch', '-')}",
                stated["date"][:10],
                f"{stated['load_before'][0]:g}, {stated['load_after'][0]:g}",
            )
        )
    return format_table(("command", "code", "machine", "packages", "date", "load before, after"), rows)


def format_spread(spread: Spread) -> str:
    """`median (least to greatest)`, three significant digits."""
    return (
        f"{_three_digits(spread.median)} ({_three_digits(spread.minimum)} to {_three_digits(spread.maximum)})"
    )


def _three_digits(value: float) -> str:
    """Three significant digits without an exponent; all digits before the point."""
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}" if value >= 1 else f"{value:.3f}"


def format_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table; the first column to the left, the others to the right."""
    rule = ["---", *["---:"] * (len(header) - 1)]
    return "\n".join("| " + " | ".join(row) + " |" for row in (header, rule, *rows))


def all_tables(sections: Mapping[str, Any]) -> dict[str, str]:
    """Every table by the name that markers use."""
    tables = {}
    for section in sections.values():
        for data in section.get("comparisons", ()):
            tables[data["name"]] = comparison_table(comparison_from_dict(data))
        for profile in section.get("profiles", ()):
            tables[f"profile-{profile['scenario']}-{profile['candidate']}"] = profile_table(profile)
    return tables | {"conditions": conditions_table(sections)}


def filled(document: str, tables: Mapping[str, str]) -> str:
    """The document with each table between its markers.

    Raises:
        ValueError: a marker names no table, or has no partner.
    """

    def fill(match: re.Match[str]) -> str:
        name = match["name"]
        if name not in tables:
            raise ValueError(
                f"table = {name!r}: must be one of {', '.join(sorted(tables))}; or measure it first"
            )
        return f"{match[1]}{tables[name]}\n{match[3]}"

    result, num_filled = _BLOCK.subn(fill, document)
    if len(_MARKER.findall(document)) != 2 * num_filled:
        raise ValueError(
            "a marker has no partner: `<!-- table: NAME -->` and `<!-- end of table -->` alternate"
        )
    return result


def main() -> None:
    """Fill the document, or check it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--results", type=Path, default=DEFAULT_FILE)
    parser.add_argument("--document", type=Path, default=DEFAULT_DOCUMENT)
    parser.add_argument("--check", action="store_true", help="change nothing; exit code 1 where it would")
    arguments = parser.parse_args()
    document = arguments.document.read_text()
    result = filled(document, all_tables(read_sections(arguments.results)))
    if result == document:
        return
    if arguments.check:
        sys.exit(
            f"{arguments.document} differs from {arguments.results}: python -m benchmarks.table mends it"
        )
    arguments.document.write_text(result)


if __name__ == "__main__":
    main()
