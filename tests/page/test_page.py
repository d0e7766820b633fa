"""The page shows the API's rows, keeps its state in the address, and follows the store."""

from __future__ import annotations

import json
import re
import urllib.request
from dataclasses import replace
from datetime import timedelta
from typing import Any
from urllib.parse import quote, urlsplit

import pytest
from playwright.sync_api import Page, expect

from phenix import app
from phenix.engine.query.request import Refusal
from tests.page.conftest import Served
from tests.page.reading import ROW, all_rows, catalog, opened, query_of, same_as_api, settled, shown

pytestmark = pytest.mark.browser


def test_every_row_is_reached_by_scrolling(page: Page, served: Served) -> None:
    opened(page, served)
    rows = all_rows(page)
    assert rows == served.ids("")
    assert len(rows) == len(served.prints)


def test_each_chip_wanted_and_unwanted_gives_the_rows_of_the_api(page: Page, served: Served) -> None:
    opened(page, served)
    seen = 0
    for chip in catalog(served)["chips"]:
        button = page.locator(f"[data-chip={chip['id']}]")
        for parameter in ("chips", "notChips"):
            button.dispatch_event("click")
            settled(page)
            assert query_of(page) == {parameter: chip["id"]}
            seen += same_as_api(page, served, f"{parameter}={chip['id']}") > 0
        button.dispatch_event("click")
        assert query_of(page) == {}
    assert seen > 25


@pytest.mark.parametrize(
    "query",
    [
        "minValue=100000",
        "minValue=5000&maxValue=90000&minDte=1",
        "chips=otm&notChips=sweeps,multi_leg&symbol=SPY,QQQ",
        "symbol=-SPY,-QQQ&right=PUT",
        "side=ASK,AA&sentiment=bullish",
        "where=" + quote("value >= 50k and symbol in {NVDA, TSLA} or size >= 1000"),
        "where=" + quote("not @whales and dte in 0..30") + "&minSize=100",
        "sortBy=value",
        "sortBy=volOiRatio&sortOrder=asc",
        "sortBy=symbol&sortOrder=asc&chips=aa",
        "calls=1&minOtmPct=-2.5&maxOtmPct=2.5",
        "symbol=GME",
    ],
)
def test_an_address_gives_the_rows_of_the_api(page: Page, served: Served, query: str) -> None:
    opened(page, served, query)
    same_as_api(page, served, query)
    assert urlsplit(page.url).query == query  # nothing rewrites an address that was opened


def test_each_range_of_the_catalog_is_in_the_drawer_and_filters(page: Page, served: Served) -> None:
    opened(page, served)
    page.get_by_role("button", name="Filters").click()
    row: Any = served.get("api/flow?limit=1&sortBy=sigScore")["data"][0]  # type: ignore[index]
    ranges = [field for field in catalog(served)["fields"] if field["minParam"]]
    assert len(ranges) >= 10
    for field in ranges:
        value = f"{row[field['json']]}"
        for parameter in (field["minParam"], field["maxParam"]):
            box = page.locator(f"[data-param={parameter}]")
            box.fill(value)
            box.press("Enter")
            settled(page)
            assert query_of(page) == {parameter: value}
            assert same_as_api(page, served, f"{parameter}={value}") > 0
            box.fill("")
            box.press("Enter")
            assert query_of(page) == {}


def test_each_member_of_each_enum_filters(page: Page, served: Served) -> None:
    opened(page, served)
    page.get_by_role("button", name="Filters").click()
    known = {parameter["name"] for parameter in catalog(served)["parameters"]}
    enums = [field for field in catalog(served)["fields"] if field["enum"] and field["json"] in known]
    assert {field["json"] for field in enums} >= {"right", "side", "sentiment", "session"}
    for field in enums:
        group = page.locator("fieldset", has=page.locator("legend .code", has_text=re.compile(f"^{field['name']}$")))
        for member in field["enum"]:
            button = group.get_by_role("button", name=member, exact=True)
            button.dispatch_event("click")
            settled(page)
            assert query_of(page) == {field["json"]: member}
            same_as_api(page, served, f"{field['json']}={member}")
            button.dispatch_event("click")
            assert query_of(page) == {}


