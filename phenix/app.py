"""The composition root: the only place that builds objects.

One section per part; each builder imports what it builds lazily, so that a command loads only the
parts it runs. Builders take :class:`phenix.config.Settings` and explicit overrides, and raise
what the part raises.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from phenix.config import Settings
    from phenix.engine.bundle import Bundle
    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.store.base import Reader, Writer
    from phenix.ingest.recorder import Recorder
    from phenix.ingest.terminal.client import Terminal
    from phenix.ingest.terminal.events import Source
    from phenix.ingest.terminal.generator import Session
    from phenix.ingest.terminal.standin import StandIn
    from phenix.ingest.terminal.tape import FileTape
    from phenix.ingest.worker import Worker
    from phenix.server.service import FlowService

__all__ = [
    "RulesError",
    "active_bundle",
    "export",
    "open_reader",
    "open_writer",
    "packaged_bundle",
    "recorder",
    "service",
    "session",
    "tape",
    "terminal",
    "terminal_client",
    "worker",
]

# -- rules: bundles from the packaged rules, from files, or from the store


class RulesError(Exception):
    """Rules that cannot be used; the message says which and why."""


def active_bundle(writer: Writer) -> Bundle:
    """The rules the store says are active; the packaged ones become its first version.

    Raises RulesError when the packaged rules do not compile or the stored ones are not what their checksum says.
    """
    import time

    from phenix.engine.bundle import Bundle
    from phenix.engine.store.base import RuleVersion

    stored = writer.reads.rule_version()
    if stored is not None:
        try:
            return Bundle.from_config(stored.config_json, stored.checksum)
        except ValueError as error:
            raise RulesError(f"rule version {stored.version_id} of the store cannot be used: {error}") from error
    packaged = packaged_bundle()
    now = time.time_ns() // 1_000_000
    version = RuleVersion(packaged.version, packaged.config_json, packaged.checksum, False, now, None, None)
    writer.put_rule_version(version, activate=True, now_utc=now)
    return packaged


def packaged_bundle() -> Bundle:
    """The rules shipped with the package. Raises RulesError when they do not compile."""
    from phenix.engine.bundle import load_bundle

    packaged, diagnostics = load_bundle()
    if packaged is None:
        raise RulesError("\n".join(["the packaged rules do not compile:", *(str(d.message) for d in diagnostics)]))
    return packaged


# -- store: the writer (one process) and readers (any)


def open_writer(store: str) -> Writer:
    """The one writer of the store at a URL; raises StoreError."""
    from phenix.engine.store import sqlite
    from phenix.engine.store.base import sqlite_path

    return sqlite.open_writer(sqlite_path(store))


def open_reader(store: str) -> Reader:
    """A reader of the store at a URL; raises StoreError."""
    from phenix.engine.store import sqlite
    from phenix.engine.store.base import sqlite_path

    return sqlite.open_reader(sqlite_path(store))


# -- ingest: normaliser, enricher and worker; the importer; the terminal client


def recorder(writer: Writer) -> Recorder:
    """The way into a store: its enricher, with the rule version the store says is active.

    A store without one gets the packaged rules. Raises RulesError when neither can be used.
    """
    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.enrich.enricher import Enricher
    from phenix.ingest.recorder import Recorder, now_utc

    enricher = Enricher(Calendar.packaged(), active_bundle(writer), writer.reads.session_raw, now_utc)
    return Recorder(writer, enricher)


def _trading_days_before(calendar: Calendar, date: int) -> list[int]:
    days: list[int] = []
    while len(days) < 5 and calendar.covers(date):
        date = calendar.previous(date)
        days.append(date)
    return days


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


async def worker(
    settings: Settings,
    recorder: Recorder,
    terminal: Terminal,
    *,
    date: int | None = None,
    once: bool = False,
    stop_after: int | None = None,
) -> Worker:
    """The live worker of the configured universe: lists contracts and open interest, and plans the streams.

    ``date`` is the day whose contracts are asked for; without it the latest with any. Raises TerminalError when the
    terminal does not answer, UniverseError for an unusable list of symbols.
    """
    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.enrich.clock import et_of
    from phenix.ingest.chains import list_contracts, list_open_interest
    from phenix.ingest.recorder import now_utc
    from phenix.ingest.terminal.client import Stream
    from phenix.ingest.terminal.protocol import Contract
    from phenix.ingest.universe import load_universe, plan_contracts
    from phenix.ingest.worker import Intake, Worker

    universe = load_universe(settings.ingest_symbols, settings.universe)
    calendar = Calendar.packaged()
    today = et_of(now_utc())[0]
    dates = [date] if date else [today, *_trading_days_before(calendar, today)]
    contracts = await list_contracts(terminal, universe.roots, dates)
    roots = {contract.root for contract in contracts}
    interest = await list_open_interest(terminal, [root for root in universe.roots if root in roots])
    intake = Intake(calendar)
    intake.remember(recorder.recent_quotes(universe.symbols))
    intake.open_interest(interest, now_utc())
    stream = Stream(settings.stream_url, connect_timeout_s=settings.connect_timeout_ms / 1000)
    return Worker(
        recorder,
        intake,
        terminal,
        stream,
        contracts=plan_contracts(contracts, {row.contract: row.open_interest for row in interest}),
        underlyings=[
            Contract("INDEX" if symbol in universe.indices else "STOCK", symbol) for symbol in universe.symbols
        ],
        once=once,
        stop_after=stop_after,
    )


# -- terminal: the stand-in, playing a tape or the generator


def tape(trades: Sequence[Path], open_interest: Sequence[Path] = (), underlying: Sequence[Path] = ()) -> FileTape:
    """A tape of files in the vendor's layouts; raises TapeError."""
    from phenix.engine.enrich.roots import underlying as underlying_of
    from phenix.ingest.terminal.tape import FileTape

    return FileTape(trades, open_interest=open_interest, underlying=underlying, underlying_of=underlying_of)


