"""Interest rates of past days: the one rate that greeks are computed with."""

from __future__ import annotations

from phenix.engine.enrich.clock import date_of_day, day_of_date
from phenix.ingest.terminal.layouts import date_text
from phenix.ingest.terminal.standin_history import SOFR
from phenix.ingest.terminal.standin_params import Params
from phenix.ingest.terminal.standin_world import Table, World, days_of

__all__ = ["eod"]


def eod(world: World, params: Params) -> Table:
    """``interest_rate/history/eod``: trading days before the playing one."""
    first, last = days_of(world, params)
    dates = [date_of_day(day) for day in range(day_of_date(first), day_of_date(last) + 1)]
    told = [date for date in dates if date < world.today and world.calendar.is_trading_day(date)]
    return Table(("created", "rate"), [(date_text(date), float(SOFR)) for date in told])
