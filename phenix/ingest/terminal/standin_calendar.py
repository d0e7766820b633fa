"""Calendar endpoints, from the product's own calendar."""

from __future__ import annotations

from datetime import date as _date
from typing import Final

from phenix.ingest.terminal.errors import NO_DATA
from phenix.ingest.terminal.standin_params import Params, RefusedError, a_date, count_of, invalid, need
from phenix.ingest.terminal.standin_world import Table, World

__all__ = ["on_date", "today", "year_holidays"]

_NO_MONEY: Final = frozenset[str]()
"""Here ``open`` and ``close`` are times."""


def _day(world: World, date: int) -> tuple[str, str, str]:
    if not world.calendar.covers(date):
        raise RefusedError(472, NO_DATA)
    if _date(date // 10_000, date // 100 % 100, date % 100).weekday() >= 5:
        return "weekend", "", ""
    if not world.calendar.is_trading_day(date):
        return "full_close", "", ""
    if world.calendar.is_half_day(date):
        return "early_close", "09:30:00", "13:00:00"
    return "open", "09:30:00", "16:00:00"


def today(world: World, _params: Params) -> Table:
    """``calendar/today``: of the playing clock."""
    return Table(("type", "open", "close"), [_day(world, world.today)], money=_NO_MONEY)


def on_date(world: World, params: Params) -> Table:
    """``calendar/on_date``."""
    return Table(("type", "open", "close"), [_day(world, a_date(need(params, "date"), "date"))], money=_NO_MONEY)


def year_holidays(world: World, params: Params) -> Table:
    """``calendar/year_holidays``: days that are closed or close early."""
    year = count_of(params, "year", 2012)
    if year is None:
        raise invalid("Missing required parameter: year")
    if year > world.today // 10_000 + 1:
        raise invalid(f"Invalid value for year: {year}")
    first = _date(year, 1, 1).toordinal()
    days = [_date.fromordinal(first + n) for n in range(_date(year, 12, 31).toordinal() - first + 1)]
    rows = [(day.isoformat(), *_day(world, day.year * 10_000 + day.month * 100 + day.day)) for day in days]
    closures = [row for row in rows if row[1] in {"early_close", "full_close"}]
    return Table(("date", "type", "open", "close"), closures, money=_NO_MONEY)
