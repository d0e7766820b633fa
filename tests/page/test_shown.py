"""What the page writes is what there is: sums, names, exact numbers, days, and nothing cut off or too faint to read."""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import replace
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from typing import Any
from urllib.parse import quote

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.conftest import Served
from tests.page.reading import ROW, catalog, opened, query_of, settled

pytestmark = pytest.mark.browser

CONTRAST = """(element) => {
    const canvas = document.createElement('canvas').getContext('2d', {willReadFrequently: true});
    const channels = (color) => {
        canvas.clearRect(0, 0, 1, 1);
        canvas.fillStyle = color;
        canvas.fillRect(0, 0, 1, 1);
        const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
        return [[red, green, blue], alpha / 255];
    };
    const over = ([color, alpha], under) => color.map((part, at) => part * alpha + under[at] * (1 - alpha));
    const layers = [];
    let opacity = 1;
    for (let at = element; at; at = at.parentElement) {
        layers.push(channels(getComputedStyle(at).backgroundColor));
        opacity *= Number(getComputedStyle(at).opacity);
    }
    const ground = layers.reverse().reduce((under, layer) => over(layer, under), [0, 0, 0]);
    const [color, alpha] = channels(getComputedStyle(element).color);
    const luminance = (color) => {
        const [red, green, blue] = color.map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
    };
    const both = [luminance(over([color, alpha * opacity], ground)), luminance(ground)].sort((a, b) => b - a);
    return (both[0] + 0.05) / (both[1] + 0.05);
}"""
"""Of an element's text against what is behind it, by WCAG 2."""


def contrast(element: Locator) -> float:
    found: float = element.evaluate(CONTRAST)
    return found


def style(element: Locator, name: str) -> str:
    found: str = element.evaluate("(element, name) => getComputedStyle(element)[name]", name)
    return found


def fault_of(tags: Locator) -> str:
    """What of a row's tags is cut off."""
    found: str = tags.evaluate(
        """(tags) => [...tags.querySelectorAll('.tag')]
            .filter((tag) => tag.getBoundingClientRect().right > tags.parentElement.getBoundingClientRect().right
                || tag.getBoundingClientRect().right > tags.getBoundingClientRect().right + 0.5)
            .map((tag) => tag.textContent).join()"""
    )
    return found


def pills(page: Page) -> list[str]:
    return page.locator(".pill .text").all_inner_texts()


@pytest.mark.parametrize("symbol", ["C", "P", "OTM", "AA"])
def test_a_ticker_called_as_a_chip_is_shown_as_a_ticker(page: Page, served: Served, symbol: str) -> None:
    opened(page, served, f"symbol={symbol}")
    assert pills(page) == [symbol]
    expect(page).to_have_title(f"{symbol} · Phenix")
    opened(page, served, f"symbol=-{symbol}&chips=c")
    assert pills(page) == [f"not {symbol}", "Calls"]


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("minValue=1234567", "Premium ≥ $1,234,567"),
        ("minValue=1500000", "Premium ≥ $1.5M"),
        ("minValue=1075000", "Premium ≥ $1,075,000"),
        ("minValue=1100000", "Premium ≥ $1.1M"),
        ("maxValue=1000.555", "Premium ≤ $1,000.555"),
        ("maxValue=999", "Premium ≤ $999"),
        ("minPrice=0.05", "Price ≥ $0.05"),
        ("minOtmPct=-2.5", "%OTM ≥ -2.5%"),
        ("minSigScore=0.123456", "Score ≥ 0.123456"),
        ("minDte=30", "DTE ≥ 30"),
    ],
)
def test_a_pill_shows_its_number_unrounded(page: Page, served: Served, query: str, text: str) -> None:
    opened(page, served, query)
    assert pills(page) == [text]


def test_premium_is_rounded_half_up_as_it_is_written(page: Page, growing: Served) -> None:
    prints = growing.later(6)
    sizes = [(10.75, 1000), (1.005, 10), (9.995, 1000), (10.65, 1000), (0.45, 10), (99.95, 10_000)]
    growing.store_prints([replace(one, price=price, size=size, symbol="SPY") for one, (price, size) in
                          zip(prints, sizes, strict=True)])  # fmt: skip
    seqs: Any = growing.get("api/flow?limit=6&fields=seq,value")["data"]
    assert [row["value"] for row in seqs][-1] == 1_075_000
    opened(page, growing, f"where=seq+>=+{seqs[-1]['seq']}&sortBy=seq&sortOrder=asc")
    assert page.locator(f"{ROW} .c11 b").all_inner_texts() == [
        premium(row["value"]) for row in sorted(seqs, key=lambda row: row["seq"])
    ]
    assert premium(1_075_000) == "$1.08M"


