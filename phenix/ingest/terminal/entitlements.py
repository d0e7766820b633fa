"""What a subscription may do: stream budgets, concurrency, and the tier each endpoint needs."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Final

__all__ = ["ENDPOINT_TIERS", "Entitlements", "Tier"]

UNLIMITED: Final = 10**9


class Tier(IntEnum):
    """Subscription tiers of one asset class, in order."""

    FREE = 0
    VALUE = 1
    STANDARD = 2
    PRO = 3


_STREAMS: Final[dict[tuple[str, str], tuple[int, int, int, int]]] = {
    ("OPTION", "QUOTE"): (0, 0, 10_000, 15_000),
    ("OPTION", "TRADE"): (0, 0, 15_000, UNLIMITED),
    ("OPTION", "MARKET_VALUE"): (0, 0, 10_000, 15_000),
    ("STOCK", "QUOTE"): (0, 0, 1_000, 2_000),
    ("STOCK", "TRADE"): (0, 0, 1_000, 20_000),
    ("INDEX", "QUOTE"): (0, 0, 3, 100),
    ("INDEX", "TRADE"): (0, 0, 3, 100),
}
"""Streams by (security type, request type), one column a tier."""

_CONCURRENCY: Final = (1, 2, 4, 8)

_TIERED: Final[dict[tuple[str, Tier], str]] = {
    ("OPTION", Tier.FREE): """
        option/list/symbols option/list/dates/trade option/list/dates/quote option/list/expirations option/list/strikes
        option/history/eod interest_rate/history/eod calendar/today""",
    ("OPTION", Tier.VALUE): """
        option/list/contracts/trade option/list/contracts/quote option/snapshot/ohlc option/snapshot/quote
        option/snapshot/open_interest option/history/quote option/history/open_interest option/history/ohlc
        option/at_time/quote calendar/on_date calendar/year_holidays""",
    ("OPTION", Tier.STANDARD): """
        option/snapshot/trade option/snapshot/market_value option/snapshot/greeks/implied_volatility
        option/snapshot/greeks/first_order option/history/trade option/history/trade_quote option/history/greeks/eod
        option/history/greeks/first_order option/history/greeks/implied_volatility option/at_time/trade""",
    ("OPTION", Tier.PRO): """
        option/snapshot/greeks/all option/snapshot/greeks/second_order option/snapshot/greeks/third_order
        option/history/greeks/all option/history/greeks/second_order option/history/greeks/third_order
        option/history/trade_greeks/all option/history/trade_greeks/first_order option/history/trade_greeks/second_order
        option/history/trade_greeks/third_order option/history/trade_greeks/implied_volatility
        option/flat_file/trade_quote""",
    ("STOCK", Tier.FREE): "stock/list/symbols stock/list/dates/trade stock/list/dates/quote stock/history/eod",
    ("STOCK", Tier.VALUE): """
        stock/snapshot/quote stock/snapshot/ohlc stock/history/ohlc stock/history/quote stock/at_time/quote""",
    ("STOCK", Tier.STANDARD): """
        stock/snapshot/trade stock/snapshot/market_value stock/history/trade stock/history/trade_quote
        stock/at_time/trade""",
    ("INDEX", Tier.FREE): "index/list/symbols index/list/dates index/history/eod",
    ("INDEX", Tier.VALUE): "index/history/price index/at_time/price",
    ("INDEX", Tier.STANDARD): """
        index/snapshot/ohlc index/snapshot/price index/snapshot/market_value index/history/ohlc""",
}

ENDPOINT_TIERS: Final[dict[str, tuple[str, Tier]]] = {
    f"/{path}": key for key, paths in _TIERED.items() for path in paths.split()
}
"""Asset class and lowest tier by path under ``/v3``; a path not listed here does not exist.

Which class gates the calendar and the rates is not published; options are taken. Nor is what the lists of indices need:
nothing is taken, as for stocks.
"""


@dataclass(frozen=True, slots=True)
class Entitlements:
    """The tiers an account holds; the vendor's entry account for options flow by default."""

    options: Tier = Tier.STANDARD
    stocks: Tier = Tier.VALUE
    indices: Tier = Tier.FREE

    def tier(self, security_type: str) -> Tier:
        """The tier held for an asset class."""
        return {"OPTION": self.options, "STOCK": self.stocks, "INDEX": self.indices}[security_type]

    def streams(self, security_type: str, req_type: str) -> int:
        """How many streams of this kind may be open; 0 means the kind is not in the subscription."""
        limits = _STREAMS.get((security_type, req_type))
        return limits[self.tier(security_type)] if limits else 0

    @property
    def bulk_trades(self) -> bool:
        """Whether the stream of every option trade is allowed."""
        return self.options >= Tier.PRO

    @property
    def concurrency(self) -> int:
        """REST requests at a time for the whole account: those of the highest tier held."""
        return _CONCURRENCY[max(self.options, self.stocks, self.indices)]

    def allows(self, path: str) -> bool:
        """Whether an endpoint of :data:`ENDPOINT_TIERS` is in the subscription."""
        security_type, lowest = ENDPOINT_TIERS[path]
        return self.tier(security_type) >= lowest
