"""Export: the rows of all pages in seq order as of its beginning, from memory and from the store, resumed anywhere."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from phenix import app
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, INDEX
from phenix.engine.live.index import LiveIndex
from phenix.engine.query import export as module
from phenix.engine.query.export import Export, begin_export, next_rows
from phenix.engine.query.page import Page, fetch_page
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.store.base import Reader
from tests.server.rows import Store

EARLIER = 20260917


def opened(path: Path) -> Iterator[tuple[Store, Reader]]:
    """An earlier session of 30 rows and one of 2,500, some taken back."""
    store = Store(path)
    for row in (*store.add(30, session_date=EARLIER)[::7], *store.add(2_500)[::200]):
        store.cancel(row)
    with app.open_reader(store.url) as reader:
        yield store, reader
    store.close()


@pytest.fixture(scope="module")
def still(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Reader]]:
    """Nobody writes to it."""
    yield from opened(tmp_path_factory.mktemp("export") / "flow.sqlite")


@pytest.fixture
def full(tmp_path: Path) -> Iterator[tuple[Store, Reader]]:
    yield from opened(tmp_path / "flow.sqlite")


def begun(reader: Reader, request: FlowRequest, bundle: Bundle) -> Export:
    export = begin_export(reader, request, bundle)
    assert isinstance(export, Export)
    return export


def steps(reader: Reader, export: Export, live: LiveIndex | None = None) -> Iterator[tuple[list[int], Export]]:
    while not export.done:
        found = next_rows(reader, export, live=live)
        assert not isinstance(found, Refusal)
        rows, export = found
        yield [row[INDEX["seq"]] for row in rows], export


def pages(reader: Reader, request: FlowRequest, bundle: Bundle) -> list[int]:
    found: list[int] = []
    request = replace(request, sort=BY_NAME["seq"], descending=False, limit=700)
    while True:
        page = fetch_page(reader, request, bundle)
        assert isinstance(page, Page)
        found += [row[INDEX["seq"]] for row in page.rows]
        if page.next_cursor is None:
            return found
        request = replace(request, cursor=page.next_cursor)


REQUESTS = (
    FlowRequest(),
    FlowRequest(sessions=2),
    FlowRequest(sessions=10_000, include_cancelled=True),
    FlowRequest((("where", "@otm and right = call"),)),
    FlowRequest((("where", "cancelled or cancel_record"),), sessions=2),
    FlowRequest((("where", "session_date = 2026-09-17"),)),
    FlowRequest((("where", "size > 9000000"),)),
)


@pytest.mark.parametrize("request_", REQUESTS, ids=range(len(REQUESTS)))
@pytest.mark.parametrize("span", [65_536, 97])
@pytest.mark.parametrize("memory", [True, False])
def test_the_rows_of_all_pages(
    still: tuple[Store, Reader], monkeypatch: pytest.MonkeyPatch, request_: FlowRequest, span: int, memory: bool
) -> None:
    monkeypatch.setattr(module, "_SPAN", span)
    store, reader = still
    live = LiveIndex() if memory else None
    if live is not None:
        live.follow(reader)
    expected = pages(reader, request_, store.bundle)
    parts = list(steps(reader, begun(reader, request_, store.bundle), live))
    assert [seq for seqs, _ in parts for seq in seqs] == expected
    assert all(len(seqs) <= 1_000 for seqs, _ in parts)
    assert (parts[-1][1].cursor, bool(expected)) == ("", "9000000" not in str(request_.parts))


def test_as_of_its_beginning_wherever_it_is_resumed(full: tuple[Store, Reader]) -> None:
    store, reader = full
    request = FlowRequest(sessions=2)
    expected = pages(reader, request, store.bundle)
    seen: list[int] = []
    export = begun(reader, request, store.bundle)
    while not export.done:
        seqs, export = next(steps(reader, export))
        seen += seqs
        store.cancel(reader.rows_at([expected[-1 - len(seen) // 1_000]])[0])
        export = begun(reader, replace(request, cursor=export.cursor), store.bundle) if export.cursor else export
    assert seen == expected


def test_refused(still: tuple[Store, Reader]) -> None:
    store, reader = still

    def code(request: FlowRequest) -> str:
        refused = begin_export(reader, request, store.bundle)
        assert isinstance(refused, Refusal)
        return refused.code

    _, export = next(steps(reader, begun(reader, FlowRequest(sessions=2), store.bundle)))
    assert code(FlowRequest((("where", "vallue > 1"),))) == "invalid_query"
    assert code(FlowRequest(cursor="x")) == "invalid_query"
    assert code(FlowRequest(cursor=export.cursor)) == "cursor_mismatch"
    page = fetch_page(reader, FlowRequest(limit=5), store.bundle)
    assert isinstance(page, Page)
    assert code(FlowRequest(cursor=page.next_cursor or "")) == "cursor_mismatch"


def test_rows_that_are_removed_meanwhile_are_not_left_out_silently(full: tuple[Store, Reader]) -> None:
    store, reader = full
    whole = begun(reader, FlowRequest(sessions=2), store.bundle)
    later = begun(reader, FlowRequest(), store.bundle)
    _, leaving = app.choose_sessions(store.url, keep=1)
    app.remove_sessions(store.url, leaving, lambda _: None)
    refused = next_rows(reader, whole)
    assert isinstance(refused, Refusal)
    assert refused.code == "cursor_expired"
    assert not isinstance(next_rows(reader, later), Refusal)
    again = begun(reader, FlowRequest(sessions=2), store.bundle)
    assert [s for seqs, _ in steps(reader, again) for s in seqs] == pages(reader, FlowRequest(), store.bundle)


def test_an_empty_store(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    with app.open_reader(store.url) as reader:
        export = begun(reader, FlowRequest(), store.bundle)
        assert (export.done, export.cursor) == (True, "")
    store.close()
