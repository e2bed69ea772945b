"""The address is the view: filters, controls, order, drill-down, back; and the files of what is shown."""

from __future__ import annotations

import csv
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from analysis import results
from benchmarks.chromium import wait_until_drawn
from tests.browser.visitor import Visitor, download, table_texts

pytestmark = [pytest.mark.browser, pytest.mark.timeout(300)]

# Centre of a square of the heatmap in the window, from the axes that plotly drew.
_SQUARE = """([column, row]) => {
    const plot = document.querySelector('#graph-heatmap .js-plotly-plot');
    const {xaxis, yaxis} = plot._fullLayout, box = plot.getBoundingClientRect();
    return [box.left + xaxis._offset + xaxis.d2p(column), box.top + yaxis._offset + yaxis.d2p(row)];
}"""


def click_square(page: Page, column: int, row: int) -> None:
    page.locator("#graph-heatmap").scroll_into_view_if_needed()
    x, y = page.evaluate(_SQUARE, [column, row])
    page.mouse.move(x, y)
    page.mouse.click(x, y)


def test_square_of_the_heatmap_leads_to_its_trials_and_to_a_trial(window: Visitor) -> None:
    page = window.visit("/e/digits/grid")
    click_square(page, column=2, row=1)  # dense, 0.5, 0.9; p = 0, 1
    expect(page).to_have_url(re.compile(r"/e/digits/trials\?p=1&S=0\.9$"))
    expect(page.locator("#num-shown")).to_have_text("2 of 12 cells")
    rows = table_texts(page, "#trials")
    assert [row[0] for row in rows] == ["prune-p1.00-s42-dns-S0.900", "prune-p1.00-s43-dns-S0.900"]
    window.follow("#trials a >> nth=1", "prune-p1.00-s43-dns-S0.900")
    assert "p = 1, seed 43" in page.inner_text("#trial-status")
    window.follow("#relatives a", "train-p1.00-s43")
    for heading in ("prune-p1.00-s43-dns-S0.900", "Trials", "Grid"):
        page.go_back()
        expect(page.locator("h1")).to_have_text(heading)
    click_square(page, column=0, row=0)
    expect(page).to_have_url(re.compile(r"/e/digits/trials\?p=0&S=dense$"))
    expect(page.locator("#num-shown")).to_have_text("2 of 12 cells")


def test_filters_and_order_stand_in_the_address_which_brings_them_back(
    window: Visitor, open_window: Callable[..., Visitor]
) -> None:
    page = window.visit("/e/digits/trials")
    page.select_option("#select-p", "1")
    expect(page).to_have_url(re.compile(r"\?p=1$"))
    expect(page.locator("#num-shown")).to_have_text("6 of 12 cells")
    page.select_option("#select-seed", "43")
    expect(page.locator("#num-shown")).to_have_text("3 of 12 cells")
    page.click("#sort-train_accuracy")
    expect(page.locator("#head-train_accuracy")).to_have_attribute("aria-sort", "ascending")
    page.click("#sort-train_accuracy")
    expect(page.locator("#head-train_accuracy")).to_have_attribute("aria-sort", "descending")
    expect(page).to_have_url(re.compile(r"\?p=1&seed=43&sort=-train_accuracy$"))
    rows = table_texts(page, "#trials")
    accuracies = [float(row[5]) for row in rows]
    assert accuracies == sorted(accuracies, reverse=True)
    assert {(row[2], row[4]) for row in rows} == {("1", "43")}

    other = open_window()
    again = other.visit(page.url.removeprefix(other.origin))
    assert table_texts(again, "#trials") == rows
    assert again.input_value("#select-p") == "1"
    assert again.input_value("#select-seed") == "43"

    for _ in range(2):
        page.go_back()
    expect(page.locator("#num-shown")).to_have_text("3 of 12 cells")
    page.go_back()
    expect(page.locator("#num-shown")).to_have_text("6 of 12 cells")
    expect(page.locator("#select-seed")).to_have_value("")
    page.go_back()
    expect(page.locator("#num-shown")).to_have_text("12 of 12 cells")
    expect(page.locator("#select-p")).to_have_value("")