def test_each_filterable_field_is_in_the_drawer_once(page: Page, served: Served) -> None:
    opened(page, served, "bid=1")
    assert page.locator(".pill .text").all_inner_texts() == ["bid = 1"]  # a chip of older clients, not a price
    page.get_by_role("button", name="Filters").click()
    fields = sorted(field["name"] for field in catalog(served)["fields"] if field["filterable"])
    shown_names = page.locator(".panel legend .code")
    expect(shown_names).to_have_count(len(fields))  # the drawer opens a frame or two after the click
    assert sorted(shown_names.all_inner_texts()) == fields
    written = page.locator(".panel fieldset.written legend .code").all_inner_texts()
    assert {"bid", "ask", "iso", "time_et"} <= set(written)


def test_a_flag_of_the_catalog_is_written_into_the_filter_text(page: Page, served: Served) -> None:
    opened(page, served, "where=size+>+5+or+dte+=+0")
    page.get_by_role("button", name="Filters").click()
    group = page.locator("fieldset.written", has=page.locator("legend .code", has_text=re.compile("^iso$")))
    group.get_by_role("button", name="no", exact=True).click()
    settled(page)
    assert query_of(page) == {"where": "(size > 5 or dte = 0) and not iso"}
    same_as_api(page, served, "where=" + quote("(size > 5 or dte = 0) and not iso"))


def test_short_forms_of_numbers_become_plain_ones(page: Page, served: Served) -> None:
    opened(page, served)
    page.get_by_role("button", name="Filters").click()
    for typed, written in (("250k", "250000"), ("$1.5m", "1500000"), ("1,250", "1250"), ("0.5k", "500")):
        box = page.locator("[data-param=minValue]")
        box.fill(typed)
        box.press("Enter")
        settled(page)
        assert query_of(page) == {"minValue": written}


def test_symbols_are_included_and_excluded(page: Page, served: Served) -> None:
    opened(page, served)
    page.get_by_role("button", name="Filters").click()
    box = page.get_by_label("Ticker: add")
    box.fill("spy nvda")
    box.press("Enter")
    settled(page)
    assert query_of(page) == {"symbol": "SPY,NVDA"}
    same_as_api(page, served, "symbol=SPY,NVDA")
    box.fill("spy")
    page.get_by_role("button", name="Not", exact=True).click()
    settled(page)
    assert query_of(page) == {"symbol": "NVDA,-SPY"}
    page.get_by_role("button", name="Remove NVDA", exact=True).last.click()
    settled(page)
    assert query_of(page) == {"symbol": "-SPY"}
    same_as_api(page, served, "symbol=-SPY")


def test_state_survives_reload_back_and_forward(page: Page, served: Served) -> None:
    opened(page, served)
    page.locator("[data-chip=otm]").click()
    settled(page)
    page.locator("[data-chip=sweeps]").click(button="right")
    settled(page)
    assert query_of(page) == {"chips": "otm", "notChips": "sweeps"}
    rows = shown(page)
    page.reload()
    settled(page)
    assert shown(page) == rows
    assert page.locator("[data-chip=otm]").get_attribute("data-state") == "must"
    assert page.locator("[data-chip=sweeps]").get_attribute("aria-pressed") == "mixed"
    page.go_back()
    settled(page)
    assert query_of(page) == {"chips": "otm"}
    same_as_api(page, served, "chips=otm")
    page.go_forward()
    settled(page)
    assert shown(page) == rows


