"""New York time: conversions between UTC milliseconds and the New York wall clock.

Every offset comes from the time zone database. New York has only whole-hour offsets and changes them
on whole hours, so one look-up an hour is exact.
"""

from __future__ import annotations

import datetime as dt
from functools import cache, lru_cache
from typing import Final
from zoneinfo import ZoneInfo

__all__ = ["DAY", "HOUR", "MINUTE", "NEW_YORK", "date_of_day", "day_of_date", "et_of", "utc_of", "wall_of"]

MINUTE: Final = 60_000
"""Milliseconds in a minute."""
HOUR: Final = 60 * MINUTE
DAY: Final = 24 * HOUR
NEW_YORK: Final = ZoneInfo("America/New_York")

_EPOCH: Final = dt.date(1970, 1, 1).toordinal()


@cache
def date_of_day(day: int) -> int:
    """The date YYYYMMDD of a day counted from 1970-01-01."""
    date = dt.date.fromordinal(_EPOCH + day)
    return date.year * 10_000 + date.month * 100 + date.day


@lru_cache(65_536)
def day_of_date(date: int) -> int:
    """The day since 1970-01-01 of a date YYYYMMDD. Raises ValueError when it is not a date."""
    return dt.date(date // 10_000, date // 100 % 100, date % 100).toordinal() - _EPOCH


@lru_cache(65_536)
def _offset_at(utc_hour: int) -> int:
    moment = dt.datetime.fromtimestamp(utc_hour * 3600, NEW_YORK)
    offset = moment.utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) * 1000


@lru_cache(65_536)
def _offset_on(day: int, hour: int) -> int:
    date = dt.date.fromordinal(_EPOCH + day)
    offset = dt.datetime(date.year, date.month, date.day, hour, tzinfo=NEW_YORK).utcoffset()
    assert offset is not None
    return int(offset.total_seconds()) * 1000


def wall_of(ts_utc: int) -> int:
    """The New York wall clock at a UTC time: milliseconds since 1970 on that clock."""
    return ts_utc + _offset_at(ts_utc // HOUR)


def et_of(ts_utc: int) -> tuple[int, int]:
    """The New York date (YYYYMMDD) and millisecond of the day at a UTC time."""
    day, ms = divmod(ts_utc + _offset_at(ts_utc // HOUR), DAY)
    return date_of_day(day), ms


def utc_of(date: int, ms_of_day: int) -> int:
    """The UTC time of a New York date and millisecond of the day on the wall clock.

    A time that occurs twice (clocks going back) is the first of the two; one that does not occur
    (clocks going forward) is read with the offset before the change.
    """
    day = day_of_date(date)
    return day * DAY + ms_of_day - _offset_on(day, ms_of_day // HOUR)
