"""What history has of a gap becomes rows: of all that was streamed then, in small steps, and of what answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest

from phenix import app
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import DAY, HOUR, MINUTE, utc_of
from phenix.engine.flow import INDEX
from phenix.engine.store.base import Batch, Cause, Gap, GapState, OpenInterest, UnderlyingQuote
from phenix.ingest.catchup import CatchUp
from phenix.ingest.contract import Contract
from phenix.ingest.inputs import InterestBook, SpotBook
from phenix.ingest.mending import Mender, Planned, Store
from phenix.ingest.normalize import Normalizer, RawRow, Refusal
from phenix.ingest.recorder import Recorded
from phenix.ingest.terminal.client import (
    InvalidRequestError,
    NoDataError,
    NotEntitledError,
    ServerFaultError,
    TerminalError,
    TooLargeError,
    UnreachableError,
)
from phenix.ingest.terminal.layouts import TRADE_QUOTE_COLUMNS

DATE, NEXT = 20261119, 20261120
ENDED = Contract("SPY", DATE, 6_000_000, "CALL")
"""Expired on the date of the gap."""
LATER = Contract("SPY", 20261127, 6_000_000, "CALL")
OTHER = Contract("QQQ", 20261127, 6_000_000, "CALL")
FIRST = Contract("AAPL", DATE, 2_000_000, "PUT")
"""Of a root with nothing else."""
EVENING = utc_of(NEXT, 21 * HOUR)


class Told(NamedTuple):
    """A print as history has it."""

    contract: Contract
    date: int
    ms: int
    sequence: int = 1


class History:
    """A terminal's history; ``errors`` by root, ``widest`` that is answered, ``locked`` dates that it has not yet."""

    def __init__(
        self,
        prints: Iterable[Told],
        errors: Mapping[str, TerminalError] | None = None,
        widest: int = DAY,
        locked: Collection[int] = (),
    ) -> None:
        self._prints = sorted(prints, key=lambda told: (told.contract, told.date, told.ms))
        self.errors = {**(errors or {})}
        self._widest, self._locked = widest, locked
        self.asked: list[tuple[str, int, int, int]] = []
        self.cut = b""

    async def lines(self, path: str, **params: str | int) -> AsyncIterator[bytes]:
        assert path == "trade_quote"
        root, date = str(params["symbol"]), int(params["date"])
        first, last = _ms(str(params["start_time"])), _ms(str(params["end_time"]))
        self.asked.append((root, date, first, last))
        if root in self.errors:
            raise self.errors[root]
        if last - first >= self._widest:
            raise TooLargeError("the terminal answered 570: too much", 570)
        found = [one for one in self._prints if one.contract.root == root and one.date == date]
        found = [one for one in found if first <= one.ms <= last and date not in self._locked]
        if not found:
            raise NoDataError("the terminal answered 472: No data found for your request", 472)
        yield ",".join(TRADE_QUOTE_COLUMNS).encode()
        for one in found:
            yield _line(one)
        if self.cut:
            yield self.cut


def _ms(clock: str) -> int:
    hours, minutes, seconds = clock.split(":")
    return (int(hours) * 60 + int(minutes)) * MINUTE + round(float(seconds) * 1000)


def _line(told: Told) -> bytes:
    root, expiration, strike, right = told.contract
    date, at = _date(told.date), f"{told.ms // HOUR:02d}:{told.ms // MINUTE % 60:02d}:{told.ms % MINUTE / 1000:06.3f}"
    return (
        f"{root},{_date(expiration)},{strike / 10_000:.3f},{right},{date}T{at},{date}T{at},{told.sequence},255,255,255,"
        "255,18,10,5,1.00,1,5,0.95,50,1,5,1.00,50"
    ).encode()


def _date(date: int) -> str:
    return f"{date // 10_000}-{date // 100 % 100:02d}-{date % 100:02d}"


