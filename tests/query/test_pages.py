"""Pages: a walk gives each row that existed at its first page exactly once, in every order."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from phenix.engine.encode import json_value
from phenix.engine.flow import BY_NAME, INDEX
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.query.page import Page, fetch_page
from phenix.engine.query.request import FlowRequest, Refusal, Total
from phenix.engine.rollout import Mode, Rollout
from phenix.engine.store.base import StoreTimeout
from phenix.engine.store.sqlite import open_reader
from phenix.engine.store.sqlite_reader import SqliteReader
from tests.server.rows import Store

SEQ, CANCELLED = INDEX["seq"], INDEX["cancelled_seq"]
SORTS = (
    "seq",
    "value",
    "otm_pct",
    "side",
    "symbol",
    "repeat3m",
    "session_date",
    "vol_oi_ratio",
    "time_et",
    "cancelled",
)
FILTERS: tuple[tuple[str, bool], ...] = (
    ("", False), ("", True), ("right = call", False), ("cancelled", False), ("cancel_record or value > 50k", False),
    ("@otm and not @vol_oi", False), ("otm_pct is null", True),
)  # fmt: skip


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "flow.sqlite")
    yield made
    made.close()


@pytest.fixture
def reader(store: Store) -> Iterator[SqliteReader]:
    made = open_reader(store.path)
    yield made
    made.close()


def page(reader: SqliteReader, request: FlowRequest, store: Store) -> Page:
    found = fetch_page(reader, request, store.bundle)
    assert isinstance(found, Page), found
    return found


def refusal(reader: SqliteReader, request: FlowRequest, store: Store) -> Refusal:
    found = fetch_page(reader, request, store.bundle)
    assert isinstance(found, Refusal)
    return found


def where(text: str) -> tuple[tuple[str, str], ...]:
    return (("where", text),) if text else ()


def state(store: Store) -> list[tuple[Any, ...]]:
    return store.writer.reads.rows_after(0, 100_000)


def sort_value(row: tuple[Any, ...], name: str, as_of: int) -> Any:
    if name == "time_et":
        return row[INDEX["trade_ts_et"]] % 86_400_000
    if name == "cancelled":
        return row[CANCELLED] is not None and row[CANCELLED] <= as_of
    return row[INDEX[name]]


def in_order(rows: list[tuple[Any, ...]], name: str, descending: bool, as_of: int) -> list[int]:
    """Seqs in the order of the specification: unknown last, ties by seq in the sort's direction."""
    known = [row for row in rows if sort_value(row, name, as_of) is not None]
    unknown = [row for row in rows if sort_value(row, name, as_of) is None]
    known.sort(key=lambda row: (sort_value(row, name, as_of), row[SEQ]), reverse=descending)
    unknown.sort(key=lambda row: row[SEQ], reverse=descending)
    return [row[SEQ] for row in known + unknown]


@pytest.mark.parametrize("descending", [True, False], ids=["desc", "asc"])
@pytest.mark.parametrize("name", SORTS)
def test_a_walk_while_rows_and_cancels_arrive(store: Store, reader: SqliteReader, name: str, descending: bool) -> None:
    rng = random.Random(f"{name} {descending}")
    rows = store.add(120)
    alive = rng.sample(rows, len(rows))
    for _ in range(6):
        store.cancel(alive.pop())
    for text, with_cancelled in FILTERS:
        request = FlowRequest(
            where(text), sort=BY_NAME[name], descending=descending, limit=rng.choice((3, 17, 60)),
            include_cancelled=with_cancelled, total=Total.EXACT,
        )  # fmt: skip
        first = page(reader, request, store)
        whole = page(reader, replace(request, limit=1000), store)
        expected = in_order(list(whole.rows), name, descending, whole.as_of)
        assert [row[SEQ] for row in whole.rows] == expected
        assert whole.total == len(expected)

        seen, found = [row[SEQ] for row in first.rows], first
        while found.next_cursor:
            if rng.random() < 0.2:
                fresh = store.add(rng.choice((1, 5)))
                store.cancel(alive.pop(rng.randrange(len(alive))))
                alive += fresh
            found = page(reader, replace(request, cursor=found.next_cursor, limit=rng.choice((3, 17, 60))), store)
            assert found.as_of == first.as_of
            assert found.total == len(expected)
            seen += [row[SEQ] for row in found.rows]
        assert seen == expected, text