def premium(value: float) -> str:
    """Three significant digits, half up, by decimal arithmetic."""
    number = Decimal(str(value))
    rounded = number.quantize(Decimal(1).scaleb(number.adjusted() - 2), ROUND_HALF_UP)
    for power, letter in ((9, "B"), (6, "M"), (3, "K")):
        if rounded >= Decimal(10) ** power:
            digits = rounded.scaleb(-power)
            return f"${digits:.{2 - digits.adjusted()}f}{letter}"
    return f"${rounded.normalize():f}"


def test_limits_nobody_types_are_no_hint(page: Page, served: Served) -> None:
    opened(page, served)
    page.get_by_role("button", name="Filters").click()
    expect(page.locator("[data-param=minDte]")).to_have_attribute("placeholder", "min")
    expect(page.locator("[data-param=maxDte]")).to_have_attribute("placeholder", "max")
    expect(page.locator("[data-param=maxSigScore]")).to_have_attribute("placeholder", "1")


def sums(page: Page) -> tuple[str | None, str]:
    """Premium, exactly, and how many rows have the chip of calls."""
    return (
        page.locator(".strip b").nth(1).get_attribute("title"),
        page.locator("[data-chip=calls] .count").inner_text(),
    )


@pytest.mark.parametrize("more", ["", "&includeCancelled=1", " and (cancelled or size > 0)"])
def test_a_cancelled_print_counts_where_the_api_counts_it(page: Page, growing: Served, more: str) -> None:
    last: Any = growing.get("api/flow?limit=1&includeCancelled=1")["data"][0]  # type: ignore[index]
    where = f"where=seq > {last['seq']}{more}"
    opened(page, growing, quote(where, safe="=&"))
    later = [replace(one, right="CALL", size=10 * (at + 1)) for at, one in enumerate(growing.later(4))]
    growing.store_prints(later)
    expect(page.locator(ROW)).to_have_count(4)
    growing.store_prints([later[-1].cancel(timedelta(seconds=30))])
    gone = page.locator(f"{ROW}.gone")
    expect(gone).to_have_count(1)
    if more:
        expect(page.locator(ROW)).to_have_count(5)  # with the record
    summary: Any = growing.get(f"api/flow/summary?{quote(where, safe='=&')}")["data"]
    facets: Any = growing.get(f"api/flow/facets?{quote(where, safe='=&')}")["data"]
    calls = next(facet["rows"] for facet in facets["chip"] if facet["value"] == "calls")
    wanted = (f"${summary['all']['premium']:,.2f}", str(calls))
    assert sums(page) == wanted
    assert page.locator(".strip").inner_text().count("cancelled") == (0 if more else 1)
    page.reload()
    settled(page)
    assert sums(page) == wanted


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_a_cancelled_row_is_struck_through_and_can_be_read(page: Page, growing: Served, scheme: str) -> None:
    later = [
        replace(one, right=right, price=one.ask) for one, right in zip(growing.later(2), ("PUT", "CALL"), strict=True)
    ]
    growing.store_prints(later)
    growing.store_prints([one.cancel(timedelta(seconds=30)) for one in later])
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    for width in (1440, 390):
        page.set_viewport_size({"width": width, "height": 700})
        opened(page, growing, "where=cancelled")
        for right in ("put", "call"):
            row = page.locator(f"{ROW}.gone", has=page.locator(f".glyph.{right}")).first
            glyph, mark = row.locator(".glyph"), row.locator(".mark")
            assert contrast(glyph) >= 4.5
            premium = row.locator(".c11 b" if width == 1440 else ".push")
            assert style(premium, "color") == style(row.locator(".mark + b"), "color") == style(mark, "color")
            assert contrast(premium) >= 4.5
            assert "line-through" in style(premium, "textDecoration")
            for plain in (glyph, mark, glyph.locator(".."), mark.locator("..")):
                assert "line-through" not in style(plain, "textDecoration")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_what_is_missing_or_zero_can_be_read(page: Page, served: Served, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    opened(page, served, "chips=calls")
    for name in (".cell .none", ".chip.zero .count", ".chip:not(.zero) .count", ".chip.must .count", ".tag.undecided",
                 ".sort", ".row .faint"):  # fmt: skip
        assert contrast(page.locator(name).first) >= 4.5, name
    assert style(page.locator(".chip.zero .count").first, "color") != style(
        page.locator(".chip:not(.zero, .must, .undecided) .count").first, "color"
    )


@pytest.mark.parametrize("width", [1440, 1024, 390])
def test_tags_that_have_no_room_are_counted_and_named(page: Page, served: Served, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    opened(page, served, "chips=weeklies&sortBy=value")
    labels = {chip["id"]: chip["label"] for chip in catalog(served)["chips"] if set(chip["fields"]) - {"right", "side"}}
    rows: Any = {row["id"]: row for row in served.get("api/flow?limit=200&chips=weeklies&sortBy=value")["data"]}  # type: ignore[attr-defined]
    cut = undecided = 0
    for row in page.locator(ROW).all():
        found = rows[row.get_attribute("data-id")]
        tags = row.locator(".tags")
        assert fault_of(tags) == ""
        more = tags.locator(".more")
        named = tags.locator(".tag:not(.more, .undecided)").all_inner_texts()
        if more.count():
            cut += 1
            rest = (more.get_attribute("title") or "").split(", ")
            assert more.inner_text().startswith(f"+{len(rest)}")
            named += rest
        assert named == [labels[chip] for chip in found["chips"] if chip in labels]
        unknown = [labels[chip] for chip in found["chipsUnknown"] if chip in labels]
        assert tags.locator(".undecided").count() == (1 if unknown else 0)
        if unknown:
            undecided += 1
            assert tags.locator(".undecided").get_attribute("title") == f"Cannot be decided: {', '.join(unknown)}"
    assert cut
    assert undecided


def test_ticker_and_premium_stay_in_sight_where_not_all_columns_have_room(page: Page, served: Served) -> None:
    page.set_viewport_size({"width": 1024, "height": 700})
    opened(page, served)
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("complementary", name="Row")).to_be_visible()
    for left in (0, 300, 5_000):
        page.locator(".scroll").evaluate("(element, left) => element.scrollTo({ left })", left)
        for cell in (".row:nth-child(5) .c1", ".row:nth-child(5) .c11"):
            seen = page.locator(f".body {cell}").evaluate(
                """(cell) => {
                    const box = cell.getBoundingClientRect();
                    return [box.left + 2, box.right - 2]
                        .every((x) => cell.contains(document.elementFromPoint(x, box.top + box.height / 2)));
                }"""
            )
            assert seen, (cell, left)


def test_alert_events_have_their_times(page: Page, growing: Served) -> None:
    body = json.dumps({"name": "Timed", "dsl": "size >= 1"}).encode()
    urllib.request.urlopen(f"{growing.url}api/flow/alerts", body, timeout=30).close()
    growing.store_prints(growing.later(2))
    opened(page, growing)
    page.keyboard.press("a")
    panel = page.get_by_role("complementary", name="Alerts")
    panel.get_by_role("button", name="Timed").click()
    expect(panel.get_by_role("heading", name="2 events")).to_be_visible(timeout=60_000)
    row: Any = growing.get("api/flow?limit=1")["data"][0]  # type: ignore[index]
    first = panel.get_by_role("listitem").first
    expect(first).to_contain_text(f"Sep 18, {row['tradeTsEt'][11:23]} · raised ")
    expect(first).to_contain_text(re.compile(r"raised [A-Z][a-z]{2} \d\d, \d\d:\d\d:\d\d ET"))
    panel.get_by_role("button", name="Send a test").click()
    expect(first).to_contain_text(re.compile(r"sent [A-Z][a-z]{2} \d\d, \d\d:\d\d:\d\d ET"))


@pytest.mark.parametrize("query", ["date=2026-09-17", "date=20260917", "from=2026-09-01&to=2026-09-17"])
def test_a_past_day_promises_no_new_rows(page: Page, served: Served, query: str) -> None:
    opened(page, served, query)
    expect(page.locator(".feed").get_by_role("status")).to_have_text("Past day")
    expect(page.locator(".state")).to_contain_text("The last day of this filter is over: no new rows will match.")
    opened(page, served, "date=2026-09-18")
    expect(page.locator(".feed").get_by_role("status")).to_have_text("Live")
    opened(page, served, "date=2026-09-18&where=size+<+0")
    expect(page.locator(".state")).to_contain_text("New rows that match will appear here by themselves.")


@pytest.mark.parametrize("width", [1440, 390])
def test_times_have_their_day_where_several_may_come(page: Page, served: Served, width: int) -> None:
    page.set_viewport_size({"width": width, "height": 700})
    time = page.locator(ROW).first.locator(".c0" if width == 1440 else ".small .faint")
    for query, days in (("", False), ("date=2026-09-18", False), ("sessions=1", False), ("sessions=2", True),
                        ("from=2026-09-17", True), ("from=2026-09-18&to=2026-09-18", False),
                        ("date=2026-09-17,2026-09-18", True)):  # fmt: skip
        opened(page, served, query)
        assert time.inner_text().startswith("Sep 18 09:") is days, query
        assert time.evaluate(
            """(time) => {
                const text = document.createRange();
                text.selectNodeContents(time);
                return text.getBoundingClientRect().right <= time.getBoundingClientRect().right;
            }"""
        )
    assert query_of(page) == {"date": "2026-09-17,2026-09-18"}
    assert page.locator(".scroll").evaluate("(element) => element.scrollWidth <= element.clientWidth")
