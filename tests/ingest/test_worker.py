"""The live worker against a terminal on real sockets: the same rows as an import of the same tape."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from websockets.asyncio.server import ServerConnection, serve
from websockets.http11 import Request, Response

from drills._stores import unfounded
from phenix import app
from phenix.config import Settings, load
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import utc_of
from phenix.engine.flow import BY_NAME, INDEX
from phenix.engine.store.base import Cause, Gap, Problem, StoreError
from phenix.ingest.figures import Figures
from phenix.ingest.inputs import SpotBook
from phenix.ingest.intake import STREAM, Intake
from phenix.ingest.parity import PARITY
from phenix.ingest.preflight import HEALTH_TIMEOUT, preflight
from phenix.ingest.reading import FILE, Sources
from phenix.ingest.spots import DELAYED, IV
from phenix.ingest.terminal.client import OpenInterestRow, Stream
from phenix.ingest.terminal.events import UnderlyingQuote
from phenix.ingest.terminal.protocol import Contract, decode
from phenix.ingest.worker import Worker
from tests.ingest.files import (
    TAPES,
    Tape,
    day_sources,
    line,
    rows,
    run_import,
    tape_sources,
    values,
    write,
)


def _settings(terminal: Any, symbol: str, store: Path) -> Settings:
    return load(
        {
            "THETADATA_BASE_URL": terminal.base_url,
            "THETADATA_STREAM_URL": terminal.stream_url,
            "INGEST_SYMBOLS": symbol,
            "PHENIX_STORE": f"sqlite:{store}",
        }
    )


async def _ingest(settings: Settings, **options: Any) -> Figures:
    with app.open_writer(settings.store) as writer:
        async with app.terminal_client(settings) as client:
            worker = await app.worker(settings, app.recorder(writer), client, **options)
            return await worker.run(asyncio.Event())


async def _play(
    sources: Sources, symbol: str, store: Path, runs: Sequence[dict[str, Any]], speed: float = 0.0, **play: Any
) -> list[Figures]:
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)
    async with app.terminal(tape, speed=speed, stocks="standard", settle_s=0.1, **play) as terminal:
        return [await _ingest(_settings(terminal, symbol, store), **options) for options in runs]


@pytest.mark.parametrize(("symbol", "day", "tape"), TAPES, ids=[symbol for symbol, _, _ in TAPES])
def test_live_rows_are_those_of_an_import(tmp_path: Path, symbol: str, day: str, tape: Tape) -> None:
    sources = tape_sources(tape)
    run_import(tmp_path / "import.sqlite", sources)
    expected = rows(tmp_path / "import.sqlite")
    (figures,) = asyncio.run(_play(sources, symbol, tmp_path / "live.sqlite", [{"once": True}]))
    assert (figures.stored, figures.duplicates, figures.dead_letters) == (len(expected), 0, 0)
    assert sum(figures.latency.steps["received to enriched"].counts) == figures.stored
    assert rows(tmp_path / "live.sqlite") == expected
    with app.open_reader(f"sqlite:{tmp_path / 'live.sqlite'}") as reader:
        for price, words in reader.execute("SELECT price, raw_payload_json FROM option_trades"):
            assert round(json.loads(words)["trade"]["price"] * 10_000) == price


def test_a_worker_stopped_and_started_again_gives_the_same_rows(tmp_path: Path) -> None:
    sources = day_sources(tmp_path, 1_000)
    run_import(tmp_path / "import.sqlite", sources)
    runs: list[dict[str, Any]] = [{"stop_after": 100}, {"stop_after": 150}, {"once": True}]
    # Paced, so that the tape outlasts the first two runs.
    first, second, last = asyncio.run(_play(sources, "XYZ", tmp_path / "live.sqlite", runs, speed=150.0))
    assert 100 <= first.stored < 1_000
    assert first.stored + second.stored + last.stored == 1_000
    assert rows(tmp_path / "live.sqlite") == rows(tmp_path / "import.sqlite")


def test_a_worker_killed_in_the_middle_loses_nothing_it_had_stored(tmp_path: Path) -> None:
    sources = day_sources(tmp_path, 1_000)
    run_import(tmp_path / "import.sqlite", sources)
    store = tmp_path / "live.sqlite"
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)

    async def play() -> list[Any]:
        play_on: dict[str, Any] = {"speed": 150.0, "stocks": "standard", "settle_s": 0.1, "on_disconnect": "restart"}
        async with app.terminal(tape, **play_on) as terminal:
            settings = _settings(terminal, "XYZ", store)
            environment = {
                **os.environ, "THETADATA_BASE_URL": settings.base_url, "THETADATA_STREAM_URL": settings.stream_url,
                "INGEST_SYMBOLS": "XYZ", "PHENIX_STORE": settings.store,
            }  # fmt: skip
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "phenix", "ingest", env=environment, stderr=asyncio.subprocess.DEVNULL
            )
            await asyncio.to_thread(_until_rows, store)
            process.kill()
            await process.wait()
            assert process.returncode == -signal.SIGKILL
            kept = _raw(store)
            assert 0 < len(kept) < 1_000
            figures = await _ingest(settings, once=True)
            assert figures.stored == 1_000 - len(kept)
            return kept

    kept = asyncio.run(play())
    assert _raw(store)[: len(kept)] == kept
    assert rows(store) == rows(tmp_path / "import.sqlite")


def _raw(store: Path) -> list[Any]:
    """Raw rows, whether or not their enrichment came to be."""
    try:
        with app.open_reader(f"sqlite:{store}") as reader:
            return list(reader.raw_rows(0, 10_000))
    except StoreError:
        return []  # not there yet


def _until_rows(store: Path) -> None:
    while not _raw(store):
        pass  # watched, not waited for: the first rows are the event; the test's own timeout bounds it


@pytest.mark.parametrize(("refused", "source"), [("implied_volatility", "delayed"), ("", "iv")])
def test_quotes_are_polled_where_they_are_not_streamed(tmp_path: Path, refused: str, source: str) -> None:
    """The freshest counts: prices of implied volatilities are up to the minute, stock quotes a quarter of an hour old.

    What the account does not include is asked for once.
    """
    sources = day_sources(tmp_path, 3_600)  # an hour in nine seconds: three polls find a quote that is old enough
    tape, store = app.tape(sources.trades, sources.open_interest, sources.underlying), tmp_path / "live.sqlite"

    async def run() -> tuple[Figures, int]:
        faults = [f"http_471:path={refused}"] if refused else []
        async with app.terminal(tape, speed=400.0, stocks="value", settle_s=0.1, faults=faults) as terminal:
            figures = await _ingest(_settings(terminal, "XYZ", store), once=True)
            return figures, terminal.stream.playback.ledger.answers[471]

    figures, answers = asyncio.run(run())
    assert (figures.stored, answers) == (3_600, bool(refused))
    mids = {quote.wall: (quote.bid + quote.ask) // 2 for quote in tape.events() if isinstance(quote, UnderlyingQuote)}
    found = values(store, "spot_source", "spot", "trade_ts_et", "spot_age_ms")
    # A slow machine may know a stock quote and not yet the prices of implied volatilities; never an older one after.
    assert {None, source} <= {source for source, *_ in found} <= {None, source, "delayed"}
    known = [at - age for source, _, at, age in found if source]
    assert known == sorted(known)
    assert all(mids[at - age] == spot for source, spot, at, age in found if source)
    assert unfounded(store) == {}


def test_every_source_of_a_spot_can_be_asked_for() -> None:
    assert {FILE, STREAM, DELAYED, IV, PARITY} == {*BY_NAME["spot_source"].type.members}


CONTRACT = {"security_type": "OPTION", "root": "XYZ", "expiration": 20241108, "strike": 220_000, "right": "C"}
STOCK = {"security_type": "STOCK", "root": "XYZ"}
QUOTE = {
    "ms_of_day": 34_200_396, "bid_size": 14, "bid_exchange": 47, "bid": 3.9, "bid_condition": 50, "ask_size": 14,
    "ask_exchange": 47, "ask": 4.05, "ask_condition": 50, "date": 20241104,
}  # fmt: skip
TRADE = {
    "ms_of_day": 34_200_471, "sequence": 1, "size": 2, "condition": 18, "price": 3.9, "exchange": 22, "date": 20241104,
}  # fmt: skip
AT = utc_of(20241104, 34_200_500)


def _frame(kind: str, body: dict[str, Any], contract: dict[str, Any] = CONTRACT) -> str:
    header = {"type": kind, "status": "CONNECTED"}
    return json.dumps({"header": header, "contract": contract, kind.lower(): body})


def test_each_spot_keeps_the_source_of_its_own_quote() -> None:
    spots = SpotBook(keep=2)
    for ts, source in ((1_000, "file"), (3_000, "stream"), (2_000, "delayed")):
        spots.add("XYZ", ts, 10, 12, source)
    assert [spots.at("XYZ", ts) for ts in (999, 1_500, 2_500, 3_000)] == [
        (None, None, None), (11, 500, "file"), (11, 500, "delayed"), (11, 0, "stream"),
    ]  # fmt: skip
    for ts in (4_000, 5_000):
        spots.add("XYZ", ts, 10, 12, "stream")
    assert spots.at("XYZ", 3_999) == (None, None, None)


def test_a_restart_knows_the_latest_quote_of_a_millisecond(tmp_path: Path) -> None:
    bids = (200.10, 200.00, 200.20, 200.10)
    quotes = [_frame("QUOTE", {**QUOTE, "bid": bid, "ask": bid + 0.02}, STOCK) for bid in bids]
    later = decode(_frame("TRADE", {**TRADE, "sequence": 2}))

    def spot(intake: Intake) -> object:
        intake.frames(later, AT)
        batch = intake.take()
        assert batch is not None
        return batch.rows[0][INDEX["spot"]]

    before, after = Intake(Calendar.packaged()), Intake(Calendar.packaged())
    before.frames([frame for text in (*quotes, _frame("TRADE", TRADE)) for frame in decode(text)], AT)
    batch = before.take()
    assert batch is not None
    with app.open_writer(f"sqlite:{tmp_path}/live.sqlite") as writer:
        app.recorder(writer).record(batch)
    with app.open_writer(f"sqlite:{tmp_path}/live.sqlite") as writer:
        after.remember(app.recorder(writer).recent_quotes(["XYZ"]))
    assert (spot(before), spot(after)) == (2_001_100, 2_001_100)


@pytest.mark.parametrize("count", [-1, 10**10 + 1, 2**80])
def test_open_interest_beyond_any_is_a_dead_letter(count: int) -> None:
    intake = Intake(Calendar.packaged())
    contract = Contract("OPTION", "XYZ", 20241108, 2_200_000, "CALL")
    good = OpenInterestRow(contract, 20241104, 23_400_000, 10**10)
    intake.open_interest([good._replace(open_interest=count), good], 1)
    batch = intake.take()
    assert batch is not None
    assert [row.open_interest for row in batch.open_interest] == [10**10]
    assert [letter.reason for letter in batch.dead_letters] == ["open_interest_out_of_range"]


def test_bad_frames_are_dead_letters_and_the_rest_is_stored(tmp_path: Path) -> None:
    frames = [
        _frame("QUOTE", QUOTE),
        _frame("TRADE", TRADE)[:-20],
        _frame("TRADE", {**TRADE, "price": float("nan")}),
        _frame("TRADE", {**TRADE, "size": 0}),
        _frame("TRADE", {**TRADE, "sequence": 2**31}),
        _frame("TRADE", {**TRADE, "date": 20240310, "ms_of_day": 9_000_000}),
        _frame("TRADE", TRADE, {**CONTRACT, "strike": 10**12}),
        "\udcff{",
        _frame("SURPRISE", {}),
        _frame("QUOTE", {**QUOTE, "bid": 2**63 - 1, "ask": 2**63 - 1}, STOCK),
        _frame("QUOTE", {**QUOTE, "bid": 100_001, "ask": 100_002}, STOCK),
        _frame("QUOTE", {**QUOTE, "bid": 100_001, "ask": 100_002}),
        _frame("TRADE", {**TRADE, "sequence": 3}),
        _frame("QUOTE", QUOTE),
        _frame("TRADE", TRADE),
        _frame("TRADE", {**TRADE, "condition": 999, "exchange": 76, "sequence": 2}),
        json.dumps({"header": {"type": "STATE", "status": "CONNECTED", "state": "STOP"}}),
    ]

    async def terminal(socket: ServerConnection) -> None:
        async for request in socket:
            number = json.loads(request)["id"]
            answer = {"type": "REQ_RESPONSE", "status": "CONNECTED", "response": "SUBSCRIBED", "req_id": number}
            await socket.send(json.dumps({"header": answer}))
            for frame in frames:
                await socket.send(frame.encode("utf-8", "surrogateescape"), text=True)

    async def run() -> Figures:
        settings = load({"PHENIX_STORE": f"sqlite:{tmp_path}/live.sqlite"})
        async with serve(terminal, "127.0.0.1", 0) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with app.open_writer(settings.store) as writer:
                async with app.terminal_client(settings) as client:
                    worker = Worker(
                        app.recorder(writer),
                        Intake(Calendar.packaged()),
                        client,
                        Stream(f"ws://127.0.0.1:{port}"),
                        contracts=[Contract("OPTION", "XYZ", 20241108, 2_200_000, "CALL")],
                        underlyings=[],
                        history_path=settings.ingest_path,
                        once=True,
                    )
                    return await worker.run(asyncio.Event())

    figures = asyncio.run(run())
    unquoted = line(sequence=3, bid="", ask="", quote_timestamp="")
    run_import(
        tmp_path / "import.sqlite",
        Sources((write(tmp_path / "day.csv", [unquoted, line(), line(condition=999, exchange=76, sequence=2)]),)),
    )
    assert rows(tmp_path / "live.sqlite") == rows(tmp_path / "import.sqlite")
    with app.open_reader(f"sqlite:{tmp_path}/live.sqlite") as reader:
        letters = [letter for _, letter in reader.dead_letters()]
    reasons = [letter.reason for letter in letters]
    assert figures.dead_letters == len(letters)
    assert sorted(reasons) == sorted(
        ["frame"] * 5
        + ["size_out_of_range", "sequence_out_of_range", "time_malformed", "strike_out_of_range"]
        + ["price_out_of_range"] * 2
    )
    assert all(letter.stream == "terminal" and letter.detail and letter.snippet for letter in letters)


def test_a_lost_line_is_a_gap_with_both_times(tmp_path: Path) -> None:
    """Not the wait for the first connection; a line lost before it said a word is heard last on the one before."""
    now = [1_730_730_000_250]
    attempts: list[Worker] = []
    workers: list[Worker] = []

    def knock(connection: ServerConnection, _request: Request) -> Response | None:
        now[0] += 10_000
        attempts.extend(workers)
        return connection.respond(503, "starting") if len(attempts) == 1 else None

    async def terminal(socket: ServerConnection) -> None:
        if len(attempts) == 2:
            now[0] += 1_000
            await socket.send(_frame("TRADE", TRADE))
            while not workers[0].figures.stored:  # noqa: ASYNC110 -- the worker tells nobody
                await asyncio.sleep(0)
            now[0] += 60_000
        elif len(attempts) == 4:
            await socket.send(json.dumps({"header": {"type": "STATE", "status": "CONNECTED", "state": "STOP"}}))
            await socket.wait_closed()

    async def run() -> Figures:
        settings = load({"PHENIX_STORE": f"sqlite:{tmp_path}/live.sqlite"})
        async with serve(terminal, "127.0.0.1", 0, process_request=knock) as server:
            port = next(iter(server.sockets)).getsockname()[1]
            with app.open_writer(settings.store) as writer:
                async with app.terminal_client(settings) as client:
                    worker = Worker(
                        app.recorder(writer),
                        Intake(Calendar.packaged()),
                        client,
                        Stream(f"ws://127.0.0.1:{port}", backoff_base_s=0.01, clock=lambda: now[0]),
                        contracts=[],
                        underlyings=[],
                        history_path=settings.ingest_path,
                        once=True,
                    )
                    workers.append(worker)
                    return await worker.run(asyncio.Event())

    figures = asyncio.run(run())
    assert (figures.connections, figures.stored, figures.dead_letters, figures.gaps.total()) == (3, 1, 0, 1)
    with app.open_reader(f"sqlite:{tmp_path}/live.sqlite") as reader:
        (gap,) = reader.gaps()
    assert gap == Gap(Cause.DISCONNECTED, 1_730_730_021_250, 1_730_730_101_250, number=1)


def test_work_ends_when_what_goes_on_beside_the_stream_cannot(tmp_path: Path) -> None:
    """A store that cannot be written while only gaps are: not a worker that goes on without them, and tells nobody."""
    sources = day_sources(tmp_path, 1_000)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)
    store = tmp_path / "live.sqlite"

    async def run() -> None:
        async with app.terminal(tape, speed=150.0, stocks="standard", settle_s=0.1) as terminal:
            settings = _settings(terminal, "XYZ", store)
            await _ingest(settings, stop_after=100)
            with app.open_writer(settings.store) as writer:
                recorder = app.recorder(writer)
                recorder.open_gaps = _broken  # type: ignore[method-assign] # as a disk that fails would have it
                async with app.terminal_client(settings) as client:
                    worker = await app.worker(settings, recorder, client)
                    await asyncio.wait_for(worker.run(asyncio.Event()), 60)

    with pytest.raises(StoreError, match="the disk failed"):
        asyncio.run(run())


def _broken() -> list[Gap]:
    raise StoreError(Problem.IO, "the disk failed")


def test_the_command_runs_until_it_is_stopped(tmp_path: Path) -> None:
    sources = day_sources(tmp_path, 300)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)

    async def run() -> tuple[int, str]:
        async with app.terminal(tape, speed=0.0, stocks="standard", settle_s=0.1) as terminal:
            environment = {
                **os.environ,
                "THETADATA_BASE_URL": terminal.base_url,
                "THETADATA_STREAM_URL": terminal.stream_url,
                "INGEST_SYMBOLS": "XYZ",
            }
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "phenix", "ingest", "--store", f"sqlite:{tmp_path}/live.sqlite",
                stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment,
            )  # fmt: skip
            assert process.stderr is not None
            async for text in process.stderr:
                if json.loads(text)["message"] == "market STOP":
                    break
            process.send_signal(signal.SIGTERM)
            out, _ = await process.communicate()
            return process.returncode or 0, out.decode()

    code, out = asyncio.run(run())
    assert (code, out.split(",")[0]) == (0, "stored 300")
    run_import(tmp_path / "import.sqlite", sources)
    assert rows(tmp_path / "live.sqlite") == rows(tmp_path / "import.sqlite")


def test_without_a_terminal_preflight_says_so(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "THETADATA_BASE_URL": "http://127.0.0.1:1",
        "THETADATA_CONNECT_TIMEOUT_MS": "50",
        "PHENIX_STORE": f"sqlite:{tmp_path}/live.sqlite",
    }
    command = [sys.executable, "-m", "phenix"]
    done = subprocess.run([*command, "ingest"], capture_output=True, text=True, env=environment)
    assert done.returncode == 14
    said = done.stderr.splitlines()[-1]
    assert said.startswith(f"phenix: {HEALTH_TIMEOUT}: the terminal is not connected after 0.05 s: no answer")


def test_preflight_passes_against_a_terminal(tmp_path: Path) -> None:
    sources = day_sources(tmp_path, 2)

    async def run() -> dict[str, Any]:
        async with (
            app.terminal(app.tape(sources.trades)) as terminal,
            app.terminal_client(_settings(terminal, "XYZ", tmp_path / "x")) as client,
        ):
            return (await preflight(client, "/v3/terminal/mdds/status", 5)).to_dict()

    report = asyncio.run(run())
    assert report["ok"]
    assert [check["detail"] for check in report["checks"]] == ["the terminal is connected", "1 option roots"]
