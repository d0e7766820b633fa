"""Simulated days, accelerated: the real stand-in, worker and store across what a calendar does to them.

Each scenario plays two sessions with the evening, the midnight and whatever else lies between them: a change of the
clocks, a holiday, a half day. The worker's machine clock is the playing one. Playback runs flat out from one moment to
the next and holds there until the worker has done what the moment asks of it. Beside the generated sessions there are
probes, prints of one contract where something begins or ends.
"""

from __future__ import annotations

import argparse
import asyncio
import heapq
import logging
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, Self
from zoneinfo import ZoneInfo

from drills._stores import unfounded, verify
from phenix import app
from phenix.config import Settings, load
from phenix.engine.enrich.clock import utc_of
from phenix.engine.flow import INDEX
from phenix.ingest.terminal.events import TRADE, OpenInterest, Print, Quote, Source, TapeEvent
from phenix.ingest.terminal.generator import underlyings
from phenix.ingest.terminal.layouts import DAY_MS, date_of, wall_at
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.standin import StandIn
from phenix.ingest.worker import Worker

__all__ = ["SCENARIOS", "Outcome", "Scenario", "main", "run_scenario"]

HOUR: Final = 3_600_000
MINUTE: Final = 60_000
ROLL: Final = 20 * HOUR
TOLD, KNOWN = 6 * HOUR + 30 * MINUTE, 6 * HOUR + 36 * MINUTE
"""When open interest begins to come, and when the worker has asked for all of it."""
PATIENCE_S: Final = 60.0
NEW_YORK: Final = ZoneInfo("America/New_York")


@dataclass(frozen=True, slots=True)
class Scenario:
    """Two session dates. ``probes`` are more moments (date, millisecond of the day) that belong to the second.

    ``gone`` are moments that the clocks jumped over, ``closed`` a date between the two on which the worker is started
    anew, ``half_day`` says that the second session ends at 13:00.
    """

    name: str
    first: int
    second: int
    probes: tuple[tuple[int, int], ...] = ()
    gone: tuple[tuple[int, int], ...] = ()
    closed: int | None = None
    half_day: bool = False

    @property
    def midnight(self) -> int:
        """Wall time at which the second date begins."""
        return wall_at(self.second, 0)

    def moments(self) -> list[int]:
        """Wall times of the probes: around the roll of the first date, around midnight, and the scenario's own."""
        own = [wall_at(*moment) for moment in (*self.probes, *self.gone)]
        roll = wall_at(self.first, ROLL)
        return sorted([roll - 120_000, roll - 1, roll, roll + 60_000, self.midnight - 100, self.midnight + 100, *own])


