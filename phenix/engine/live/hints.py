"""What a filter says of every row it matches, read from its parts that are and-ed: where not to look."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from phenix.dsl import core as c
from phenix.dsl.types import UNORDERED, Value
from phenix.engine.live.block import LiveBlock
from phenix.engine.live.sieve import parts_of
from phenix.engine.targets.arrays import Array, Words
from phenix.engine.targets.reference import settle

__all__ = ["Hints", "hints_of"]

_TURNED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


@dataclass(slots=True)
class Hints:
    """Bits of chips that must be on, symbols of which it must be one, and ranges that values must lie in."""

    chips: set[int] = field(default_factory=set)
    symbols: set[str] | None = None
    low: dict[str, float] = field(default_factory=dict)
    high: dict[str, float] = field(default_factory=dict)

    def places(self, block: LiveBlock, symbols: Words, sparse: int) -> Array | None:
        """Places of the rows that may match, ascending; None when each is looked at, for one in ``sparse`` may."""
        zones = block.zones
        if zones is None:
            return None
        nowhere = zones.order[:0]
        # A field that is held and has no range is unknown in every row.
        if any(zones.high.get(name, -math.inf) < low for name, low in self.low.items() if name in block.values):
            return nowhere
        if any(zones.low.get(name, math.inf) > high for name, high in self.high.items() if name in block.values):
            return nowhere
        if any(bit not in zones.chips for bit in self.chips):
            return nowhere
        on: Array | None = None
        for bit in self.chips:
            on = zones.chips[bit] if on is None else on & zones.chips[bit]
        if self.symbols is not None:
            rows = zones.rows_of([symbols.code(symbol) for symbol in self.symbols])
            return rows if on is None else rows[(on[rows >> 3] >> (rows & 7)) & 1 == 1]
        if on is None or np.bitwise_count(on).sum() * sparse > block.rows:
            return None
        return np.flatnonzero(np.unpackbits(on, count=block.rows, bitorder="little"))


def hints_of(core: c.Core, params: Mapping[str, Value], bits: Mapping[str, int]) -> Hints:
    """The hints of a filter in normal form."""
    hints = Hints()
    for part in parts_of(settle(core, params)):
        match part:
            case c.Chip(id=name):
                hints.chips.add(bits[name])
            case c.Compare(op=op, left=c.Const(value=value), right=c.Field() as at) if op in _TURNED:
                _compared(hints, at, _TURNED[op], value)
            case c.Compare(op=op, left=c.Field() as at, right=c.Const(value=value)):
                _compared(hints, at, op, value)
            case c.InSet(operand=c.Field() as at, values=among, negated=False) if among:
                if at.name == "symbol":
                    _one_of(hints, {str(value) for value in among})
                elif at.kind not in UNORDERED:
                    numbers = [value for value in among if isinstance(value, int | float)]
                    _compared(hints, at, ">=", min(numbers))
                    _compared(hints, at, "<=", max(numbers))
    return hints


def _compared(hints: Hints, at: c.Field, op: str, value: Value) -> None:
    if at.name == "symbol" and op == "=" and isinstance(value, str):
        _one_of(hints, {value})
    if at.kind in UNORDERED or not isinstance(value, int | float):
        return
    if op in ("=", ">", ">="):
        hints.low[at.name] = max(value, hints.low.get(at.name, value))
    if op in ("=", "<", "<="):
        hints.high[at.name] = min(value, hints.high.get(at.name, value))


def _one_of(hints: Hints, symbols: set[str]) -> None:
    hints.symbols = symbols if hints.symbols is None else hints.symbols & symbols