def test_filters_mean_the_same_in_pages_and_one_by_one(store: Store, reader: SqliteReader) -> None:
    rows = store.add(200)
    for row in rows[::20]:
        store.cancel(row)
    for text, _ in FILTERS[2:]:
        predicate = compile_predicate(where(text), store.bundle)
        assert isinstance(predicate, Predicate)
        for as_of in (100, 203, 210):
            expected = [row[SEQ] for row in state(store) if row[SEQ] <= as_of and predicate.matches(row, as_of)]
            sql, params = predicate.sql(as_of)
            found = reader.execute(
                "SELECT t.seq FROM option_trade_enriched e JOIN option_trades t ON t.seq = e.seq "
                f"WHERE t.seq <= ? AND ({sql}) ORDER BY t.seq",
                (as_of, *params),
            )
            assert [row[0] for row in found] == expected, (text, as_of)


def test_limits_are_clamped(store: Store, reader: SqliteReader) -> None:
    store.add(1100)
    assert len(page(reader, FlowRequest(limit=5000), store).rows) == 1000
    assert len(page(reader, FlowRequest(), store).rows) == 50


def test_an_empty_store(store: Store, reader: SqliteReader) -> None:
    found = page(reader, FlowRequest(total=Total.EXACT), store)
    assert (found.rows, found.as_of, found.has_more, found.next_cursor, found.total) == ((), 0, False, None, 0)


def test_the_last_page_is_full(store: Store, reader: SqliteReader) -> None:
    store.add(20)
    first = page(reader, FlowRequest(limit=10), store)
    last = page(reader, FlowRequest(limit=10, cursor=first.next_cursor or ""), store)
    assert (len(last.rows), last.has_more, last.next_cursor) == (10, False, None)


def test_cursors_of_other_queries(store: Store, reader: SqliteReader) -> None:
    store.add(20)
    asked = FlowRequest(where("size > 0"), limit=5)
    cursor = page(reader, asked, store).next_cursor
    assert cursor
    for other in (
        replace(asked, parts=where("size > 1")), replace(asked, parts=()), replace(asked, sort=BY_NAME["value"]),
        replace(asked, descending=False), replace(asked, include_cancelled=True), replace(asked, sessions=2),
    ):  # fmt: skip
        assert refusal(reader, replace(other, cursor=cursor), store).code == "cursor_mismatch"
    same = replace(asked, limit=7, fields=("seq",), total=Total.EXACT, cursor=cursor)
    assert [row[SEQ] for row in page(reader, same, store).rows] == [15, 14, 13, 12, 11, 10, 9]


def test_cursors_of_another_store_or_rule_version(store: Store, reader: SqliteReader, tmp_path: Path) -> None:
    store.add(20)
    cursor = page(reader, FlowRequest(limit=5), store).next_cursor
    assert cursor
    other = Store(tmp_path / "other.sqlite")
    other.add(10)
    found = open_reader(other.path)
    assert refusal(found, FlowRequest(cursor=cursor), other).code == "cursor_expired"
    found.close()
    other.close()

    class Renamed:
        version = "another"

        def __getattr__(self, name: str) -> Any:
            return getattr(store.bundle, name)

    refused = fetch_page(reader, FlowRequest(cursor=cursor), Renamed())  # type: ignore[arg-type]
    assert isinstance(refused, Refusal)
    assert refused.code == "cursor_expired"


def test_values_are_bound(store: Store, reader: SqliteReader) -> None:
    store.add(5)
    found = page(reader, FlowRequest(where('root = "x\' OR 1=1 --"')), store)
    assert found.rows == ()


def test_a_walk_stays_on_its_session(store: Store, reader: SqliteReader) -> None:
    store.add(10)
    request = FlowRequest(limit=4)
    first = page(reader, request, store)
    store.add(5, session_date=20260921)
    rest = page(reader, replace(request, cursor=first.next_cursor or "", limit=100), store)
    assert [row[SEQ] for row in first.rows + rest.rows] == list(range(10, 0, -1))
    assert [row[SEQ] for row in page(reader, request, store).rows] == [15, 14, 13, 12]
    assert json_value("session_date", first.session) == "2026-09-18"


