"""A slow, obvious enrichment: every figure of a row from its definition, looking at all earlier rows each time.

It shares nothing with the engine but the condition table and the standard-monthly rule, which have tests
of their own: dollars are decimals, times are aware datetimes, windows are scans.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.conditions import condition
from phenix.engine.flow import ENRICHED, RAW

__all__ = ["enrich", "figures", "raw_dict"]

NY = ZoneInfo("America/New_York")
CALENDAR = Calendar.packaged()
RAW_NAMES = [field.name for field in RAW]
GLOBAL = {"SPX", "VIX", "XSP"}
START = {"early": (7, 30), "regular": (9, 30)}


def raw_dict(row: Sequence[Any]) -> dict[str, Any]:
    return dict(zip(RAW_NAMES, row, strict=True))


def when(row: dict[str, Any]) -> dt.datetime:
    return dt.datetime.fromtimestamp(row["trade_ts_utc"] / 1000, dt.UTC)


def minute_of(moment: dt.datetime) -> dt.datetime:
    return moment.replace(second=0, microsecond=0)


def date_of(number: int) -> dt.date:
    return dt.datetime.strptime(str(number), "%Y%m%d").date()  # noqa: DTZ007 - only the date is read


def dollars(money: int | None) -> Decimal | None:
    return None if money is None else Decimal(money) / 10_000


def contract_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["root"], row["expiration"], row["strike"], row["right"]


def side_of(row: dict[str, Any], aa_floor: Decimal, aa_share: Decimal) -> str | None:
    flags = condition(row["condition"])
    price, bid, ask = dollars(row["price"]), dollars(row["bid"]), dollars(row["ask"])
    if flags.late or flags.cancel or bid is None or ask is None or not (ask > bid and bid >= 0):
        return None
    if price >= ask + max(aa_floor, aa_share * (ask - bid)):
        return "AA"
    if price >= ask:
        return "ASK"
    if price <= bid:
        return "BID"
    return "MID"


def sentiment_of(row: dict[str, Any], side: str | None, packages_are_neutral: bool) -> str:
    flags = condition(row["condition"])
    if packages_are_neutral and (flags.multi_leg or flags.stock_tied or flags.cross or flags.late or flags.cancel):
        return "neutral"
    match row["right"], side:
        case ("CALL", "ASK" | "AA") | ("PUT", "BID"):
            return "bullish"
        case ("PUT", "ASK" | "AA") | ("CALL", "BID"):
            return "bearish"
    return "neutral"


def bucket_of(value: int) -> int:
    bits = len(f"{value:b}") if value else 0
    if bits <= 7:
        return value
    s = bits - 7
    return 64 * s + value // 2**s


def session_start(symbol: str, session_date: int, session: str) -> dt.datetime | None:
    date = date_of(session_date)
    match session:
        case "closed":
            return None
        case "gth":
            local = dt.datetime.combine(date - dt.timedelta(days=1), dt.time(20, 15), NY)
        case "curb":
            local = dt.datetime.combine(date, dt.time(16, 15) if symbol in GLOBAL else dt.time(16), NY)
        case _:
            local = dt.datetime.combine(date, dt.time(*START[session]), NY)
    return local.astimezone(dt.UTC)


def cancellations(rows: Sequence[dict[str, Any]]) -> dict[int, int]:
    """Seq of the original to seq of its cancel record, for all the rows given."""
    found: dict[int, int] = {}
    for record in rows:
        if not condition(record["condition"]).cancel:
            continue
        originals = [
            row["seq"]
            for row in rows
            if row["seq"] < record["seq"]
            and row["seq"] not in found
            and not condition(row["condition"]).cancel
            and row["session_date"] == record["session_date"]
            and contract_of(row) == contract_of(record)
            and (row["exchange"], row["price"], row["size"]) == (record["exchange"], record["price"], record["size"])
        ]
        if originals:
            found[max(originals)] = record["seq"]
    return found


def mean_per_minute(rows: Sequence[dict[str, Any]], start: dt.datetime, end: dt.datetime) -> float | None:
    """Mean size a minute over [start, end), empty minutes as zero; None when there is none or nothing traded."""
    minutes = int((end - start).total_seconds()) // 60
    total = sum(row["size"] for row in rows if start <= when(row) < end)
    return total / minutes if minutes > 0 and total else None


def figures(
    upto: Sequence[dict[str, Any]], aa_floor: Decimal, aa_share: Decimal, packages_are_neutral: bool
) -> dict[str, Any]:
    """The enriched values of the last of the rows, without the tagger's."""
    row = upto[-1]
    flags = condition(row["condition"])
    cancelled = cancellations(upto)
    alive = [
        r
        for r in upto
        if r["session_date"] == row["session_date"]
        and not condition(r["condition"]).cancel
        and r["seq"] not in cancelled
    ]
    sides = {r["seq"]: side_of(r, aa_floor, aa_share) for r in upto}
    sentiments = {r["seq"]: sentiment_of(r, sides[r["seq"]], packages_are_neutral) for r in upto}
    side = sides[row["seq"]]
    at = when(row)
    minute = minute_of(at)
    local_date = at.astimezone(NY).date()

    of_contract = [r for r in alive if contract_of(r) == contract_of(row)]
    of_symbol = [r for r in alive if r["symbol"] == row["symbol"]]
    day_volume = sum(r["size"] for r in of_contract)
    repeats = [r for r in of_contract if sides[r["seq"]] == side and at - dt.timedelta(seconds=180) <= when(r) <= at]
    start = session_start(row["symbol"], row["session_date"], row["session"])
    baseline = None
    if start is not None:
        baseline = mean_per_minute(of_symbol, max(start, minute - dt.timedelta(minutes=15)), minute)
    window_start = dt.datetime.combine(date_of(row["session_date"]), dt.time(9, 30), NY).astimezone(dt.UTC)
    window_end = min(minute, window_start + dt.timedelta(minutes=60))
    recent = [r for r in of_symbol if minute - dt.timedelta(minutes=15) <= when(r) < minute + dt.timedelta(minutes=1)]
    moods = [sentiments[r["seq"]] for r in recent]
    bullish, bearish = moods.count("bullish"), moods.count("bearish")
    value = row["price"] * row["size"] * 100
    earlier = [bucket_of(r["price"] * r["size"] * 100) for r in alive if r["seq"] < row["seq"]]
    lower = sum(b < bucket_of(value) for b in earlier)
    same = sum(b == bucket_of(value) for b in earlier)
    strike, spot = row["strike"], row["spot"]
    away = None
    if spot and not row["adjusted"]:
        away = float(Decimal(100)) * (strike - spot if row["right"] == "CALL" else spot - strike) / spot
    return {
        "value": value,
        "dte": (date_of(row["expiration"]) - local_date).days,
        "otm_pct": away,
        "side": side,
        "aggressiveness": None
        if side is None
        else (2 * row["price"] - row["ask"] - row["bid"]) / (row["ask"] - row["bid"]),
        "sentiment": sentiments[row["seq"]],
        "day_volume": day_volume,
        "vol_oi_ratio": None if row["oi"] is None else day_volume / max(row["oi"], 1),
        "repeat3m": None if side is None else len(repeats),
        "symbol_vol_1m": sum(r["size"] for r in of_symbol if minute_of(when(r)) == minute),
        "symbol_vol_baseline_15m": baseline,
        "open_window_baseline": mean_per_minute(of_symbol, window_start, window_end),
        "bullish_ratio_15m": bullish / (bullish + bearish) if bullish + bearish else None,
        "value_pctile": (2 * lower + same) / (2 * len(earlier)) if earlier and not flags.cancel else None,
        "side_confidence": {"AA": 1.0, "ASK": 0.85, "BID": 0.7, "MID": 0.25, None: None}[side],
        "monthly": CALENDAR.monthly(row["root"], row["expiration"]),
        "opening": None if row["oi"] is None or flags.cancel else row["size"] > row["oi"] + (day_volume - row["size"]),
        "iso": flags.iso,
        "auction": flags.auction,
        "cross": flags.cross,
        "floor": flags.floor,
        "multi_leg": flags.multi_leg,
        "stock_tied": flags.stock_tied,
        "late": flags.late,
        "compression": flags.compression,
        "cancel_record": flags.cancel,
        "cancelled_seq": None,
    }


def enrich(
    raws: Sequence[Sequence[Any]], aa_floor: Decimal, aa_share: Decimal, packages_are_neutral: bool
) -> tuple[list[dict[str, Any]], dict[int, int]]:
    """The figures of every row, and the cancels of all of them."""
    rows = [raw_dict(raw) for raw in raws]
    wanted = [field.name for field in ENRICHED]
    made = [figures(rows[: i + 1], aa_floor, aa_share, packages_are_neutral) for i in range(len(rows))]
    assert all(set(line) <= set(wanted) for line in made)
    return made, cancellations(rows)