def test_pills_name_each_filter_and_take_it_away(page: Page, served: Served) -> None:
    opened(page, served, "chips=100k&notChips=otm&symbol=SPY,-QQQ&minValue=250000&where=size+>+5&sortBy=value")
    pills = page.locator(".pill .text")
    assert pills.all_inner_texts() == [
        "100k+", "not OTM", "SPY", "not QQQ", "Premium ≥ $250K", "size > 5", "Sorted by Premium ↓",
    ]  # fmt: skip
    bar = page.get_by_role("group", name="Active filters")
    bar.get_by_role("button", name="Remove not QQQ", exact=True).click()
    settled(page)
    assert query_of(page)["symbol"] == "SPY"
    bar.get_by_role("button", name="Remove 100k+", exact=True).click()
    bar.get_by_role("button", name="Remove not OTM", exact=True).click()
    bar.get_by_role("button", name="Remove Premium ≥ $250K", exact=True).click()
    settled(page)
    assert query_of(page) == {"symbol": "SPY", "where": "size > 5", "sortBy": "value"}
    page.get_by_role("button", name="Clear all").click()
    settled(page)
    assert query_of(page) == {"sortBy": "value"}


def test_headers_sort_on_the_server(page: Page, served: Served) -> None:
    opened(page, served)
    header = page.get_by_role("columnheader", name="Premium")
    header.get_by_role("button").click()
    settled(page)
    assert query_of(page) == {"sortBy": "value"}
    assert header.get_attribute("aria-sort") == "descending"
    same_as_api(page, served, "sortBy=value")
    header.get_by_role("button").click()
    settled(page)
    assert query_of(page) == {"sortBy": "value", "sortOrder": "asc"}
    assert all_rows(page) == served.ids("sortBy=value&sortOrder=asc")
    header.get_by_role("button").click()
    settled(page)
    assert query_of(page) == {}


def test_a_suggestion_replaces_the_place_it_is_for(page: Page, served: Served) -> None:
    opened(page, served)
    page.keyboard.press("/")
    page.keyboard.type("iso = 1")  # the finding stands at `1`, the suggestion is for the whole
    finding = page.locator(".under .diagnostics li")
    finding.get_by_role("button", name="Use").click()
    expect(page.locator("#where")).to_have_value("iso")
    expect(finding).to_have_count(0)


def test_a_wrong_filter_text_is_explained_and_its_suggestion_taken(page: Page, served: Served) -> None:
    opened(page, served)
    before = shown(page)
    page.keyboard.press("/")
    page.keyboard.type("@wales and dte in 0..400")
    finding = page.locator(".under .diagnostics li")
    expect(finding).to_contain_text("wales")
    assert shown(page) == before  # nothing is applied that the server refuses
    finding.get_by_role("button", name="Use").click()
    expect(page.locator("#where")).to_have_value("@whales and dte in 0..400")
    expect(finding).to_have_count(0)
    page.locator("#where").press("Enter")
    settled(page)
    assert query_of(page) == {"where": "@whales and dte in 0..400"}
    same_as_api(page, served, "where=" + quote("@whales and dte in 0..400"))


@pytest.mark.parametrize(
    ("query", "fixed"),
    [
        ("chips=sweeps,wales", {"chips": "sweeps,whales"}),
        ("minvalue=5000", {"minValue": "5000"}),
        ("sentiment=bulish", {"sentiment": "bullish"}),
        ("where=dte+<+5+and+@wales", {"where": "dte < 5 and @whales"}),
    ],
)
def test_a_refused_address_shows_no_rows_and_its_repair(
    page: Page, served: Served, query: str, fixed: dict[str, str]
) -> None:
    opened(page, served, query)
    expect(page.locator(".state h2")).to_have_text("The server refused this filter")
    assert shown(page) == []
    page.locator(".state .diagnostics").get_by_role("button", name="Use").click()
    settled(page)
    expect(page.get_by_text("The server refused this filter")).to_have_count(0)
    assert query_of(page) == fixed


