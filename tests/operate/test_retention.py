"""``phenix retention``: whole sessions leave, at once for readers, while a writer goes on and streams are told."""

from __future__ import annotations

import asyncio
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from phenix import app
from phenix.engine.bundle import load_bundle
from phenix.engine.log import Log
from phenix.engine.query.page import fetch_page
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.retention import choose_sessions
from phenix.engine.store.base import StoreError
from phenix.engine.store.sqlite import open_reader
from phenix.engine.store.sqlite_retention import Held, held_sessions, remove_sessions
from phenix.server.follow import Degraded, Events, Progress, Reset
from phenix.server.params import Asked
from phenix.server.readers import Readers
from tests.ingest.files import rows, run_import
from tests.operate.stores import day, days, execute, phenix

DATES = ("2024-11-04", "2024-11-05", "2024-11-06")
TABLES = (
    "option_trades", "option_trade_enriched", "contract_stats_intraday", "symbol_stats_intraday", "underlying_quotes",
    "open_interest",
)  # fmt: skip


@pytest.fixture(scope="module")
def three(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of three days, with a dead letter and a gap of the first."""
    store = days(tmp_path_factory.mktemp("three"), *DATES)
    at = execute(store, "SELECT min(trade_ts_utc) FROM option_trades")[0][0]
    execute(store, "INSERT INTO ingest_dead_letter VALUES (NULL, 'terminal', NULL, 'frame', 'x', x'00', ?, NULL)", at)
    execute(store, "INSERT INTO ingest_gaps VALUES (NULL, 'disconnected', ?1, ?1, 0, 'open', 0, '', ?1)", at)
    return store


@pytest.fixture
def store(tmp_path: Path, three: Path) -> Path:
    return Path(shutil.copy(three, tmp_path / "flow.sqlite"))


def retention(store: Path, *options: str) -> Any:
    done = phenix("retention", *options, "--json", "--store", f"sqlite:{store}")
    assert (done.returncode, done.stderr) == (0, ""), done
    return json.loads(done.stdout)


def counts(store: Path) -> list[int]:
    return [execute(store, f"SELECT count(*) FROM {table}")[0][0] for table in TABLES]


def test_what_a_session_brought_leaves_with_it(tmp_path: Path, store: Path) -> None:
    alone = counts(days(tmp_path / "alone", "2024-11-06")) if (tmp_path / "alone").mkdir() is None else []
    before = rows(store)
    planned = retention(store, "--keep-sessions", "1", "--dry-run")
    assert planned == {"removed": ["2024-11-04", "2024-11-05"], "kept": ["2024-11-06"], "rows": 400, "dryRun": True}
    assert rows(store) == before
    report = retention(store, "--keep-sessions", "1")
    assert (report["rows"], report["deadLetters"], report["gaps"]) == (400, 1, 1)
    assert report["freeBytes"] > 0
    assert rows(store) == before[400:]
    assert counts(store) == alone
    assert execute(store, "SELECT count(*) FROM session_leaving, ingest_dead_letter, ingest_gaps") == [(0,)]
    assert execute(store, "PRAGMA integrity_check") == [("ok",)]
    again = retention(store, "--keep-sessions", "1", "--compact")
    assert (again["rows"], again["removed"], again["freeBytes"]) == (0, [], 0)
    assert execute(store, "PRAGMA freelist_count") == [(0,)]
    assert rows(store) == before[400:]


def test_tags_of_another_version_leave_with_their_rows(store: Path) -> None:
    version = execute(store, "SELECT version_id FROM filter_rule_versions")[0][0]
    for _ in app.retaggings(f"sqlite:{store}").make(version):
        pass
    assert execute(store, "SELECT count(*) FROM option_trade_retagged") == [(600,)]
    retention(store, "--keep-sessions", "1")
    assert execute(store, "SELECT session_date, rows FROM rule_retaggings") == [(20241106, 200)]
    beside, stored = (f"SELECT seq FROM option_trade_{which} ORDER BY seq" for which in ("retagged", "enriched"))
    assert execute(store, beside) == execute(store, stored)
    with app.replay(f"sqlite:{store}", 20241106, verify=True) as run:
        *_, found = run.run()
    assert (found.rows, found.total) == (200, 0)


def test_sessions_before_a_date_leave(store: Path) -> None:
    report = retention(store, "--before", "2024-11-05")
    assert (report["removed"], report["kept"]) == (["2024-11-04"], ["2024-11-05", "2024-11-06"])
    assert retention(store, "--before", "2030-01-01")["kept"] == ["2024-11-06"]  # never the latest


CHOICES = [
    ({"keep": 1}, [1, 2]),
    ({"keep": 2}, [1]),
    ({"keep": 3}, []),
    ({"keep": 9}, []),
    ({"before": 20240102}, [1]),
    ({"before": 20990101}, [1, 2]),
]


@pytest.mark.parametrize(("how", "chosen"), CHOICES)
def test_the_latest_sessions_are_kept(how: dict[str, int], chosen: list[int]) -> None:
    held = [Held(20240100 + n, 10, 10 * n, 10 * n + 9) for n in (1, 2, 3)]
    assert [s.session_date - 20240100 for s in choose_sessions(held, **how)] == chosen


def test_the_session_at_the_end_of_the_log_is_kept(store: Path, tmp_path: Path) -> None:
    run_import(store, day(tmp_path / "late", "2024-11-01", 30))
    held = held_sessions(store)
    assert [s.session_date for s in choose_sessions(held, keep=1)] == [20241104, 20241105]
    # Even where it came to be the end only after it was chosen.
    run_import(store, day(tmp_path / "later", "2024-11-04", 30, second=500))
    remove_sessions(store, choose_sessions(held, keep=1), lambda _: None)
    assert [s.session_date for s in held_sessions(store)] == [20241101, 20241104, 20241106]
    run_import(store, day(tmp_path / "latest", "2024-11-07", 10))
    last = execute(store, "SELECT max(seq) FROM option_trades")[0][0]
    assert last == 670  # no seq is given twice


def test_times_between_sessions_belong_to_the_next() -> None:
    held = [Held(20240701, 1, 1, 1), Held(20240703, 1, 2, 2), Held(20240705, 1, 3, 3)]
    first, second = choose_sessions(held, keep=1)
    assert (first.from_utc, first.from_date, first.from_wall) == (0, 0, 0)
    assert first.upto_utc == second.from_utc == 1_719_878_400_000  # 2024-07-02T00:00Z is 20:00 in New York
    assert (second.from_date, second.upto_utc - second.from_utc) == (20240701, 2 * 86_400_000)


KILLED = """
import os, signal, sys
from pathlib import Path
from phenix.engine.retention import choose_sessions
from phenix.engine.store import sqlite_retention as r
r._ROWS = 30
def die(rows):
    if rows >= int(sys.argv[2]):
        os.kill(os.getpid(), signal.SIGKILL)
path = Path(sys.argv[1])
r.remove_sessions(path, choose_sessions(r.held_sessions(path), keep=1), die)
"""


@pytest.mark.parametrize("gone", [30, 150, 200, 260])
def test_a_killed_removal_is_never_seen_in_part(tmp_path: Path, store: Path, gone: int) -> None:
    before = rows(store)
    killed = subprocess.run([sys.executable, "-c", KILLED, str(store), str(gone)])
    assert killed.returncode == -signal.SIGKILL
    left = execute(store, "SELECT count(*) FROM option_trades")[0][0]
    assert left == 600 - gone
    hidden = 200 if gone <= 200 else 400  # the second session stays whole until its turn comes
    bundle, _ = load_bundle()
    assert bundle is not None
    with open_reader(store) as reader:
        assert rows(store) == before[hidden:]
        page = fetch_page(reader, FlowRequest(limit=1000, include_cancelled=True), bundle, timeout_s=10)
        assert not isinstance(page, Refusal)
        assert len(page.rows) == 200
        assert reader.session_stored(20241104, 0, 2**62, 10) == []
        assert [reader.session_count(20241104 + n, 2**62) for n in (0, 1)] == [0, 400 - hidden]
        assert reader.row(before[0][2], before[0][1]) is None
        assert reader.removed_upto() == hidden
    assert [s.session_date for s in held_sessions(store)] == [20241105, 20241106][hidden // 200 - 1 :]
    if gone == 30:  # whoever writes next completes it, so that what comes again is whole
        run_import(store, day(tmp_path / "files", "2024-11-04", 200, cancels=20))
        with app.replay(f"sqlite:{store}", 20241104, verify=True) as run:
            *_, found = run.run()
        assert (found.rows, found.total) == (200, 0)
    else:
        assert retention(store, "--keep-sessions", "1")["rows"] == left - 200
        assert rows(store) == before[400:]
    assert execute(store, "SELECT count(*) FROM session_leaving") == [(0,)]


def test_ingest_goes_on_meanwhile(tmp_path: Path, store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("phenix.engine.store.sqlite_retention._ROWS", 5)
    sources = day(tmp_path / "more", "2024-11-06", 400, second=500)
    marks: list[int] = []
    importing = Thread(target=run_import, args=(store, sources))
    importing.start()
    removed = remove_sessions(store, choose_sessions(held_sessions(store), keep=1), marks.append)
    importing.join()
    assert removed.rows == 400
    assert len(marks) == 80
    assert len(rows(store)) == 600
    with app.replay(f"sqlite:{store}", 20241106, verify=True) as run:
        *_, found = run.run()
    assert found.total == 0


def test_a_stream_that_would_miss_rows_is_told(store: Path) -> None:
    retention(store, "--keep-sessions", "2")

    async def ask(resume: int) -> Any:
        service = app.service(f"sqlite:{store}")
        await service.start()
        try:
            return await service.subscribe(Asked(FlowRequest(limit=1), resume=resume))
        finally:
            await service.close()

    for resume in (0, 199):
        refused = asyncio.run(ask(resume))
        assert isinstance(refused, Refusal)
        assert refused.code == "resume_expired"
        assert refused.detail == (f"Rows after seq {resume} are gone from this store: start without it, or after 200.")
    assert not isinstance(asyncio.run(ask(200)), Refusal)


def test_a_stream_whose_rows_are_removed_is_reset_and_goes_on(store: Path) -> None:
    async def follow() -> list[Any]:
        service = app.service(f"sqlite:{store}")
        await service.start()
        stream = await service.subscribe(Asked(FlowRequest(), resume=100))
        assert not isinstance(stream, Refusal)
        found: list[Any] = [await anext(stream)]
        await asyncio.to_thread(retention, store, "--keep-sessions", "2")
        while not isinstance(found[-1], Events):
            found.append(await anext(stream))
        await service.close()
        return found

    begun, state, reset, *_, events = asyncio.run(follow())
    assert (begun, state, reset) == (Progress(100), Degraded(100, ()), Reset(200, 201))
    assert events.events[0].seq == 201


def test_a_stream_that_reads_again_notices_a_removal(store: Path) -> None:
    def opened() -> Any:
        return app.open_reader(f"sqlite:{store}")

    async def follow() -> None:
        readers = Readers(opened, 1)
        log = Log(opened, readers.run)
        log.start(600)
        subscription = log.subscribe(100)
        await asyncio.to_thread(retention, store, "--keep-sessions", "2")
        with pytest.raises(StoreError, match="rows after seq 100 were removed"):
            await subscription.next(5)
        await log.close()
        readers.close()

    asyncio.run(follow())
