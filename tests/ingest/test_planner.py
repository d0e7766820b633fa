"""The plan of what to stream: what it holds, what it leaves out, and how much of a session it would have seen."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterable
from pathlib import Path

import pytest

from phenix import app
from phenix.config import load
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import HOUR, MINUTE, utc_of
from phenix.ingest.day import Day
from phenix.ingest.market_clock import MarketClock
from phenix.ingest.planner import Activity, Known, plan_contracts
from phenix.ingest.terminal.client import TerminalError
from phenix.ingest.terminal.events import Print, UnderlyingQuote
from phenix.ingest.terminal.faults import read_fault
from phenix.ingest.terminal.generator import Session, underlyings
from phenix.ingest.terminal.layouts import DAY_MS, date_of, wall_at
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.universe import load_universe
from tests.ingest.files import day_sources, line, write

TODAY = 20241104
NOTHING = Known({}, {}, {})


def _contract(strike: int, expiration: int = 20241108, root: str = "XYZ", right: str = "CALL") -> Contract:
    return Contract("OPTION", root, expiration, strike * 10_000, right)


def _strikes(contracts: Iterable[Contract]) -> list[int]:
    return [contract.strike // 10_000 for contract in contracts]


def test_expired_contracts_take_no_stream_and_those_of_today_do() -> None:
    listed = [_contract(100, 20241101), _contract(101, TODAY), _contract(102)]
    plan = plan_contracts(listed, TODAY, NOTHING)
    assert _strikes(plan.contracts) == [101, 102]  # the nearer expiration first
    assert plan.listed == 2


def test_a_contract_that_has_printed_today_stays_whatever_is_expected_of_it() -> None:
    listed = [_contract(strike) for strike in range(100, 110)]
    past = {_contract(strike): Activity(100 - strike % 10, 1, 1) for strike in range(100, 110)}
    assert _strikes(plan_contracts(listed, TODAY, Known({}, past, {}), 3).contracts) == [100, 101, 102]
    unlisted = _contract(250)
    kept = plan_contracts(listed, TODAY, Known({}, past, {}, {_contract(109), unlisted}), 3)
    assert set(_strikes(kept.contracts)) == {109, 250, 100}


@pytest.mark.parametrize(("spot", "first"), [(100, 100), (104, 104), (99, 100), (None, 100)])
def test_near_the_underlying_goes_before_far(spot: int | None, first: int) -> None:
    listed = [_contract(strike) for strike in range(100, 110)]
    spots = {} if spot is None else {"XYZ": spot * 10_000}
    assert plan_contracts(listed, TODAY, Known({}, {}, spots)).contracts[0].strike == first * 10_000


def test_roots_of_one_underlying_share_its_price_and_its_past() -> None:
    weekly, index = _contract(5000, root="SPXW"), _contract(5000, 20241115, root="SPX")
    far = _contract(9000, root="SPXW")
    known = Known({}, {index: Activity(50, 1, 1)}, {"SPX": 5000 * 10_000})
    assert plan_contracts([far, weekly, index], TODAY, known).contracts == (index, weekly, far)


def test_coverage_counts_what_is_inside_what_is_outside_and_what_has_expired() -> None:
    inside, outside, expired = _contract(100), _contract(200, root="ABC"), _contract(100, 20241101)
    past = {inside: Activity(30, 1, 3_000), outside: Activity(10, 1, 7_000), expired: Activity(5, 1, 1)}
    coverage = plan_contracts([inside, outside], TODAY, Known({}, past, {}), 1).coverage
    assert (coverage.prints, coverage.prints_inside, coverage.expired_prints) == (40, 30, 5)
    assert (coverage.premium, coverage.premium_inside) == (10_000, 3_000)
    assert (coverage.prints_share, coverage.premium_share) == (0.75, 0.3)
    assert coverage.missed == (("ABC", 10, 10),)
    empty = plan_contracts([inside], TODAY, NOTHING).coverage
    assert (empty.prints_share, empty.premium_share, empty.missed) == (None, None, ())


def _activity(session: Session) -> dict[Contract, Activity]:
    found: dict[Contract, Activity] = {}
    for event in session.events():
        if isinstance(event, Print):
            prints, volume, premium = found.get(event.contract, (0, 0, 0))
            premium += event.price * event.size * 100
            found[event.contract] = Activity(prints + 1, volume + event.size, premium)
    return found


def _opening(session: Session) -> dict[str, int]:
    """The first quote of each underlying."""
    spots: dict[str, int] = {}
    for event in session.events():
        if isinstance(event, UnderlyingQuote):
            spots.setdefault(event.symbol, (event.bid + event.ask) // 2)
    return spots


def test_yesterday_finds_most_of_what_a_plan_of_that_size_could_find_today() -> None:
    calendar = Calendar.packaged()
    before = Session(20241101, calendar, seed=1, symbols=4, prints=24_000)
    today = Session(TODAY, calendar, seed=2, symbols=4, prints=24_000)
    past, now = _activity(before), _activity(today)
    interest = {row.contract: row.open_interest for row in today.open_interest()}
    listed, budget = set(interest) | set(now), 800
    assert len(listed) > 2 * budget

    def seen(known: Known) -> int:
        return sum(now[c].prints for c in plan_contracts(listed, TODAY, known, budget).contracts if c in now)

    best = sum(sorted((activity.prints for activity in now.values()), reverse=True)[:budget])
    spots = _opening(today)
    whole = seen(Known(interest, past, spots))
    assert whole > 0.8 * best
    for less in (Known(interest, past, {}), Known(interest, {}, spots), Known({}, past, spots)):
        assert whole > seen(less) > seen(NOTHING)


@pytest.mark.parametrize("asked", [20241106, 20260105])
def test_a_terminal_that_plays_another_day_is_followed_there(asked: int) -> None:
    calendar = Calendar.packaged()
    session = Session(TODAY, calendar, seed=3, symbols=2, prints=400)
    universe = load_universe([name.symbol for name in underlyings()[:2]])

    async def planned() -> tuple[Day, int]:
        async with app.terminal(session, speed=0.0, settle_s=0.1, wait_for_play=True) as terminal:
            settings = load({"THETADATA_BASE_URL": terminal.base_url, "THETADATA_RETRY_MAX": "0"})
            async with app.terminal_client(settings) as client:
                day = Day(client, universe, calendar)
                rows = await day.open(asked, utc_of(asked, 36_000_000))
                return day, len(rows)

    day, told = asyncio.run(planned())
    assert day.date == TODAY
    assert told == sum(1 for _ in session.open_interest())
    plan = day.plan()
    assert plan.listed >= told
    assert any(contract.expiration == TODAY for contract in plan.contracts)


def test_without_open_interest_contracts_that_have_all_expired_show_the_day_that_is_played(tmp_path: Path) -> None:
    tape = app.tape((write(tmp_path / "day.csv", [line(expiration="2024-11-04")]),))

    async def planned() -> Day:
        async with app.terminal(tape, wait_for_play=True) as terminal:
            settings = load({"THETADATA_BASE_URL": terminal.base_url, "THETADATA_RETRY_MAX": "0"})
            async with app.terminal_client(settings) as client:
                day = Day(client, load_universe(["AAPL", "XYZ"]), Calendar.packaged())
                await day.open(20241107, utc_of(20241107, 36_000_000))
                return day

    day = asyncio.run(planned())
    assert (day.date, [contract.expiration for contract in day.plan().contracts]) == (TODAY, [TODAY])


def test_the_clock_is_the_machines_unless_the_feed_plays_another_day() -> None:
    clock, hour = MarketClock(), 3_600_000
    assert clock.now(100 * hour) == 100 * hour
    clock.heard(10 * hour, 100 * hour)
    assert clock.now(101 * hour) == 10 * hour
    clock.heard(9 * hour, 100 * hour)  # a late print does not turn it back
    assert clock.now(101 * hour) == 10 * hour
    clock.heard(99 * hour, 100 * hour)
    assert clock.now(101 * hour) == 101 * hour
    # Of today, and hours before it happens: a day that is played. A minute before it does: a clock that is behind.
    clock.heard(105 * hour, 100 * hour)
    assert clock.now(101 * hour) == 105 * hour
    clock.heard(101 * hour + 60_000, 101 * hour)
    assert clock.now(101 * hour) == 101 * hour


def test_the_evening_belongs_to_the_next_session_date() -> None:
    day = Day(None, load_universe(["SPX"]), Calendar.packaged())  # type: ignore[arg-type]  # asks no terminal
    midnight_utc = 1_730_696_400_000  # 2024-11-04 00:00 in New York
    assert day.date_at(midnight_utc + 19 * 3_600_000) == TODAY
    assert day.date_at(midnight_utc + 21 * 3_600_000) == 20241105


def test_the_command_says_what_a_plan_would_have_covered(tmp_path: Path) -> None:
    sources = day_sources(tmp_path, 50)
    after = write(tmp_path / "after.csv", [line(trade_timestamp="2024-11-05T09:30:00", strike="300.000")])
    tape = app.tape((*sources.trades, after), sources.open_interest, sources.underlying)

    async def run() -> list[tuple[int | None, str, str]]:
        async with app.terminal(tape, speed=0.0, settle_s=0.1) as terminal:
            environment = {
                **os.environ, "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
                "INGEST_SYMBOLS": "XYZ",
            }  # fmt: skip
            found = []
            for words in (
                ["ingest", "--store", f"sqlite:{tmp_path}/live.sqlite", "--stop-after", "51"],
                ["plan", "--date", "2024-11-05", "--budget", "2", "--contracts"],
                ["plan", "--date", "2024-11-05", "--json"],
                ["plan", "--budget", "none"],
            ):
                process = await asyncio.create_subprocess_exec(
                    sys.executable, "-m", "phenix", *words, stdout=PIPE, stderr=PIPE, env=environment
                )
                out, error = await process.communicate()
                found.append((process.returncode, out.decode(), error.decode()))
            return found

    played, text, data, wrong = asyncio.run(run())
    assert played[0] == 0, played[2]
    assert (text[0], text[1].splitlines()) == (
        0,
        [
            "2 of 6 contracts for 2024-11-05",
            # 4.03 and 4.04 of 4.03, 4.04, 4.05, 3.90 and 3.91, ten prints of one size each
            "session before: 40.0% of 50 prints and 40.5% of premium inside, at last prices; 0 prints expired since",
            "  XYZ: 30 of 50 outside",
            "XYZ   241108C00200000",
            "XYZ   241108C00201000",
        ],
    ), text
    assert json.loads(data[1])["sessionBefore"]["printsShare"] == 1.0
    assert (wrong[0], wrong[2].splitlines()[-1]) == (
        2, "phenix plan: error: argument --budget: 'none' is not a whole number from 1 to 1000000",
    )  # fmt: skip


EVENING, MORNING = wall_at(20241103, 20 * HOUR), wall_at(TODAY, 6 * HOUR + 30 * MINUTE)
"""When the session date begins, and when its open interest begins to come; New York."""


def test_open_interest_is_asked_for_when_it_has_come_and_until_all_has() -> None:
    calendar = Calendar.packaged()
    session = Session(TODAY, calendar, seed=3, symbols=1, prints=400, extended=True)
    expected = sum(1 for _ in session.open_interest())

    async def asked() -> list[tuple[bool, int]]:
        async with (
            app.terminal(session, wait_for_play=True) as terminal,
            app.terminal_client(load({"THETADATA_BASE_URL": terminal.base_url})) as client,
        ):
            day, found = Day(client, load_universe(["SPX"]), calendar), []
            for wall in (EVENING, *(MORNING + seconds * 1000 for seconds in (20, 70, 71, 310, 400))):
                terminal.market.advance(wall)
                now = utc_of(date_of(wall), wall % DAY_MS)
                due = day.due(now)
                rows = await (day.refresh(now) if day.date else day.open(TODAY, now))
                found.append((due, len(rows)))
            return found

    evening, coming, most, again, whole, after = asyncio.run(asked())
    assert evening == (True, 0)
    assert not coming[0]
    assert 0 < coming[1] < expected
    assert [most, again, whole, after] == [(True, expected), (False, expected), (True, expected), (False, 0)]


def test_open_interest_the_terminal_could_not_tell_is_asked_for_again_at_any_hour() -> None:
    calendar = Calendar.packaged()
    session = Session(TODAY, calendar, seed=3, symbols=1, prints=400, extended=True)
    expected = sum(1 for _ in session.open_interest())

    async def asked() -> list[int]:
        async with app.terminal(session, wait_for_play=True, faults=["http_474:path=open_interest"]) as terminal:
            terminal.market.advance(wall_at(TODAY, 13 * HOUR))
            settings = load({"THETADATA_BASE_URL": terminal.base_url, "THETADATA_RETRY_MAX": "0"})
            async with app.terminal_client(settings) as client:
                day = Day(client, load_universe(["SPX"]), calendar)
                afternoon = utc_of(TODAY, 13 * HOUR)
                found = [len(await day.open(TODAY, afternoon)), len(await day.refresh(afternoon + 5 * MINUTE))]
                terminal.faults.clear()
                return [*found, *[len(await day.refresh(afternoon + minutes * MINUTE)) for minutes in (10, 15)]]

    assert asyncio.run(asked()) == [0, 0, expected, 0]


def test_a_session_that_cannot_be_opened_leaves_the_plan_of_the_one_before() -> None:
    session = Session(TODAY, Calendar.packaged(), seed=3, symbols=1, prints=400)

    async def planned() -> tuple[Day, int]:
        async with app.terminal(session, wait_for_play=True) as terminal:
            settings = load({"THETADATA_BASE_URL": terminal.base_url, "THETADATA_RETRY_MAX": "0"})
            async with app.terminal_client(settings) as client:
                day = Day(client, load_universe(["SPX"]), Calendar.packaged())
                await day.open(TODAY, utc_of(TODAY, 10 * HOUR))
                listed = len(day.plan().contracts)
                terminal.faults.add(read_fault("http_571", {"path": "list/contracts"}))
                with pytest.raises(TerminalError):
                    await day.open(20241105, utc_of(TODAY, 20 * HOUR))
                return day, listed

    day, listed = asyncio.run(planned())
    assert (day.date, len(day.plan().contracts)) == (TODAY, listed)
    assert listed > 1_000