def test_no_rows_says_which_filter_to_take_away(page: Page, served: Served) -> None:
    opened(page, served, "chips=otm&symbol=GME")  # without a spot OTM is unknown, so nothing can match
    expect(page.locator(".state h2")).to_have_text("No rows match")
    wanted = len(served.ids("symbol=GME"))
    expect(page.get_by_role("button", name=f"Remove OTM → {wanted} rows")).to_be_visible()


def test_chips_that_cannot_be_decided_look_different_from_chips_that_are_off(page: Page, served: Served) -> None:
    opened(page, served, "symbol=GME")
    chip = page.locator("[data-chip=otm]")
    expect(chip).to_have_class(re.compile("undecided"))
    chip.hover()
    tip = page.get_by_role("tooltip")
    told = next(chip for chip in catalog(served)["chips"] if chip["id"] == "otm")
    expect(tip).to_contain_text(told["rule"])
    expect(tip).to_contain_text("undecided in")
    expect(page.locator(f"{ROW} .tag.undecided").first).to_have_attribute("title", re.compile("OTM"))


def test_a_chip_that_is_not_rolled_out_is_shown_and_cannot_be_asked_for(page: Page, growing: Served) -> None:
    growing.stop()
    growing.start(FLOW_FILTERS_V2="core,sweeps")
    try:
        opened(page, growing)
        blocks, sweeps = (page.locator(f'.chip[data-chip="{chip}"]') for chip in ("blocks", "sweeps"))
        expect(blocks).to_have_attribute("aria-disabled", "true")
        expect(sweeps).not_to_have_attribute("aria-disabled", "true")
        blocks.hover()
        expect(page.locator("#chip-tip .tag")).to_have_text("shadow: tagged, not served yet")
        blocks.click(force=True)
        assert query_of(page) == {}
        sweeps.click()
        settled(page)
        assert query_of(page) == {"chips": "sweeps"}
        growing.stop()
        growing.start(FLOW_FILTERS_V2="off")
        opened(page, growing)
        expect(page.locator('.chip[data-chip="whales"]')).to_be_visible()
        expect(blocks).to_have_count(0)
    finally:
        growing.stop()
        growing.start()


def test_the_candidate_in_shadow_and_its_verdict_so_far_are_shown(page: Page, growing: Served) -> None:
    stored = app.lifecycle(growing.store).set_params("", {"whales_min": "60k"})
    assert not isinstance(stored, Refusal)
    version, desk = stored[0].version, app.comparisons(growing.store)
    opened(page, growing)
    shadow = page.locator(".strip .shadow")
    expect(shadow).to_have_count(0)
    try:
        desk.name(version)
        opened(page, growing)
        expect(shadow).to_have_text(f"Shadow {version[:8]} no verdict yet, 0 of 3 sessions")
        for _ in desk.compare(version, 1):
            pass
        opened(page, growing)
        expect(shadow).to_have_text(f"Shadow {version[:8]} outside its bands, 1 of 3 sessions")
        expect(shadow).to_have_attribute("title", re.compile(f"Rule version {version} .* @whales is on"))
    finally:
        desk.name(None)
    opened(page, growing)
    expect(shadow).to_have_count(0)


def test_values_are_shown_by_the_conventions(page: Page, served: Served) -> None:
    opened(page, served, "sortBy=value")
    row: Any = served.get("api/flow?limit=1&sortBy=value")["data"][0]  # type: ignore[index]
    cells = page.locator(ROW).first.locator(".cell")
    titles = page.get_by_role("columnheader").all_inner_texts()
    assert [title.rstrip("↓").strip() for title in titles] == [
        "Time (ET)", "Ticker", "Expiry", "DTE", "Strike", "C/P", "Spot", "%OTM", "Side", "Fill (bid×ask)", "Size",  # noqa: RUF001
        "Premium", "Vol", "OI", "Vol/OI", "Type", "Chips", "Score",
    ]  # fmt: skip
    assert 100_000 <= row["value"] < 999_500
    premium = cells.nth(11)
    assert premium.inner_text().strip() == f"${row['value'] / 1e3:.0f}K"
    assert premium.get_attribute("title") == f"${row['value']:,.2f}"
    assert cells.nth(0).text_content() == row["tradeTsEt"][11:23]
    assert page.evaluate("getComputedStyle(document.querySelector('.cell')).fontVariantNumeric") == "tabular-nums"


