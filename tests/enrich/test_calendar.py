"""The shipped calendar against its source library, sessions at their edges, monthlies by root."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from phenix.engine.enrich.calendar import Calendar, Products
from phenix.engine.enrich.clock import date_of_day, day_of_date, et_of, utc_of, wall_of
from phenix.engine.enrich.tables import read_table
from tests.enrich import make_calendar
from tests.enrich.prints import CALENDAR, et

DAYS = range(day_of_date(20000101), day_of_date(20401231) + 1)


def number(date: dt.date) -> int:
    return int(date.strftime("%Y%m%d"))


def test_shipped_table_is_what_the_generator_writes() -> None:
    assert make_calendar.PATH.read_text() == make_calendar.text()


def test_every_day_agrees_with_the_library() -> None:
    library = make_calendar.library()
    closes = library.closes.dt.tz_convert("America/New_York")
    expected = {number(day.date()): close.hour * 3_600_000 + close.minute * 60_000 for day, close in closes.items()}
    dates = [date_of_day(day) for day in DAYS]
    assert {date: CALENDAR.close_ms(date) for date in dates if CALENDAR.is_trading_day(date)} == expected


def test_the_library_knows_every_unplanned_closure() -> None:
    holidays = set(read_table("calendar")["holidays"])
    assert [line["date"] for line in read_table("closures")["closures"] if line["date"] not in holidays] == []


def test_an_override_closes_a_day_and_halves_another() -> None:
    products = Products(frozenset(), frozenset(), frozenset(), 0)
    calendar = Calendar(20260101, 20261231, [20260105], [20260106], products)
    assert not calendar.is_trading_day(20260105)
    assert calendar.is_half_day(20260106)
    assert calendar.session("A", "A", et(20260105, "10:00")) == (20260106, "closed")
    assert calendar.session("A", "A", et(20260106, "13:00")) == (20260106, "closed")


def test_next_and_previous() -> None:
    assert CALENDAR.next(20250108) == 20250110
    assert CALENDAR.previous(20250110) == 20250108
    assert CALENDAR.next(20260619) == 20260622
    assert CALENDAR.previous(20260620) == 20260618
    for call, date in ((CALENDAR.next, 20401231), (CALENDAR.next, 19991231), (CALENDAR.previous, 20000103)):
        with pytest.raises(LookupError, match="the calendar holds 20000101 to 20401231"):
            call(date)
    with pytest.raises(LookupError):
        CALENDAR.previous(20410101)


@pytest.mark.parametrize(
    ("symbol", "date", "clock", "expected"),
    [
        # plain stock, a normal day
        ("IBM", 20260105, "09:29:59.999", (20260105, "closed")),
        ("IBM", 20260105, "09:30", (20260105, "regular")),
        ("IBM", 20260105, "15:59:59.999", (20260105, "regular")),
        ("IBM", 20260105, "16:00", (20260105, "closed")),
        ("IBM", 20260105, "19:59:59.999", (20260105, "closed")),
        ("IBM", 20260105, "20:00", (20260106, "closed")),
        ("IBM", 20260105, "23:59:59.999", (20260106, "closed")),
        ("IBM", 20260106, "00:00", (20260106, "closed")),
        # late-closing products
        ("SPY", 20260105, "16:00", (20260105, "regular")),
        ("SPY", 20260105, "16:14:59.999", (20260105, "regular")),
        ("SPY", 20260105, "16:15", (20260105, "closed")),
        ("NDX", 20260105, "16:14", (20260105, "regular")),
        ("RUT", 20260105, "16:14", (20260105, "regular")),
        # global products
        ("SPX", 20260105, "20:14:59.999", (20260106, "closed")),
        ("SPX", 20260105, "20:15", (20260106, "gth")),
        ("VIX", 20260106, "00:00", (20260106, "gth")),
        ("XSP", 20260106, "09:24:59.999", (20260106, "gth")),
        ("SPX", 20260106, "09:25", (20260106, "closed")),
        ("SPX", 20260106, "16:14", (20260106, "regular")),
        ("SPX", 20260106, "16:15", (20260106, "curb")),
        ("XSP", 20260106, "16:59:59.999", (20260106, "curb")),
        ("SPX", 20260106, "17:00", (20260106, "closed")),
        ("NDX", 20260105, "20:15", (20260106, "closed")),
        # over a weekend and a holiday
        ("SPX", 20260102, "20:15", (20260105, "closed")),
        ("SPX", 20260104, "20:15", (20260105, "gth")),
        ("SPX", 20260104, "10:00", (20260105, "closed")),
        ("SPX", 20260118, "20:15", (20260120, "closed")),
        ("SPX", 20260119, "20:15", (20260120, "gth")),
        ("IBM", 20260119, "12:00", (20260120, "closed")),
        # extended classes, from 2026-07-13 on
        ("AAPL", 20260710, "08:00", (20260710, "closed")),
        ("AAPL", 20260710, "16:05", (20260710, "closed")),
        ("AAPL", 20260713, "07:29:59.999", (20260713, "closed")),
        ("AAPL", 20260713, "07:30", (20260713, "early")),
        ("AAPL", 20260713, "09:25", (20260713, "closed")),
        ("AAPL", 20260713, "16:00", (20260713, "curb")),
        ("AAPL", 20260713, "16:15", (20260713, "closed")),
        ("IBM", 20260713, "08:00", (20260713, "closed")),
        # half days
        ("IBM", 20261127, "12:59:59.999", (20261127, "regular")),
        ("IBM", 20261127, "13:00", (20261127, "closed")),
        ("SPY", 20261127, "13:14:59.999", (20261127, "regular")),
        ("SPY", 20261127, "13:15", (20261127, "closed")),
        ("SPX", 20261224, "13:14", (20261224, "regular")),
        ("SPX", 20261224, "16:30", (20261224, "closed")),
        ("AAPL", 20261224, "16:05", (20261224, "closed")),
        ("IBM", 20261224, "13:00", (20261224, "closed")),
        ("SPX", 20261224, "20:15", (20261228, "closed")),
        ("GOOG", 20151224, "12:59", (20151224, "regular")),
        # an unplanned closure
        ("IBM", 20250109, "11:00", (20250110, "closed")),
        # past the table
        ("SPX", 20401231, "20:15", (20401231, "closed")),
        ("IBM", 20450105, "11:00", (20450105, "closed")),
        ("IBM", 19950105, "11:00", (19950105, "closed")),
    ],
)
def test_session(symbol: str, date: int, clock: str, expected: tuple[int, str]) -> None:
    assert CALENDAR.session(symbol, symbol, et(date, clock)) == expected


def test_daylight_saving_2026() -> None:
    for date, hour in ((20260306, 14), (20260309, 13), (20261030, 13), (20261102, 14)):
        opens = et(date, "09:30")
        assert (
            opens == dt.datetime.combine(dt.date.fromisoformat(str(date)), dt.time(hour, 30), dt.UTC).timestamp() * 1000
        )
        assert CALENDAR.session("IBM", "IBM", opens) == (date, "regular")
        assert CALENDAR.session("IBM", "IBM", opens - 1) == (date, "closed")
    # the Sunday evening after each change belongs to Monday
    assert CALENDAR.session("SPX", "SPX", et(20260308, "20:15")) == (20260309, "gth")
    assert CALENDAR.session("SPX", "SPX", et(20261101, "20:15")) == (20261102, "gth")


def test_wall_clock_agrees_with_the_zone_all_year() -> None:
    zone = ZoneInfo("America/New_York")
    first = int(dt.datetime(2026, 1, 1, tzinfo=dt.UTC).timestamp())
    for hour in range(366 * 24):
        at = first + hour * 3600 + 1799
        local = dt.datetime.fromtimestamp(at, zone)
        ms = (local.hour * 3600 + local.minute * 60 + local.second) * 1000 + 7
        date = number(local.date())
        assert et_of(at * 1000 + 7) == (date, ms)
        assert wall_of(at * 1000 + 7) == day_of_date(date) * 86_400_000 + ms
        if not local.fold:
            assert utc_of(date, ms) == at * 1000 + 7


def test_the_ambiguous_hour_is_the_first_and_the_missing_one_the_old_offset() -> None:
    assert utc_of(20261101, 5_400_000) == dt.datetime(2026, 11, 1, 5, 30, tzinfo=dt.UTC).timestamp() * 1000
    assert utc_of(20260308, 9_000_000) == dt.datetime(2026, 3, 8, 7, 30, tzinfo=dt.UTC).timestamp() * 1000


@pytest.mark.parametrize(
    ("symbol", "session", "start", "end"),
    [
        ("IBM", "regular", (20261130, "09:30"), (20261130, "16:00")),
        ("SPX", "gth", (20261129, "20:15"), (20261130, "09:25")),
        ("SPX", "regular", (20261130, "09:30"), (20261130, "16:15")),
        ("SPX", "curb", (20261130, "16:15"), (20261130, "17:00")),
        ("AAPL", "early", (20261130, "07:30"), (20261130, "09:25")),
        ("AAPL", "curb", (20261130, "16:00"), (20261130, "16:15")),
        ("IBM", "closed", None, None),
        ("IBM", "gth", None, None),
    ],
)
def test_minute_bounds(symbol: str, session: str, start: tuple[int, str] | None, end: tuple[int, str] | None) -> None:
    expected = None if start is None or end is None else (et(*start) // 60_000, et(*end) // 60_000)
    assert CALENDAR.minute_bounds(symbol, 20261130, session) == expected


def test_a_half_day_has_no_curb() -> None:
    assert CALENDAR.minute_bounds("SPX", 20261127, "curb") is None
    bounds = (et(20261127, "09:30") // 60_000, et(20261127, "13:15") // 60_000)
    assert CALENDAR.minute_bounds("SPX", 20261127, "regular") == bounds


@pytest.mark.parametrize(
    ("date", "clock", "expected"),
    [
        (20260105, "09:30", 20260105),
        (20260105, "09:26", None),
        (20260105, "16:59", 20260105),
        (20260105, "17:00", None),
        (20260105, "20:15", 20260106),
        (20260103, "12:00", None),
    ],
)
def test_running(date: int, clock: str, expected: int | None) -> None:
    assert CALENDAR.running(et(date, clock)) == expected


MOVED = [
    20000420, 20030417, 20080320, 20140417, 20190418, 20220414, 20250417, 20260618, 20270617, 20300418, 20320617,
    20330414,
]  # fmt: skip


@pytest.mark.parametrize("date", MOVED)
def test_a_moved_monthly(date: int) -> None:
    for root in ("SPY", "SPX", "SPXW", "AAPL", "AAPL1"):
        assert CALENDAR.monthly(root, date)
        friday = date_of_day(day_of_date(date) + 1)
        assert not CALENDAR.monthly(root, friday)


def test_each_month_has_one_monthly_and_a_saturday_before_2015_02() -> None:
    found: dict[int, list[int]] = {}
    for day in DAYS:
        date = date_of_day(day)
        if CALENDAR.monthly("SPY", date):
            found.setdefault(date // 100, []).append(date)
    assert len(found) == 41 * 12
    assert {len(dates) for month, dates in found.items() if month < 201502} == {2}
    assert {len(dates) for month, dates in found.items() if month >= 201502} == {1}
    assert all(15 <= dates[0] % 100 <= 21 or dates[0] in MOVED for dates in found.values())


@pytest.mark.parametrize(
    ("root", "date", "expected"),
    [
        ("SPY", 20150116, True),
        ("SPY", 20150117, True),
        ("SPY", 20150220, True),
        ("SPY", 20150221, False),
        ("SPY", 20140419, True),  # the Saturday after a Good Friday
        ("SPY", 20260116, True),
        ("SPY", 20260109, False),
        ("SPY", 20260131, False),
        ("SPY", 20450120, True),  # past the table: the weekday rule alone
        ("VIX", 20160615, True),
        ("VIXW", 20160615, True),
        ("VIX", 20160617, False),
        ("SPX", 20160615, False),
        ("VIX", 20140318, True),  # 30 days before Good Friday, 18 April: the session before
        ("VIX", 20140319, False),
        ("VIX", 20240618, True),  # 19 June 2024, a Wednesday, is a holiday
        ("VIX", 20240619, False),
        ("VIX", 20261216, True),  # the following month is in the next year
        ("VIX", 20150117, False),
    ],
)
def test_monthly(root: str, date: int, expected: bool) -> None:
    assert CALENDAR.monthly(root, date) is expected


def test_each_month_has_one_volatility_monthly() -> None:
    found: dict[int, int] = {}
    for day in DAYS:
        date = date_of_day(day)
        if CALENDAR.monthly("VIX", date):
            assert CALENDAR.is_trading_day(date)
            found[date // 100] = found.get(date // 100, 0) + 1
    assert set(found.values()) == {1}
    assert len(found) == 41 * 12
