"""The session in memory gives what the store's SQL gives: same rows, same order, same cursors, same counts."""

from __future__ import annotations

import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from phenix import app
from phenix.engine.certify.rules import REFUSALS, RandomRules
from phenix.engine.flow import BY_NAME
from phenix.engine.live import search
from phenix.engine.live.file import blocks_of
from phenix.engine.live.index import LiveIndex
from phenix.engine.live.search import can_sort
from phenix.engine.live.words import Contracts
from phenix.engine.query.page import Page, fetch_page
from phenix.engine.query.request import FlowRequest, Refusal, Total
from phenix.engine.store.base import StoreTimeout
from phenix.engine.store.sqlite import open_reader
from phenix.engine.store.sqlite_reader import SqliteReader
from phenix.engine.watch import Batch, read_batch
from phenix.server.reading import SORTABLE
from tests.operate.stores import execute
from tests.server.rows import SESSION, Store

SORTS = sorted({field.name for field in SORTABLE.values() if can_sort(field)})
LIKELY = (
    "", "@whales", "@otm and @calls", "@sweeps and @whales and symbol = SPY", "symbol in {QQQ, SPX} and value >= 100k",
    "not @otm", "@otm or right = put", "dte in 1..2 and value > 50k", "price >= ask", "oi is null", "cancelled",
    "cancel_record or side = AA", "symbol = ZZZ", "symbol = SPY and symbol = QQQ", "value < 0.01",
    "time_et >= 09:30:05 ET",
    "size = 250 and not @calls", "otm_pct > 2% or otm_pct is null", "symbol not in {SPY}", 'symbol like "B*"',
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Four thousand rows with cancels all along, a few of an earlier and a later session among them."""
    one = Store(tmp_path_factory.mktemp("live") / "flow.sqlite")
    rng = random.Random(4)
    alive = one.add(40, session_date=SESSION - 1)
    while one.made < 4_000:
        alive += one.add(rng.choice((1, 30, 200)))
        if rng.random() < 0.2:
            one.add(2, session_date=SESSION - 1)
        for _ in range(rng.randrange(4)):
            one.cancel(alive.pop(rng.randrange(len(alive))))
    yield one
    one.close()


@pytest.fixture
def reader(store: Store) -> Iterator[SqliteReader]:
    with open_reader(store.path) as one:
        yield one


def both(reader: SqliteReader, live: LiveIndex, request: FlowRequest, store: Store) -> Page:
    """The page as found in memory, after it was held against the store's."""
    found = fetch_page(reader, request, store.bundle, live=live)
    asked = fetch_page(reader, request, store.bundle)
    assert isinstance(found, Page), found
    assert isinstance(asked, Page), asked
    assert (found.plan[:6], asked.plan) == ("memory", "store")
    alike = replace(found, elapsed_ms=asked.elapsed_ms, plan=asked.plan)
    assert alike == asked, (request, [row[0] for row in found.rows], [row[0] for row in asked.rows])
    return found


def walk(reader: SqliteReader, live: LiveIndex, request: FlowRequest, store: Store, rng: random.Random) -> int:
    """Pages of random lengths from one end to the other; how many rows that were."""
    page = both(reader, live, request, store)
    rows = len(page.rows)
    while page.next_cursor and rows < 1_500:
        page = both(reader, live, replace(request, cursor=page.next_cursor, limit=rng.choice((1, 7, 200))), store)
        rows += len(page.rows)
    return rows


def asked(text: str, rng: random.Random, **more: Any) -> FlowRequest:
    return FlowRequest(
        (("where", text),) if text else (), sort=BY_NAME[rng.choice(SORTS)], descending=rng.random() < 0.5,
        limit=rng.choice((1, 5, 50, 1_000)), include_cancelled=rng.random() < 0.3, total=Total.EXACT, **more,
    )  # fmt: skip


@pytest.mark.parametrize("room", [32, 512, 65_536])
def test_likely_filters(store: Store, reader: SqliteReader, room: int) -> None:
    live, rng = LiveIndex(room=room), random.Random(room)
    live.follow(reader)
    rows = [walk(reader, live, asked(text, rng), store, rng) for text in LIKELY for _ in range(2)]
    assert sum(rows) > 10_000


@pytest.mark.parametrize("name", SORTS)
def test_every_order(store: Store, reader: SqliteReader, name: str) -> None:
    live, rng = LiveIndex(room=128), random.Random(name)
    live.follow(reader)
    for text in ("", "@calls and size >= 10"):
        for descending in (True, False):
            request = replace(asked(text, rng), sort=BY_NAME[name], descending=descending, limit=200)
            assert walk(reader, live, request, store, rng) > 200


@pytest.mark.parametrize("descending", [True, False], ids=["desc", "asc"])
@pytest.mark.parametrize("name", ["seq", "sig_score"])
def test_large_blocks(
    store: Store, reader: SqliteReader, name: str, descending: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of which an order is walked in steps, left for the rows as they are, or for those of a symbol."""
    monkeypatch.setattr(search, "_RUN", 16)  # as 256 is to a block of 65,536
    live, rng = LiveIndex(room=1_900), random.Random(5)
    live.follow(reader)
    symbols = [row[0] for row in reader.execute("SELECT DISTINCT symbol FROM option_trades")]
    for text in (*LIKELY, *(f"symbol = {symbol} and @calls" for symbol in symbols), "strike = 685 and @calls"):
        for limit in (3, 400):
            request = replace(asked(text, rng), sort=BY_NAME[name], descending=descending, limit=limit)
            walk(reader, live, request, store, rng)


def test_random_filters(store: Store, reader: SqliteReader) -> None:
    live, rng = LiveIndex(room=256), random.Random(11)
    live.follow(reader)
    rules, compared = RandomRules(rng, store.bundle.scope), 0
    while compared < 150:
        request = asked(rules.rule(), rng)
        # Without a session the request bounds the time itself, which is the store's.
        request = replace(request, sessions=1, limit=rng.choice((3, 1_000)))
        found = fetch_page(reader, request, store.bundle, live=live)
        if isinstance(found, Refusal):
            assert {finding.to_dict()["code"] for finding in found.diagnostics} <= REFUSALS
            continue
        both(reader, live, request, store)
        compared += 1


@pytest.mark.parametrize("descending", [True, False], ids=["desc", "asc"])
def test_a_walk_while_rows_and_cancels_arrive(tmp_path: Path, descending: bool) -> None:
    """What comes after the first page is in memory too, and seen by none of the pages after it."""
    one, rng = Store(tmp_path / "flow.sqlite"), random.Random(descending)
    live, alive = LiveIndex(room=64), one.add(300)
    with open_reader(one.path) as reader:
        live.follow(reader)
        for name in ("seq", "value", "otm_pct", "sig_score", "cancelled"):
            request = FlowRequest((), sort=BY_NAME[name], descending=descending, limit=20, total=Total.EXACT)
            first = page = both(reader, live, request, one)
            seen = [row[0] for row in page.rows]
            while page.next_cursor:
                alive += one.add(rng.choice((1, 40)))
                one.cancel(alive.pop(rng.randrange(len(alive))))
                page = both(reader, live, replace(request, cursor=page.next_cursor), one)
                assert page.as_of == first.as_of
                seen += [row[0] for row in page.rows]
            assert len(seen) == len(set(seen)) == first.total
    one.close()


def test_what_was_just_stored_is_found(tmp_path: Path) -> None:
    one = Store(tmp_path / "flow.sqlite")
    live = LiveIndex()
    with open_reader(one.path) as reader:
        one.add(10)
        request = FlowRequest(total=Total.EXACT)
        assert _plan(reader, live, request, one) == "store"  # nobody has read the session yet
        assert live.follow(reader)
        for _ in range(5):
            (row,) = one.add()
            assert both(reader, live, request, one).rows[0][0] == row[0]
        one.add(2_001)
        assert _plan(reader, live, request, one) == "store"  # too much for a request to read
        assert live.follow(reader)
        assert _plan(reader, live, request, one).startswith("memory")
        one.add(3, session_date=SESSION + 3)
        assert _plan(reader, live, request, one) == "store"  # another day began
        assert live.follow(reader)
        assert both(reader, live, request, one).total == 3
        assert _plan(reader, live, replace(request, sessions=2), one) == "store"
        assert _plan(reader, live, replace(request, sort=BY_NAME["symbol"]), one) == "store"
    one.close()


def test_who_is_level_does_not_wait_for_who_looks_whether_it_is(tmp_path: Path) -> None:
    one, live = Store(tmp_path / "flow.sqlite"), LiveIndex()
    one.add(10)
    with open_reader(one.path) as reader, ThreadPoolExecutor(1) as pool, open_reader(one.path) as another:
        live.follow(reader)
        with live._lock:
            assert both(reader, live, FlowRequest(total=Total.EXACT), one).total == 10
            one.add(5)
            asked = pool.submit(live.follow, another, 100)
            assert not asked.done()
        assert asked.result(60)  # once the other has done
        assert both(reader, live, FlowRequest(total=Total.EXACT), one).total == 15
    one.close()


def test_rows_that_the_tail_read_are_not_read_again(tmp_path: Path) -> None:
    one, live = Store(tmp_path / "flow.sqlite"), LiveIndex(room=64)
    rng = random.Random(6)
    alive = one.add(10)
    with open_reader(one.path) as reader:
        taken(live, read_batch(reader, 0))
        assert live.snapshot().position == 0  # nobody has read the session yet
        assert live.follow(reader)
        one.add(2, side=None)  # by themselves: a column of nothing known
        taken(live, read_batch(reader, reader.watermark() - 2))
        position = reader.watermark()
        while one.made < 1_000:
            alive += one.add(rng.choice((1, 30, 200)))
            one.add(2, session_date=SESSION - 1)
            for _ in range(rng.randrange(4)):
                one.cancel(alive.pop(rng.randrange(len(alive))))
            while (batch := read_batch(reader, position, limit=77)).upto > position:
                taken(live, batch)
                taken(live, batch)  # a second time changes nothing
                position = batch.upto
                assert live.snapshot().position == position
        sides = live.snapshot().words.texts["side"].words.words
        assert tuple(sides) == BY_NAME["side"].type.members  # that some are unknown is no word
        for text in LIKELY:
            request = FlowRequest((("where", text),) if text else (), total=Total.EXACT, limit=1_000)
            both(reader, live, request, one)
    one.close()


def taken(live: LiveIndex, batch: Batch) -> None:
    live.take(batch.after, batch.upto, batch.rows, batch.taken_back, batch.columns)


def _plan(reader: SqliteReader, live: LiveIndex, request: FlowRequest, store: Store) -> str:
    page = fetch_page(reader, request, store.bundle, live=live)
    assert isinstance(page, Page)
    return page.plan


def test_what_cannot_match_is_not_looked_at(store: Store, reader: SqliteReader) -> None:
    live = LiveIndex(room=64)
    live.follow(reader)
    open_rows = live.snapshot().blocks[-1][1]
    for text in ("symbol = ZZZ", "value > 999M", "size >= 5000 and right = call", "dte >= 50", "@leaps and @weeklies"):
        request = FlowRequest((("where", text),), total=Total.EXACT, limit=1)
        page = both(reader, live, request, store)
        assert page.total == 0
        looked_at = int(page.plan.split()[1].replace(",", ""))
        assert looked_at <= 2 * open_rows, text  # the open block has no zones: once for the page, once to count


def test_a_search_ends_at_its_deadline(store: Store, reader: SqliteReader) -> None:
    live = LiveIndex()
    live.follow(reader)
    with pytest.raises(StoreTimeout):
        fetch_page(reader, FlowRequest((("where", "size > 1"),)), store.bundle, live=live, timeout_s=0.0)


def _restarted(folder: Path, reader: SqliteReader, store: Store) -> LiveIndex:
    """An index that began with the blocks in a folder, held against the store."""
    live = LiveIndex(folder, room=64)
    assert live.follow(reader)
    for name, descending in (("seq", True), ("otm_pct", False), ("cancelled", True)):
        for text in ("", "@calls and symbol = SPY", "cancelled"):
            request = FlowRequest(
                (("where", text),) if text else (), sort=BY_NAME[name], descending=descending, limit=1_000,
                total=Total.EXACT,
            )  # fmt: skip
            both(reader, live, request, store)
    return live


def test_a_restart_begins_with_the_blocks_on_disk(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, folder = Store(tmp_path / "flow.sqlite"), tmp_path / "flow.live"
    with open_reader(one.path) as reader:
        rows = one.add(200)
        _restarted(folder, reader, one)
        files = sorted(path.name for path in (folder / str(SESSION)).iterdir())
        assert files == ["0000.block", "0001.block", "0002.block"]
        written = [path.stat().st_mtime_ns for path in (folder / str(SESSION)).iterdir()]
        one.cancel(rows[3])  # of a block on disk
        one.add(30, symbol="NEW")
        live = _restarted(folder, reader, one)
        one.cancel(rows[5])
        assert live.follow(reader, most=10)
        one.add(300, symbol="NEWER")
        _restarted(folder, reader, one)
        _restarted(folder, reader, one)
        assert not caplog.messages
        assert [path.stat().st_mtime_ns for path in sorted((folder / str(SESSION)).iterdir())][:3] == sorted(written)
        one.add(1, session_date=SESSION + 3)
        _restarted(folder, reader, one)
        assert not list(folder.iterdir())  # nothing is left of the day before
    one.close()


@pytest.mark.parametrize("harm", ["cut", "grown", "no head", "another session", "a hole", "words", "no sums"])
def test_blocks_that_do_not_fit_are_read_anew(tmp_path: Path, harm: str, caplog: pytest.LogCaptureFixture) -> None:
    one, folder = Store(tmp_path / "flow.sqlite"), tmp_path / "flow.live"
    one.add(200)
    with open_reader(one.path) as reader:
        _restarted(folder, reader, one)
        second = folder / str(SESSION) / "0001.block"
        whole = second.read_bytes()
        if harm == "cut":
            second.write_bytes(whole[:-64])
        elif harm == "grown":
            second.write_bytes(whole + b" " * 64)
        elif harm == "no head":
            second.write_bytes(b"\n" + whole)
        elif harm == "another session":
            second.write_bytes(whole.replace(b'"session":%d' % SESSION, b'"session":%d' % (SESSION + 1)))
        elif harm == "no sums":
            second.write_bytes(whole.replace(b'"sum sides"', b'"sum sidez"'))
        elif harm == "a hole":
            second.write_bytes((folder / str(SESSION) / "0002.block").read_bytes())
        else:
            second.write_bytes(
                whole.replace(b'"SPY"', b'"???"').replace(b'"SPX"', b'"SPY"').replace(b'"???"', b'"SPX"')
            )
        _restarted(folder, reader, one)
        assert "are read anew" in caplog.text
        caplog.clear()
        _restarted(folder, reader, one)
        assert not caplog.messages
    one.close()


def test_blocks_of_another_store_are_read_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "flow.live"
    for seed in (1, 2):
        one = Store(tmp_path / f"{seed}.sqlite", seed)
        one.add(200)
        with open_reader(one.path) as reader:
            _restarted(folder, reader, one)
        one.close()
    assert "they are of another store" in caplog.text


def test_blocks_that_lack_a_row_are_read_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, folder = Store(tmp_path / "flow.sqlite"), tmp_path / "flow.live"
    one.add(100)
    (other,) = one.add(1, session_date=SESSION - 1)
    one.add(100)
    with open_reader(one.path) as reader:
        _restarted(folder, reader, one)
        _restarted(folder, reader, one)
        assert not caplog.messages
        execute(one.path, f"UPDATE option_trades SET session_date = {SESSION} WHERE seq = {other[0]}")
        _restarted(folder, reader, one)
    assert "they are of another store" in caplog.text
    one.close()


def test_contracts_have_the_codes_they_had() -> None:
    known, more = [("A", "A", 1, 1, "CALL"), ("B", "B", 1, 1, "PUT")], [("C", "C", 2, 1, "CALL")]
    contracts = Contracts()
    assert contracts.extend(0, known)
    assert contracts.extend(0, known) and contracts.extend(1, known[1:] + more)
    assert contracts.known == known + more
    assert not contracts.extend(4, more)  # some before them are missing
    assert not contracts.extend(0, more)  # others have those codes
    assert not contracts.extend(2, [*more, known[0]])  # it has another
    assert contracts.known == known + more


def test_blocks_of_another_run_over_the_same_prints_are_read_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    one, folder = Store(tmp_path / "flow.sqlite"), tmp_path / "flow.live"
    one.add(200)
    with open_reader(one.path) as reader:
        _restarted(folder, reader, one)
        execute(one.path, "UPDATE option_trade_enriched SET enriched_at_utc = enriched_at_utc + 1 WHERE seq = 64")
        _restarted(folder, reader, one)
    assert "they are of another store" in caplog.text
    one.close()


def test_a_folder_that_cannot_be_written_costs_memory_only(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    one, folder = Store(tmp_path / "flow.sqlite"), tmp_path / "flow.live"
    folder.write_text("in the way")
    one.add(200)
    with open_reader(one.path) as reader:
        _restarted(folder, reader, one)
    assert "stay in memory" in caplog.text
    one.close()


def test_a_store_that_a_backup_replaced_is_read_anew(tmp_path: Path) -> None:
    """Its first rows are the same, and a cancel that came after the backup never did."""
    one, backup = Store(tmp_path / "flow.sqlite"), tmp_path / "flow.backup"
    rows, folder = one.add(200), blocks_of(tmp_path / "flow.sqlite")
    app.back_up(one.url, backup, force=False, tell=lambda *_: None)
    one.cancel(rows[3])
    with open_reader(one.path) as reader:
        _restarted(folder, reader, one)
    one.close()
    app.restore(backup, one.url, force=True, tell=lambda *_: None)
    again = Store(tmp_path / "flow.sqlite", seed=2)
    again.add(5)
    with open_reader(again.path) as reader:
        _restarted(folder, reader, again)
    again.close()
