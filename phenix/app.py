"""The composition root: the only place that builds objects.

One section per part; each builder imports what it builds lazily, so that a command loads only the
parts it runs. Builders take :class:`phenix.config.Settings` and explicit overrides, and raise
what the part raises.
"""

from __future__ import annotations

from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager
    from pathlib import Path

    from phenix.client import Client
    from phenix.config import Settings
    from phenix.engine.bundle import Bundle
    from phenix.engine.lifecycle import Lifecycle
    from phenix.engine.replay import Replay
    from phenix.engine.retagging import Retaggings
    from phenix.engine.rollout import Rollout
    from phenix.engine.shadow.bands import Bands
    from phenix.engine.shadow.comparisons import Comparisons
    from phenix.engine.spans import Spans
    from phenix.engine.store.base import Reader, Writer
    from phenix.engine.store.sqlite_backup import Copied
    from phenix.engine.store.sqlite_retention import Held, Leaving, Removed
    from phenix.engine.watch import Batch
    from phenix.ingest.day import Day
    from phenix.ingest.preflight import Report
    from phenix.ingest.recorder import Recorder
    from phenix.ingest.redrive import Redriven
    from phenix.ingest.terminal.client import Stream, Terminal
    from phenix.ingest.terminal.events import Source
    from phenix.ingest.terminal.generator import Session
    from phenix.ingest.terminal.standin import StandIn
    from phenix.ingest.terminal.tape import FileTape
    from phenix.ingest.worker import Worker
    from phenix.server.alerts.desk import Alerts
    from phenix.server.auth import Access
    from phenix.server.readers import Readers
    from phenix.server.rulebook import Rulebook
    from phenix.server.saved import SavedQueries
    from phenix.server.service import FlowService

__all__ = [
    "RulesError",
    "access",
    "active_bundle",
    "alerts",
    "back_up",
    "bands",
    "bootstrap",
    "choose_sessions",
    "compact",
    "comparisons",
    "ingest_metrics",
    "lifecycle",
    "local",
    "open_reader",
    "open_writer",
    "packaged_bundle",
    "preflight",
    "recorder",
    "redrive",
    "remove_sessions",
    "replay",
    "restore",
    "retaggings",
    "service",
    "session",
    "stored_bundles",
    "tape",
    "terminal",
    "terminal_client",
    "trading_day",
    "worker",
]

_DAYS_BACK: Final = 5
"""Trading days before today that are looked at for one with prints."""
_ROOTS_ASKED: Final = 5
"""Roots of the universe that are looked at for a contract that traded."""
_LOCAL_S: Final = 3_600.0
"""A statement of one's own, on a store that nobody else asks."""

# -- rules: bundles from the packaged rules, from files, or from the store


class RulesError(Exception):
    """Rules that cannot be used; the message says which and why."""