def _normalizer() -> Normalizer:
    """One that knows nothing, as after a restart."""
    return Normalizer(Calendar.packaged(), SpotBook(), InterestBook())


def _row(contract: Contract, ts_utc: int, sequence: int = 0) -> RawRow:
    row = _normalizer().row(contract, ts_utc, 10_000, 10, 18, 5, sequence, 9_500, 10_000, ts_utc, ts_utc)
    assert not isinstance(row, Refusal)
    return row


def _gap(from_ms: int, upto_ms: int, *, date: int = DATE, upto: int = DATE) -> Gap:
    return Gap(Cause.RESTARTED, utc_of(date, from_ms), utc_of(upto, upto_ms), messages=7)


class Kept:
    """A store with a gap, mended again and again by new processes; ``batches`` are what they stored."""

    def __init__(self, folder: Path, batch: Batch) -> None:
        self.url = f"sqlite:{folder / 'flow.sqlite'}"
        self.batches: list[Batch] = []
        self.flushed = 0
        with app.open_writer(self.url) as writer:
            app.recorder(writer).record(batch)

    def mend(
        self,
        history: History,
        now_utc: int = EVENING,
        planned: Callable[[int], Collection[Contract]] = lambda _: {LATER, OTHER},
        after: Callable[[Batch], None] = lambda _: None,
    ) -> list[Gap]:
        """Ask for every open gap once; gives what is known of all of them then."""

        def stored(batch: Batch, recorded: Recorded) -> None:
            assert len(recorded.rows) + recorded.duplicates == len(batch.rows)
            self.batches.append(batch)
            after(batch)

        async def flush() -> None:
            self.flushed += 1

        async def run() -> None:
            with app.open_writer(self.url) as writer, ThreadPoolExecutor(1) as thread:
                recorder = app.recorder(writer)
                store = Store(recorder, thread, flush, stored)
                mender = Mender(history, "trade_quote", store, _normalizer(), planned)
                for gap in recorder.open_gaps():
                    await mender.mend(gap, now_utc)

        asyncio.run(run())
        with app.open_reader(self.url) as reader:
            return reader.gaps()

    def rows(self) -> list[RawRow]:
        """All that is stored, by seq."""
        with app.open_reader(self.url) as reader:
            return [*reader.raw_rows(0, 100_000)]

    def contracts(self) -> list[Contract]:
        """Of each row, by seq."""
        return [Contract(*row[7:11]) for row in self.rows()]


# -- which contracts


@pytest.mark.parametrize("enriched", [True, False])
def test_contracts_that_expired_since_are_part_of_a_gap(tmp_path: Path, enriched: bool) -> None:
    """By the evening they are in no plan any more; they are known by what is stored of their date."""
    noon, gap = utc_of(DATE, 12 * HOUR), _gap(14 * HOUR, 15 * HOUR)
    before = [_row(ENDED, noon), _row(FIRST, noon)]
    kept = Kept(tmp_path, Batch(rows=before if enriched else (), gaps=[gap]))
    if not enriched:
        with app.open_writer(kept.url) as writer:
            writer.append(Batch(rows=before))
    unknown = Contract("SPY", DATE, 6_100_000, "CALL")
    at = 14 * HOUR + 30 * MINUTE
    history = History([Told(contract, DATE, at) for contract in (ENDED, FIRST, LATER, unknown)])
    (found,) = kept.mend(history)
    assert (found.state, found.recovered, found.detail) == (GapState.FILLED, 3, "3 prints in history")
    assert sorted(kept.contracts()[2:]) == [FIRST, ENDED, LATER]


def test_contracts_that_were_streamed_are_part_of_a_gap_of_their_date() -> None:
    planned = Planned()
    planned.stream(DATE, frozenset({ENDED}))
    planned.stream(DATE, frozenset({FIRST}))  # planned anew
    planned.stream(NEXT, frozenset({LATER}))
    assert planned.of(DATE) == {ENDED, FIRST, LATER}
    assert planned.of(NEXT) == {LATER}
    assert planned.of(20261118) == {LATER}
    for date in range(1, 10):
        planned.stream(20261200 + date, frozenset({OTHER}))
    assert planned.of(DATE) == {OTHER}  # a week is enough


