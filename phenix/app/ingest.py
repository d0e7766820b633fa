"""Ingest: the recorder, with normaliser and enricher behind it, the worker, and the client of the terminal."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from phenix.app.rules import active_bundle, stored_bundles
from phenix.app.store import open_writer

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager

    from phenix.config import Settings
    from phenix.engine.shadow.comparisons import Comparisons
    from phenix.engine.spans import Spans
    from phenix.engine.store.base import Writer
    from phenix.ingest.day import Day
    from phenix.ingest.preflight import Report
    from phenix.ingest.recorder import Recorder
    from phenix.ingest.redrive import Redriven
    from phenix.ingest.terminal.client import Stream, Terminal
    from phenix.ingest.worker import Worker

__all__ = [
    "bootstrap",
    "ingest_metrics",
    "preflight",
    "recorder",
    "redrive",
    "terminal_client",
    "trading_day",
    "worker",
]

_DAYS_BACK: Final = 5
"""Trading days before today that are looked at for one with prints."""
_ROOTS_ASKED: Final = 5
"""Roots of the universe that are looked at for a contract that traded."""


def recorder(
    writer: Writer,
    artifacts: Comparisons | None = None,
    params: Mapping[str, str] | None = None,
    spans: Spans | None = None,
) -> Recorder:
    """The way into a store: its enricher, with the rule version the store says is active, and ``params`` of settings.

    ``artifacts`` writes what was compared of a session, when that is over.
    A store without one gets the packaged rules. Raises RulesError when neither can be used.
    """
    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.enrich.enricher import Enricher
    from phenix.engine.shadow.follower import Follower
    from phenix.ingest.recorder import Recorder, now_utc
    from phenix.ingest.rules import Prepared

    bundle, calendar = active_bundle(writer, params), Calendar.packaged()
    rules = Prepared.of(bundle)
    enricher = Enricher(calendar, rules.tagger, writer.reads.session_raw, now_utc)
    tell = artifacts.keep if artifacts else None
    follower = Follower(writer, stored_bundles(writer.reads, bundle), calendar, now_utc, tell=tell)
    return Recorder(writer, enricher, rules.chips, rules.tagger.version, follower, spans)


def redrive(store: str, *, reason: str = "") -> Redriven:
    """Read the dead letters of the store at a URL again; raises StoreError and RulesError."""
    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.store.base import sqlite_path
    from phenix.engine.store.sqlite_file import open_reading
    from phenix.ingest.redrive import redrive

    # A writer makes the store that it does not find, and there would be nothing to do in that.
    open_reading(sqlite_path(store), older=True).close()
    with open_writer(store) as writer:
        return redrive(writer.reads, recorder(writer), Calendar.packaged(), reason=reason)


def terminal_client(settings: Settings) -> Terminal:
    """A client of the terminal's REST side; enter it inside a running loop."""
    from phenix.ingest.terminal.client import Terminal

    return Terminal(
        settings.base_url,
        connect_timeout_ms=settings.connect_timeout_ms,
        read_timeout_ms=settings.read_timeout_ms,
        retry_max=settings.retry_max,
        retry_base_ms=settings.retry_base_ms,
        concurrency=settings.concurrency,
    )


async def preflight(settings: Settings, *, date: int | None = None, smoke: bool = True) -> Report:
    """Look at what ingest needs; with ``smoke`` ask for data of ``date``, or of the latest day with any."""
    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.enrich.clock import et_of
    from phenix.engine.preflight import CONFIG
    from phenix.ingest import preflight as checks
    from phenix.ingest.recorder import now_utc
    from phenix.ingest.smoke import smoke as ask
    from phenix.ingest.universe import UniverseError, load_universe

    async with terminal_client(settings) as terminal:
        credentials = checks.check_credentials(settings.creds_file)
        if not credentials.ok and not await checks.healthy(terminal, settings.health_path):
            detail = f"{credentials.detail}; not needed now, for the terminal is up"
            credentials = checks.Check("credentials", True, detail)
        try:
            universe = load_universe(settings.ingest_symbols, settings.universe)
            listed = checks.Check("universe", True, f"{len(universe.symbols)} symbols")
        except UniverseError as error:
            universe, listed = None, checks.Check("universe", False, str(error), CONFIG)
        wait_s = settings.connect_timeout_ms / 1000
        report = await checks.preflight(terminal, settings.health_path, wait_s, (credentials, listed))
        if smoke and report.ok and universe is not None:
            calendar, today = Calendar.packaged(), et_of(now_utc())[0]
            dates = [date] if date else [today]
            while date is None and len(dates) <= _DAYS_BACK:
                dates.append(calendar.previous(dates[-1]))
            await ask(
                terminal, report, health_path=settings.health_path, download_path=settings.download_path,
                ingest_path=settings.ingest_path, roots=universe.roots[:_ROOTS_ASKED], dates=dates, today=today,
            )  # fmt: skip
        return report


