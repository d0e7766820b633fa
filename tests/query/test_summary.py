"""Sums from memory and from the store are those of the rows, added up one by one."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from phenix.engine.flow import INDEX
from phenix.engine.live.index import LiveIndex
from phenix.engine.live.search import Search
from phenix.engine.live.tally import SENTIMENTS, SESSIONS, SIDES
from phenix.engine.live.words import CONTRACT
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.query.page import Page, fetch_page
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.query.summary import Summary, fetch_summary
from phenix.engine.store.base import StoreTimeout
from phenix.engine.store.sqlite import open_reader
from phenix.engine.store.sqlite_reader import SqliteReader
from tests.server.rows import SESSION, Store

FILTERS = (
    "", "@whales", "symbol = SPY and right = call", "oi is null or @otm", "symbol = ZZZ", "side = AA and value > 10k",
    "cancelled", "time_et < 09:30:20 ET",
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    one, rng = Store(tmp_path_factory.mktemp("sums") / "flow.sqlite"), random.Random(8)
    alive = one.add(30, session_date=SESSION - 1)
    while one.made < 900:
        alive += one.add(rng.choice((1, 60)), session=rng.choice(("regular", "curb")))
        if rng.random() < 0.4:
            one.cancel(alive.pop(rng.randrange(len(alive))))
    yield one
    one.close()


@pytest.fixture
def reader(store: Store) -> Iterator[SqliteReader]:
    with open_reader(store.path) as one:
        yield one


def added_up(rows: Sequence[Sequence[Any]]) -> dict[str, Any]:
    """The sums of rows, the plain way."""
    found: dict[str, Counter[Any]] = {
        name: Counter() for name in ("contract", "size", "premium", "bullish", "bearish", "minute", "side",
                                     "sentiment", "session", "chip")
    }  # fmt: skip
    for row in rows:
        get = {name: row[i] for name, i in INDEX.items()}
        contract = tuple(get[name] for name in CONTRACT)
        found["contract"][contract] += 1
        found["size"][contract] += get["size"]
        found["premium"][contract] += get["value"]
        if get["sentiment"] != "neutral":
            found[get["sentiment"]][contract] += get["value"]
        found["minute"][get["trade_ts_et"] // 60_000, get["side"]] += get["value"]
        for name in ("side", "sentiment", "session"):
            found[name][get[name]] += 1
        found["chip"].update(bit for bit in range(63) if get["chips_set"] >> bit & 1)
    return {name: +counts for name, counts in found.items()}


def told(summary: Summary) -> dict[str, Any]:
    """The same of a summary."""
    tally, lines = summary.tally, dict(summary.top(100_000))
    for place in range(len(CONTRACT)):
        grouped = summary.by(place)
        assert sum(line.premium for line in grouped.values()) == tally.premium
        assert set(grouped) == {contract[place] for contract in lines}
    assert summary.top(3) == list(lines.items())[:3]
    ends: list[str | None] = [None]

    def members(counts: Any, names: Sequence[str]) -> Counter[Any]:
        return +Counter(dict(zip([*names, *ends], map(int, counts), strict=True)))

    by_contract = {
        name: +Counter({contract: line[place] for contract, line in lines.items()})
        for place, name in enumerate(("contract", "size", "premium", "bullish", "bearish"))
    }
    return by_contract | {
        "minute": +Counter({(minute, side): int(sum_) for minute, sums in tally.minutes.items()
                            for side, sum_ in zip([*SIDES, None], sums, strict=True)}),
        "side": members(tally.sides, SIDES), "sentiment": members(tally.sentiments, SENTIMENTS),
        "session": members(tally.sessions, SESSIONS),
        "chip": +Counter({bit: int(count) for bit, count in enumerate(tally.chips)}),
    }  # fmt: skip


@pytest.mark.parametrize("room", [32, 256, 65_536])
@pytest.mark.parametrize("cancelled", [False, True])
def test_sums(store: Store, reader: SqliteReader, room: int, cancelled: bool) -> None:
    live = LiveIndex(room=room)
    live.follow(reader)
    for text in FILTERS:
        request = FlowRequest((("where", text),) if text else (), include_cancelled=cancelled, limit=1_000)
        page = fetch_page(reader, request, store.bundle)
        assert isinstance(page, Page)
        assert not page.has_more
        expected = added_up(page.rows)
        for index in (live, None):
            summary = fetch_summary(reader, request, store.bundle, live=index)
            assert isinstance(summary, Summary)
            assert summary.plan.startswith("store" if index is None else "memory")
            assert told(summary) == expected, (text, index)
            assert (summary.tally.rows, summary.where) == (len(page.rows), page.where)
            assert summary.tally.premium == sum(row[INDEX["value"]] for row in page.rows)


def test_what_is_cancelled_later_leaves_the_sums_of_the_whole(store: Store, reader: SqliteReader) -> None:
    live = LiveIndex(room=32)
    live.follow(reader)
    request = FlowRequest()
    for _ in range(3):
        alive = [row for row in reader.rows_after(0, 10_000) if row[INDEX["cancelled_seq"]] is None][100:]
        store.cancel(random.Random(len(alive)).choice(alive))
        summary = fetch_summary(reader, request, store.bundle, live=live)
        assert isinstance(summary, Summary)
        assert told(summary) == told(_of_store(reader, request, store))
        open_rows = live.snapshot().blocks[-1][1]
        assert summary.plan == f"memory, {open_rows:,} rows looked at"  # the sealed blocks are known


def _of_store(reader: SqliteReader, request: FlowRequest, store: Store) -> Summary:
    found = fetch_summary(reader, request, store.bundle)
    assert isinstance(found, Summary)
    return found


def test_sums_over_sessions_come_from_the_store(store: Store, reader: SqliteReader) -> None:
    live = LiveIndex()
    live.follow(reader)
    both = fetch_summary(reader, FlowRequest(sessions=2), store.bundle, live=live)
    one = fetch_summary(reader, FlowRequest(sessions=1), store.bundle, live=live)
    assert isinstance(both, Summary)
    assert isinstance(one, Summary)
    assert (both.plan, both.tally.rows > one.tally.rows) == ("store", True)


def test_what_cannot_be_summed_is_refused(store: Store, reader: SqliteReader) -> None:
    refused = fetch_summary(reader, FlowRequest((("where", "nosuch = 1"),)), store.bundle)
    assert isinstance(refused, Refusal)
    with pytest.raises(StoreTimeout):
        fetch_summary(reader, FlowRequest(sessions=2), store.bundle, timeout_s=0.0)


@pytest.mark.parametrize("room", [64, 65_536])
def test_sums_of_everything_are_as_of_a_seq(store: Store, reader: SqliteReader, room: int) -> None:
    """Rows that came since are in memory, too, in blocks whose sums are known and in the open one."""
    live = LiveIndex(room=room)
    live.follow(reader)
    snapshot = live.snapshot()
    every, each = (compile_predicate(parts, store.bundle) for parts in ((), (("where", "size >= 0"),)))
    assert isinstance(every, Predicate)
    assert isinstance(each, Predicate)
    for as_of in (*range(40, snapshot.position, 37), snapshot.position):
        known, looked_at = (Search(one, snapshot, as_of, cancelled=False) for one in (every, each))
        found, added = known.tally(), looked_at.tally()
        assert found.rows == known.count() == added.rows
        for name, sums in added.arrays().items():
            if name not in ("minute", "by_minute"):
                ours = found.arrays()[name]
                width = min(ours.shape[-1], sums.shape[-1])  # beyond it is room for contracts to come
                assert np.array_equal(ours[..., :width], sums[..., :width]), (as_of, name)
                assert not ours[..., width:].any()
                assert not sums[..., width:].any()
        assert {at: sums.tolist() for at, sums in found.minutes.items() if sums.any()} == {
            at: sums.tolist() for at, sums in added.minutes.items() if sums.any()
        }