# -- dates


def test_a_date_without_history_yet_is_asked_for_again_alone(tmp_path: Path) -> None:
    """What the terminal has of yesterday says nothing of today, which it may keep back until midnight."""
    kept = Kept(tmp_path, Batch(gaps=[_gap(15 * HOUR, 10 * HOUR, upto=NEXT)]))
    prints = [Told(LATER, DATE, 15 * HOUR + MINUTE), Told(LATER, NEXT, 9 * HOUR + 40 * MINUTE)]
    yesterday, today = kept.mend(History(prints, locked=[NEXT]), utc_of(NEXT, 10 * HOUR))
    midnight = utc_of(NEXT, 0)
    assert yesterday == Gap(
        Cause.RESTARTED, utc_of(DATE, 15 * HOUR), midnight - 1, 7, GapState.FILLED, 1, "1 prints in history", 1
    )
    assert today == Gap(
        Cause.RESTARTED, midnight, utc_of(NEXT, 10 * HOUR), 0, GapState.OPEN, 0,
        "the terminal has no history of this time yet: it may come after the day", 2,
    )  # fmt: skip
    history = History(prints)
    assert kept.mend(history, utc_of(20261121, 9 * HOUR)) == [
        yesterday, replace(today, state=GapState.FILLED, recovered=1, detail="1 prints in history"),
    ]  # fmt: skip
    assert {date for _, date, _, _ in history.asked} == {NEXT}


def test_a_gap_over_dates_with_the_same_answer_stays_one(tmp_path: Path) -> None:
    kept = Kept(tmp_path, Batch(gaps=[_gap(15 * HOUR, 10 * HOUR, upto=NEXT)]))
    prints = [Told(LATER, DATE, 15 * HOUR), Told(LATER, NEXT, 9 * HOUR)]
    (gap,) = kept.mend(History(prints))
    assert (gap.state, gap.recovered, gap.detail, gap.messages) == (GapState.FILLED, 2, "2 prints in history", 7)


@pytest.mark.parametrize(
    ("now", "state"),
    [
        (utc_of(DATE, 16 * HOUR), GapState.OPEN),
        (utc_of(NEXT, HOUR), GapState.OPEN),  # the terminal is made ready for the day
        (utc_of(NEXT, 2 * HOUR), GapState.EMPTY),
    ],
)
def test_history_of_a_running_day_may_come_later_and_that_of_a_past_one_does_not(
    tmp_path: Path, now: int, state: GapState
) -> None:
    (gap,) = Kept(tmp_path, Batch(gaps=[_gap(14 * HOUR, 15 * HOUR)])).mend(History([]), now)
    yet = " yet: it may come after the day" if state is GapState.OPEN else ""
    assert (gap.state, gap.detail) == (state, f"the terminal has no history of this time{yet}")


# -- errors

HALF = 14 * HOUR + 30 * MINUTE
BOTH = (Told(LATER, DATE, HALF), Told(OTHER, DATE, HALF))


@pytest.mark.parametrize(
    "error",
    [
        InvalidRequestError("the terminal answered 473: no such symbol", 473),
        TooLargeError("the terminal answered 570: too much", 570),
        NotEntitledError("the terminal answered 471: not in your subscription", 471),
    ],
    ids=lambda error: str(error.code),
)
def test_a_root_that_is_refused_keeps_no_other_from_being_filled(tmp_path: Path, error: TerminalError) -> None:
    kept = Kept(tmp_path, Batch(gaps=[_gap(14 * HOUR, 15 * HOUR)]))
    (gap,) = kept.mend(History(BOTH, errors={"QQQ": error}))
    assert (gap.state, gap.recovered) == (GapState.FILLED, 1)
    assert gap.detail == f"1 prints in history; without QQQ ({error})"
    assert kept.contracts() == [LATER]


