"""The underlying's price from its own options: a call and a put of one strike, bought and sold, are the stock.

With C and P quoted at strike K, ``K + C - P`` is what the stock costs until expiry, less carry: it can be sold for
``K + C.bid - P.ask`` and bought for ``K + C.ask - P.bid`` (put-call parity; Stoll 1969). Carry and early exercise are
left out, so only near expirations and near strikes are used: at five per cent a year, a week is a tenth of a per cent.
Money in ten-thousandths of a dollar, times in UTC milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from phenix.engine.enrich.clock import DAY, day_of_date, wall_of
from phenix.engine.enrich.roots import underlying, wednesday_monthlies
from phenix.ingest.terminal.protocol import Contract

__all__ = ["PARITY", "Parity", "Synthetic"]

PARITY: Final = "parity"
"""Spot source of these quotes."""

_DAYS: Final = 7
"""Most days to expiry."""
_NEAR: Final = 0.02
"""Most the strike may lie from the price, as a share of it: deep in the money options are wide, or exercised."""
_WIDE: Final = 0.005
"""Widest quote that says anything, as a share of the price."""
_APART_MS: Final = 1_000
"""Most the two quotes may lie apart in time."""
_EVERY_MS: Final = 250
"""Least time between two quotes of one underlying."""


@dataclass(frozen=True, slots=True)
class Synthetic:
    """A quote of an underlying as its options have it; its time is that of the later option quote."""

    symbol: str
    ts_utc: int
    bid: int
    ask: int


class Parity:
    """Follows the option quotes of the symbols whose own quotes do not come live.

    Options on a future (VIX) say what the future costs and are left out.
    """

    def __init__(self) -> None:
        self._symbols: frozenset[str] = frozenset()
        self._quotes: dict[Contract, tuple[int, int, int]] = {}
        self._last: dict[str, int] = {}
        self._followed: dict[Contract, tuple[str, Contract] | None] = {}

    def follow(self, symbols: frozenset[str]) -> None:
        """Choose the symbols."""
        self._symbols = symbols
        self._followed.clear()
        self._quotes.clear()

    def follows(self, contract: Contract) -> bool:
        """Whether quotes of a contract are of use."""
        if contract not in self._followed:
            symbol = underlying(contract.root)
            other = contract._replace(right="PUT" if contract.right == "CALL" else "CALL")
            use = symbol in self._symbols and contract.root not in wednesday_monthlies() and contract.root.isalpha()
            self._followed[contract] = (symbol, other) if use else None
        return self._followed[contract] is not None

    def quote(self, contract: Contract, ts_utc: int, bid: int, ask: int) -> Synthetic | None:
        """Take a quote of a contract that is followed; the underlying's, if it and its other half say one."""
        followed = self._followed[contract]
        assert followed is not None
        symbol, other = followed
        if not 0 < bid < ask:
            self._quotes.pop(contract, None)
            return None
        self._quotes[contract] = (ts_utc, bid, ask)
        half = self._quotes.get(other)
        if half is None or abs(ts_utc - half[0]) > _APART_MS:
            return None
        at = max(ts_utc, half[0])
        if at < self._last.get(symbol, -_EVERY_MS) + _EVERY_MS:
            return None
        if not 0 <= day_of_date(contract.expiration) - wall_of(at) // DAY <= _DAYS:
            return None
        call, put = ((bid, ask), half[1:]) if contract.right == "CALL" else (half[1:], (bid, ask))
        low, high = contract.strike + call[0] - put[1], contract.strike + call[1] - put[0]
        if low <= 0 or high - low > _WIDE * low or abs(contract.strike - low) > _NEAR * low:
            return None
        self._last[symbol] = at
        return Synthetic(symbol, at, low, high)