def test_a_new_print_arrives_without_reload_and_its_cancel_strikes_it_through(page: Page, growing: Served) -> None:
    opened(page, growing)
    expect(page.get_by_role("status").first).to_have_text("Live")
    page.evaluate("window.kept = true")
    later = growing.later(3)
    growing.store_prints(later)
    wanted = growing.ids("")
    expect(page.locator(f"{ROW}[data-id='{wanted[0]}']")).to_be_visible()
    ids = shown(page)
    assert ids == wanted[: len(ids)]
    growing.store_prints([later[-1].cancel(timedelta(seconds=30))])
    expect(page.locator(f"{ROW}[data-id='{wanted[0]}']")).to_have_class(re.compile("gone"))
    assert page.evaluate("window.kept") is True


def test_a_filter_holds_for_arriving_rows(page: Page, growing: Served) -> None:
    opened(page, growing, "symbol=NVDA&notChips=puts")
    growing.store_prints(growing.later(40))
    wanted = growing.ids("symbol=NVDA&notChips=puts")
    expect(page.locator(f"{ROW}[data-id='{wanted[0]}']")).to_be_visible()
    ids = shown(page)
    assert ids == wanted[: len(ids)]


def test_pause_holds_rows_back_and_resume_shows_them(page: Page, growing: Served) -> None:
    opened(page, growing)
    before = shown(page)
    page.keyboard.press("p")
    growing.store_prints(growing.later(5))
    expect(page.locator(".waiting")).to_have_text("↑ 5 new")
    assert shown(page) == before
    page.keyboard.press("p")
    wanted = growing.ids("")
    expect(page.locator(f"{ROW}[data-id='{wanted[0]}']")).to_be_visible()
    assert page.locator(".waiting").count() == 0


def test_rows_stay_under_the_pointer_while_others_arrive(page: Page, growing: Served) -> None:
    opened(page, growing)
    held = shown(page)[3]
    row = page.locator(f"{ROW}[data-id='{held}']")
    row.hover()
    place = row.bounding_box()
    growing.store_prints(growing.later(5))
    expect(page.locator(".waiting")).to_have_text("↑ 5 new")
    assert row.bounding_box() == place
    page.mouse.move(1, 1)
    expect(page.locator(f"{ROW}[data-id='{growing.ids('')[0]}']")).to_be_visible()
    assert page.locator(".waiting").count() == 0


def test_in_another_order_new_rows_are_announced_and_fetched(page: Page, growing: Served) -> None:
    opened(page, growing, "sortBy=value")
    growing.store_prints(growing.later(4))
    waiting = page.locator(".waiting")
    expect(waiting).to_have_text("↑ 4 new · refresh")
    waiting.click()
    expect(waiting).to_have_count(0)
    settled(page)
    same_as_api(page, growing, "sortBy=value")


def test_in_another_order_rows_that_came_in_a_pause_are_shown_after_it(page: Page, growing: Served) -> None:
    opened(page, growing, "sortBy=value")
    page.keyboard.press("p")
    growing.store_prints([replace(one, size=9_000 + at) for at, one in enumerate(growing.later(2))])
    expect(page.locator(".waiting")).to_have_text("↑ 2 new · refresh")
    page.keyboard.press("p")
    expect(page.locator(".waiting")).to_have_count(0)
    expect(page.locator(f"{ROW}[data-id='{growing.ids('sortBy=value')[0]}']")).to_be_visible()
    settled(page)
    same_as_api(page, growing, "sortBy=value")