def test_a_root_that_fails_is_asked_for_again_and_what_others_answered_is_stored(tmp_path: Path) -> None:
    kept = Kept(tmp_path, Batch(gaps=[_gap(14 * HOUR, 15 * HOUR)]))
    history = History(BOTH, errors={"QQQ": ServerFaultError("the terminal answered 572: uncaught", 572)})
    (gap,) = kept.mend(history)
    assert (gap.state, gap.recovered) == (GapState.OPEN, 1)
    assert gap.detail == "not answered yet: QQQ (the terminal answered 572: uncaught)"
    history.errors.clear()
    (gap,) = kept.mend(history)
    assert (gap.state, gap.recovered, gap.detail) == (GapState.FILLED, 2, "2 prints in history")
    assert kept.contracts() == [LATER, OTHER]


def test_an_account_without_history_is_not_asked_again(tmp_path: Path) -> None:
    error = NotEntitledError("the terminal answered 471: not in your subscription", 471)
    (gap,) = Kept(tmp_path, Batch(gaps=[_gap(14 * HOUR, 15 * HOUR)])).mend(
        History(BOTH, errors={"QQQ": error, "SPY": error})
    )
    assert (gap.state, gap.detail) == (GapState.REFUSED, str(error))


def test_a_terminal_that_is_away_is_asked_later(tmp_path: Path) -> None:
    kept = Kept(tmp_path, Batch(gaps=[_gap(14 * HOUR, 15 * HOUR)]))
    history = History(BOTH, errors={"QQQ": UnreachableError("no answer")})
    with pytest.raises(UnreachableError):
        kept.mend(history)
    history.errors.clear()
    (gap,) = kept.mend(history)
    assert (gap.state, gap.recovered, len(kept.rows())) == (GapState.FILLED, 2, 2)


class Slow(History):
    """Of one root it takes long to end."""

    def __init__(self) -> None:
        super().__init__(BOTH, errors={"QQQ": UnreachableError("no answer")})
        self.ending, self.may_end = asyncio.Event(), asyncio.Event()

    async def lines(self, path: str, **params: str | int) -> AsyncIterator[bytes]:
        if params["symbol"] == "SPY":
            try:
                await asyncio.Event().wait()
            finally:
                self.ending.set()
                await self.may_end.wait()
        async for line in super().lines(path, **params):
            yield line


def test_who_is_told_to_end_while_an_error_comes_ends() -> None:
    """Not taken for an end of what the error ended."""

    async def run() -> None:
        history, past = Slow(), Nothing()
        work = asyncio.create_task(CatchUp(history, "trade_quote").fill(_gap(14 * HOUR, 15 * HOUR), past, EVENING))
        await history.ending.wait()
        work.cancel()
        await asyncio.sleep(0)
        history.may_end.set()
        with pytest.raises(asyncio.CancelledError):
            await work

    asyncio.run(run())


class Nothing:
    """A store that knows what is streamed, and gets nothing."""

    async def contracts(self, *_: int) -> dict[int, set[Contract]]:
        return {DATE: {LATER, OTHER}}

    async def normalizer(self, *_: object) -> Normalizer:
        return _normalizer()

    async def keep(self, *_: object) -> int:
        return 0


def test_what_is_too_large_is_asked_for_in_smaller_windows(tmp_path: Path) -> None:
    prints = [Told(LATER, DATE, 14 * HOUR + n * MINUTE, n) for n in range(60)]
    history = History(prints, widest=10 * MINUTE)
    (gap,) = Kept(tmp_path, Batch(gaps=[_gap(14 * HOUR, 15 * HOUR)])).mend(history, planned=lambda _: {LATER})
    assert (gap.state, gap.recovered) == (GapState.FILLED, 60)
    assert len(history.asked) < 20