def session(
    *, seed: int = 1, symbols: int = 200, prints: int | None = None, rate: float | None = None, date: int | None = None
) -> Session:
    """A generated session of the latest trading day, or of ``date``; ``rate`` is prints a second on average.

    Raises ValueError for a date without trading and for more symbols than there are.
    """
    import time

    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.enrich.clock import et_of
    from phenix.ingest.terminal.generator import DEFAULT_PRINTS, Session

    calendar = Calendar.packaged()
    if date is None:
        today, _ = et_of(time.time_ns() // 1_000_000)
        date = today if calendar.is_trading_day(today) else calendar.previous(today)
    if prints is None:
        prints = DEFAULT_PRINTS if rate is None else max(1, round(rate * 6.5 * 3600))
    return Session(date, calendar, seed=seed, symbols=symbols, prints=prints)


def terminal(
    source: Source,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    stream_port: int = 0,
    options: str = "standard",
    stocks: str = "value",
    indices: str | None = None,
    speed: float = 1.0,
    lines: int = 1,
    settle_s: float = 0.5,
    wait_for_play: bool = False,
    on_disconnect: str = "pause",
    seed: int = 0,
) -> StandIn:
    """A stand-in terminal over a tape or a generated session, not listening yet; tiers by their names.

    Without ``indices`` an account that streams stocks streams indices too.
    """
    from phenix.engine.enrich.calendar import Calendar
    from phenix.ingest.terminal.entitlements import Entitlements, Tier
    from phenix.ingest.terminal.standin import StandIn, StandInOptions
    from phenix.ingest.terminal.standin_stream import Absence, PlayOptions

    stock_tier = Tier[stocks.upper()]
    index_tier = Tier[indices.upper()] if indices else Tier.PRO if stock_tier >= Tier.STANDARD else Tier.FREE
    play = PlayOptions(
        speed=speed,
        lines=lines,
        settle_s=settle_s,
        wait_for_play=wait_for_play,
        absence=Absence(on_disconnect),
        seed=seed,
    )
    entitlements = Entitlements(Tier[options.upper()], stock_tier, index_tier)
    return StandIn(source, Calendar.packaged(), StandInOptions(host, port, stream_port, entitlements, play))


# -- server: REST, SSE and gRPC gateways over one store, and export


def service(store: str, *, progress_s: float = 5.0, timeout_s: float = 5.0) -> FlowService:
    """What both gateways serve, over readers of the store at a URL; not following the store yet.

    Raises RulesError when the packaged rules do not compile.
    """
    from functools import partial

    from phenix.engine.log import Log
    from phenix.server.readers import Readers
    from phenix.server.service import FlowService

    opened = partial(open_reader, store)
    queries, replays = Readers(opened, 4), Readers(opened, 2)
    log = Log(opened, replays.run)
    return FlowService(queries, replays, log, packaged_bundle(), timeout_s=timeout_s, progress_s=progress_s)


@contextmanager
def export(store: str, where: str = "") -> Iterator[Iterator[bytes] | str]:
    """Lines of every stored row that matches, to be read inside ``with``; a text where ``where`` does not compile.

    Raises StoreError, and RulesError when the stored rules cannot be used.
    """
    with open_reader(store) as reader:  # first: a store that is not there is said without loading the language
        from phenix.dsl.render import render_text
        from phenix.engine.bundle import Bundle
        from phenix.engine.encode import Encoder
        from phenix.engine.predicate import compile_predicate
        from phenix.engine.query.export import export_lines

        version = reader.rule_version()
        try:
            bundle = Bundle.from_config(version.config_json, version.checksum) if version else packaged_bundle()
        except ValueError as error:
            raise RulesError(str(error)) from None
        predicate = compile_predicate((("--where", where),), bundle) if where.strip() else None
        if isinstance(predicate, tuple):
            yield "\n".join(render_text(finding) for finding in predicate)
        else:
            yield export_lines(reader, Encoder((chip.id, chip.bit) for chip in bundle.chips), predicate)