def test_a_killed_server_costs_no_row_and_doubles_none(page: Page, growing: Served) -> None:
    opened(page, growing)
    growing.store_prints(growing.later(10))
    growing.kill()
    expect(page.get_by_role("status").first).to_have_text("Reconnecting")
    growing.store_prints(growing.later(30))
    growing.start()
    expect(page.get_by_role("status").first).to_have_text("Live", timeout=30_000)
    wanted = growing.ids("")
    expect(page.locator(f"{ROW}[data-id='{wanted[0]}']")).to_be_visible()
    growing.store_prints(growing.later(10))
    wanted = growing.ids("")
    expect(page.locator(f"{ROW}[data-id='{wanted[0]}']")).to_be_visible()
    assert all_rows(page) == wanted


def test_a_filter_chosen_without_a_server_shows_no_other_rows_and_fills_itself(page: Page, growing: Served) -> None:
    opened(page, growing)
    growing.kill()
    expect(page.locator(".banner")).to_contain_text("Not connected", timeout=30_000)
    assert shown(page) != []  # the last answer to the same question stays
    page.locator("[data-chip=calls]").click()
    expect(page.locator(".state h2")).to_have_text("No connection to the server")
    assert shown(page) == []
    growing.start()
    expect(page.locator(".state")).to_have_count(0, timeout=30_000)
    settled(page)
    same_as_api(page, growing, "chips=calls")


def test_why_answers_lag_is_said_in_words_as_long_as_they_do(page: Page, growing: Served) -> None:
    opened(page, growing)
    feed, banner = page.locator(".feed"), page.locator(".banner")
    expect(feed.get_by_role("status")).to_have_text("Live")
    hour = 3_600_000
    for silent, words in (
        ({"data_utc": -hour}, "Nothing arrives although the market is open"),
        ({"terminal_connected": False}, "The terminal is disconnected"),
        ({"quote_utc": -hour}, "Underlying quotes are old"),
    ):
        growing.tell_feed(**silent)
        expect(banner).to_contain_text(words, timeout=60_000)
        expect(feed.get_by_role("status")).to_have_text("Degraded")
        assert (feed.get_attribute("title") or "").startswith(words)
        expect(page.locator(".banner button")).to_have_count(0)
    growing.tell_feed()
    expect(banner).to_have_count(0, timeout=60_000)

    later = growing.later(3)
    growing.receive_prints(later, ago_ms=hour)
    expect(banner).to_contain_text("Tagging is behind", timeout=60_000)
    expect(feed).to_contain_text("over 30 s behind")
    before = growing.ids("")
    page.get_by_role("button", name="Read the newest").click()
    expect(page.locator(f"{ROW}[data-id='{before[0]}'] .undecided")).not_to_have_count(0, timeout=60_000)
    settled(page)
    ids = shown(page)
    assert ids == before[: len(ids)]
    growing.store_prints(growing.later(1))  # whoever adds prints first enriches those that wait
    expect(banner).to_have_count(0, timeout=60_000)
    expect(feed.get_by_role("status")).to_have_text("Live")
    expect(feed).not_to_contain_text("behind")


def test_the_keyboard_walks_the_page(page: Page, served: Served) -> None:
    opened(page, served)
    ids = shown(page)
    for key in "jjjk":
        page.keyboard.press(key)
    expect(page.locator(f"{ROW}.selected")).to_have_attribute("data-id", ids[1])
    page.keyboard.press("Enter")
    drawer = page.get_by_role("complementary", name="Row")
    expect(drawer).to_contain_text(ids[1])
    keys = {field["json"] for field in catalog(served)["fields"] if field["json"]}
    assert drawer.locator("dl > div").count() == len(keys) + 1  # and the id
    page.keyboard.press("j")
    expect(drawer).to_contain_text(ids[2])
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog", name="Keys")).to_have_count(0)
    page.keyboard.press("e")
    expect(page.get_by_role("complementary", name="Filters")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("complementary", name="Filters")).to_have_count(0)
    page.keyboard.press("/")
    expect(page.locator("#where")).to_be_focused()


