"""The values a name can take, cut where a condition can turn: cells, and bounds of expressions over them.

On each cell every condition that reads one name alone has one answer, so trying one value of each
cell is trying them all. Numbers are whole numbers or doubles, both discrete: a *cut* is the first
value of what lies at or above it.
"""

from __future__ import annotations

import math
import struct
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import chain, combinations, count, islice, product
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl.types import Kind, Value

__all__ = ["Cell", "Number", "Range", "Variable", "after", "before", "bounds", "cells_of", "cuts", "names_in"]

Number = int | float
"""A whole number or a double."""

_TINY: Final = math.nextafter(0.0, 1.0)
_SHORT: Final = 6
"""Most characters of a double that a literal is thought to have given."""
_WAYS: Final = 256
"""Most ways of answering patterns that are told apart."""


@dataclass(frozen=True, slots=True)
class Variable:
    """A name a condition reads: a field, a param as ``$name``, an unresolved chip as ``@name``.

    ``lo`` and ``hi`` bound numbers, inclusive; ``members`` are the words of an enum. ``samples``
    are values to show first where they serve.
    """

    name: str
    kind: Kind
    lo: Number = 0
    hi: Number = 0
    members: tuple[str, ...] = ()
    nullable: bool = False
    samples: tuple[Value, ...] = ()

    @property
    def whole(self) -> Range:
        """Everything it can be."""
        return Range(self.lo, self.hi, self.nullable)


@dataclass(frozen=True, slots=True)
class Range:
    """Bounds of a number, inclusive, and whether it may be unknown, or known."""

    lo: Number
    hi: Number
    null: bool = False
    known: bool = True


@dataclass(frozen=True, slots=True)
class Cell:
    """Part of what a name can be: one value to try, and the bounds of all of them where it is a number."""

    value: Value
    lo: Number = 0
    hi: Number = 0

    @property
    def range(self) -> Range:
        """As bounds."""
        return Range(self.lo, self.hi, self.value is None, self.value is not None)


def names_in(node: c.Core) -> frozenset[str]:
    """Names of the variables below a node."""
    found = set()
    for x in c.walk(node):
        match x:
            case c.Field(name=name):
                found.add(name)
            case c.Param(name=name):
                found.add(f"${name}")
            case c.Chip(id=name):
                found.add(f"@{name}")
    return frozenset(found)


def after(value: Number) -> Number:
    """The next number of its kind."""
    return math.nextafter(value, math.inf) if isinstance(value, float) else value + 1


def before(value: Number) -> Number:
    """The number just below, of its kind."""
    return math.nextafter(value, -math.inf) if isinstance(value, float) else value - 1


# -- cells


def cells_of(variable: Variable, conditions: Iterable[c.Core], cut: Iterable[Number]) -> tuple[list[Cell], bool]:
    """Cells of a variable for conditions on it alone, and whether they are all there are.

    ``cut`` are the cuts of the numeric conditions.
    """
    unknown = [Cell(None)] if variable.nullable else []
    match variable.kind:
        case Kind.BOOL:
            return [Cell(True), Cell(False), *unknown], True
        case Kind.ENUM:
            return [*map(Cell, variable.members), *unknown], True
        case Kind.SYMBOL | Kind.TEXT:
            words, whole = _words(variable, list(conditions))
            return [*map(Cell, words), *unknown], whole
        case _:
            return [*_stretches(variable, cut), *unknown], True


def _stretches(variable: Variable, cut: Iterable[Number]) -> list[Cell]:
    inner = sorted({x for x in cut if variable.lo < x <= variable.hi})
    starts = [variable.lo, *inner]
    ends = [*(before(x) for x in inner), variable.hi]
    if variable.kind is Kind.DATE:
        starts = [_day(int(x)) for x in starts]
    return [Cell(_shown(variable, lo, hi), lo, hi) for lo, hi in zip(starts, ends, strict=True) if lo <= hi]


def _day(at: int) -> int:
    """The first day of the calendar at or after a number that may name none, such as 20260132."""
    year, month, day = at // 10_000, at // 100 % 100, at % 100
    if month > 12:
        return (year + 1) * 10_000 + 101
    if month == 0 or day == 0:
        return _day(year * 10_000 + max(month, 1) * 100 + (day if month and day else 1))
    return at if day <= monthrange(year, month)[1] else _day(year * 10_000 + (month + 1) * 100 + 1)


