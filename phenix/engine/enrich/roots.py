"""Option roots and contracts: which underlying a root belongs to, and OSI symbols.

``roots.json`` lists the roots whose underlying has another name. Digits in a root mark an adjusted
contract (``AAPL1``): its deliverable is unknown, its underlying is the root without its digits.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache, lru_cache

from phenix.engine.enrich.tables import read_table

__all__ = ["Contract", "OsiError", "adjusted", "format_osi", "parse_osi", "underlying", "wednesday_monthlies"]

_OSI_TAIL = 15
_THOUSANDTH = 10  # money units in a thousandth of a dollar


@dataclass(frozen=True, slots=True)
class Contract:
    """An option contract: expiration YYYYMMDD, strike in ten-thousandths of a dollar, right CALL or PUT."""

    root: str
    expiration: int
    strike: int
    right: str


@dataclass(frozen=True, slots=True)
class OsiError:
    """Why a text is not an OSI symbol."""

    message: str


@cache
def _underlyings() -> dict[str, str]:
    return dict(read_table("roots")["underlyings"])


@cache
def wednesday_monthlies() -> frozenset[str]:
    """Roots whose monthly expires on the volatility index's Wednesday."""
    return frozenset(read_table("roots")["wednesday_monthlies"])


@lru_cache(65_536)
def underlying(root: str) -> str:
    """The symbol a root belongs to: SPXW gives SPX, BRKB gives BRK.B, AAPL1 gives AAPL, AAPL itself."""
    letters = "".join(c for c in root if not c.isdigit()) or root
    return _underlyings().get(letters, letters)


@lru_cache(65_536)
def adjusted(root: str) -> bool:
    """Whether the root marks an adjusted contract (it holds a digit)."""
    return any(c.isdigit() for c in root)


def parse_osi(text: str) -> Contract | OsiError:
    """Read an OSI symbol (``SPXW  260618C06000000``) from the right; the root may hold digits and be padded."""
    symbol = text.strip()
    root, tail = symbol[:-_OSI_TAIL].rstrip(" "), symbol[-_OSI_TAIL:]
    if not (1 <= len(root) <= 6 and root.isascii() and root.isalnum() and root.isupper()):
        return OsiError(
            f"{text!r} is not an OSI symbol: expected a root of 1 to 6 capital letters or digits before the last 15"
        )
    date, right, strike = tail[:6], tail[6], tail[7:]
    if right not in "CP":
        return OsiError(f"{text!r} is not an OSI symbol: expected C or P before the last 8 characters, found {right!r}")
    if not (date.isascii() and date.isdigit() and strike.isascii() and strike.isdigit()):
        return OsiError(f"{text!r} is not an OSI symbol: expected digits YYMMDD before {right} and 8 digits after it")
    expiration = 20_000_000 + int(date)
    try:
        dt.date(expiration // 10_000, expiration // 100 % 100, expiration % 100)
    except ValueError:
        return OsiError(f"{text!r} is not an OSI symbol: {date} is not a date (YYMMDD)")
    if int(strike) == 0:
        return OsiError(f"{text!r} is not an OSI symbol: the strike is zero")
    return Contract(root, expiration, int(strike) * _THOUSANDTH, "CALL" if right == "C" else "PUT")


def format_osi(contract: Contract) -> str:
    """The OSI symbol of a contract, root padded to six characters; finer strikes than a thousandth are rounded down."""
    date, strike = contract.expiration % 1_000_000, contract.strike // _THOUSANDTH
    return f"{contract.root:<6}{date:06d}{contract.right[0]}{strike:08d}"