def test_completion_offers_names_of_the_catalog(page: Page, served: Served) -> None:
    opened(page, served)
    page.keyboard.press("/")
    page.keyboard.type("@wha")
    option = page.get_by_role("option")
    expect(option).to_have_text("@whalesWhales")
    page.keyboard.press("Tab")
    expect(page.locator("#where")).to_have_value("@whales")


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_on_a_phone_nothing_runs_out_of_the_page(page: Page, served: Served, scheme: str) -> None:
    page.emulate_media(color_scheme="dark" if scheme == "dark" else "light")
    page.set_viewport_size({"width": 390, "height": 844})
    opened(page, served, "chips=otm")
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    assert page.evaluate("document.querySelector('.scroll').scrollWidth") == 390
    ids = shown(page)
    assert ids == served.ids("chips=otm")[: len(ids)]


def test_every_control_has_a_name(page: Page, served: Served) -> None:
    opened(page, served, "chips=otm&minValue=100")
    page.keyboard.press("e")
    nameless = page.evaluate(
        """() => [...document.querySelectorAll('button, input, a, [role=grid], aside')]
            .filter((element) => !(element.getAttribute('aria-label') || element.textContent.trim()))
            .map((element) => element.outerHTML)"""
    )
    assert nameless == []


def test_nothing_is_inline_and_everything_comes_from_here(page: Page, served: Served) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    answer = page.goto(served.url)
    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy
    settled(page)
    assert all(url.startswith(served.url) for url in asked)
    assert re.search(r"<style|style=|<script(?![^>]* src=)", answer.text()) is None


def test_real_prints_look_as_the_api_gives_them(page: Page, taped: Served) -> None:
    opened(page, taped, "sessions=100")
    assert same_as_api(page, taped, "sessions=100") > 1000
    for chip in ("multi_leg", "whales", "leaps", "otm"):
        for parameter in ("chips", "notChips"):
            query = f"sessions=100&{parameter}={chip}"
            opened(page, taped, query)
            same_as_api(page, taped, query)


def test_the_alerts_panel_shows_what_an_alert_raised_and_sends_a_test(page: Page, growing: Served) -> None:
    for name, where in (("Everything", "size >= 1"), ("Nothing", "size < 0")):
        body = json.dumps({"name": name, "dsl": where}).encode()
        urllib.request.urlopen(f"{growing.url}api/flow/alerts", body, timeout=30).close()
    opened(page, growing)
    page.get_by_role("button", name="Alerts", exact=True).click()
    panel = page.get_by_role("complementary", name="Alerts")
    expect(panel.get_by_role("listitem")).to_have_count(2)
    panel.get_by_role("button", name="Nothing").click()
    expect(panel.get_by_role("heading", name="0 events")).to_be_visible()
    panel.get_by_role("button", name="Send a test").click()
    expect(panel.get_by_role("status")).to_have_text("It has no target: nothing was sent.")
    expect(panel.get_by_role("listitem")).to_contain_text("test")
    panel.get_by_role("button", name="All alerts").click()
    panel.get_by_role("button", name="Everything").click()
    later = growing.later(3)
    growing.store_prints(later)
    expect(panel.get_by_role("heading", name="3 events")).to_be_visible(timeout=60_000)
    growing.store_prints([later[-1].cancel(timedelta(seconds=30))])
    expect(panel.get_by_role("heading", name="4 events")).to_be_visible(timeout=60_000)
    expect(panel.get_by_role("listitem").first).to_contain_text("taken back")
    panel.get_by_role("button", name="Show its rows").click()
    expect(page.locator("#where")).to_have_value("size >= 1")
    assert query_of(page)["where"] == "size >= 1"
    page.keyboard.press("a")
    expect(panel).to_have_count(0)
