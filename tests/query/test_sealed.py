"""Sessions before the latest are answered from their blocks as the store answers them, and never from stale ones."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from phenix import app
from phenix.engine.certify.rules import RandomRules
from phenix.engine.flow import BY_NAME, INDEX
from phenix.engine.live.file import blocks_of
from phenix.engine.live.index import LiveIndex
from phenix.engine.query.estimate import Estimate, fetch_estimate
from phenix.engine.query.page import Page, fetch_page
from phenix.engine.query.request import FlowRequest, Refusal, Total
from phenix.engine.query.summary import Summary, fetch_summary
from phenix.engine.store.base import StoreTimeout
from phenix.engine.store.sqlite import open_reader
from phenix.engine.store.sqlite_reader import SqliteReader
from phenix.server.service import Found
from tests.query.test_live import SORTS, asked, both, walk
from tests.query.test_summary import told
from tests.server.rows import SESSION, Store

FIRST, SECOND, LATEST = SESSION - 2, SESSION - 1, SESSION
DATES = (
    "session_date = 2026-09-16", "session_date = 2026-09-17", "session_date in {2026-09-16, 2026-09-18}",
    "session_date <= 2026-09-17", "session_date != 2026-09-17", "not (session_date < 2026-09-17)",
    "session_date = 2026-09-16 or size = 250", "session_date = 2026-09-17 or @calls", "session_date > 2026-09-18",
    "session_date = 2026-09-17 and (session_date = 2026-09-16 or symbol = SPY)",
    "trade_ts_utc > 2026-09-18T13:30:10Z",
)  # fmt: skip


def days(path: Path, seed: int = 0) -> Store:
    """Three sessions one after the other, cancels within and across them, and prints that came late."""
    one, rng = Store(path, seed), random.Random(seed)
    alive = []
    for date in (FIRST, SECOND, LATEST):
        for _ in range(6):
            alive += one.add(rng.choice((20, 60)), session_date=date, symbol=rng.choice(("SPY", "QQQ", f"S{date}")))
            if date > FIRST:
                alive += one.add(2, session_date=date - 1)
            one.cancel(alive.pop(rng.randrange(len(alive))))
    return one


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    one = days(tmp_path_factory.mktemp("sealed") / "flow.sqlite")
    yield one
    one.close()


@pytest.fixture
def reader(store: Store) -> Iterator[SqliteReader]:
    with open_reader(store.path) as one:
        yield one


def opened(reader: SqliteReader, folder: Path | None = None, most: int = 2, *dates: int) -> LiveIndex:
    """An index in which the sessions before the latest were asked for and opened."""
    live = LiveIndex(folder, room=64, sealed=most)
    assert live.follow(reader)
    for date in dates or (FIRST, SECOND):
        live.sealed.snapshot(reader, date, 0)
    build(live, reader)
    return live


def build(live: LiveIndex, reader: SqliteReader) -> None:
    while live.sealed.build(reader):
        pass


def of(date: int, text: str = "") -> FlowRequest:
    when = f"session_date = {date // 10_000}-{date // 100 % 100:02d}-{date % 100:02d}"
    parts = (("date", when), ("where", text)) if text else (("date", when),)
    return FlowRequest(parts, total=Total.EXACT, limit=1_000)


def plan(reader: SqliteReader, live: LiveIndex, request: FlowRequest, store: Store) -> str:
    page = fetch_page(reader, request, store.bundle, live=live)
    assert isinstance(page, Page)
    return page.plan


@pytest.mark.parametrize("name", SORTS)
def test_every_order(store: Store, reader: SqliteReader, name: str) -> None:
    live, rng = opened(reader), random.Random(name)
    for text in ("", "@calls and size >= 10", *rng.sample(DATES, 2)):
        for sessions in (2, 3) if "session_date" not in text else (0, 2):
            request = replace(asked(text, rng, sessions=sessions), sort=BY_NAME[name], limit=100)
            walk(reader, live, request, store, rng)


@pytest.mark.parametrize("text", DATES)
def test_dates(store: Store, reader: SqliteReader, text: str) -> None:
    live, rng = opened(reader), random.Random(text)
    for more in ("", " and (@otm or value > 50k)", " and symbol = SPY", " and cancelled"):
        for _ in range(2):
            walk(reader, live, asked(f"({text}){more}", rng), store, rng)


def test_random_filters(store: Store, reader: SqliteReader) -> None:
    live, rng = opened(reader), random.Random(12)
    rules, compared = RandomRules(rng, store.bundle.scope), 0
    while compared < 60:
        request = asked(f"({rng.choice(DATES)}) {rng.choice(('and', 'or'))} ({rules.rule()})", rng)
        if not isinstance(fetch_page(reader, request, store.bundle), Refusal):
            both(reader, live, request, store)
            compared += 1


def test_a_session_alone_is_looked_at(store: Store, reader: SqliteReader) -> None:
    live = opened(reader)
    rows = reader.session_count(FIRST, reader.watermark())
    assert plan(reader, live, of(FIRST, "size > 0"), store) == f"memory, {2 * rows:,} rows looked at"
    assert plan(reader, live, of(FIRST, "symbol = ZZZ"), store) == "memory, 0 rows looked at"
    assert plan(reader, live, of(LATEST + 1), store) == "memory, 0 rows of 0 sessions looked at"
    assert "of 3 sessions" in plan(reader, live, FlowRequest(sessions=3), store)


@pytest.mark.parametrize("cancelled", [False, True])
def test_sums(store: Store, reader: SqliteReader, cancelled: bool) -> None:
    live = opened(reader)
    for request in (of(FIRST), of(SECOND, "@calls"), FlowRequest(sessions=2), FlowRequest(sessions=3), of(LATEST + 1)):
        request = replace(request, include_cancelled=cancelled)
        found, stored = (fetch_summary(reader, request, store.bundle, live=one) for one in (live, None))
        assert isinstance(found, Summary)
        assert isinstance(stored, Summary)
        assert (found.plan[:6], stored.plan) == ("memory", "store")
        assert (told(found), found.top(5), found.by(0)) == (told(stored), stored.top(5), stored.by(0))
    whole = fetch_summary(reader, of(FIRST), store.bundle, live=live)
    assert isinstance(whole, Summary)
    assert whole.plan == "memory, 0 rows looked at"  # known block by block


def test_an_estimate(store: Store, reader: SqliteReader) -> None:
    found, stored = (
        fetch_estimate(reader, (("text", "@calls"),), store.bundle, 3, live=live, timeout_s=60.0)
        for live in (opened(reader), None)
    )
    assert isinstance(found, Estimate)
    assert isinstance(stored, Estimate)
    assert found == replace(stored, plan="memory", elapsed_ms=found.elapsed_ms)


@pytest.mark.parametrize("descending", [True, False], ids=["desc", "asc"])
def test_a_walk_while_the_next_day_and_late_prints_and_cancels_arrive(tmp_path: Path, descending: bool) -> None:
    one, rng = days(tmp_path / "flow.sqlite"), random.Random(descending)
    with open_reader(one.path) as reader:
        live = opened(reader)
        alive = [row for row in reader.rows_after(0, 10_000) if row[INDEX["cancelled_seq"]] is None
                 and not row[INDEX["cancel_record"]]]  # fmt: skip
        for name in ("seq", "otm_pct", "cancelled"):
            for whole in (replace(of(SECOND), limit=60), FlowRequest(sessions=3, limit=200, total=Total.EXACT)):
                request = replace(whole, sort=BY_NAME[name], descending=descending)
                first = page = both(reader, live, request, one)
                seen = [row[0] for row in page.rows]
                while page.next_cursor:
                    alive += one.add(rng.choice((1, 40)))
                    one.add(1, session_date=rng.choice((FIRST, SECOND)))
                    one.cancel(alive.pop(rng.randrange(len(alive))))
                    page = both(reader, live, replace(request, cursor=page.next_cursor), one)
                    assert page.as_of == first.as_of
                    seen += [row[0] for row in page.rows]
                assert len(seen) == len(set(seen)) == first.total
    one.close()


def test_the_blocks_of_a_day_stay_when_the_next_begins(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, folder = Store(tmp_path / "flow.sqlite"), tmp_path / "flow.live"
    with open_reader(one.path) as reader:
        rows = one.add(150, session_date=FIRST)
        live = LiveIndex(folder, room=64, sealed=1)
        assert live.follow(reader)
        one.add(10, session_date=FIRST)  # which nobody read before the next day began
        one.add(30, session_date=SECOND)
        assert live.follow(reader)
        assert plan(reader, live, of(FIRST), one) == "store"
        build(live, reader)
        files = sorted((folder / str(FIRST)).iterdir())
        assert [path.name for path in files] == ["0000.block", "0001.block", "0002.block"]
        written = [path.stat().st_mtime_ns for path in files]
        assert both(reader, live, of(FIRST), one).total == 160
        one.cancel(rows[7])
        assert both(reader, live, of(FIRST), one).total == 159
        again = opened(reader, folder, 1, FIRST)
        assert both(reader, again, of(FIRST), one).total == 159
        assert [path.stat().st_mtime_ns for path in files] == written
        one.add(70, session_date=FIRST)  # late
        again = opened(reader, folder, 1, FIRST)
        assert both(reader, again, of(FIRST, "not @otm"), one).rows
        again = opened(reader, folder, 1, FIRST)
        assert both(reader, again, of(FIRST), one).total == 229
        assert [path.stat().st_mtime_ns for path in files] == written
        assert not caplog.messages
        files[2].write_bytes(files[1].read_bytes())
        again = opened(reader, folder, 1, FIRST)
        assert both(reader, again, of(FIRST), one).total == 229
        assert "are read anew" in caplog.text
    one.close()


def test_no_more_are_opened_than_can_stay_open(store: Store, reader: SqliteReader) -> None:
    live = LiveIndex(room=64, sealed=1)
    live.follow(reader)
    estimate = fetch_estimate(reader, (), store.bundle, 3, live=live, timeout_s=60.0)
    assert isinstance(estimate, Estimate)
    assert (estimate.plan, len(estimate.sessions)) == ("memory and store", 3)
    assert plan(reader, live, of(FIRST), store) == "store"  # asked for while the other waits to be opened
    build(live, reader)
    assert plan(reader, live, of(SECOND), store).startswith("memory")
    assert plan(reader, live, of(FIRST), store) == "store"


def test_as_many_stay_open_as_the_setting_says(store: Store, reader: SqliteReader) -> None:
    live = opened(reader, None, 1)
    assert plan(reader, live, of(FIRST), store).startswith("memory")
    assert plan(reader, live, of(SECOND), store) == "store"
    build(live, reader)
    assert plan(reader, live, of(SECOND), store).startswith("memory")
    assert plan(reader, live, of(FIRST), store) == "store"  # the other was opened after it
    assert plan(reader, live, FlowRequest(sessions=3), store) == "store"
    none = opened(reader, None, 0)
    assert plan(reader, none, of(FIRST), store) == "store"
    assert not none.sealed.build(reader)


def test_much_that_came_late_is_read_beside(tmp_path: Path) -> None:
    one = days(tmp_path / "flow.sqlite")
    with open_reader(one.path) as reader:
        live = opened(reader)
        one.add(2_001, session_date=FIRST)
        assert plan(reader, live, of(FIRST), one) == "store"
        build(live, reader)
        assert (both(reader, live, of(FIRST), one).total or 0) > 2_001
    one.close()


def test_a_request_that_is_stopped_halfway_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    one, stopped = days(tmp_path / "flow.sqlite"), 0
    with open_reader(one.path) as reader:
        live = opened(reader)
        alive = [row for row in reader.session_stored(FIRST, 0, reader.watermark(), 1_000)
                 if row[INDEX["cancelled_seq"]] is None and not row[INDEX["cancel_record"]]]  # fmt: skip
        execute = reader.execute
        for statement in range(20):
            one.cancel(alive.pop())
            one.add(1, session_date=FIRST)
            turns = count()

            def stop(*args: Any, turns: count[int] = turns, at: int = statement, **more: Any) -> Any:
                if next(turns) == at:
                    raise StoreTimeout("stopped")
                return execute(*args, **more)

            monkeypatch.setattr(reader, "execute", stop)
            try:
                fetch_page(reader, of(FIRST), one.bundle, live=live)
            except StoreTimeout:
                stopped += 1
            monkeypatch.setattr(reader, "execute", execute)
            both(reader, live, of(FIRST), one)
    assert stopped > 5
    one.close()


def test_removed_sessions_take_their_blocks_along(tmp_path: Path) -> None:
    one, folder = days(tmp_path / "flow.sqlite"), blocks_of(tmp_path / "flow.sqlite")
    with open_reader(one.path) as reader:
        live = opened(reader, folder)
        assert {path.name for path in folder.iterdir()} == {str(FIRST), str(SECOND), str(LATEST)}
        _, leaving = app.choose_sessions(one.url, before=SECOND)
        app.remove_sessions(one.url, leaving, lambda _: None)
        assert {path.name for path in folder.iterdir()} == {str(SECOND), str(LATEST)}
        build(live, reader)
        assert both(reader, live, of(FIRST), one).total == 0
        live.follow(reader)
        assert plan(reader, live, of(SECOND), one) == "store"  # until it was held against the store again
        build(live, reader)
        assert both(reader, live, of(SECOND), one).rows
    one.close()


def test_a_restored_store_is_not_answered_from_the_blocks_before(tmp_path: Path) -> None:
    one, backup, path = days(tmp_path / "flow.sqlite"), tmp_path / "flow.backup", tmp_path / "flow.sqlite"
    app.back_up(one.url, backup, force=False, tell=lambda *_: None)
    with open_reader(path) as reader:
        rows = reader.session_stored(FIRST, 0, reader.watermark(), 1_000)
        one.cancel(next(row for row in rows if not row[INDEX["cancel_record"]] and not row[INDEX["cancelled_seq"]]))
        opened(reader, blocks_of(path))
    one.close()
    app.restore(backup, f"sqlite:{path}", force=True, tell=lambda *_: None)
    with open_reader(path) as reader:
        both(reader, opened(reader, blocks_of(path)), of(FIRST), one)


def test_blocks_of_another_store_are_read_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    for seed in (1, 2):
        one = days(tmp_path / f"{seed}.sqlite", seed)
        if seed == 1:
            one.add(200, session_date=FIRST)  # a block more than the other has
        with open_reader(one.path) as reader:
            both(reader, opened(reader, tmp_path / "live"), of(FIRST), one)
            if seed == 2:
                assert caplog.text.count("are read anew") == 3
                caplog.clear()
                both(reader, opened(reader, tmp_path / "live"), of(FIRST), one)
                assert not caplog.messages  # nothing is left of the first
        one.close()


def test_a_server_opens_what_is_asked_for(store: Store) -> None:
    async def ask() -> list[Found | Refusal]:
        service = app.service(store.url, sealed=1)
        await service.start()
        found = [await service.query(of(FIRST))]
        try:
            async with asyncio.timeout(60):
                while isinstance(found[-1], Found) and found[-1].page.plan == "store":
                    found.append(await service.query(of(FIRST)))
        finally:
            await service.close()
        return found

    first, *_, last = asyncio.run(ask())
    assert isinstance(first, Found)
    assert isinstance(last, Found)
    assert (first.page.plan, last.page.plan[:6]) == ("store", "memory")
    assert last.page.rows == first.page.rows