async def bootstrap(settings: Settings, *, timeout_s: float, dry_run: bool = False) -> Report:
    """Have the vendor's terminal up and connected within ``timeout_s``."""
    from phenix.ingest.bootstrap import Plan, bootstrap

    plan = Plan(
        credentials=settings.creds_file,
        jar=settings.jar_path,
        jar_url=settings.jar_url,
        java=settings.java_bin,
        addresses=(settings.base_url, settings.stream_url),
        health_path=settings.health_path,
        connect_timeout_s=settings.connect_timeout_ms / 1000,
        read_timeout_s=settings.read_timeout_ms / 1000,
        timeout_s=timeout_s,
    )
    async with terminal_client(settings) as terminal:
        return await bootstrap(plan, terminal, dry_run=dry_run)


def trading_day(settings: Settings, terminal: Terminal, *, budget: int | None = None) -> Day:
    """A session date of the configured universe, not opened yet; raises UniverseError."""
    from phenix.engine.enrich.calendar import Calendar
    from phenix.ingest.day import Day
    from phenix.ingest.planner import TRADE_STREAMS
    from phenix.ingest.universe import load_universe

    universe = load_universe(settings.ingest_symbols, settings.universe)
    return Day(terminal, universe, Calendar.packaged(), budget=budget or TRADE_STREAMS)


async def worker(
    settings: Settings,
    recorder: Recorder,
    terminal: Terminal,
    *,
    date: int | None = None,
    once: bool = False,
    stop_after: int | None = None,
    replan_s: float = 300.0,
    flush_s: float = 0.01,
    leave_s: float = 20.0,
    clock: Callable[[], int] | None = None,
    stream: Stream | None = None,
) -> Worker:
    """The live worker of the configured universe: lists contracts and open interest, and plans the streams.

    ``date`` is the day whose contracts are asked for; without it the latest with any. Every ``replan_s`` seconds the
    plan is made anew, and gaps that history had no answer for are asked for again. One that is told to end goes on
    enriching for ``leave_s``. ``clock`` takes the place of this machine's (UTC milliseconds), for a day that is
    simulated, ``stream`` that of one made from the settings. Raises TerminalError when the terminal does not answer,
    UniverseError for an unusable list of symbols.
    """
    import asyncio

    from phenix.engine.enrich.calendar import Calendar
    from phenix.ingest.deadletter import TERMINAL
    from phenix.ingest.gaps import GapWatch
    from phenix.ingest.intake import QUOTES_KEPT, Intake
    from phenix.ingest.recorder import now_utc
    from phenix.ingest.terminal.client import Stream
    from phenix.ingest.terminal.protocol import Contract
    from phenix.ingest.worker import Worker

    clock = clock or now_utc
    day = trading_day(settings, terminal)
    universe = day.universe
    intake = Intake(Calendar.packaged(), GapWatch(recorder.last_heard(TERMINAL)))
    quotes = asyncio.create_task(_read(lambda: intake.remember(recorder.recent_quotes(universe.symbols, QUOTES_KEPT))))
    try:
        told = await day.open(date or day.date_at(clock()), clock())
    finally:
        await quotes
    intake.open_interest(told, clock())
    await _read(lambda: intake.remember_interest(recorder.known_interest(TERMINAL, day.date)))
    if stream is None:
        stream = Stream(settings.stream_url, connect_timeout_s=settings.connect_timeout_ms / 1000, clock=clock)
    return Worker(
        recorder,
        intake,
        terminal,
        stream,
        contracts=day.plan().contracts,
        underlyings=[
            Contract("INDEX" if symbol in universe.indices else "STOCK", symbol) for symbol in universe.symbols
        ],
        history_path=settings.ingest_path,
        day=day,
        replan_s=replan_s,
        flush_s=flush_s,
        leave_s=leave_s,
        once=once,
        stop_after=stop_after,
        clock=clock,
    )


async def _read(read: Callable[[], None]) -> None:
    """Read the store on a thread of its own; one who is cancelled waits for that: the store may be closed then."""
    import asyncio

    reading = asyncio.ensure_future(asyncio.to_thread(read))
    try:
        await asyncio.shield(reading)
    finally:
        await asyncio.wait((reading,))


def ingest_metrics(port: int, worker: Worker, recorder: Recorder) -> AbstractContextManager[int]:
    """The metrics of ingest on a port of this machine, inside ``with``; gives the port. Raises OSError."""
    from phenix.ingest.metrics import exposition, listening

    return listening(port, exposition(worker, recorder))
