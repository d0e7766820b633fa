"""From frames to rows: prints that are ahead of their feed, quotes that cannot be read, and what is forgotten."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Self

import pytest

from phenix import app
from phenix.config import load
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import HOUR, MINUTE, utc_of
from phenix.engine.flow import INDEX
from phenix.engine.store.base import Batch, OpenInterest, Writer
from phenix.ingest.contract import Contract as Stored
from phenix.ingest.inputs import InterestBook
from phenix.ingest.intake import Intake
from phenix.ingest.terminal.client import Batch as Told
from phenix.ingest.terminal.client import OpenInterestRow
from phenix.ingest.terminal.protocol import BadFrame, Contract, Frame, QuoteFrame, StatusFrame, TradeFrame, decode
from phenix.ingest.worker import Worker

CALL = Contract("OPTION", "XYZ", 20261127, 2_200_000, "CALL")
PUT = CALL._replace(right="PUT")
TODAY, MORNING = 20261119, 10 * HOUR
NOW = utc_of(TODAY, MORNING)
SEQUENCE, BID, OI = INDEX["sequence"], INDEX["bid"], INDEX["oi"]


def _print(number: int, date: int = TODAY, ms: int = MORNING, contract: Contract = CALL) -> TradeFrame:
    return TradeFrame(contract, date, ms, number, 10, 18, 25_000, 5)


def _taken(intake: Intake) -> tuple[list[int], list[tuple[str, int]]]:
    """Sequences of the rows, and reason and sequence of the letters, since the last time."""
    batch = intake.take() or Batch()
    letters = [(letter.reason, decode(letter.snippet)[-1].sequence) for letter in batch.dead_letters]  # type: ignore[union-attr]
    return [row[SEQUENCE] for row in batch.rows], letters


def test_a_print_of_a_date_ahead_moves_nothing_and_is_a_dead_letter(tmp_path: Path) -> None:
    intake = Intake(Calendar.packaged())
    with app.open_writer(f"sqlite:{tmp_path}/live.sqlite") as writer:
        recorder = app.recorder(writer)
        frames = [_print(1), _print(2, 20361119), _print(3, ms=MORNING + 11 * MINUTE), _print(4, ms=MORNING + MINUTE)]
        intake.frames(frames, NOW)
        batch = intake.take()
        assert batch is not None
        recorder.record(batch)
        assert [row[SEQUENCE] for row in batch.rows] == [1, 4]
        assert [letter.reason for letter in batch.dead_letters] == ["time_ahead"] * 2
        assert (intake.latest, batch.watermark) == (NOW + MINUTE, str(NOW + MINUTE))
        assert writer.reads.current_session() == TODAY
    done = app.redrive(f"sqlite:{tmp_path}/live.sqlite")
    assert (done.stored, dict(done.left)) == (1, {"time_ahead": 1})  # by now it is past that time of day


def test_not_even_the_first_print_of_a_live_feed_may_be_ahead() -> None:
    intake = Intake(Calendar.packaged())
    intake.frames([_print(1, 20361119)], NOW)
    assert (intake.take(), intake.latest) == (None, 0)
    intake.frames([_print(2)], NOW)
    assert _taken(intake) == ([2], [("time_ahead", 1)])


@pytest.mark.parametrize(("date", "after"), [(20241104, 20241105), (20241108, 20241111), (20301107, 20301108)])
def test_a_played_day_goes_on_after_a_night_once_enough_prints_say_so(date: int, after: int) -> None:
    """In the past and in the future; none is lost, and none comes out of its order."""
    intake = Intake(Calendar.packaged())
    evening = [_print(n, date, 16 * HOUR - 1_000 + n) for n in range(10)]
    morning = [_print(10 + n, after, 9 * HOUR + 30 * MINUTE + n) for n in range(10)]
    intake.frames([*evening, *morning[:7]], NOW)
    assert (_taken(intake), intake.rows) == (([*range(10)], []), 7)
    assert intake.latest == utc_of(date, 16 * HOUR - 1_000 + 9)
    intake.frames(morning[7:], NOW)
    assert _taken(intake) == ([*range(10, 20)], [])
    assert intake.latest == utc_of(after, 9 * HOUR + 30 * MINUTE + 9)


def test_a_print_ahead_in_a_played_day_is_none_of_it() -> None:
    intake = Intake(Calendar.packaged())
    intake.frames([_print(1, 20241104), _print(2, 20250303), _print(3, 20241104, MORNING + MINUTE)], NOW)
    assert _taken(intake) == ([1, 3], [("time_ahead", 2)])
    assert intake.latest == utc_of(20241104, MORNING + MINUTE)


def test_as_time_goes_by_a_played_day_may_have_gone_on() -> None:
    intake = Intake(Calendar.packaged())
    for minutes in (0, 30, 90):
        intake.frames([_print(minutes, 20241104, MORNING + minutes * MINUTE)], NOW + minutes * MINUTE)
    assert _taken(intake) == ([0, 30, 90], [])


def test_stale_prints_before_the_first_of_a_live_feed_are_late_ones() -> None:
    intake = Intake(Calendar.packaged())
    intake.frames([_print(1, 20261116), _print(2, 20261118), _print(3)], NOW)
    assert _taken(intake) == ([1, 2, 3], [])


def test_prints_that_do_not_agree_are_not_believed_however_many() -> None:
    intake = Intake(Calendar.packaged())
    wrong = [_print(2 + n, 20270104 + n) for n in range(9)]
    intake.frames([_print(1), *wrong, _print(11)], NOW)
    assert _taken(intake) == ([1, 11], [("time_ahead", 2 + n) for n in range(9)])


def test_a_day_may_be_played_so_fast_that_hours_pass_between_two_prints() -> None:
    """In the past, and by a machine whose time is that of the day: it is told by batches then."""
    intake = Intake(Calendar.packaged())
    intake.frames([_print(n, 20241104, hour * HOUR) for n, hour in enumerate((10, 15, 12, 16))], NOW)
    assert _taken(intake) == ([0, 1, 2, 3], [])
    simulated = Intake(Calendar.packaged())
    simulated.frames([_print(1), _print(2, ms=MORNING + HOUR), _print(3, ms=MORNING + 2 * HOUR)], NOW)
    assert _taken(simulated) == ([1], [])
    simulated.frames([StatusFrame("CONNECTED")], NOW + 2 * HOUR)
    assert _taken(simulated) == ([2, 3], [])
    simulated.frames([_print(4, ms=MORNING + 4 * HOUR)], NOW + 3 * HOUR)
    simulated.frames([_print(5, ms=MORNING + 5 * HOUR)], NOW + 5 * HOUR)
    assert _taken(simulated) == ([4, 5], [])


def test_prints_that_waited_to_be_read_are_held_against_when_they_came() -> None:
    """A batch may be of twenty minutes, where the store stood still for so long."""
    intake = Intake(Calendar.packaged())
    frames = [_print(1), _print(2, ms=MORNING + 19 * MINUTE), _print(3, ms=MORNING + MINUTE)]
    intake.frames(frames, NOW, NOW + 20 * MINUTE)
    assert _taken(intake) == ([1, 2, 3], [])


def test_a_machine_whose_clock_is_behind_learns_that_from_its_prints() -> None:
    intake = Intake(Calendar.packaged())
    intake.frames([_print(n, ms=MORNING + 20 * MINUTE + n) for n in range(20)], NOW)
    assert _taken(intake) == ([*range(20)], [])


@pytest.mark.parametrize(
    ("first", "rows", "letters"), [(TODAY, [1], [("time_ahead", 2)]), (20241104, [1, 2], []), (0, [2], [])]
)
def test_at_the_end_a_print_ahead_counts_unless_the_feed_is_live(
    first: int, rows: Sequence[int], letters: Sequence[tuple[str, int]]
) -> None:
    """The few prints of a quiet tape are all there are; they are rows that are waited for, too."""
    intake = Intake(Calendar.packaged())
    intake.frames([*([_print(1, first)] if first else []), _print(2, 20301104)], NOW)
    assert intake.rows == (2 if first else 1)
    intake.finish(NOW)
    assert _taken(intake) == (rows, letters)


def _quote(bid: object, contract: Contract = CALL) -> str:
    body = {
        "ms_of_day": MORNING, "bid_size": 1, "bid_exchange": 5, "bid": bid, "bid_condition": 50, "ask_size": 1,
        "ask_exchange": 5, "ask": 3.1, "ask_condition": 50, "date": TODAY,
    }  # fmt: skip
    named = {
        "security_type": contract.security_type, "root": contract.root, "expiration": contract.expiration,
        "strike": contract.strike // 10, "right": contract.right[0],
    }  # fmt: skip
    return json.dumps({"header": {"type": "QUOTE", "status": "CONNECTED"}, "contract": named, "quote": body})


GOOD = _quote(3.0)
UNREADABLE = {
    "five decimals": (_quote(2.50001), [None, 30_000]),
    "a negative price": (_quote(-1), [None, 30_000]),
    "no price": (_quote(None), [None, 30_000]),
    "a field less": (GOOD.replace('"bid"', '"lid"'), [None, 30_000]),
    "beyond any price": (_quote(2_000_000), [None, 30_000]),
    "of no contract": (_quote(2.5, CALL._replace(root="x!")), [None, None]),
    "cut": (GOOD[:-20], [None, None]),
    "of no type": (GOOD.replace('"QUOTE"', "7"), [None, None]),
    "of a type that is none": (GOOD.replace('"QUOTE"', '"NEWS"'), [30_000, 30_000]),
    "a print": (GOOD.replace('"QUOTE"', '"TRADE"'), [30_000, 30_000]),
    "of the underlying": (_quote(-1, CALL._replace(security_type="STOCK")), [30_000, 30_000]),
}
"""Frames, and the bids that prints of two contracts are stored with after them."""


@pytest.mark.parametrize("text", UNREADABLE)
def test_after_a_quote_that_cannot_be_read_no_older_one_counts(text: str) -> None:
    intake, (broken, bids) = Intake(Calendar.packaged()), UNREADABLE[text]

    def frames(*texts: str) -> list[Frame | BadFrame]:
        return [frame for text in texts for frame in decode(text)]

    quotes = frames(GOOD, _quote(3.0, PUT))
    intake.frames([*quotes, *frames(broken), _print(1), _print(2, contract=PUT), *quotes, _print(3)], NOW)
    batch = intake.take()
    assert batch is not None
    assert [row[BID] for row in batch.rows] == [*bids, 30_000]
    assert len(batch.dead_letters) == 1


def test_equal_letters_are_kept_once_and_all_counted(tmp_path: Path) -> None:
    intake = Intake(Calendar.packaged())
    with app.open_writer(f"sqlite:{tmp_path}/live.sqlite") as writer:
        recorder, told = app.recorder(writer), 0
        for n in range(3):
            intake.frames([frame for text in (GOOD[:-20], GOOD[:-30]) * 500 for frame in decode(text)], NOW + n)
            batch = intake.take()
            assert batch is not None
            told += len(batch.dead_letters)
            recorder.record(batch)
        assert (told, writer.reads.dead_letter_counts()) == (3_000, {"frame": 2})
        assert [letter.place for _, letter in writer.reads.dead_letters()] == [None, None]


def _told(date: int, count: int, contract: Contract = CALL) -> OpenInterestRow:
    return OpenInterestRow(contract, date, 6 * HOUR + 30 * MINUTE, count)


def test_open_interest_of_sessions_long_over_is_forgotten() -> None:
    intake, dates = Intake(Calendar.packaged()), [20261116, 20261117, 20261118, TODAY]
    for n, date in enumerate(dates):
        intake.open_interest([_told(date, 100 + n)], NOW)
    for n, date in enumerate(dates):
        intake.frames([_print(n, date)], utc_of(date, MORNING))
    batch = intake.take()
    assert batch is not None
    assert [row[OI] for row in batch.rows] == [None, None, 102, 103]


def test_a_date_that_is_none_does_not_make_todays_open_interest_forgotten() -> None:
    intake = Intake(Calendar.packaged())
    intake.open_interest([_told(20261118, 99), _told(TODAY, 100), _told(20361119, 101)], NOW)
    intake.frames([_print(1)], NOW)
    batch = intake.take()
    assert batch is not None
    assert [row[OI] for row in batch.rows] == [100]


def test_a_new_session_date_forgets_what_has_expired() -> None:
    intake, yesterday = Intake(Calendar.packaged()), 20261118
    expired = CALL._replace(expiration=yesterday)
    quotes = [QuoteFrame(it, yesterday, MORNING, 1, 5, 30_000, 50, 1, 5, 31_000, 50) for it in (CALL, expired)]
    intake.frames([*quotes, _print(1, yesterday), _print(2, yesterday, contract=expired)], NOW)
    assert intake.printed(yesterday) == {CALL, expired}
    intake.frames([_print(3), _print(4, yesterday, contract=expired)], NOW)
    batch = intake.take()
    assert batch is not None
    assert [row[BID] for row in batch.rows] == [30_000, 30_000, 30_000, None]
    assert (intake.printed(TODAY), intake.printed(yesterday)) == ({CALL}, {expired})


def test_an_interest_book_forgets_by_date() -> None:
    book, contract = InterestBook(), Stored("XYZ", 20261127, 2_200_000, "CALL")
    for date in (20261117, 20261118, TODAY):
        book.add(contract, date, NOW, 7)
    book.forget(20261118)
    assert (book.dates, len(book)) == ([20261118, TODAY], 2)
    assert [book.at(contract, date, NOW) for date in (20261117, 20261118)] == [None, 7]


def test_a_restart_remembers_the_open_interest_of_its_date(tmp_path: Path) -> None:
    def known(date: int, ms: int) -> OpenInterest:
        return OpenInterest("XYZ", 20261127, 2_200_000, "CALL", date, utc_of(date, ms), date % 100)

    with app.open_writer(f"sqlite:{tmp_path}/live.sqlite") as writer:
        recorder = app.recorder(writer)
        told = [known(date, 7 * HOUR) for date in (20261117, 20261118, TODAY)]
        writer.append(Batch(open_interest=told))
        assert list(recorder.known_interest("terminal", TODAY)) == told[2:]
        writer.append(Batch(stream="terminal", watermark=str(utc_of(20261118, MORNING))))
        assert list(recorder.known_interest("terminal", TODAY)) == told[1:]


class Feed:
    """A stream that brings a print a batch, and ends."""

    def __init__(self, prints: Sequence[TradeFrame]) -> None:
        self._prints = iter(prints)
        self.connected, self.queued = True, 0

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def close(self) -> None:
        """Nothing is open."""

    def want(self, _: object) -> None:
        """All is told anyway."""

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Told:
        for frame in self._prints:
            return Told(NOW, NOW, [StatusFrame("CONNECTED"), frame])
        raise StopAsyncIteration


def test_a_worker_stays_in_its_day_whatever_date_a_print_has(tmp_path: Path) -> None:
    prints = [_print(n, 20361119 if n in (5, 9) else TODAY, MORNING + n) for n in range(12)]

    async def run(writer: Writer) -> tuple[int, dict[str, int]]:
        async with app.terminal_client(load({})) as client:
            worker = Worker(
                app.recorder(writer), Intake(Calendar.packaged()), client, Feed(prints),  # type: ignore[arg-type]
                contracts=[], underlyings=[], history_path="", clock=lambda: NOW,
            )  # fmt: skip
            figures = await worker.run(asyncio.Event())
            return worker.feed.offset_ms, dict(figures.refused)

    with app.open_writer(f"sqlite:{tmp_path}/live.sqlite") as writer:
        assert asyncio.run(run(writer)) == (0, {"time_ahead": 2})
        assert (writer.reads.current_session(), writer.reads.latest_trade()) == (TODAY, NOW + 11)
