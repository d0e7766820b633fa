"""The page says that the server lags from when the API says so, and no longer once it does not."""

from __future__ import annotations

import time
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from phenix.engine.flow import RAW
from phenix.engine.store.base import Batch
from tests.scrape import at, scrape
from tests.server.conftest import Server
from tests.server.rows import Store, made
from tests.server.test_degraded import LAG, enrich

pytestmark = pytest.mark.browser


def lags(server: Server) -> list[bool]:
    """Whether it does, as answers, readiness and metrics tell."""
    meta = server.get("/api/flow")[1]["meta"]
    assert meta["degradedReason"] == ([LAG] if meta["degraded"] else [])
    metric = at(scrape(server.url("/metrics")), "degraded", reason=LAG)
    return [meta["degraded"], server.get("/ready")[0] == 503, metric == 1]


def test_a_print_that_waits_too_long_is_told_by_the_page_as_by_the_api(page: Page, tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    store.add(5)
    server = Server(store.url, "--heartbeat", "0.5")
    banner, word = page.locator(".banner"), page.locator(".feed")
    try:
        page.goto(server.url("/"))
        page.wait_for_selector(".body .row")
        expect(word).to_contain_text("Live", timeout=60_000)
        # It waits for 20 seconds already: no door says so before it has for 30, and each does then.
        row = made(500, ingested_at_utc=time.time_ns() // 1_000_000 - 20_000)
        (raw,) = store.writer.append(Batch(rows=[row[: len(RAW)]])).rows
        due = time.monotonic() + 60
        while not (meta := server.get("/api/flow")[1]["meta"])["degraded"]:
            assert meta["lagSeconds"] <= 30
            assert time.monotonic() < due
            time.sleep(0.1)
        assert meta["lagSeconds"] > 30
        expect(banner).to_contain_text("Degraded.", timeout=60_000)
        expect(word).to_contain_text("Degraded")
        assert lags(server) == [True] * 3
        enrich(store, [[*raw, *row[len(RAW) :]]])
        expect(banner).to_have_count(0, timeout=60_000)
        expect(word).to_contain_text("Live")
        assert lags(server) == [False] * 3
    finally:
        server.end()
        store.close()