SCENARIOS: Final = (
    Scenario("clocks go forward", 20260306, 20260309, ((20260308, 2 * HOUR - 1), (20260308, 3 * HOUR)),
             gone=((20260308, 2 * HOUR + HOUR // 2),)),
    Scenario("clocks go back", 20261030, 20261102, ((20261101, HOUR - 1), (20261101, HOUR + HOUR // 2),
             (20261101, 2 * HOUR))),
    Scenario("holiday, half day", 20261125, 20261127, closed=20261126, half_day=True),
    Scenario("evening to next day", 20261118, 20261119),
)  # fmt: skip


@dataclass(slots=True)
class Outcome:
    """What came of a scenario: how many checks held, and ``wrong``, what did not and how often."""

    name: str
    rows: int = 0
    seconds: float = 0.0
    held: int = 0
    wrong: Counter[str] = field(default_factory=Counter)

    def check(self, what: str, holds: object) -> None:
        """Count one thing that must hold."""
        self.held += bool(holds)
        self.wrong[what] += not holds

    def __str__(self) -> str:
        found = ", ".join(f"{what} {count:,}" for what, count in self.wrong.items() if count) or "none"
        return f"{self.name:<22} {self.rows:>7,} {self.held:>9,} {self.seconds:>8.1f}  {found}"


# -- what is played


class Days:
    """Two sessions and the probes between them as one source."""

    def __init__(self, sessions: Sequence[Source], probes: Sequence[Print]) -> None:
        self._sessions, self._probes = sessions, probes

    @property
    def dates(self) -> tuple[int, ...]:
        """Both dates."""
        return tuple(date for session in self._sessions for date in session.dates)

    def events(self, symbol: str | None = None) -> Iterator[TapeEvent]:
        """Everything by time."""
        root = self._probes[0].contract.root
        probes: Iterable[TapeEvent] = self._probes if symbol in {None, root, self.underlying_of(root)} else ()
        sessions = (event for session in self._sessions for event in session.events(symbol))
        return heapq.merge(sessions, probes, key=lambda event: event.wall)

    def prints(self, upto: int) -> int:
        """How many prints come before a wall time."""
        return sum(isinstance(event, Print) and event.wall < upto for event in self.events())

    def contracts(self) -> Iterable[Contract]:
        """Those of both sessions."""
        return {contract for session in self._sessions for contract in session.contracts()}

    def open_interest(self) -> Iterable[OpenInterest]:
        """That of both dates."""
        return [row for session in self._sessions for row in session.open_interest()]

    def underlying_of(self, root: str) -> str:
        """As the sessions have it."""
        return self._sessions[0].underlying_of(root)


def _days(scenario: Scenario, seed: int, symbols: int, prints: int) -> Days:
    sessions = [
        app.session(seed=seed, symbols=symbols, prints=prints, date=date, extended=date == scenario.second)
        for date in (scenario.first, scenario.second)
    ]
    common = sorted({*sessions[0].contracts()} & {*sessions[1].contracts()})
    contract = next(c for c in common if c.root == "SPXW" and c.expiration > scenario.second)
    quote = (10, 5, 20_000, 50, 10, 5, 22_000, 50)
    probes = [
        Print(wall, TRADE, contract, number, 3, 18, 5, 22_000, Quote(wall, *quote))
        for number, wall in enumerate(scenario.moments())
    ]
    return Days(sessions, probes)


class _Clock:
    """The terminal's time as this machine's, UTC milliseconds; before it plays, the morning of the first date."""

    def __init__(self, terminal: StandIn, before: int) -> None:
        self._terminal, self._before = terminal, before

    def __call__(self) -> int:
        wall = self._terminal.market.wall
        return utc_of(date_of(wall), wall % DAY_MS) if wall else self._before


class _Words(logging.Handler):
    """What the worker logs."""

    def __init__(self) -> None:
        super().__init__()
        self.said: list[str] = []
        self._log = logging.getLogger("phenix.ingest")

    def emit(self, record: logging.LogRecord) -> None:
        self.said.append(record.getMessage())

    def __enter__(self) -> Self:
        self._level = self._log.level
        self._log.setLevel(logging.INFO)
        self._log.addHandler(self)
        return self

    def __exit__(self, *_: object) -> None:
        self._log.removeHandler(self)
        self._log.setLevel(self._level)


# -- how it is played


async def _until(what: str, reached: Callable[[], bool]) -> None:
    """Wait until something is so; raises TimeoutError naming it."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while not reached():  # noqa: ASYNC110 -- the worker tells nobody
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise TimeoutError(f"after {PATIENCE_S:g} s there is still not: {what}") from None


class _Play:
    """One scenario at the stand-in, with a worker that is started and stopped."""

    def __init__(self, scenario: Scenario, days: Days, terminal: StandIn, settings: Settings) -> None:
        self._scenario, self._days, self.terminal, self._settings = scenario, days, terminal, settings
        self._clock = _Clock(terminal, utc_of(scenario.first, 9 * HOUR))
        self._stop = asyncio.Event()
        self._worker: Worker | None = None
        self._running: asyncio.Task[None] | None = None
        self.planned: list[int] = []
        self.stored = 0

    async def start(self) -> None:
        """Start the worker, and wait until it streams what it planned."""
        self._stop = asyncio.Event()
        ready = asyncio.Event()
        self._running = asyncio.create_task(self._run(ready))
        await asyncio.wait((self._running, asyncio.create_task(ready.wait())), return_when=asyncio.FIRST_COMPLETED)
        if self._running.done():
            await self._running

    async def _run(self, ready: asyncio.Event) -> None:
        with app.open_writer(self._settings.store) as writer:
            async with app.terminal_client(self._settings) as client:
                recorder = app.recorder(writer)
                self._worker = await app.worker(self._settings, recorder, client, once=True, clock=self._clock)
                ready.set()
                figures = await self._worker.run(self._stop)
        self.stored += figures.stored
        self.planned += figures.sessions
        self._worker = None

    async def stop(self) -> None:
        """Stop the worker gracefully."""
        self._stop.set()
        await self.ended()

    async def ended(self) -> None:
        """Wait until the worker has ended."""
        assert self._running is not None
        await self._running

    async def to(self, wall: int) -> None:
        """Play to a wall time, and wait until all prints before it are stored."""
        self.terminal.stream.playback.hold(wall)
        await _until("the playback held", self.terminal.stream.playback.held.is_set)
        expected = self._days.prints(wall) - sum(wall_at(*moment) < wall for moment in self._scenario.gone)
        await _until(f"{expected} prints stored", lambda: self._now_stored() >= expected)

    async def calendar_today(self) -> str:
        """What the terminal says of its day."""
        async with app.terminal_client(self._settings) as client:
            return (await client.calendar_today()).type

    def _now_stored(self) -> int:
        return self.stored + (self._worker.figures.stored if self._worker else 0)

    async def streaming(self, date: int) -> None:
        """Wait until the worker has planned a session date, and streams every contract that expires on it or later."""
        wanted = {contract for contract in self._days.contracts() if contract.expiration >= date}

        def streams() -> bool:
            client, worker = self.terminal.stream.playback.client, self._worker
            opened = client.streams.get(("OPTION", "TRADE"), set()) if client else set()
            return worker is not None and date in worker.figures.sessions and opened == wanted

        await _until(f"the contracts of {date} streamed, and no others", streams)

    async def told(self, date: int) -> None:
        """Wait until the open interest of a date is stored."""
        expected = sum(date_of(row.wall) == date for row in self._days.open_interest())

        def stored() -> bool:
            with app.open_reader(self._settings.store) as reader:
                found = reader.execute("SELECT count(*) FROM open_interest WHERE date = ?", (date,))
            return bool(found == [(expected,)])

        await _until(f"the open interest of {date} stored", stored)


async def run_scenario(
    scenario: Scenario, folder: Path, *, seed: int = 1, symbols: int = 2, prints: int = 1_000
) -> Outcome:
    """Play a scenario into a store in a folder, and look at everything that came of it."""
    begun, outcome = time.monotonic(), Outcome(scenario.name)
    days = _days(scenario, seed, symbols, prints)
    store = folder / f"{scenario.second}.sqlite"
    with _Words() as words:
        async with app.terminal(days, speed=0, stocks="standard", settle_s=0.1) as terminal:
            settings = load({
                "THETADATA_BASE_URL": terminal.base_url,
                "THETADATA_STREAM_URL": terminal.stream_url,
                "INGEST_SYMBOLS": ",".join(name.symbol for name in underlyings()[:symbols]),
                "PHENIX_STORE": f"sqlite:{store}",
            })  # fmt: skip
            play = _Play(scenario, days, terminal, settings)
            try:
                await _across(play, outcome, scenario, words.said)
            except TimeoutError as late:
                outcome.check(str(late), False)
                await play.stop()
            outcome.check("every print is streamed", terminal.stream.playback.ledger.unwanted == 0)
    outcome.check(f"planned {play.planned}", list(dict.fromkeys(play.planned)) == [scenario.first, scenario.second])
    _look(outcome, scenario, days, store)
    outcome.wrong.update(verify(store))
    outcome.wrong.update(unfounded(store))
    outcome.seconds = time.monotonic() - begun
    return outcome


async def _across(play: _Play, outcome: Outcome, scenario: Scenario, said: Sequence[str]) -> None:
    """From the first session to the end of the second, a hold at each moment at which something has to happen."""
    first, second, market = scenario.first, scenario.second, play.terminal.market
    play.terminal.stream.playback.hold(0)
    await play.start()
    await play.streaming(first)
    await play.to(wall_at(first, ROLL) + 30_000)
    if scenario.closed is not None:
        await play.to(wall_at(scenario.closed, 0))
        await play.stop()
        market.advance(wall_at(scenario.closed, 12 * HOUR))
        outcome.check("the terminal's calendar says closed", await play.calendar_today() == "full_close")
        await play.start()
        waits = f"{scenario.closed} is no trading day: the next session is that of {second}"
        outcome.check("the worker says what it waits for", waits in said)
    await play.streaming(second)
    await play.to(scenario.midnight)
    evening = len(market.quotes)
    await play.to(scenario.midnight + 101)
    outcome.check("snapshots begin anew at midnight", evening > len(market.quotes) == 1)
    await play.to(wall_at(second, KNOWN))
    await play.told(second)
    play.terminal.stream.playback.hold(None)
    await play.ended()


# -- what came of it


def _look(outcome: Outcome, scenario: Scenario, days: Days, store: Path) -> None:
    with app.open_reader(f"sqlite:{store}") as reader:
        rows = [dict(zip(INDEX, row, strict=True)) for row in reader.rows_after(0, 10**7)]
        letters = [letter for _, letter in reader.dead_letters()]
        minutes = {(s, m): v for s, m, v in reader.execute(
            "SELECT symbol, minute_bucket_et, vol_1m FROM symbol_stats_intraday")}  # fmt: skip
    outcome.rows = len(rows)
    refused = [letter.reason for letter in letters] == ["time_malformed"] * len(scenario.gone)
    outcome.check(f"dead letters {letters}", refused)
    gone = {wall_at(*moment) for moment in scenario.gone}
    prints = [event for event in days.events() if isinstance(event, Print) and event.wall not in gone]
    outcome.check("every print is a row", len(rows) == len(prints))
    told = {(row.contract[1:], date_of(row.wall)): row for row in days.open_interest()}
    for row, event in zip(rows, prints, strict=False):
        same = event.contract[1:] == (row["root"], row["expiration"], row["strike"], row["right"])
        outcome.check("rows come in the order of play", same and event.sequence == row["sequence"])
        _look_at_time(outcome, scenario, row, event)
        _look_at_interest(outcome, row, told.get((event.contract[1:], row["session_date"])), event)
    _look_at_windows(outcome, rows, minutes)
    _look_at_probes(outcome, scenario, [row for row in rows if row["trade_ts_et"] in {*scenario.moments()}])


def _look_at_time(outcome: Outcome, scenario: Scenario, row: dict[str, Any], event: Print) -> None:
    naive = datetime.fromtimestamp(event.wall / 1000, UTC).replace(tzinfo=None, microsecond=0)
    utc = naive.replace(tzinfo=NEW_YORK).astimezone(UTC)
    outcome.check("UTC", row["trade_ts_utc"] == int(utc.timestamp()) * 1000 + event.wall % 1000)
    outcome.check("Eastern time", row["trade_ts_et"] == event.wall)
    date = scenario.first if event.wall < wall_at(scenario.first, ROLL) else scenario.second
    outcome.check("session date", row["session_date"] == date)
    at = event.wall - wall_at(date, 0)
    close = (13 if scenario.half_day and date == scenario.second else 16) * HOUR
    if row["symbol"] == "SPX":
        hours = ((-4 * HOUR + 15 * MINUTE, 9 * HOUR + 25 * MINUTE, "gth"),
                 (9 * HOUR + 30 * MINUTE, close + 15 * MINUTE, "regular"),
                 (close + 15 * MINUTE, 17 * HOUR if close == 16 * HOUR else 0, "curb"))  # fmt: skip
        session = next((name for start, end, name in hours if start <= at < end), "closed")
        outcome.check("session", row["session"] == session)
    elif row["session"] == "regular":
        outcome.check("session", 9 * HOUR + 30 * MINUTE <= at < close + 15 * MINUTE)


def _look_at_interest(outcome: Outcome, row: dict[str, Any], told: OpenInterest | None, event: Print) -> None:
    if told is None or event.wall < told.wall:
        outcome.check("no open interest before it is told", row["oi"] is None)
    elif event.wall >= wall_at(row["session_date"], KNOWN):
        outcome.check("open interest from 06:30 on", row["oi"] == told.open_interest)


def _look_at_windows(outcome: Outcome, rows: list[dict[str, Any]], minutes: dict[tuple[str, int], int]) -> None:
    """Figures counted again the plain way: by session date, from the rows alone."""
    contracts: dict[Any, list[dict[str, Any]]] = {}
    symbols: dict[Any, list[dict[str, Any]]] = {}
    seen: Counter[int] = Counter()
    for row in rows:
        if row["cancel_record"]:
            continue
        date, seq = row["session_date"], row["seq"]
        of_contract = contracts.setdefault((date, row["root"], row["expiration"], row["strike"], row["right"]), [])
        of_minute = symbols.setdefault((date, row["symbol"], row["trade_ts_et"] // MINUTE * MINUTE), [])
        of_contract.append(row)
        of_minute.append(row)
        standing = [other for other in of_contract if (other["cancelled_seq"] or seq + 1) > seq]
        outcome.check("day_volume", row["day_volume"] == sum(other["size"] for other in standing))
        since = row["trade_ts_utc"] - 180_000
        near = sum(o["side"] == row["side"] and since <= o["trade_ts_utc"] <= row["trade_ts_utc"] for o in standing)
        outcome.check("repeat3m", row["repeat3m"] == (near if row["side"] is not None else None))
        volume = sum(other["size"] for other in of_minute if (other["cancelled_seq"] or seq + 1) > seq)
        outcome.check("symbol_vol_1m", row["symbol_vol_1m"] == volume)
        outcome.check("value_pctile begins anew", (row["value_pctile"] is None) == (not seen[date]))
        seen[date] += 1
    for (_, symbol, minute), found in symbols.items():
        volume = sum(row["size"] for row in found if row["cancelled_seq"] is None)
        outcome.check("minute buckets", minutes.get((symbol, minute)) == volume)


def _look_at_probes(outcome: Outcome, scenario: Scenario, rows: list[dict[str, Any]]) -> None:
    gone = {wall_at(*moment) for moment in scenario.gone}
    outcome.check("every probe is a row", len(rows) == len(scenario.moments()) - len(gone))
    before = rows[:2]
    after = rows[2:]
    outcome.check("before the roll", [row["repeat3m"] for row in before] == [1, 2])
    outcome.check("windows begin anew at the roll", [row["repeat3m"] for row in after[:2]] == [1, 2])
    volumes = [row["day_volume"] for row in after]
    outcome.check(
        "volume begins anew at the roll and not at midnight", volumes[:2] == [3, 6] and volumes[-1] >= 3 * len(after)
    )
    outcome.check("repeats across midnight", after[-1]["repeat3m"] >= 2)
    outcome.check("the night belongs to the next session", {row["session_date"] for row in after} == {scenario.second})


def main(arguments: list[str]) -> int:
    """Play every scenario; 1 when anything did not hold."""
    command = argparse.ArgumentParser(prog="python -m drills days", description=__doc__)
    command.add_argument("--seed", type=int, default=1, help="of the generated sessions (1)")
    command.add_argument("--prints", type=int, default=10_000, help="of each session (10000)")
    command.add_argument("--symbols", type=int, default=4, help="of each session (4)")
    given = command.parse_args(arguments)
    print(f"{'scenario':<22} {'rows':>7} {'held':>9} {'seconds':>8}  what did not hold")
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        for scenario in SCENARIOS:
            print(f"{scenario.name}: {scenario.first} and {scenario.second}", file=sys.stderr)
            outcome = asyncio.run(
                run_scenario(scenario, Path(folder), seed=given.seed, symbols=given.symbols, prints=given.prints)
            )
            print(outcome, flush=True)
            wrong += outcome.wrong.total()
    return 1 if wrong else 0