def active_bundle(writer: Writer, params: Mapping[str, str] | None = None) -> Bundle:
    """The rules the store says are active; the packaged ones become its first version.

    Where ``params``, of settings, have other values in them, a version with these becomes the active one.
    Raises RulesError when the packaged rules do not compile or the stored ones are not what their checksum says.
    """
    import time

    from phenix.engine.lifecycle import begin

    try:
        return begin(writer, packaged_bundle, params or {}, time.time_ns() // 1_000_000)
    except ValueError as error:
        raise RulesError(str(error)) from error


def stored_bundles(reader: Reader, *known: Bundle) -> Callable[[str], Bundle | None]:
    """Rule versions of a store by their ids, compiled once each; None for one that is not there, or cannot be used."""
    import logging

    from phenix.engine.bundle import Bundle

    bundles: dict[str, Bundle | None] = {bundle.version: bundle for bundle in known}

    def bundle_of(version_id: str) -> Bundle | None:
        if version_id not in bundles:
            version = reader.rule_version(version_id)
            try:
                bundles[version_id] = Bundle.from_config(version.config_json, version.checksum) if version else None
            except ValueError as error:
                bundles[version_id] = None
                logging.getLogger("phenix.rules").error("rule version %s cannot be used: %s", version_id, error)  # noqa: TRY400
        return bundles[version_id]

    return bundle_of


def packaged_bundle() -> Bundle:
    """The rules shipped with the package. Raises RulesError when they do not compile."""
    from phenix.engine.bundle import load_bundle

    packaged, diagnostics = load_bundle()
    if packaged is None:
        raise RulesError("\n".join(["the packaged rules do not compile:", *(str(d.message) for d in diagnostics)]))
    return packaged


def lifecycle(store: str, bands: Bands | None = None) -> Lifecycle:
    """What changes the rules of the store at a URL; raises StoreError for an address that is none."""
    from functools import partial

    from phenix.engine.lifecycle import Lifecycle, compared
    from phenix.engine.store.base import sqlite_path
    from phenix.engine.store.sqlite_rules import SqliteLedger

    ledger, gate = SqliteLedger(sqlite_path(store)), partial(compared, bands=bands)
    return Lifecycle(partial(open_reader, store), partial(open_writer, store), ledger, gate=gate)


def bands(settings: Settings) -> Bands:
    """How far a rule version in shadow may be from the active one."""
    from phenix.engine.shadow.bands import Bands

    return Bands(settings.shadow_hits, settings.shadow_rows)


def comparisons(store: str, bands: Bands | None = None) -> Comparisons:
    """The comparisons of rule versions in the store at a URL; raises StoreError for an address that is none."""
    import time
    from functools import partial

    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.shadow.bands import Bands
    from phenix.engine.shadow.comparisons import Comparisons
    from phenix.engine.store.base import sqlite_path

    return Comparisons(
        sqlite_path(store), partial(open_reader, store), stored_bundles, Calendar.packaged(), bands or Bands(),
        lambda: time.time_ns() // 1_000_000,
    )  # fmt: skip


def retaggings(store: str) -> Retaggings:
    """What re-tags rows of the store at a URL; raises StoreError for an address that is none."""
    from phenix.engine.retagging import Retaggings
    from phenix.engine.store.base import sqlite_path

    return Retaggings(sqlite_path(store), lambda: open_reader(store), stored_bundles)


# -- store: the writer (one process), readers (any), and copies


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


def back_up(store: str, target: Path, *, force: bool, tell: Callable[[int, int], None]) -> Copied:
    """Copy the store at a URL to a file; raises StoreError."""
    from phenix.engine.store import sqlite_backup
    from phenix.engine.store.base import sqlite_path

    return sqlite_backup.back_up(sqlite_path(store), target, force=force, tell=tell)


def restore(backup: Path, store: str, *, force: bool, tell: Callable[[int, int], None]) -> Copied:
    """Put a backup in the place of the store at a URL; raises StoreError."""
    from shutil import rmtree

    from phenix.engine.live.file import blocks_of
    from phenix.engine.store import sqlite_backup
    from phenix.engine.store.base import sqlite_path

    path = sqlite_path(store)
    # Blocks of the store before may hold cancels that never came to the one that is put there.
    rmtree(blocks_of(path), ignore_errors=True)
    return sqlite_backup.restore(backup, path, force=force, tell=tell)


def choose_sessions(
    store: str, *, keep: int | None = None, before: int | None = None
) -> tuple[list[Held], list[Leaving]]:
    """The sessions a store holds, oldest first, and those of them that would be removed; raises StoreError."""
    from phenix.engine import retention
    from phenix.engine.store import sqlite_retention
    from phenix.engine.store.base import sqlite_path

    held = sqlite_retention.held_sessions(sqlite_path(store))
    return held, retention.choose_sessions(held, keep=keep, before=before)


def remove_sessions(store: str, sessions: Sequence[Leaving], tell: Callable[[int], None]) -> Removed:
    """Remove sessions while ingest goes on; raises StoreError."""
    from shutil import rmtree

    from phenix.engine.live.file import blocks_of
    from phenix.engine.store import sqlite_retention
    from phenix.engine.store.base import sqlite_path

    path = sqlite_path(store)
    removed = sqlite_retention.remove_sessions(path, sessions, tell)
    for session in sessions:
        rmtree(blocks_of(path) / str(session.session_date), ignore_errors=True)
    return removed


def compact(store: str) -> int:
    """Give the free space of a store back to the system; its size after. Raises StoreError."""
    from phenix.engine.store import sqlite_retention
    from phenix.engine.store.base import sqlite_path

    return sqlite_retention.compact(sqlite_path(store))


# -- ingest: normaliser, enricher and worker; the importer; the terminal client


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
    from phenix.ingest.redrive import redrive

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
            universe, listed = None, checks.Check("universe", False, str(error), checks.CONFIG)
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
    from phenix.engine.enrich.calendar import Calendar
    from phenix.ingest.deadletter import TERMINAL
    from phenix.ingest.gaps import GapWatch
    from phenix.ingest.intake import Intake
    from phenix.ingest.recorder import now_utc
    from phenix.ingest.terminal.client import Stream
    from phenix.ingest.terminal.protocol import Contract
    from phenix.ingest.worker import Worker

    clock = clock or now_utc
    day = trading_day(settings, terminal)
    universe = day.universe
    intake = Intake(Calendar.packaged(), GapWatch(recorder.last_heard(TERMINAL)))
    intake.remember(recorder.recent_quotes(universe.symbols))
    intake.open_interest(await day.open(date or day.date_at(clock()), clock()), clock())
    intake.remember_interest(recorder.past_interest(TERMINAL, day.date))
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


def ingest_metrics(port: int, worker: Worker, recorder: Recorder) -> AbstractContextManager[int]:
    """The metrics of ingest on a port of this machine, inside ``with``; gives the port. Raises OSError."""
    from phenix.ingest.metrics import exposition, listening

    return listening(port, exposition(worker, recorder))


# -- terminal: the stand-in, playing a tape or the generator


def tape(trades: Sequence[Path], open_interest: Sequence[Path] = (), underlying: Sequence[Path] = ()) -> FileTape:
    """A tape of files in the vendor's layouts; raises TapeError."""
    from phenix.engine.enrich.roots import underlying as underlying_of
    from phenix.ingest.terminal.tape import FileTape

    return FileTape(trades, open_interest=open_interest, underlying=underlying, underlying_of=underlying_of)


def session(
    *,
    seed: int = 1,
    symbols: int = 200,
    prints: int | None = None,
    rate: float | None = None,
    date: int | None = None,
    extended: bool = False,
    rush: int = 0,
) -> Session:
    """A generated session of the latest trading day, or of ``date``; ``rate`` is prints a second on average.

    ``extended`` adds what trades outside regular hours, ``rush`` prints a second in the first minute.

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
    return Session(date, calendar, seed=seed, symbols=symbols, prints=prints, extended=extended, rush=rush)


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
    close_code: int = 1000,
    same_day: str = "available",
    queue: int = 16,
    legacy_json: bool = False,
    star_snapshots: bool = True,
    faults: Sequence[str] = (),
) -> StandIn:
    """A stand-in terminal over a tape or a generated session, not listening yet; tiers by their names.

    Without ``indices`` an account that streams stocks streams indices too. ``faults`` are ``NAME[:key=value,…]`` of
    :data:`phenix.ingest.terminal.faults.FAULTS`. Raises FaultError for one that cannot be read.
    """
    from phenix.engine.enrich.calendar import Calendar
    from phenix.ingest.terminal.entitlements import Entitlements, Tier
    from phenix.ingest.terminal.faults import parse_fault
    from phenix.ingest.terminal.standin import StandIn, StandInOptions
    from phenix.ingest.terminal.standin_play import Absence, PlayOptions
    from phenix.ingest.terminal.standin_rest import RestOptions
    from phenix.ingest.terminal.standin_world import SameDay

    stock_tier = Tier[stocks.upper()]
    index_tier = Tier[indices.upper()] if indices else Tier.PRO if stock_tier >= Tier.STANDARD else Tier.FREE
    play = PlayOptions(
        speed=speed,
        lines=lines,
        settle_s=settle_s,
        wait_for_play=wait_for_play,
        absence=Absence(on_disconnect),
        seed=seed,
        replaced=close_code,
    )
    entitlements = Entitlements(Tier[options.upper()], stock_tier, index_tier)
    rest = RestOptions(same_day=SameDay(same_day), queue=queue, legacy_json=legacy_json, star_snapshots=star_snapshots)
    settings = tuple(parse_fault(text) for text in faults)
    behaviour = StandInOptions(host, port, stream_port, entitlements, play, rest, settings)
    return StandIn(source, Calendar.packaged(), behaviour)


# -- server: REST, SSE and gRPC gateways over one store, also for this process alone; replay


def service(
    store: str,
    *,
    progress_s: float = 5.0,
    timeout_s: float = 5.0,
    clock: Callable[[], float] | None = None,
    sealed: int = 0,
    rollout: Rollout | None = None,
    settings: Settings | None = None,
    spans: Spans | None = None,
) -> FlowService:
    """What both gateways serve, over readers of the store at a URL; not following the store yet.

    ``clock`` takes the place of this machine's (seconds since 1970) where lag is measured; of the sessions before the
    latest, ``sealed`` are kept open for searches. ``settings`` say how alerts are delivered and
    what bands rules in shadow have.
    Raises RulesError when the packaged rules do not compile.
    """
    import time
    from functools import partial

    from phenix.engine.enrich.calendar import Calendar
    from phenix.engine.live.file import blocks_of
    from phenix.engine.live.index import LiveIndex
    from phenix.engine.log import Log
    from phenix.engine.rollout import Rollout
    from phenix.engine.store.base import sqlite_path
    from phenix.engine.store.sqlite_saved import open_saved, saved_beside
    from phenix.server.editor import Editor
    from phenix.server.readers import Readers
    from phenix.server.rule_desk import RuleDesk
    from phenix.server.rulebook import Rulebook
    from phenix.server.saved import SavedQueries
    from phenix.server.service import FlowService
    from phenix.server.status import Gauge

    packaged, rollout = packaged_bundle(), rollout or Rollout()
    if missing := rollout.missing(chip.id for chip in packaged.chips):
        raise RulesError(
            f"FLOW_FILTERS_V2 names {', '.join(missing)}: there is no such chip; write its id, as in `sweeps`"
        )
    opened = partial(open_reader, store)
    queries, replays, followers = Readers(opened, 4), Readers(opened, 2), Readers(opened, 2)
    path = sqlite_path(store)
    live = LiveIndex(blocks_of(path), sealed=sealed)

    def take(batch: Batch) -> None:
        live.take(batch.after, batch.upto, batch.rows, batch.taken_back, batch.columns)

    saved, limits = saved_beside(path), bands(settings) if settings else None
    writer = Readers(partial(open_saved, saved, writing=True), 1)
    kept = SavedQueries(writer, Readers(partial(open_saved, saved, writing=False), 2), queries)
    speaking = alerts(saved, opened, queries, kept, partial(Rulebook, packaged, rollout), progress_s, settings)
    made = FlowService(
        queries, replays, followers, Log(opened, replays.run, also=take), live, packaged, kept, Editor(),
        RuleDesk(lifecycle(store, limits), comparisons(store, limits)), speaking,
        Gauge(Calendar.packaged(), clock or time.time),
        timeout_s=timeout_s, progress_s=progress_s, rollout=rollout,
    )  # fmt: skip
    made.served.spans = spans or made.served.spans
    return made


def alerts(
    path: Path,
    open_rows: Callable[[], Reader],
    rows: Readers[Reader],
    saved: SavedQueries,
    rulebook: Callable[[], Rulebook],
    progress_s: float,
    settings: Settings | None = None,
) -> Alerts:
    """Alerts of the file of saved queries at a path, which is made when the first is saved; ``saved`` serves it, too.

    ``settings`` say how they are delivered.
    """
    from functools import partial

    from phenix.config import load
    from phenix.engine.store.sqlite_saved import open_saved
    from phenix.server.alerts.addresses import parse_allowed
    from phenix.server.alerts.delivery import Deliveries, Retries
    from phenix.server.alerts.desk import Alerts
    from phenix.server.alerts.evaluator import Evaluator
    from phenix.server.alerts.webhook import Webhooks
    from phenix.server.readers import Readers

    settings = settings or load({})
    allowed, timeout_s = parse_allowed(settings.alert_allow), settings.alert_timeout_ms / 1000
    webhooks, outbox = Webhooks(allowed, timeout_s), Readers(partial(open_saved, path, writing=True, make=False), 1)
    retries = Retries(settings.alert_tries, settings.alert_retry_base_ms / 1000, timeout_s)
    return Alerts(
        saved, Evaluator(path, partial(open_saved, path, writing=True), open_rows, rulebook),
        Deliveries(outbox, webhooks, retries), (webhooks.close, outbox.close), allowed, rows, progress_s,
    )  # fmt: skip


def access(settings: Settings, host: str) -> Access:
    """How the doors of a server on ``host`` are kept. Raises AccessError."""
    from phenix.server.auth import open_access

    limits = settings.rate_limit, settings.stream_limit
    return open_access(host, settings.tokens, (settings.tls_certificate, settings.tls_key), limits)


@contextmanager
def replay(
    store: str, session_date: int, *, verify: bool = False, rules: str | Bundle | None = None
) -> Iterator[Replay]:
    """A stored session to recompute, inside ``with``; ``rules``, or the stored version so called, are evaluated beside.

    Raises StoreError, and RulesError when rules cannot be used.
    """
    with open_reader(store) as reader:
        from functools import cache

        from phenix.engine.bundle import Bundle
        from phenix.engine.enrich.calendar import Calendar
        from phenix.engine.replay import Replay

        @cache
        def bundle_of(version_id: str) -> Bundle | None:
            version = reader.rule_version(version_id)
            try:
                return Bundle.from_config(version.config_json, version.checksum) if version else None
            except ValueError as error:
                raise RulesError(f"rule version {version_id} of the store cannot be used: {error}") from error

        if isinstance(rules, str):
            versions = [v.version_id for v in reader.rule_versions() if v.version_id.startswith(rules)]
            if len(versions) != 1:
                several = f"it begins {', '.join(versions)}" if versions else "nor is there such a file or folder"
                raise RulesError(f"{rules} is not one rule version of the store: {several}")
            rules = bundle_of(versions[0])
        yield Replay(reader, session_date, Calendar.packaged(), bundle_of, verify=verify, other=rules)


@asynccontextmanager
async def local(store: str) -> AsyncIterator[Client]:
    """A client of the store at a URL, through a server in this process that answers it alone; nothing is written.

    Raises StoreError, and RulesError when the packaged rules do not compile.
    """
    from phenix.client import Client
    from phenix.server.local import serve_locally

    async with (
        serve_locally(service(store, timeout_s=_LOCAL_S)) as (target, token),
        Client(target, token=token) as client,
    ):
        yield client