def _shown(variable: Variable, lo: Number, hi: Number) -> Number:
    """A value of a cell that reads well: a sample, the end that a literal gave it, a round number."""
    ends = [x for x, end in ((lo, variable.lo), (hi, variable.hi)) if x != end]
    near: list[Number] = [*ends, type(lo)(0), lo]
    if isinstance(lo, float):
        near = [x for x in near if len(repr(x)) <= _SHORT] + [f(e * d) / d for e in ends for d in (1, 10, 100, 1000)
                                                              for f in (math.ceil, math.floor)] + near  # fmt: skip
    return next(x for x in (*variable.samples, *near) if isinstance(x, int | float) and lo <= x <= hi)


def _words(variable: Variable, conditions: list[c.Core]) -> tuple[list[str], bool]:
    """The words named, and one for each way in which another word can answer the patterns.

    A word that begins, holds and ends as the patterns it fits do, with a letter of no pattern between,
    fits those and no others: so these are all ways, unless there are too many to write.
    """
    named: dict[str, None] = {}
    patterns: list[c.Like] = []
    for x in (x for node in conditions for x in c.walk(node)):
        match x:
            case c.Const(value=str() as word):
                named[word] = None
            case c.InSet(values=values):
                named.update(dict.fromkeys(str(v) for v in values))
            case c.Like(how="whole", text=text):
                named[text] = None
            case c.Like():
                patterns.append(x)
    written = "".join((*named, *(p.text for p in patterns)))
    gap = next(chr(x) for x in count(ord("X")) if chr(x) not in written)
    heads, tails, inner = (
        ["", *dict.fromkeys(p.text for p in patterns if p.how == how)] for how in ("prefix", "suffix", "contains")
    )
    whole = len(heads) * len(tails) * 2 ** len(inner) <= _WAYS
    middles = [x for n in range(len(inner)) for x in combinations(inner[1:], n)] if whole else [(p,) for p in inner]
    made = (gap.join((head, *middle, tail)) for head, middle, tail in product(heads, middles, tails))
    seen: dict[tuple[bool, ...], str] = {}
    for word in chain((s for s in variable.samples if isinstance(s, str)), islice(made, _WAYS)):
        if word not in named:
            seen.setdefault(tuple(c.matches(word, p.how, p.text) for p in patterns), word)
    return [*seen.values(), *named], whole


# -- cuts


def cuts(node: c.Core, at: Iterable[Number], box: Mapping[str, Range]) -> set[Number] | None:
    """Where the one name below a node has to be cut so that, within each part, the node's value keeps its place
    among ``at``.

    None where that cannot be told from the shape of the expression: the name stands in two places that
    pull in different directions.
    """
    wanted = set(at)
    match node:
        case c.Const():
            return set()
        case c.Field() | c.Param():
            return wanted
        case c.Negate(operand=operand):
            return cuts(operand, {after(-t) for t in wanted}, box)
        case c.Abs(operand=operand):
            return cuts(operand, wanted | {after(-t) for t in wanted}, box)
        case c.Extreme() | c.Coalesce():
            found = [cuts(a, wanted, box) for a in c.children(node)]
            return None if any(f is None for f in found) else set().union(*(f for f in found if f))
        case c.Real(operand=operand, scale=scale):
            return _through(operand, lambda y: float(y) / float(10**scale), wanted, box)
        case c.Arith(op=op, left=left, right=c.Const(value=int() | float() as k)):
            return _through(left, lambda y: y + k if op == "+" else y - k if op == "-" else y * k, wanted, box)
        case c.Arith(op=op, left=c.Const(value=int() | float() as k), right=right):
            return _through(right, lambda y: k + y if op == "+" else k - y if op == "-" else k * y, wanted, box)
        case c.Divide(left=left, right=c.Const(value=float() as k)):
            return _through(left, lambda y: y / k, wanted, box) if k else set()
        case c.Divide(left=c.Const(value=float() as k), right=right):
            return _through(right, lambda y: k / y, wanted, box, pole=True)
        case _:
            return None


def _through(
    child: c.Core, function: Callable[[Any], Number], wanted: set[Number], box: Mapping[str, Range], pole: bool = False
) -> set[Number] | None:
    """Cuts below a function that only rises or only falls (on each side of a pole at zero)."""
    whole = bounds(child, box)
    pieces = [(whole.lo, whole.hi)]
    turning: set[Number] = set()
    if pole:
        pieces = [(whole.lo, min(whole.hi, -_TINY)), (max(whole.lo, _TINY), whole.hi)]
        turning = {0.0, _TINY}
    for lo, hi in pieces:
        if lo <= hi:
            turning.update(_turn(function, lo, hi, t) for t in wanted)
    return cuts(child, turning, box)