def test_sessions(store: Store, reader: SqliteReader) -> None:
    for date in (20260916, 20260917, 20260918):
        store.add(3, session_date=date)

    def seqs(request: FlowRequest) -> list[int]:
        return [row[SEQ] for row in page(reader, request, store).rows]

    assert seqs(FlowRequest()) == [9, 8, 7]
    assert seqs(FlowRequest(sessions=2)) == [9, 8, 7, 6, 5, 4]
    assert seqs(FlowRequest(sessions=9)) == list(range(9, 0, -1))
    assert seqs(FlowRequest(where("session_date = 2026-09-16"))) == [3, 2, 1]
    assert seqs(FlowRequest(where("trade_ts_utc >= 2026-09-18T00:00Z"))) == list(range(9, 0, -1))
    first = page(reader, FlowRequest(sessions=2, limit=4), store)
    store.add(2, session_date=20260919)
    rest = FlowRequest(sessions=2, limit=4, cursor=first.next_cursor or "")
    assert seqs(rest) == [5, 4]
    bounded = page(reader, FlowRequest(where("session_date > 2026-09-17"), limit=2), store)
    assert bounded.session is None
    assert seqs(FlowRequest(where("session_date > 2026-09-17"), cursor=bounded.next_cursor or "")) == [9, 8, 7]


def test_filters_that_do_not_compile(store: Store, reader: SqliteReader) -> None:
    one = refusal(reader, FlowRequest(where("vallue > 1")), store)
    assert (one.code, one.detail, len(one.diagnostics)) == ("invalid_query", "there is no field `vallue`", 1)
    two = refusal(reader, FlowRequest((("where", "vallue > 1"), ("preset", "value > 5m"))), store)
    assert (two.code, len(two.diagnostics)) == ("invalid_query", 2)
    assert two.detail == "2 things are wrong with the filter; the first: there is no field `vallue`"
    assert [found.to_dict()["source"] for found in two.diagnostics] == ["where", "preset"]
    assert refusal(reader, FlowRequest(where("a" * 70_000)), store).code == "too_complex"
    assert refusal(reader, FlowRequest(cursor="x"), store).code == "invalid_query"


class Hurried:
    """A reader with no time left for counting."""

    def __init__(self, reader: SqliteReader) -> None:
        self._reader = reader

    def execute(self, sql: str, params: Any = (), *, timeout_s: float | None = None) -> Any:
        counting = sql.startswith("SELECT count(*)")
        return self._reader.execute(sql, params, timeout_s=-1 if counting else timeout_s)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


def test_a_count_that_takes_too_long(store: Store, reader: SqliteReader) -> None:
    store.add(2000)
    hurried: Any = Hurried(reader)
    guess = fetch_page(hurried, FlowRequest(total=Total.ESTIMATE), store.bundle)
    assert isinstance(guess, Page)
    assert (guess.total, len(guess.rows)) == (None, 50)
    with pytest.raises(StoreTimeout):
        fetch_page(hurried, FlowRequest(total=Total.EXACT), store.bundle)
    with pytest.raises(StoreTimeout):
        fetch_page(reader, FlowRequest(where("size > 9000000")), store.bundle, timeout_s=-1)


def test_a_filter_is_compiled_once_for_each_bundle(store: Store) -> None:
    parts = (("where", "@otm and size > 5"), ("symbol", "symbol = SPY"))
    one = compile_predicate(parts, store.bundle)
    assert isinstance(one, Predicate)
    assert compile_predicate(list(parts), store.bundle) is one
    assert compile_predicate(parts[:1], store.bundle) is not one
    other = store.bundle.rolled_out(Rollout(Mode.CORE))
    again = compile_predicate(parts, other)
    assert isinstance(again, Predicate)
    assert (again.text, again.bundle) == (one.text, other)
    long = (("where", " or ".join(f"size = {n}" for n in range(300))),)
    assert compile_predicate(long, store.bundle) is not compile_predicate(long, store.bundle)
