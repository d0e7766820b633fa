"""What a test reads off the page: its rows, its address, and whether they are the API's."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qs, urlsplit

from playwright.sync_api import Page, expect

from tests.page.conftest import Served

__all__ = ["ROW", "all_rows", "catalog", "opened", "query_of", "same_as_api", "settled", "shown"]

ROW = ".body .row"


def query_of(page: Page) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(page.url).query).items()}


def opened(page: Page, served: Served, query: str = "") -> Page:
    page.goto(served.url + (f"?{query}" if query else ""))
    settled(page)
    return page


def settled(page: Page) -> None:
    """Wait until the page shows the answer to its address."""
    page.wait_for_selector(f"{ROW}, .state")
    expect(page.locator(".scroll")).to_have_attribute("aria-busy", "false")
    page.evaluate("() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))")


def shown(page: Page) -> list[str]:
    """Ids of the rows in the document, from the top."""
    found: list[str] = page.evaluate(
        """() => [...document.querySelectorAll('.body .row')]
            .sort((a, b) => a.getAttribute('aria-rowindex') - b.getAttribute('aria-rowindex'))
            .map((row) => row.dataset.id)"""
    )
    return found


def all_rows(page: Page) -> list[str]:
    """Ids of every row of the tape, scrolled through to its end."""
    found: list[str] = page.evaluate(
        """async () => {
            const scroll = document.querySelector('.scroll');
            const ids = new Map();
            const frame = () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)));
            for (let top = 0; ; top += scroll.clientHeight * 0.8) {
                scroll.scrollTop = top;
                await frame();
                while (document.querySelector('.tail')?.textContent.includes('Loading')) await frame();
                for (const row of document.querySelectorAll('.body .row'))
                    ids.set(Number(row.getAttribute('aria-rowindex')), row.dataset.id);
                const ended = document.querySelector('.tail')?.textContent.includes('End of the list');
                if (ended && top > scroll.scrollHeight) break;
            }
            return [...ids].sort((a, b) => a[0] - b[0]).map((pair) => pair[1]);
        }"""
    )
    return found


def same_as_api(page: Page, served: Served, query: str) -> int:
    """The page's rows, as far as they are in the document, are the API's; returns how many there are."""
    wanted = served.ids(query)
    if not wanted:
        expect(page.locator(".state h2")).to_have_text("No rows match")
        return 0
    ids = shown(page)
    assert ids == wanted[: len(ids)], query
    assert len(ids) == len(wanted) or len(ids) >= 20, query
    loaded = int(page.locator(".strip b").first.inner_text().replace(",", ""))
    assert loaded == min(200, len(wanted)), query
    return len(wanted)


def catalog(served: Served) -> Any:
    return served.get("api/flow/filters/catalog")
