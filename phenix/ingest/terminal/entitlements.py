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
    ("STOCK", "QUOTE"): (0, 0, 1_000, 2_000),
    ("STOCK", "TRADE"): (0, 0, 1_000, 20_000),
    ("INDEX", "QUOTE"): (0, 0, 3, 100),
    ("INDEX", "TRADE"): (0, 0, 3, 100),
}
"""Streams by (security type, request type), one column a tier."""

_CONCURRENCY: Final = (1, 2, 4, 8)

ENDPOINT_TIERS: Final[dict[str, tuple[str, Tier]]] = {
    "/option/list/symbols": ("OPTION", Tier.FREE),
    "/option/list/dates/trade": ("OPTION", Tier.FREE),
    "/option/list/dates/quote": ("OPTION", Tier.FREE),
    "/option/list/expirations": ("OPTION", Tier.FREE),
    "/option/list/strikes": ("OPTION", Tier.FREE),
    "/option/list/contracts/trade": ("OPTION", Tier.VALUE),
    "/option/list/contracts/quote": ("OPTION", Tier.VALUE),
    "/option/snapshot/ohlc": ("OPTION", Tier.VALUE),
    "/option/snapshot/trade": ("OPTION", Tier.STANDARD),
    "/option/snapshot/quote": ("OPTION", Tier.VALUE),
    "/option/snapshot/open_interest": ("OPTION", Tier.VALUE),
    "/option/history/trade_quote": ("OPTION", Tier.STANDARD),
    "/option/history/trade": ("OPTION", Tier.STANDARD),
    "/option/history/open_interest": ("OPTION", Tier.VALUE),
    "/option/snapshot/greeks/all": ("OPTION", Tier.PRO),
    "/option/snapshot/greeks/second_order": ("OPTION", Tier.PRO),
    "/option/snapshot/greeks/third_order": ("OPTION", Tier.PRO),
    "/option/history/greeks/all": ("OPTION", Tier.PRO),
    "/option/history/trade_greeks/all": ("OPTION", Tier.PRO),
    "/option/flat_file/trade_quote": ("OPTION", Tier.PRO),
    "/stock/list/symbols": ("STOCK", Tier.FREE),
    "/stock/snapshot/quote": ("STOCK", Tier.VALUE),
    "/stock/snapshot/trade": ("STOCK", Tier.STANDARD),
    "/stock/snapshot/market_value": ("STOCK", Tier.STANDARD),
    "/stock/history/quote": ("STOCK", Tier.VALUE),
    "/stock/history/trade": ("STOCK", Tier.STANDARD),
    "/stock/history/trade_quote": ("STOCK", Tier.STANDARD),
    "/stock/at_time/trade": ("STOCK", Tier.STANDARD),
    "/index/snapshot/price": ("INDEX", Tier.STANDARD),
    "/calendar/today": ("OPTION", Tier.FREE),
    "/calendar/on_date": ("OPTION", Tier.VALUE),
    "/calendar/year_holidays": ("OPTION", Tier.VALUE),
}
"""Asset class and lowest tier by path under ``/v3``; a path not listed here does not exist.

Which class gates the calendar is not published; options are taken.
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
