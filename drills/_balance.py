"""One run of a real worker against a stand-in whose faults are known, and the balance of the two accounts.

The stand-in says what it sent and lost; the store says what came. Prints are numbered through their size, which no
fault changes, so that each can be followed from the tape to its row.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from websockets.asyncio.client import connect

from drills._stores import verify
from phenix import app
from phenix.config import Settings, load
from phenix.engine.enrich.clock import utc_of
from phenix.engine.enrich.conditions import condition
from phenix.engine.store.base import Gap, GapState, Reader
from phenix.ingest.figures import Figures
from phenix.ingest.terminal.client import TerminalError
from phenix.ingest.terminal.events import OpenInterest, Print, Source, TapeEvent
from phenix.ingest.terminal.faults import Stage, parse_fault
from phenix.ingest.terminal.faults_active import ActiveFaults
from phenix.ingest.terminal.faults_tape import altered
from phenix.ingest.terminal.layouts import DAY_MS, date_of
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.standin import StandIn
from phenix.ingest.worker import Worker

__all__ = ["Case", "Outcome", "play"]

DATE: Final = 20261120
PRINTS: Final = 1_500
_DAY_S: Final = 6.5 * 3600
_SETTLE_S: Final = 20.0
"""Longest wait, once the tape is over, for gaps to be filled and rows to be enriched."""
_QUIET_S: Final = 0.3
"""Without news for so long, all that was sent has been stored."""
_LOOK_S: Final = 0.02
_TRIES: Final = 20
"""Starts of a worker, as a supervisor would make them, before it counts as one that does not start."""


@dataclass(frozen=True, slots=True)
class Case:
    """What goes wrong in a run; ``seconds`` is how long the day is played, ``rival`` a client that takes the stream.

    From the end of a fault prints are stored again within ``back_s``, and gaps are filled within ``filled_s``; a gap is
    at most ``wider_s`` wider than its loss, as the day is played.
    """

    name: str
    faults: tuple[str, ...]
    seconds: float = 4.0
    back_s: float = 5.0
    filled_s: float = 10.0
    wider_s: float = 1.0
    rival: bool = False
    seed: int = 1
    settle_s: float = 0.5
    """Playing begins when nothing more was asked for so long: what plays before a first start is in no gap."""


@dataclass(slots=True)
class Outcome:
    """What a run came to; ``problems`` is empty when everything held. Times in seconds."""

    case: Case
    ledger: dict[str, Any] = field(default_factory=dict)
    fired: dict[str, int] = field(default_factory=dict)
    figures: Figures = field(default_factory=Figures)
    gaps: list[Gap] = field(default_factory=list)
    starts: int = 0
    rows: int = 0
    recovered: int = 0
    letters: int = 0
    missing: int = 0
    recovery_s: float | None = None
    filled_s: float | None = None
    problems: list[str] = field(default_factory=list)


class _Numbered:
    """A generated session; the size of each print is its number, from 1. It has no cancels of its own."""

    def __init__(self, source: Source) -> None:
        self._source, self.dates = source, source.dates
        self._events: list[TapeEvent] = []
        number = 0
        for event in source.events():
            if isinstance(event, Print):
                if condition(event.condition).cancel:
                    continue
                number += 1
                event = event._replace(size=number)
            self._events.append(event)
        self._contracts = {event.contract for event in self._events if isinstance(event, Print)}

    def events(self, symbol: str | None = None) -> Iterator[TapeEvent]:
        for event in self._events:
            root = event.contract.root if isinstance(event, Print) else event.symbol
            if symbol is None or symbol in (root, self.underlying_of(root)):
                yield event

    def contracts(self) -> Iterable[Contract]:
        return self._contracts

    def open_interest(self) -> Iterable[OpenInterest]:
        return [row for row in self._source.open_interest() if row.contract in self._contracts]

    def underlying_of(self, root: str) -> str:
        return self._source.underlying_of(root)


class _Watch:
    """Looks on as the line breaks and prints are stored again: how long each outage and each gap lasted."""

    def __init__(self, terminal: StandIn, reader: Reader) -> None:
        self._play, self._reader = terminal.stream.playback, reader
        self._ended: float | None = None
        self._seq = 0
        self._fault_ended = 0.0
        self.recovery_s: float | None = None
        self.filled_s: float | None = None
        self.changed = time.monotonic()
        """When anything was last stored."""
        self.settled = False
        """Whether all that is stored is enriched, and no gap is open."""
        self._state: object = None

    async def run(self) -> None:
        """Look until cancelled."""
        play, whole, connections, closed = self._play, True, 0, 0
        while True:
            now, seq = time.monotonic(), self._reader.raw_watermark()
            before = whole, connections
            connections = play.ledger.connections
            whole = not play.goes_on or (play.client is not None and play.client.subscribed)
            if play.line.down or (before[1] and before != (whole, connections) and before[0]):
                self._ended, self._seq = now, seq
            elif self._ended is not None and seq > self._seq and self._streamed(self._seq):
                self.recovery_s = max(self.recovery_s or 0.0, now - self._ended)
                self._fault_ended, self._ended = self._ended, None
            gaps = self._reader.gaps()
            still = [gap for gap in gaps if gap.state is GapState.OPEN]
            if len(gaps) - len(still) > closed:
                closed = len(gaps) - len(still)
                self.filled_s = max(self.filled_s or 0.0, now - (self._ended or self._fault_ended))
            state = seq, self._reader.watermark(), tuple(gaps)
            if state != self._state:
                self._state, self.changed = state, now
            self.settled = seq == self._reader.watermark() and not still
            await asyncio.sleep(_LOOK_S)

    def _streamed(self, after: int) -> bool:
        sql = "SELECT 1 FROM option_trades WHERE seq > ? AND raw_payload_json NOTNULL LIMIT 1"
        return bool(self._reader.execute(sql, (after,)))


async def play(case: Case, folder: Path) -> Outcome:
    """Play a day with the faults of a case to a worker with a store in ``folder``, and balance the accounts."""
    outcome = Outcome(case)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, told: outcome.problems.append(f"crash: {told.get('exception') or told}"))
    source = _Numbered(app.session(seed=case.seed, symbols=2, prints=PRINTS, date=DATE))
    async with app.terminal(
        source, speed=_DAY_S / case.seconds, stocks="standard", settle_s=case.settle_s, on_disconnect="continue",
        seed=case.seed, faults=case.faults,
    ) as terminal:  # fmt: skip
        settings = load(
            {
                "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
                "INGEST_SYMBOLS": ",".join(sorted({source.underlying_of(c.root) for c in source.contracts()})),
                "PHENIX_STORE": f"sqlite:{folder / 'live.sqlite'}",
                "THETADATA_RETRY_MAX": "1", "THETADATA_RETRY_BASE_MS": "50",
            }
        )  # fmt: skip
        try:
            await _ingest(case, settings, terminal, outcome)
        except Exception as error:  # noqa: BLE001 -- whatever comes out is what the drill looks for
            outcome.problems.append(f"crash: {type(error).__name__}: {error}")
        outcome.ledger = outcome.ledger or _told(terminal)
        for told in terminal.faults.told():
            outcome.fired[told["name"]] = outcome.fired.get(told["name"], 0) + told["fired"]
    with app.open_reader(settings.store) as reader:
        _balance(outcome, reader, source)
    if wrong := verify(folder / "live.sqlite"):
        outcome.problems.append(f"replay finds differences: {dict(wrong)}")
    return outcome


async def _ingest(case: Case, settings: Settings, terminal: StandIn, outcome: Outcome) -> None:
    stop = asyncio.Event()
    with app.open_writer(settings.store) as writer:
        recorder = app.recorder(writer)
        async with app.terminal_client(settings) as client:
            worker: Worker | None = None
            while worker is None:
                outcome.starts += 1
                try:
                    worker = await app.worker(settings, recorder, client, date=DATE, replan_s=1.0)
                except TerminalError:
                    if outcome.starts == _TRIES:
                        raise
            with app.open_reader(settings.store) as reader:
                watch = _Watch(terminal, reader)
                watching = asyncio.create_task(watch.run(), name="watch")
                working = asyncio.create_task(worker.run(stop), name="worker")
                rival = asyncio.create_task(_take_over(terminal), name="rival") if case.rival else None
                try:
                    await _until_over(terminal, watch, working, outcome)
                    alive = {task.get_name() for task in asyncio.all_tasks()}
                    if gone := {"gaps", "day", "watch", "worker"} - alive:
                        outcome.problems.append(f"crash: the tasks {', '.join(sorted(gone))} have ended")
                    outcome.ledger = _told(terminal)
                finally:
                    stop.set()
                    outcome.figures = await working
                    for task in (watching, rival):
                        if task is not None:
                            task.cancel()
                            with contextlib.suppress(asyncio.CancelledError):
                                await task
                outcome.recovery_s, outcome.filled_s = watch.recovery_s, watch.filled_s


async def _until_over(terminal: StandIn, watch: _Watch, working: asyncio.Task[Figures], outcome: Outcome) -> None:
    """Until the day has been played, and what came of it is stored, enriched and mended."""
    while not terminal.stream.finished.is_set() and not working.done():  # noqa: ASYNC110 -- either may come first
        await asyncio.sleep(_LOOK_S)
    end = time.monotonic() + _SETTLE_S
    while not working.done() and not (watch.settled and time.monotonic() - watch.changed > _QUIET_S):
        if time.monotonic() > end:
            outcome.problems.append(f"not settled {_SETTLE_S:g} s after the end")
            return
        await asyncio.sleep(_LOOK_S)


async def _take_over(terminal: StandIn) -> None:
    """A second client, as another program of the same account: comes in the middle, asks for nothing, is replaced."""
    playback = terminal.stream.playback
    while playback.ledger.sent < PRINTS // 3:  # noqa: ASYNC110 -- the stand-in tells nobody
        await asyncio.sleep(_LOOK_S)
    async with connect(terminal.stream_url, proxy=None) as ws:
        await ws.wait_closed()


def _balance(outcome: Outcome, reader: Reader, source: Source) -> None:
    """Hold the store against the tape as it was played and against the stand-in's ledger."""
    problem, ledger, figures = outcome.problems.append, outcome.ledger, outcome.figures
    faults = ActiveFaults(map(parse_fault, outcome.case.faults))
    played = [event for event in altered(source.events(), faults, lambda: None) if isinstance(event, Print)]
    times = {_key(event.size, event.condition): _utc(event) for event in played}
    due = dict(zip(times, accumulate(times.values(), max), strict=True))  # by the feed's clock: late ones came later
    doubt = ledger["lost"].get("in_doubt", 0)

    for name, took, most in (
        ("prints came again", outcome.recovery_s, outcome.case.back_s),
        ("gaps were filled", outcome.filled_s, outcome.case.filled_s),
    ):
        if took is not None and took > most:
            problem(f"{name} after {took:.1f} s, stated are {most:g}")

    # The stand-in's own account closes, and it played what the tape and the faults say.
    accounted = sum(ledger[name] for name in ("sent", "broken", "unwanted", "waiting")) + sum(ledger["lost"].values())
    if not ledger["due"] == accounted == len(played) == len(times):
        problem(f"the ledger does not close: due {ledger['due']}, {accounted} accounted for, {len(played)} played")

    # Frames in = rows + duplicates + dead letters + counted drops.
    rows = reader.execute("SELECT size, condition_code, trade_ts_utc, raw_payload_json NOTNULL FROM option_trades")
    stored: dict[tuple[int, bool], bool] = {}  # by history too where the stream told it otherwise
    for size, code, _, live in rows:
        stored[_key(size, code)] = stored.get(_key(size, code), False) or bool(live)
    streamed = sum(live for *_, live in rows)
    letters = [letter for _, letter in reader.dead_letters(limit=100_000)]
    cut = figures.refused["frame"]  # the store keeps equal ones once, and has those of history besides
    outcome.rows, outcome.recovered, outcome.letters = len(rows), len(rows) - streamed, len(letters)
    came = streamed + figures.duplicates + cut + figures.dropped_messages
    least = ledger["sent"] + ledger["broken"] + (0 if doubt else ledger["sent_again"])
    most = ledger["sent"] + ledger["broken"] + ledger["sent_again"] + doubt
    if not least <= came <= most:
        problem(
            f"frames do not balance: {ledger['sent']} + {ledger['sent_again']} again + {ledger['broken']} broken"
            f" (+ up to {doubt} in doubt) sent, {streamed} rows + {figures.duplicates} duplicates + {cut} letters"
            f" + {figures.dropped_messages} dropped"
        )
    if len(stored) != len(rows):
        double = len(rows) - len(stored)
        if double > outcome.recovered:  # history tells some prints otherwise than the stream did
            problem(f"{double} prints are stored twice")

    # What is not stored is a letter, was not subscribed, or lies in a gap; a gap that is filled holds nothing more.
    gaps = outcome.gaps = reader.gaps()
    missing = [key for key in times if key not in stored]
    outcome.missing = len(missing)
    inside = {key: [gap for gap in gaps if gap.from_utc <= times[key] <= gap.upto_utc] for key in times}
    known = {key for key in times if inside[key] or any(gap.from_utc <= due[key] <= gap.upto_utc for gap in gaps)}
    silent = [key for key in missing if key not in known]
    excused = ledger["broken"] + (ledger["unwanted"] if "refused_requests" in outcome.fired else 0)
    if len(silent) > excused:
        problem(f"silent loss: {len(silent)} prints in no row and no gap, {excused} broken or refused")
    lacking = [key for key in missing if not key[1] and any(gap.state is GapState.FILLED for gap in inside[key])]
    if lacking:
        problem(f"filled gaps lack {len(lacking)} prints")

    # Bounds: what history brought was lost within them, and they begin and end with the loss.
    outside = [key for key, live in stored.items() if not live and key in times and key not in known]
    if len(outside) > excused:
        problem(f"{len(outside)} prints were lost outside the bounds of the gaps")
    moved = any(active.fault.name in ("late_prints", "out_of_order") for active in faults.at(Stage.TAPE))
    for gap in gaps:
        lost = [at for key, at in times.items() if gap.from_utc <= at <= gap.upto_utc and not stored.get(key)]
        upto = min(gap.upto_utc, max(due.values()))  # no print tells where one ends that the day's end is in
        wider = upto - gap.from_utc - (max(lost) - min(lost) if lost else 0)
        wider_s = wider / 1000 * outcome.case.seconds / _DAY_S
        if wider_s > outcome.case.wider_s and not moved:
            problem(f"a gap of {gap.upto_utc - gap.from_utc} ms is {wider_s:.1f} s wider than its loss, as played")
        if gap.state is GapState.OPEN and gap.detail:
            problem(f"a gap stayed open: {gap.detail}")


def _told(terminal: StandIn) -> dict[str, Any]:
    """The stand-in's account of now."""
    playback = terminal.stream.playback
    return playback.ledger.told(playback.waiting)


def _key(size: int, code: int) -> tuple[int, bool]:
    """A print by its number, and whether it is the cancel of it."""
    return size, condition(code).cancel


def _utc(event: Print) -> int:
    return utc_of(date_of(event.wall), event.wall % DAY_MS)
