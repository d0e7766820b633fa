"""The focus goes into a panel opened by key and comes back; the where box completes, and keeps what was typed."""

from __future__ import annotations

import json
import urllib.request

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.page.conftest import Served
from tests.page.reading import ROW, catalog, opened, query_of, settled

pytestmark = pytest.mark.browser


def panel(page: Page, name: str) -> Locator:
    return page.get_by_role("complementary", name=name)


@pytest.mark.parametrize(("key", "name"), [("e", "Filters"), ("a", "Alerts")])
def test_a_panel_opened_by_key_has_the_focus_and_gives_it_back(page: Page, served: Served, key: str, name: str) -> None:
    opened(page, served)
    first = panel(page, name).get_by_role("searchbox") if key == "e" else panel(page, name).get_by_label("Close alerts")
    opener = page.get_by_role("columnheader", name="Premium").get_by_role("button")
    opener.focus()
    page.keyboard.press(key)
    expect(first).to_be_focused()
    page.keyboard.press("Escape")
    expect(panel(page, name)).to_have_count(0)
    expect(opener).to_be_focused()
    button = page.get_by_role("button", name=name, exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(first).to_be_focused()
    page.keyboard.press("Shift+Tab" if key == "e" else "Home")
    panel(page, name).get_by_label(f"Close {name.lower()}").press("Enter")
    expect(panel(page, name)).to_have_count(0)
    expect(button).to_be_focused()


def test_the_row_panel_opened_by_key_has_the_focus_and_gives_it_back(page: Page, served: Served) -> None:
    opened(page, served)
    tape = page.get_by_role("grid")
    close = panel(page, "Row").get_by_label("Close row")
    tape.focus()
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(close).to_be_focused()
    page.keyboard.press("j")  # the keys of the tape go on
    expect(page.locator(f"{ROW}.selected")).to_have_attribute("aria-rowindex", "3")
    page.keyboard.press("Escape")
    expect(panel(page, "Row")).to_have_count(0)
    expect(tape).to_be_focused()
    page.locator(ROW).first.click()
    expect(panel(page, "Row")).to_be_visible()
    expect(close).not_to_be_focused()  # whoever points goes on pointing


def test_one_panel_after_the_other_leads_back_to_where_the_first_was_opened(page: Page, served: Served) -> None:
    opened(page, served)
    tape = page.get_by_role("grid")
    tape.focus()
    page.keyboard.press("a")
    expect(panel(page, "Alerts").get_by_label("Close alerts")).to_be_focused()
    page.keyboard.press("e")
    expect(panel(page, "Filters").get_by_role("searchbox")).to_be_focused()
    page.keyboard.press("Escape")
    expect(tape).to_be_focused()


def test_within_the_alerts_the_focus_is_never_lost(page: Page, growing: Served) -> None:
    body = json.dumps({"name": "Focus", "dsl": "size < 0"}).encode()
    urllib.request.urlopen(f"{growing.url}api/flow/alerts", body, timeout=30).close()
    opened(page, growing)
    page.keyboard.press("a")
    panel(page, "Alerts").get_by_role("button", name="Focus").press("Enter")
    back = panel(page, "Alerts").get_by_role("button", name="All alerts")
    expect(back).to_be_focused()
    back.press("Enter")
    expect(panel(page, "Alerts").get_by_label("Close alerts")).to_be_focused()


def test_what_was_typed_stays_after_escape(page: Page, served: Served) -> None:
    opened(page, served)
    box = page.locator("#where")
    page.keyboard.press("/")
    page.keyboard.type("size > 5 and @wha")
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.get_by_role("option")).to_have_count(0)
    expect(box).to_be_focused()
    page.keyboard.press("Escape")
    expect(box).not_to_be_focused()
    expect(box).to_have_value("size > 5 and @wha")
    assert query_of(page) == {}
    page.keyboard.press("/")
    page.keyboard.type("les")
    page.keyboard.press("Enter")
    settled(page)
    assert query_of(page) == {"where": "size > 5 and @whales"}


def test_what_a_field_can_be_is_offered_by_the_server(page: Page, served: Served) -> None:
    members = next(field["enum"] for field in catalog(served)["fields"] if field["name"] == "side")
    assert members == ["AA", "ASK", "BID", "MID"]
    opened(page, served)
    box, options = page.locator("#where"), page.get_by_role("option")
    page.keyboard.press("/")
    page.keyboard.type("size > 5 and side = ")
    expect(options.locator(".code")).to_have_text(members)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(box).to_have_value("size > 5 and side = ASK")
    page.keyboard.type(" and side in {b")
    expect(options.locator(".code")).to_have_text(["BID"])
    page.keyboard.press("Tab")
    expect(box).to_have_value("size > 5 and side = ASK and side in {BID")
    with page.expect_response(lambda answer: "and " in (answer.request.post_data_json or {}).get("text", "")[-4:]):
        page.keyboard.type("} and ")
    expect(options).to_have_count(0)  # nothing is put before who only types on
    page.keyboard.type("vol_")
    expect(options.first.locator(".code")).to_have_text("vol_oi_ratio")
    page.keyboard.press("Escape")
    page.keyboard.type("oi_ratio is known")
    page.keyboard.press("Enter")
    settled(page)
    assert query_of(page)["where"].endswith("and vol_oi_ratio is known")


def test_completion_counts_characters_as_the_server_does(page: Page, served: Served) -> None:
    opened(page, served)
    page.keyboard.press("/")
    page.keyboard.type('symbol != "🦅" and @wha')
    expect(page.get_by_role("option")).to_have_count(1)
    page.keyboard.press("Tab")
    expect(page.locator("#where")).to_have_value('symbol != "🦅" and @whales')