@pytest.mark.parametrize("cut", [b"SPY,2026-11-27,600.000", b""], ids=["cut", "whole"])
def test_an_answer_that_is_cut_off_does_not_fill_a_gap(tmp_path: Path, cut: bytes) -> None:
    kept, history = Kept(tmp_path, Batch(gaps=[_gap(14 * HOUR, 15 * HOUR)])), History(BOTH)
    history.cut = cut
    (gap,) = kept.mend(history)
    assert (gap.state, len(kept.rows())) == ((GapState.OPEN, 0) if cut else (GapState.FILLED, 2))


# -- size

MANY = [Told(LATER, DATE, 14 * HOUR + n * 150, n) for n in range(24_000)]
"""An hour of one root."""


def test_a_large_gap_is_stored_in_small_steps_between_which_prints_of_the_stream_go(tmp_path: Path) -> None:
    kept, history = Kept(tmp_path, Batch(gaps=[_gap(14 * HOUR, 15 * HOUR)])), History(MANY)
    (gap,) = kept.mend(history, planned=lambda _: {LATER})
    assert (gap.state, gap.recovered) == (GapState.FILLED, len(MANY))
    times = [row[2] for row in kept.rows()]
    assert times == sorted(times)
    assert len(times) == len(MANY)
    assert max(len(batch.rows) for batch in kept.batches) == 2_000
    assert kept.flushed >= len(kept.batches) - 1
    assert [gap.state for batch in kept.batches for gap in batch.gaps][-2:] == [GapState.OPEN, GapState.FILLED]


class KilledError(Exception):
    """What ends a process."""


@pytest.mark.parametrize("steps", [1, 6, 13])
def test_a_process_that_ends_amid_a_gap_loses_and_doubles_nothing(tmp_path: Path, steps: int) -> None:
    kept, history = Kept(tmp_path, Batch(gaps=[_gap(14 * HOUR, 15 * HOUR)])), History(MANY)

    def after(_: Batch) -> None:
        if len(kept.batches) == steps:
            raise KilledError

    with pytest.raises(KilledError):
        kept.mend(history, planned=lambda _: {LATER}, after=after)
    assert 0 < len(kept.rows()) <= len(MANY)
    gaps = kept.mend(history, planned=lambda _: {LATER})
    assert [(gap.state, gap.recovered) for gap in gaps] == [(GapState.FILLED, len(MANY))]
    assert [row[INDEX["sequence"]] for row in kept.rows()] == [*range(len(MANY))]


# -- what is known beside


def test_prints_of_a_gap_hold_what_the_store_knows_of_their_time(tmp_path: Path) -> None:
    """However much came since, and whatever this process forgot."""
    half = utc_of(DATE, HALF)
    quotes = [UnderlyingQuote("SPY", utc_of(DATE, 10 * HOUR), 5_990_000, 5_990_000, "stream")]
    quotes += [UnderlyingQuote("SPY", half - 500, 6_000_000, 6_000_000, "iv")]
    quotes += [UnderlyingQuote("SPY", half + 1, 6_010_000, 6_010_000, "stream")]
    interest = OpenInterest(*LATER, DATE, utc_of(DATE, 6 * HOUR + 30 * MINUTE), 500)
    batch = Batch(quotes=quotes, open_interest=[interest], gaps=[_gap(12 * HOUR, 15 * HOUR)])
    kept = Kept(tmp_path, batch)
    kept.mend(History([Told(LATER, DATE, 12 * HOUR + MINUTE), Told(LATER, DATE, HALF)]))
    beside = [[row[INDEX[name]] for name in ("spot", "spot_age_ms", "spot_source", "oi")] for row in kept.rows()]
    assert beside == [
        [5_990_000, 2 * HOUR + MINUTE, "stream", 500],
        [6_000_000, 500, "iv", 500],
    ]
