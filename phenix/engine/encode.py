"""Rows as JSON: one key per catalog field, in display units.

Money becomes dollars with at most four decimals, dates ``YYYY-MM-DD``, times ISO 8601 with
milliseconds (``...Z`` in UTC, the New York wall clock with its offset), chips the ids of their
bits. A missing value is null. ``cancelled`` is judged as of the reader's seq.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from functools import lru_cache
from typing import Any, Final

import orjson

from phenix.dsl.types import MONEY_SCALE, Kind
from phenix.engine.enrich.conditions import condition
from phenix.engine.flow import BY_NAME, FIELDS, INDEX, STORED, Row

__all__ = [
    "ROW_ID",
    "ROW_KEYS",
    "Encoder",
    "converter",
    "date_text",
    "et_text",
    "json_value",
    "row_id",
    "row_key",
    "ts_text",
]

ROW_ID: Final = re.compile(r"([0-9a-f]{11})-([0-9a-f]{16})", re.IGNORECASE)
"""Exchange time and identity hash, hexadecimal."""
_DOLLAR: Final = 10**MONEY_SCALE
_EPOCH: Final = date(1970, 1, 1).toordinal()
_CACHE: Final = 4096
"""Entries kept of a memo before it is emptied: seconds of a day and chip sets repeat, then move on."""

_TS, _ID, _ET = INDEX["trade_ts_utc"], INDEX["trade_id"], INDEX["trade_ts_et"]
_CONDITION, _MISSING = INDEX["condition"], INDEX["missing_metrics"]
_SET, _KNOWN, _CANCELLED = INDEX["chips_set"], INDEX["chips_known"], INDEX["cancelled_seq"]


def row_id(trade_ts_utc: int, trade_id: int) -> str:
    """The id of a row in every API: exchange time and identity hash, hexadecimal."""
    return f"{trade_ts_utc:011x}-{trade_id:016x}"


def row_key(id_: str) -> tuple[int, int] | None:
    """Exchange time and identity hash from such an id, in any case; None for what is none."""
    match = ROW_ID.fullmatch(id_)
    return (int(match[1], 16), int(match[2], 16)) if match else None


_seconds: dict[int, str] = {}


@lru_cache(maxsize=_CACHE)
def _day(day: int) -> str:
    return date.fromordinal(_EPOCH + day).isoformat()


def _second(second: int) -> str:
    text = _seconds.get(second)
    if text is None:
        if len(_seconds) >= _CACHE:
            _seconds.clear()
        day, rest = divmod(second, 86_400)
        text = _seconds[second] = f"{_day(day)}T{rest // 3600:02d}:{rest // 60 % 60:02d}:{rest % 60:02d}"
    return text


def ts_text(ms: int) -> str:
    """UTC milliseconds as ``2026-09-18T13:30:00.250Z``."""
    return f"{_second(ms // 1000)}.{ms % 1000:03d}Z"


def et_text(wall_ms: int, utc_ms: int) -> str:
    """A New York wall clock as ``2026-09-18T09:30:00.250-04:00``; the offset is the two clocks' difference."""
    minutes = (wall_ms - utc_ms) // 60_000
    sign, minutes = ("-", -minutes) if minutes < 0 else ("+", minutes)
    return f"{_second(wall_ms // 1000)}.{wall_ms % 1000:03d}{sign}{minutes // 60:02d}:{minutes % 60:02d}"


def date_text(day: int) -> str:
    """YYYYMMDD as ``YYYY-MM-DD``."""
    return f"{day // 10000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"


def _money(value: int) -> float:
    return value / _DOLLAR  # nearest double: prints back as the same four decimals up to 10**15 units


_CONVERTERS: Final[dict[Kind, Callable[[Any], Any]]] = {
    Kind.MONEY: _money,
    Kind.DATE: date_text,
    Kind.TS: ts_text,
    Kind.BOOL: bool,
}


def converter(name: str) -> Callable[[Any], Any] | None:
    """How a known value of a field is put into the units of the API; None where it is in them."""
    return _CONVERTERS.get(BY_NAME[name].type.kind)


def json_value(name: str, value: Any) -> Any:
    """A stored value of a field in the units of the API; None stays None."""
    convert = converter(name)
    return value if value is None or convert is None else convert(value)


_PLAIN: Final = tuple(
    (f.json, INDEX[f.name], _CONVERTERS.get(f.type.kind))
    for f in STORED
    if f.json and f.name not in ("trade_ts_et", "missing_metrics")
)

ROW_KEYS: Final[tuple[str, ...]] = tuple(
    key
    for f in FIELDS
    for key in {
        "trade_id": ("id",),
        "condition": (f.json, "conditionName"),
        "chips_set": ("chips",),
        "chips_known": ("chipsUnknown",),
    }.get(f.name, (f.json,) if f.json else ())
)
"""Every key of a row in the API."""


class Encoder:
    """Encodes rows for one rule version: ``chips`` are (id, bit) of its chips, in display order."""

    def __init__(self, chips: Iterable[tuple[str, int]]) -> None:
        self._chips = tuple((chip, 1 << bit) for chip, bit in chips)
        self._names: dict[tuple[int, int], tuple[list[str], list[str]]] = {}

    def chips(self, chips_set: int, chips_known: int) -> tuple[list[str], list[str]]:
        """Ids of the chips that are on, and of those that could not be decided."""
        key = (chips_set, chips_known)
        names = self._names.get(key)
        if names is None:
            if len(self._names) >= _CACHE:
                self._names.clear()
            names = self._names[key] = (
                [chip for chip, mask in self._chips if chips_set & mask],
                [chip for chip, mask in self._chips if not chips_known & mask],
            )
        return names

    def row(self, row: Row, as_of: int) -> dict[str, Any]:
        """One stored row as a JSON object, as of a seq."""
        ts = row[_TS]
        missing, cancelled = row[_MISSING], row[_CANCELLED]
        found: dict[str, Any] = {"id": row_id(ts, row[_ID])}
        for key, index, convert in _PLAIN:
            value = row[index]
            found[key] = value if value is None or convert is None else convert(value)
        found["tradeTsEt"] = et_text(row[_ET], ts)
        found["conditionName"] = condition(row[_CONDITION]).name
        found["missingMetrics"] = missing.split(",") if missing else []
        found["chips"], found["chipsUnknown"] = self.chips(row[_SET] or 0, row[_KNOWN] or 0)
        found["cancelled"] = cancelled is not None and cancelled <= as_of
        return found

    def encode(self, row: Row, as_of: int, keys: tuple[str, ...] = ()) -> bytes:
        """The same as JSON text, UTF-8; only ``keys`` when there are any."""
        found = self.row(row, as_of)
        return orjson.dumps({key: found[key] for key in keys} if keys else found)
