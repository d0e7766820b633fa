"""The vendor's text layouts: columns, timestamps, strikes, prices, and a line of each kind.

Times are ``wall``: milliseconds since 1970 on the New York clock, the vendor's zone-less local
times. Money is ten-thousandths of a dollar.
"""

from __future__ import annotations

import re
from datetime import date as _date
from functools import lru_cache
from typing import Final

from phenix.ingest.terminal.events import OpenInterest, Print, Quote, UnderlyingQuote
from phenix.ingest.terminal.protocol import Contract

__all__ = [
    "CONTRACT_COLUMNS",
    "DAY_MS",
    "OPEN_INTEREST_COLUMNS",
    "QUOTE_COLUMNS",
    "STOCK_QUOTE_COLUMNS",
    "TRADE_COLUMNS",
    "TRADE_QUOTE_COLUMNS",
    "contract_text",
    "date_of",
    "date_text",
    "open_interest_line",
    "price_text",
    "quote_text",
    "stamp_text",
    "strike_text",
    "trade_quote_line",
    "underlying_line",
    "wall_at",
    "wall_of_stamp",
]

DAY_MS: Final = 86_400_000
_EPOCH: Final = _date(1970, 1, 1).toordinal()

CONTRACT_COLUMNS: Final = ("symbol", "expiration", "strike", "right")
_EXT_CONDITIONS: Final = ("ext_condition1", "ext_condition2", "ext_condition3", "ext_condition4")
_BID: Final = ("bid_size", "bid_exchange", "bid", "bid_condition")
_ASK: Final = ("ask_size", "ask_exchange", "ask", "ask_condition")
QUOTE_COLUMNS: Final = (*_BID, *_ASK)
TRADE_COLUMNS: Final = ("sequence", *_EXT_CONDITIONS, "condition", "size", "exchange", "price")

TRADE_QUOTE_COLUMNS: Final = (*CONTRACT_COLUMNS, "trade_timestamp", "quote_timestamp", *TRADE_COLUMNS, *QUOTE_COLUMNS)
OPEN_INTEREST_COLUMNS: Final = (*CONTRACT_COLUMNS, "timestamp", "open_interest")
STOCK_QUOTE_COLUMNS: Final = ("timestamp", "symbol", *QUOTE_COLUMNS)


@lru_cache(4096)
def _date_of_day(days: int) -> int:
    day = _date.fromordinal(days + _EPOCH)
    return day.year * 10_000 + day.month * 100 + day.day


def date_of(wall: int) -> int:
    """The New York date ``YYYYMMDD`` of a wall time."""
    return _date_of_day(wall // DAY_MS)


def wall_at(date: int, ms_of_day: int) -> int:
    """The wall time of a date ``YYYYMMDD`` and a time of day."""
    day = _date(date // 10_000, date // 100 % 100, date % 100)
    return (day.toordinal() - _EPOCH) * DAY_MS + ms_of_day


_STAMP: Final = re.compile(r"(\d{4}-\d{2}-\d{2})T(\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,3}))?", re.ASCII)
_days: dict[str, int] = {}


def wall_of_stamp(text: str) -> int:
    """A vendor timestamp (``2024-11-04T09:30:00.43``, 0 to 3 decimals) as a wall time; raises ValueError."""
    match = _STAMP.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a timestamp such as 2024-11-04T09:30:00.471")
    day, hour, minute, second, fraction = match.groups()
    start = _days.get(day)
    if start is None:
        start = (_date.fromisoformat(day).toordinal() - _EPOCH) * DAY_MS
        _days[day] = start
    hours, minutes, seconds = int(hour), int(minute), int(second)
    if hours > 23 or minutes > 59 or seconds > 59:
        raise ValueError(f"{text!r} is not a time of day")
    return start + ((hours * 60 + minutes) * 60 + seconds) * 1000 + int((fraction or "").ljust(3, "0"))


_stamp_days: dict[int, str] = {}


def stamp_text(wall: int) -> str:
    """A wall time as the vendor writes it: local, no offset, trailing zeros of the milliseconds trimmed."""
    days, ms = divmod(wall, DAY_MS)
    day = _stamp_days.get(days)
    if day is None:
        day = _stamp_days[days] = _date.fromordinal(days + _EPOCH).isoformat()
    seconds, fraction = divmod(ms, 1000)
    minutes, second = divmod(seconds, 60)
    text = f"{day}T{minutes // 60:02d}:{minutes % 60:02d}:{second:02d}"
    return f"{text}.{fraction:03d}".rstrip("0") if fraction else text


def strike_text(strike: int) -> str:
    """A strike as the vendor's CSV has it, three decimals."""
    return f"{strike // 10_000}.{strike % 10_000 // 10:03d}"


def price_text(value: int) -> str:
    """Money with two decimals, or as many as it needs up to four."""
    sign, value = ("-", -value) if value < 0 else ("", value)
    text = f"{sign}{value // 10_000}.{value % 10_000:04d}"
    return text.removesuffix("00")


def date_text(date: int) -> str:
    """A date ``YYYYMMDD`` as ``YYYY-MM-DD``."""
    return f"{date // 10_000:04d}-{date // 100 % 100:02d}-{date % 100:02d}"


_contract_texts: dict[Contract, str] = {}


def contract_text(contract: Contract) -> str:
    """The four contract columns."""
    text = _contract_texts.get(contract)
    if text is None:
        expiration = date_text(contract.expiration)
        text = f"{contract.root},{expiration},{strike_text(contract.strike)},{contract.right}"
        if len(_contract_texts) < 100_000:
            _contract_texts[contract] = text
    return text


def quote_text(quote: Quote | UnderlyingQuote) -> str:
    """The eight quote columns."""
    return (
        f"{quote.bid_size},{quote.bid_exchange},{price_text(quote.bid)},{quote.bid_condition},"
        f"{quote.ask_size},{quote.ask_exchange},{price_text(quote.ask)},{quote.ask_condition}"
    )


def trade_quote_line(event: Print) -> str:
    """A row of ``history/trade_quote``; without a quote its columns are empty."""
    quote = event.quote
    return (
        f"{contract_text(event.contract)},{stamp_text(event.wall)},{stamp_text(quote.wall) if quote else ''},"
        f"{event.sequence},255,255,255,255,{event.condition},{event.size},{event.exchange},"
        f"{price_text(event.price)},{quote_text(quote) if quote else ',,,,,,,'}"
    )


def open_interest_line(row: OpenInterest) -> str:
    """A row of ``history/open_interest``."""
    return f"{contract_text(row.contract)},{stamp_text(row.wall)},{row.open_interest}"


def underlying_line(event: UnderlyingQuote) -> str:
    """A row of stock quotes with their symbol."""
    return f"{stamp_text(event.wall)},{event.symbol},{quote_text(event)}"
