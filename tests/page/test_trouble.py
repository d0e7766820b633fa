"""What the page says, and keeps, when the server refuses, is gone, or wants to know who asks."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, Route, expect

from phenix import app
from phenix.engine.query.request import Refusal
from phenix.server.auth import Role, new_token
from tests.page.conftest import Served
from tests.page.reading import ROW, all_rows, catalog, opened, query_of, same_as_api, settled, shown

pytestmark = pytest.mark.browser


def test_rows_on_their_way_are_not_put_below_a_refusal(page: Page, growing: Served) -> None:
    opened(page, growing)
    page.evaluate(
        """() => {
            window.frames_wanted = [];
            window.drawn = window.requestAnimationFrame;
            window.requestAnimationFrame = (frame) => window.frames_wanted.push(frame);
        }"""
    )
    growing.store_prints(growing.later(3))
    page.wait_for_function("window.frames_wanted.length > 0")  # they are here, and not drawn yet
    with page.expect_response(lambda answer: answer.status == 400):
        page.evaluate("history.pushState(null, '', '?where=@wales'); dispatchEvent(new PopStateEvent('popstate'))")
    page.wait_for_function("window.drawn.call(window, () => undefined) > 0")
    page.evaluate(
        """() => {
            window.requestAnimationFrame = window.drawn;
            for (const frame of window.frames_wanted) requestAnimationFrame(frame);
        }"""
    )
    expect(page.locator(".state h2")).to_have_text("The server refused this filter")
    assert shown(page) == []


def test_a_restart_moves_nothing_under_a_reader_who_paused(page: Page, growing: Served) -> None:
    opened(page, growing)
    page.locator(ROW).nth(3).click()
    drawer = page.get_by_role("complementary", name="Row")
    expect(drawer).to_be_visible()
    page.keyboard.press("p")
    before, heading = shown(page), drawer.get_by_role("heading", level=2).inner_text()
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if "/api/flow?" in request.url else None)
    growing.kill()
    expect(page.locator(".banner")).to_contain_text("Not connected", timeout=30_000)
    growing.store_prints(growing.later(30))
    growing.start()
    expect(page.locator(".waiting")).to_have_text("↑ 30 new", timeout=30_000)
    expect(page.locator(".banner")).to_have_count(0)
    assert shown(page) == before
    assert drawer.get_by_role("heading", level=2).inner_text() == heading
    assert asked == []
    page.keyboard.press("Escape")
    page.mouse.move(1, 1)  # rows do not move under the pointer
    page.keyboard.press("p")
    expect(page.locator(f"{ROW}[data-id='{growing.ids('')[0]}']")).to_be_visible()


def test_older_rows_are_read_on_after_an_answer_that_failed_in_passing(page: Page, served: Served) -> None:
    failing = [1]

    def fail(route: Route) -> None:
        if failing and "cursor=" in route.request.url:
            failing.pop()
            route.fulfill(status=503, content_type="application/json", body='{"status": 503, "detail": "Not now."}')
        else:
            route.continue_()

    page.route("**/api/flow?**", fail)
    opened(page, served)
    assert all_rows(page) == served.ids("")
    assert not failing


@pytest.fixture
def shadowed(growing: Served) -> Iterator[Served]:
    """With a rule version in shadow."""
    stored = app.lifecycle(growing.store).set_params("", {"whales_min": "70k"})
    assert not isinstance(stored, Refusal)
    desk = app.comparisons(growing.store)
    desk.name(stored[0].version)
    yield growing
    desk.name(None)


@pytest.mark.parametrize("parameter", ["rules", "shadow"])
def test_a_filter_without_a_stream_says_so_and_why(page: Page, shadowed: Served, parameter: str) -> None:
    served = shadowed
    value = catalog(served)["ruleVersion"] if parameter == "rules" else "1"
    streams: list[Request] = []
    page.on("request", lambda request: streams.append(request) if "/flow/stream" in request.url else None)
    page.clock.install()
    opened(page, served, f"{parameter}={value}")
    expect(page.locator(".feed").get_by_role("status")).to_have_text("Not live", timeout=30_000)
    banner = page.locator(".banner")
    expect(banner).to_contain_text(f"No stream for this filter: {parameter} means nothing here; leave it out")
    assert page.locator(ROW).count() > 20  # its rows are there all the same
    tries = len(streams)
    page.locator(ROW).first.click()
    page.clock.fast_forward("05:00")
    assert len(streams) == tries
    page.locator("[data-chip=calls]").click()
    page.get_by_role("button", name=re.compile(f"Remove {parameter}")).click()
    expect(page.locator(".feed").get_by_role("status")).to_have_text("Live", timeout=30_000)
    expect(banner).to_have_count(0)


def test_without_a_stream_nothing_is_promised(page: Page, served: Served) -> None:
    opened(page, served, f"rules={catalog(served)['ruleVersion']}&where=size+<+0")
    expect(page.locator(".feed").get_by_role("status")).to_have_text("Not live", timeout=30_000)
    expect(page.locator(".state")).to_contain_text("do not appear by themselves")


class Guarded(Served):
    """A server that wants tokens, and lets one client ask only so often."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.secret, token = new_token("desk", Role.READER)
        (folder / "tokens.txt").write_text(f"{token.line}\n")
        self.settings = {"PHENIX_API_TOKENS": str(folder / "tokens.txt")}

    def enter(self, page: Page, query: str = "") -> None:
        """Sign in at the form."""
        page.goto(self.url + (f"?{query}" if query else ""))
        page.get_by_label("Token").fill(self.secret)
        page.get_by_role("button", name="Enter").click()
        settled(page)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory, browser: Browser) -> Iterator[Guarded]:
    server = Guarded(tmp_path_factory.mktemp("guarded"))
    server.store_prints(server.prints)
    server.start(**server.settings)
    try:
        yield server
    finally:
        server.stop()


