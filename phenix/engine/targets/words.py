"""Numbers, times, texts and lists in words, for sentences."""

from __future__ import annotations

import json
import re
from fractions import Fraction
from typing import Final

from phenix.dsl.types import Kind

__all__ = ["clock", "listed", "number", "quoted"]

_UNITS: Final = ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second"), (1, "millisecond"))
_ASIDE: Final = re.compile(r'"(?:[^"\\]|\\.)*"|\([^()]*\)')
_LISTED: Final = re.compile(r", |; | and | or ")


def listed(parts: list[str], word: str) -> str:
    """``a, b and c``; parted by semicolons where a part is a list itself."""
    if len(parts) < 2:
        return "".join(parts)
    if any(_LISTED.search(_bare(part)) for part in parts):
        return "; ".join(parts[:-1]) + f"; {word} {parts[-1]}"
    return ", ".join(parts[:-1]) + f" {word} {parts[-1]}"


def _bare(text: str) -> str:
    """The text without what stands in quotes or parentheses."""
    while (shorter := _ASIDE.sub("", text)) != text:
        text = shorter
    return text


def quoted(text: str) -> str:
    """A text in quotes that none of its own ends."""
    return json.dumps(text, ensure_ascii=False)


def number(value: Fraction, unit: str, beside: Kind | None = None) -> str:
    """Exactly, with thousands apart: ``$250,000``, ``5%``, ``3 minutes``."""
    if unit == "s":
        size, name = next(((s, u) for s, u in _UNITS if value and value % s == 0), (1, "millisecond"))
        count = value / size
        return f"{_decimal(count)} {name}{'' if count == 1 else 's'}"
    if unit == "$" or (not unit and beside is Kind.MONEY):
        return f"${_decimal(value)}"
    return _decimal(value) + ("%" if unit == "%" or (not unit and beside is Kind.PERCENT) else "")


def _decimal(number: Fraction) -> str:
    """A number that ends within its decimals, as every literal does."""
    whole, rest = divmod(abs(number), 1)
    digits = ""
    while rest:
        digit, rest = divmod(rest * 10, 1)
        digits += str(digit)
    return f"{'-' if number < 0 else ''}{int(whole):,}{'.' if digits else ''}{digits}"


def clock(ms: int) -> str:
    """A time of day from its milliseconds: ``09:30``."""
    minutes, rest = divmod(ms, 60_000)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    return text + (f":{rest // 1000:02d}.{rest % 1000:03d}" if rest else "")