def _turn(function: Callable[[Any], Number], lo: Number, hi: Number, at: Number) -> Number:
    rises = function(hi) >= function(lo)
    return _first(lo, hi, lambda y: (function(y) >= at) is rises)


def _first(lo: Number, hi: Number, holds: Callable[[Number], bool]) -> Number:
    """The first number from ``lo`` to ``hi`` of which something holds that holds of all above; past ``hi`` if none."""
    if isinstance(lo, float):
        low, high = _rank(lo), _rank(float(hi))
        number: Callable[[int], Number] = _unrank
    else:
        low, high, number = lo, int(hi), int
    high += 1
    while low < high:
        middle = (low + high) // 2
        if holds(number(middle)):
            high = middle
        else:
            low = middle + 1
    return number(low)


def _rank(value: float) -> int:
    """A double's place among all doubles."""
    bits: int = struct.unpack("<q", struct.pack("<d", value))[0]
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _unrank(place: int) -> float:
    found: float = struct.unpack("<d", struct.pack("<q", abs(place)))[0]
    return found if place >= 0 else -found


# -- bounds


def bounds(node: c.Core, box: Mapping[str, Range]) -> Range:
    """Bounds of a number when each name below lies within its own; rounding only ever keeps their order."""
    match node:
        case c.Const(value=value):
            return Range(0, 0) if isinstance(value, str | bool | None) else Range(value, value)
        case c.Field(name=name):
            return box[name]
        case c.Param(name=name):
            return box[f"${name}"]
        case c.Coalesce(first=first, second=second):
            a, b = bounds(first, box), bounds(second, box)
            if not a.null:
                return a
            return b if not a.known else Range(min(a.lo, b.lo), max(a.hi, b.hi), b.null)
    parts = [bounds(x, box) for x in c.children(node)]
    null, known = any(p.null for p in parts), all(p.known for p in parts)
    if not known:
        return Range(0, 0, True, False)
    lo, hi = parts[0].lo, parts[0].hi
    match node:
        case c.Real(scale=scale):
            lo, hi = (float(x) / float(10**scale) for x in (lo, hi))
        case c.Negate():
            lo, hi = -hi, -lo
        case c.Abs():
            lo, hi = max(lo, -hi, type(lo)(0)), max(-lo, hi)
        case c.Extreme(op=op):
            choose = min if op == "min" else max
            lo, hi = choose(p.lo for p in parts), min(choose(p.hi for p in parts), _summit(node, box))
        case c.Arith(op="+"):
            lo, hi = lo + parts[1].lo, hi + parts[1].hi
        case c.Arith(op="-"):
            lo, hi = lo - parts[1].hi, hi - parts[1].lo
        case c.Arith():
            found = [_times(a, b) for a in (lo, hi) for b in (parts[1].lo, parts[1].hi)]
            lo, hi = min(found), max(found)
        case c.Divide():
            return _quotient(parts[0], parts[1], null)
    return Range(-math.inf, math.inf, null) if math.isnan(lo) or math.isnan(hi) else Range(lo, hi, null)


def _summit(node: c.Core, box: Mapping[str, Range]) -> Number:
    """The most that a tent can be below its cut at zero: one side of it rises and the other falls with one value."""
    match node:
        case c.Extreme("min", (c.Divide(c.Arith("-", x, c.Const(value=float() as a)), c.Const(value=float() as up)),
                               c.Divide(c.Arith("-", c.Const(value=float() as b), y), c.Const(value=float() as down))))\
                if x == y and up > 0 and down > 0:  # fmt: skip
            whole = bounds(x, box)
            top = _first(float(whole.lo), float(whole.hi), lambda z: (z - a) / up >= (b - z) / down)
            return max(min((z - a) / up, (b - z) / down) for z in (top, before(top)))
        case _:
            return math.inf


def _times(a: Number, b: Number) -> Number:
    return a * b if a and b else type(a)(0)  # zero times infinity is no number


def _quotient(top: Range, bottom: Range, null: bool) -> Range:
    through = bottom.lo <= 0 <= bottom.hi
    ends = {bottom.lo, bottom.hi} - {0}
    if bottom.lo < 0 <= bottom.hi:
        ends.add(-_TINY)
    if bottom.lo <= 0 < bottom.hi:
        ends.add(_TINY)
    if not ends:
        return Range(0.0, 0.0, True, False)
    found = [a / b for a in (top.lo, top.hi) for b in ends]
    return Range(min(found), max(found), null or through)