def test_controls_of_a_figure_stand_in_the_address_which_brings_them_back(
    window: Visitor, open_window: Callable[..., Visitor]
) -> None:
    page = window.visit("/e/digits/tradeoff")
    before = page.inner_text("#caption-tradeoff")
    page.select_option("#select-tradeoff-axis", index=1)
    expect(page).to_have_url(re.compile(r"\?tradeoff\.axis="))
    expect(page.locator("#caption-tradeoff")).not_to_have_text(before)
    other = open_window()
    again = other.visit(page.url.removeprefix(other.origin))
    assert again.inner_text("#caption-tradeoff") == page.inner_text("#caption-tradeoff")
    assert again.input_value("#select-tradeoff-axis") == page.input_value("#select-tradeoff-axis")
    page.go_back()
    expect(page.locator("#caption-tradeoff")).to_have_text(before)


def test_filters_go_along_from_page_to_page(window: Visitor) -> None:
    page = window.visit("/e/digits/tradeoff?p=0&seed=42")
    expect(page.locator("#num-shown")).to_have_text("3 of 12 cells")
    page.click("#nav a:has-text('Gap')")
    expect(page.locator("h1")).to_have_text("Gap")
    expect(page).to_have_url(re.compile(r"/gap\?p=0&seed=42$"))
    page.click("#show-all a")
    expect(page.locator("#num-shown")).to_have_text("12 of 12 cells")


def test_table_of_results_to_keep_is_the_experiment_s(
    window: Visitor, experiments: Path, tmp_path: Path
) -> None:
    page = window.visit("/e/digits/trials?seed=42&sort=train_accuracy")
    file = download(page, "#csv-trials", tmp_path)
    assert file.name == "trials.csv"
    with file.open(newline="") as lines:
        rows = list(csv.DictReader(lines))
    frame = results.load(experiments / "digits")
    expected = frame[frame["seed"] == 42].sort_values("train_accuracy", kind="stable")
    assert [row["cell_id"] for row in rows] == expected["cell_id"].tolist()
    assert [row["label_sha256"] for row in rows] == expected["label_sha256"].tolist()
    assert [float(row["train_accuracy"]) for row in rows] == expected["train_accuracy"].tolist()
    assert [row[0] for row in table_texts(page, "#trials")] == expected["cell_id"].tolist()


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/e/digits/tradeoff", "tradeoff"),
        ("/e/digits/grid", "heatmap"),
        ("/e/digits/memory", "memorization"),
        ("/e/digits/cost", "cost"),
        ("/e/digits/compare?with=half", "comparison"),
    ],
)
def test_table_behind_a_figure_and_its_file_hold_the_same(
    window: Visitor, tmp_path: Path, address: str, name: str
) -> None:
    page = window.visit(address)
    page.click(f"#numbers-{name} > summary")
    file = download(page, f"#csv-{name}", tmp_path)
    with file.open(newline="") as lines:
        header, *rows = csv.reader(lines)
    assert header == page.locator(f"#table-{name} th").all_inner_texts()
    shown = table_texts(page, f"#rows-{name}")
    assert len(shown) == len(rows) > 0
    for row, texts in zip(rows, shown, strict=True):
        assert all(is_rounded(text, value) for value, text in zip(row, texts, strict=True)), (row, texts)


def is_rounded(text: str, value: str) -> bool:
    """Whether a text of a page is a value of a file, rounded to the digits that the text has."""
    try:
        shown, exact = float(text.replace(",", "")), float(value)
    except ValueError:
        return text == value or (text == "–" and not value)
    num_digits = len(text.partition(".")[2])
    return abs(shown - exact) <= 0.5001 * 10.0**-num_digits


def test_report_and_settings_to_keep(window: Visitor, tmp_path: Path) -> None:
    page = window.visit("/e/digits/settings")
    report = download(page, "#files a[download='report.html']", tmp_path)
    assert report.read_text().startswith("<!doctype html>")
    sweep = download(page, "#files a[download='sweep.json']", tmp_path)
    assert '"randomizations": [' in sweep.read_text()
    wait_until_drawn(page)
