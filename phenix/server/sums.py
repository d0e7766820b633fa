"""Sums and counts of a filtered set as both gateways give them: one shape, money in ten-thousandths of a dollar."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from phenix.dsl.types import MONEY_SCALE
from phenix.engine.bundle import Bundle
from phenix.engine.encode import date_text
from phenix.engine.enrich.clock import date_of_day
from phenix.engine.live.tally import SENTIMENTS, SESSIONS, SIDES
from phenix.engine.live.words import CONTRACT
from phenix.engine.query.summary import Line, Summary

__all__ = ["MONEY", "dollars", "facets", "summary"]

_SYMBOL, _EXPIRATION, _RIGHT = map(CONTRACT.index, ("symbol", "expiration", "right"))
_NOTHING: Final = Line(0, 0, 0, 0, 0)
_UNKNOWN: Final = "unknown"
MONEY: Final = frozenset({"premium", "bullishPremium", "bearishPremium", "strike", _UNKNOWN, *map(str.lower, SIDES)})
"""Members that hold money."""


def summary(found: Summary, limit: int) -> dict[str, Any]:
    """Totals, ratios, the ``limit`` symbols and contracts with most premium, and premium by minute and side."""
    rights = found.by(_RIGHT)
    calls, puts = (_sums(rights.get(right, _NOTHING)) for right in ("CALL", "PUT"))
    whole = {name: calls[name] + puts[name] for name in calls}
    directed = whole["bullishPremium"] + whole["bearishPremium"]
    by_side = [sum(int(sums[place]) for sums in found.tally.minutes.values()) for place in range(len(SIDES) + 1)]
    names = [*map(str.lower, SIDES), _UNKNOWN]
    return {
        "all": whole,
        "calls": calls,
        "puts": puts,
        "putCallRatio": _ratio(puts["size"], calls["size"]),
        "putCallPremiumRatio": _ratio(puts["premium"], calls["premium"]),
        "bullishRatio": _ratio(whole["bullishPremium"], directed),
        "sides": [
            {"side": side, "rows": int(rows), "premium": premium}
            for side, rows, premium in zip([*SIDES, None], found.tally.sides, by_side, strict=True)
        ],
        "symbols": [
            {"symbol": symbol, **_sums(line)}
            for symbol, line in sorted(found.by(_SYMBOL).items(), key=lambda one: (-one[1].premium, one[0]))[:limit]
        ],
        "contracts": [
            {**dict(zip(CONTRACT, contract, strict=True)), "expiration": date_text(contract[2]), **_sums(line)}
            for contract, line in found.top(limit)
        ],
        "minutes": [
            {"minuteEt": _minute(minute), **dict(zip(names, map(int, sums), strict=True))}
            for minute, sums in sorted(found.tally.minutes.items())
            if sums.any()
        ],
    }


def facets(found: Summary, bundle: Bundle, limit: int) -> dict[str, Any]:
    """Rows by value of what people filter by, most first, at most ``limit`` values each; unknown is null."""
    tally = found.tally
    counted: dict[str, Mapping[str | None, int]] = {
        "symbol": {str(symbol): line.rows for symbol, line in found.by(_SYMBOL).items()},
        "chip": {chip.id: int(tally.chips[chip.bit]) for chip in bundle.served},
        "sentiment": dict(zip([*SENTIMENTS, None], map(int, tally.sentiments), strict=True)),
        "side": dict(zip([*SIDES, None], map(int, tally.sides), strict=True)),
        "right": {str(right): line.rows for right, line in found.by(_RIGHT).items()},
        "expiration": {date_text(int(date)): line.rows for date, line in found.by(_EXPIRATION).items()},
        "session": dict(zip([*SESSIONS, None], map(int, tally.sessions), strict=True)),
    }
    return {"rows": tally.rows} | {
        name: [
            {"value": value, "rows": rows}
            for value, rows in sorted(counts.items(), key=lambda one: (-one[1], one[0] or ""))[:limit]
            if rows
        ]
        for name, counts in counted.items()
    }


def dollars(shape: Any) -> Any:
    """The same with money in dollars."""
    if isinstance(shape, dict):
        return {name: value / 10**MONEY_SCALE if name in MONEY else dollars(value) for name, value in shape.items()}
    return [dollars(one) for one in shape] if isinstance(shape, list) else shape


def _sums(line: Line) -> dict[str, int]:
    rows, size, premium, bullish, bearish = line
    return {"rows": rows, "size": size, "premium": premium, "bullishPremium": bullish, "bearishPremium": bearish}


def _ratio(part: int, whole: int) -> float | None:
    return part / whole if whole else None


def _minute(minute: int) -> str:
    day, of_day = divmod(minute, 1_440)
    return f"{date_text(date_of_day(day))}T{of_day // 60:02d}:{of_day % 60:02d}"
