"""From a received print to a raw row: the one place both import and the live worker go through.

The values arrive typed (money in ten-thousandths of a dollar, times in UTC milliseconds); here they are held against
the ranges of the catalog, placed in a session, and joined with the underlying's price and the open interest known
at the time of the print.
"""

from __future__ import annotations

from typing import Any, Final, NamedTuple, Protocol

from phenix.engine.enrich.clock import wall_of
from phenix.engine.enrich.formulas import premium, trade_id
from phenix.engine.enrich.roots import adjusted, underlying
from phenix.engine.flow import BY_NAME
from phenix.ingest.contract import Contract
from phenix.ingest.inputs import InterestBook, SpotBook

__all__ = ["INTEREST_LIMIT", "PRICE_LIMIT", "VALUE_LIMIT", "Normalizer", "RawRow", "Refusal", "Sessions"]

RawRow = tuple[Any, ...]
"""Values of :data:`phenix.engine.flow.RAW`; the seq is None until the store assigns it."""


class Refusal(NamedTuple):
    """Why a record is not a row: a short code, and one sentence."""

    reason: str
    detail: str


class Sessions(Protocol):
    """The part of the calendar that places a print."""

    def session(self, root: str, symbol: str, ts_utc: int) -> tuple[int, str]:
        """Session date and session."""
        ...


def _top(name: str) -> int:
    hi = BY_NAME[name].type.hi
    assert hi is not None
    return int(hi)


INTEREST_LIMIT: Final = _top("oi")
"""Highest open interest a row may hold."""
PRICE_LIMIT: Final = _top("price")
"""Highest price a row may hold, ten-thousandths of a dollar."""
VALUE_LIMIT: Final = _top("value")
"""Highest premium a row may hold, ten-thousandths of a dollar."""
_SIZE: Final = _top("size")
_STRIKE: Final = _top("strike")
_CODE: Final = _top("condition")
_TIME: Final = _top("trade_ts_utc")
_FIRST_DATE: Final = int(BY_NAME["expiration"].type.lo or 0)
_LAST_DATE: Final = _top("expiration")
_SYMBOLS_KEPT: Final = 1_000_000

_NUMBERS: Final = (
    ("price", 0, PRICE_LIMIT),
    ("size", 1, _SIZE),
    ("condition", -_CODE - 1, _CODE),
    ("exchange", -_CODE - 1, _CODE),
    ("sequence", -_CODE - 1, _CODE),
    ("bid", 0, PRICE_LIMIT),
    ("ask", 0, PRICE_LIMIT),
    ("quote_timestamp", 0, _TIME),
)


class Normalizer:
    """Makes raw rows from prints and from what the two books know at their time."""

    def __init__(self, sessions: Sessions, spots: SpotBook, interest: InterestBook) -> None:
        self._sessions = sessions
        self._session = sessions.session
        self._spots = spots
        self._interest = interest
        self._known: dict[Contract, tuple[str, bool]] = {}

    def beside(self, spots: SpotBook, interest: InterestBook) -> Normalizer:
        """One that joins prints with what other books know."""
        return Normalizer(self._sessions, spots, interest)

    def session_date(self, root: str, ts_utc: int) -> int:
        """The session date of a root's print at a time."""
        return self._session(root, underlying(root), ts_utc)[0]

    def row(
        self,
        contract: Contract,
        ts_utc: int,
        price: int,
        size: int,
        condition: int,
        exchange: int,
        sequence: int,
        bid: int | None,
        ask: int | None,
        quote_ts_utc: int | None,
        ingested_at_utc: int,
    ) -> RawRow | Refusal:
        """The raw row of a print, or why there is none."""
        known = self._known.get(contract)
        if known is None:
            refusal = _check_contract(contract)
            if refusal is not None:
                return refusal
            if len(self._known) >= _SYMBOLS_KEPT:
                self._known.clear()
            known = self._known[contract] = (underlying(contract.root), adjusted(contract.root))
        symbol, is_adjusted = known
        if not (
            0 <= price <= PRICE_LIMIT
            and 1 <= size <= _SIZE
            and -_CODE - 1 <= condition <= _CODE
            and -_CODE - 1 <= exchange <= _CODE
            and -_CODE - 1 <= sequence <= _CODE
            and 0 <= ts_utc <= _TIME
            and (bid is None or 0 <= bid <= PRICE_LIMIT)
            and (ask is None or 0 <= ask <= PRICE_LIMIT)
            and (quote_ts_utc is None or 0 <= quote_ts_utc <= _TIME)
        ):
            return _out_of_range(ts_utc, (price, size, condition, exchange, sequence, bid, ask, quote_ts_utc))
        if (value := premium(price, size)) > VALUE_LIMIT:
            return Refusal("value_out_of_range", f"premium {_dollars(value)} is above {_dollars(VALUE_LIMIT)}")
        root, expiration, strike, right = contract
        session_date, session = self._session(root, symbol, ts_utc)
        spot, spot_age, spot_source = self._spots.at(symbol, ts_utc)
        return (
            None,
            trade_id(root, expiration, strike, right, ts_utc, price, size, condition, exchange, sequence),
            ts_utc,
            wall_of(ts_utc),
            session_date,
            session,
            symbol,
            root,
            expiration,
            strike,
            right,
            price,
            size,
            bid,
            ask,
            quote_ts_utc,
            condition,
            exchange,
            sequence,
            is_adjusted,
            spot,
            spot_age,
            spot_source,
            self._interest.at(contract, session_date, ts_utc),
            ingested_at_utc,
        )


def _check_contract(contract: Contract) -> Refusal | None:
    if not 1 <= contract.strike <= _STRIKE:
        return Refusal(
            "strike_out_of_range", f"strike {_dollars(contract.strike)} is not above 0 and up to {_dollars(_STRIKE)}"
        )
    if not _FIRST_DATE <= contract.expiration <= _LAST_DATE:
        return Refusal(
            "expiration_out_of_range",
            f"expiration {contract.expiration} is not between {_FIRST_DATE} and {_LAST_DATE}",
        )
    return None


def _out_of_range(ts_utc: int, values: tuple[int | None, ...]) -> Refusal:
    for (name, low, high), value in zip(_NUMBERS, values, strict=True):
        if value is not None and not low <= value <= high:
            if _NUMBERS_ARE_MONEY[name]:
                return Refusal(
                    f"{name}_out_of_range",
                    f"{name} {_dollars(value)} is not between {_dollars(low)} and {_dollars(high)}",
                )
            return Refusal(f"{name}_out_of_range", f"{name} {value} is not between {low} and {high}")
    return Refusal("trade_timestamp_out_of_range", f"trade time {ts_utc} (UTC ms) is not between 1970 and 2100")


_NUMBERS_ARE_MONEY: Final = {name: name in {"price", "bid", "ask"} for name, _, _ in _NUMBERS}


def _dollars(money: int) -> str:
    return f"{'-' if money < 0 else ''}${abs(money) // 10_000:,}.{abs(money) % 10_000:04d}"
