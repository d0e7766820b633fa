"""The SQLite target, over the aliases ``t`` and ``e``.

What SQLite does otherwise than the language never reaches it: integer division, LIKE's case, ``null in ()``. Its
scalar ``min`` and ``max`` are NULL when any argument is, as ours are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from phenix.dsl import core as c
from phenix.engine.targets.sql import Bound, SqlTarget

__all__ = ["SqliteTarget"]


class SqliteTarget(SqlTarget):
    """Lowers to text with ``?`` for each slot."""

    FUNCTIONS: ClassVar[Mapping[str, str]] = {
        **SqlTarget.FUNCTIONS,
        "real": "CAST({} AS REAL)",
        "min": "min",
        "max": "max",
        "on": "({on} & {}) <> 0",
        "off": "({known} & ~{on} & {}) <> 0",
        "chip": "(CASE WHEN ({known} & {}) <> 0 THEN ({on} & {}) {op} 0 END)",
        "is true": "(({}) IS 1)",
        "is not true": "(({}) IS NOT 1)",
    }

    def _like(self, operand: c.Core, how: str, text: str, inside: bool) -> str:
        # LIKE folds case, GLOB ends at a NUL and has letters of its own to escape; bytes have neither fault.
        if how == "prefix":  # a range: an index serves it
            first, second = (">=", "<") if inside else ("<", ">=")
            low = f"{self._value(operand)} {first} {self._bind(text)}"
            high = f"{self._value(operand)} {second} {self._bind(_after(text))}"
            return f"({low} {'AND' if inside else 'OR'} {high})"
        if how == "suffix":
            end = f"{text}.".encode()  # a dot behind both: an empty blob is NULL to `substr`
            tail = f"CAST({self._value(operand)} || '.' AS BLOB), {self._bind(-len(end))}, {self._bind(len(end))}"
            return f"substr({tail}) {'=' if inside else '<>'} {self._bind(end)}"
        if how == "contains":
            return f"instr({self._value(operand)}, {self._bind(text)}) {'<>' if inside else '='} 0"
        return f"{self._value(operand)} {'=' if inside else '<>'} {self._bind(text)}"


def _after(prefix: str) -> Bound:
    """The least text beyond all that begin with a prefix; any blob is beyond all text."""
    kept = prefix.rstrip("\U0010ffff")
    if not kept:
        return b""
    following = ord(kept[-1]) + 1
    return kept[:-1] + chr(0xE000 if following == 0xD800 else following)  # no text holds a surrogate
