"""Trade conditions and exchanges: the vendor's integers with their names and flags.

Both tables are data (``conditions.json``, ``exchanges.json``). An integer that is not listed is
accepted: it has no flags and says so in its name.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from phenix.engine.enrich.tables import read_table

__all__ = ["CONDITION_FLAGS", "Condition", "Exchange", "condition", "conditions", "exchange", "exchanges"]

CONDITION_FLAGS = (
    "iso", "auction", "cross", "floor", "multi_leg", "stock_tied", "late", "compression", "cancel", "extended_hours",
)  # fmt: skip
"""Flags a line of ``conditions.json`` may carry."""


@dataclass(frozen=True, slots=True)
class Condition:
    """What a trade condition says of a print."""

    code: int
    name: str
    known: bool = True
    iso: bool = False
    auction: bool = False
    cross: bool = False
    floor: bool = False
    multi_leg: bool = False
    stock_tied: bool = False
    late: bool = False
    compression: bool = False
    cancel: bool = False
    extended_hours: bool = False

    @property
    def package(self) -> bool:
        """Part of a larger deal (multi-leg, stock-tied, cross): its price says nothing of direction."""
        return self.multi_leg or self.stock_tied or self.cross


@dataclass(frozen=True, slots=True)
class Exchange:
    """A venue; ``options`` tells whether it trades options."""

    code: int
    symbol: str
    name: str
    known: bool = True
    options: bool = False


@cache
def conditions() -> Mapping[int, Condition]:
    """The listed conditions by code."""
    lines = read_table("conditions")["conditions"]
    return {line["code"]: Condition(line["code"], line["name"], **dict.fromkeys(line["flags"], True)) for line in lines}


@cache
def exchanges() -> Mapping[int, Exchange]:
    """The listed exchanges by code."""
    lines = read_table("exchanges")["exchanges"]
    return {
        line["code"]: Exchange(line["code"], line["symbol"], line["name"], options=line["options"]) for line in lines
    }


def condition(code: int) -> Condition:
    """The condition of a code; an unlisted one has no flags."""
    return conditions().get(code) or Condition(code, f"UNKNOWN_{code}", known=False)


def exchange(code: int) -> Exchange:
    """The exchange of a code; an unlisted one is not known to trade options."""
    return exchanges().get(code) or Exchange(code, str(code), f"Unknown exchange {code}", known=False)