def test_who_is_signed_out_is_told_so_and_comes_back_to_the_same_filter(page: Page, guarded: Guarded) -> None:
    guarded.enter(page)
    before = shown(page)
    page.context.clear_cookies()
    page.locator("[data-chip=calls]").click()
    state = page.locator(".state")
    expect(state.get_by_role("heading")).to_have_text("You are signed out")
    assert shown(page) == []
    state.get_by_role("link", name="Sign in").click()
    page.get_by_label("Token").fill(guarded.secret)
    page.get_by_role("button", name="Enter").click()
    settled(page)
    assert query_of(page) == {"chips": "calls"}
    assert shown(page) not in ([], before)
    page.locator(".name").click()
    settled(page)
    page.reload()
    settled(page)
    assert query_of(page) == {}  # kept once, not for ever


def test_who_is_signed_out_while_the_tape_runs_keeps_its_rows(page: Page, guarded: Guarded) -> None:
    guarded.enter(page)
    before = shown(page)
    page.context.clear_cookies()
    guarded.kill()
    guarded.start(**guarded.settings)
    banner = page.locator(".banner")
    expect(banner).to_contain_text("You are signed out", timeout=30_000)
    rows = shown(page)
    assert rows == before[: len(rows)] != []
    expect(banner.get_by_role("link", name="Sign in")).to_be_visible()
    expect(page.locator(".feed").get_by_role("status")).to_have_text("Not live")


def test_too_many_requests_are_tried_again_and_who_may_not_read_is_told_so(page: Page, served: Served) -> None:
    refusals: dict[str, Any] = {}

    def refuse(route: Route) -> None:
        if refusals:
            route.fulfill(**refusals)
        else:
            route.continue_()

    page.route("**/api/flow?**", refuse)
    opened(page, served)
    refusals.update(
        status=429, headers={"retry-after": "3", "content-type": "application/problem+json"},
        body='{"status": 429, "code": "rate_limited", "detail": "More than 2 requests a second; wait a second."}',
    )  # fmt: skip
    page.locator("[data-chip=calls]").click()
    state = page.locator(".state")
    expect(state.get_by_role("heading")).to_have_text("Too many requests")
    expect(state).to_contain_text(re.compile("Trying again in [23] s"))
    refusals.clear()
    expect(state).to_have_count(0, timeout=30_000)
    settled(page)
    same_as_api(page, served, "chips=calls")
    refusals.update(
        status=403, headers={"content-type": "application/problem+json"},
        body='{"status": 403, "code": "forbidden", "detail": "This is for this machine alone."}',
    )  # fmt: skip
    page.locator("[data-chip=puts]").click()
    expect(state.get_by_role("heading")).to_have_text("You may not read this")
    expect(state).to_contain_text("for this machine alone")
