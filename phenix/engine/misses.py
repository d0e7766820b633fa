"""The nearest miss: the smallest change of a row's fields that makes a condition true.

Fields are changed one condition at a time, each to its nearest value that gives the answer wanted, and the
changes put together as ``and`` and ``or`` ask for. Whatever comes of it is proven by the reference
interpreter before it is told, so what is found may not be the smallest of all, but never is none.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from itertools import product
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl.types import REAL, TEXTUAL, Kind, Value
from phenix.engine.encode import json_value
from phenix.engine.flow import BY_NAME
from phenix.engine.reading import Reading
from phenix.engine.targets.reference import evaluate
from phenix.engine.targets.words import listed
from phenix.engine.witness import SAMPLES, literal

__all__ = ["Change", "Misses"]

_GIVEN: Final = frozenset({"cancelled"})
"""Fields that are the same of every print when it is tagged."""
_KEPT: Final = 6
"""Ways to change a condition that are followed."""
_DEEPEST: Final = 120
_MOST: Final = 1_000_000
"""Parts of conditions evaluated for the chips of one row, about a second's work. The search for a chip's miss may take
half of what is left of them, and making it smallest half of the rest; a chip for which that is too few has none.
"""
_SHOWN: Final = 5
_WORDS: Final = {
    "=": "{}", "!=": "another than {}", ">=": "at least {}", ">": "more than {}", "<=": "at most {}",
    "<": "less than {}", "known": "to be known", "like": 'to be like "{}"', "not like": 'not to be like "{}"',
}  # fmt: skip
_TIMES: Final = {**_WORDS, ">=": "{} or later", ">": "after {}", "<=": "{} or earlier", "<": "before {}"}
_PATTERNS: Final = {"prefix": "{}*", "suffix": "*{}", "contains": "*{}*", "whole": "{}"}
_MOMENTS: Final = frozenset({Kind.DATE, Kind.TIME, Kind.TS})


@dataclass(frozen=True, slots=True)
class Change:
    """A field that would have to be another: ``value`` would do, as would all that ``op`` and ``bound`` say.

    ``options`` are the words that would do, of a field that holds one of a few; with ``!=`` those that would not.
    """

    name: str
    was: Value
    value: Value
    op: str
    bound: Value
    options: tuple[str, ...] = ()

    @property
    def distance(self) -> float:
        """How far the value is from the one that it was, as a share of the larger of the two."""
        match self.was, self.value:
            case (None, _) | (_, None):
                return 1.5
            case (int() | float() as a, int() | float() as b) if BY_NAME[self.name].type.kind is not Kind.BOOL:
                return abs(a - b) / max(abs(a), abs(b))
        return 1.0

    def __str__(self) -> str:
        kind, was = BY_NAME[self.name].type.kind, self._shown(self.was)
        if self.options:
            return f"`{self.name}` is {was} and needs {_WORDS[self.op].format(listed(list(self.options), 'or'))}"
        if self.was is None and self.op == "=":
            return f"`{self.name}` is unknown, and {self._shown(self.bound)} would do"
        needs = (_TIMES if kind in _MOMENTS else _WORDS)[self.op]
        if self.bound is None or kind is Kind.BOOL:
            needs = needs.replace("{}", "to be {}")
        return f"`{self.name}` is {was} and needs {needs.format(self._shown(self.bound))}"

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "field": self.name,
            "label": BY_NAME[self.name].label,
            "value": _json(self.name, self.was),
            "text": self._shown(self.was),
            "op": self.op,
            "needs": _json(self.name, self.bound),
            "needsText": self._shown(self.bound),
            "options": list(self.options),
        }

    def _shown(self, value: Value) -> str:
        if value is None:
            return "unknown"
        type_ = BY_NAME[self.name].type
        return literal(bool(value) if type_.kind is Kind.BOOL else value, type_)


def _json(name: str, value: Value) -> Any:
    return json_value(name, value)


_Changes = Mapping[str, Change]


@dataclass(slots=True)
class Misses:
    """The nearest misses of the chips of one row, which share what they find and the work that may be spent."""

    reading: Reading
    spent: int = 0
    """Parts of conditions evaluated so far."""
    known: dict[tuple[int, bool], tuple[c.Core, int, list[_Changes]]] = field(default_factory=dict)
    """Ways found already, by the identity of the condition and the answer wanted: the condition, which lives as long,
    and the depth at which they were looked for.
    """
    _limit: int = 0

    def nearest(self, core: c.Core) -> tuple[Change, ...]:
        """The fewest and smallest changes with which a condition that is not true is true; none if none was found."""
        self._allow()
        found = self.ways(core, True, 0)
        self._allow()
        least = self.least(core, found[0]) if found else None
        return tuple(least.values()) if least is not None else ()

    def _allow(self) -> None:
        self._limit = self.spent + max(0, _MOST - self.spent) // 2

    def ways(self, node: c.Core, want: bool, depth: int) -> list[_Changes]:
        """Ways to have a condition answer so, best first; each is proven."""
        _, deep, found = self.known.get((id(node), want), (node, depth + 1, []))
        if found or deep <= depth:
            return found
        if self._gives(node, {}, want):
            return [{}]
        if depth > _DEEPEST or self.spent > self._limit:
            return []
        found = self._ways(node, want, depth)
        if self.spent <= self._limit:
            self.known[id(node), want] = (node, depth, found)
        return found

    def _ways(self, node: c.Core, want: bool, depth: int) -> list[_Changes]:
        match node:
            case c.And(args=args) | c.Or(args=args):
                if isinstance(node, c.And) is want:
                    found = self._together(args, want, depth)
                else:
                    found = [way for arg in args for way in self.ways(arg, want, depth + 1)]
            case c.Not(operand=operand):
                return self.ways(operand, not want, depth + 1)
            case c.Chip(id=name):
                return self.ways(self.reading.chips[name], want, depth + 1)
            case c.Is(operand=operand, value=value, negated=negated):
                answers = (value,) if want is not negated else tuple({True, False, None} - {value})
                found = [way for a in answers if a is not None for way in self.ways(operand, a, depth + 1)]
                found += self._forgotten(operand) if None in answers else []
            case _:
                found = list(self._leaf(node, want))
        return _best(way for way in found if self._gives(node, way, want))

    def _gives(self, node: c.Core, way: _Changes, want: bool) -> bool:
        self.spent += self.reading.extents.of(node).parts if way else self.reading.extents.of(node).own
        changed = {change.name: change.value for change in way.values()}
        return (self.reading.with_changes(changed, node) if way else self.reading).truth(node) is want

    def _together(self, args: tuple[c.Core, ...], want: bool, depth: int) -> list[_Changes]:
        """Ways to have all parts answer so; where two ask for another value of a field, each of them is tried."""
        found: list[_Changes] = [{}]
        for arg in args:
            own = self.ways(arg, want, depth + 1)
            if not own:
                return []
            self.spent += len(found) * len(own)
            found = _best(merged for way, more in product(found, own) for merged in ({**way, **more}, {**more, **way}))
        return found

    def _forgotten(self, node: c.Core) -> list[_Changes]:
        names = dict.fromkeys(x.name for x in c.walk(node) if isinstance(x, c.Field) and x.nullable)
        return [{name: Change(name, self.reading.field(name), None, "=", None)} for name in names]

    def least(self, core: c.Core, way: _Changes) -> _Changes | None:
        """The way without what is needless once the rest of it is changed: whole changes, and parts of them; None
        where that takes too long.
        """
        for name, change in way.items():
            if self.spent > self._limit:
                return None
            others = {other: one for other, one in way.items() if other != name}
            if self._gives(core, others, True):
                return self.least(core, others)
            real = BY_NAME[name].type.kind in REAL
            if not _is_number(change.was) or not _is_number(change.value) or BY_NAME[name].type.kind is Kind.BOOL:
                continue
            start, end = _place(change.was, real), _place(change.value, real)

            def gives(place: int, change: Change = change, others: _Changes = others, real: bool = real) -> bool:
                return self._gives(core, {**others, change.name: replace(change, value=_at(place, real))}, True)

            if gives(end - (1 if end > start else -1)):
                literals = [x for x in _literals(core, self.reading.params) if _is_number(x)]
                return self.least(core, {**way, name: _between(name, change.was, start, end, gives, literals)})
        return way

    # -- one condition

    def _leaf(self, node: c.Core, want: bool) -> Iterator[_Changes]:
        if isinstance(node, c.IsNull) and node.negated is not want:
            yield from self._forgotten(node.operand)
        for name in dict.fromkeys(x.name for x in c.walk(node) if isinstance(x, c.Field) and x.name not in _GIVEN):
            kind = BY_NAME[name].type.kind
            literals = [x for x in _literals(node, self.reading.params) if isinstance(x, str) is (kind in TEXTUAL)]
            if kind is Kind.BOOL:
                found = self._flag(node, name, want)
            elif kind in TEXTUAL:
                found = self._word(node, name, want, [str(x) for x in literals])
            else:
                found = self._number(node, name, want, [x for x in literals if isinstance(x, int | float)])
            if found is not None:
                yield {name: found}

    def _flag(self, node: c.Core, name: str, want: bool) -> Change | None:
        was = self.reading.field(name)
        for value in (True, False) if was is None else (not was,):
            if self._with(node, name, value) is want:
                return Change(name, was, value, "=", value)
        return None

    def _word(self, node: c.Core, name: str, want: bool, literals: list[str]) -> Change | None:
        members, was = BY_NAME[name].type.members, self.reading.field(name)
        usual = [str(word) for word in SAMPLES.get(name, ("AA", "BB"))]
        candidates = dict.fromkeys([*literals, *members, *usual, "ZZZ"])
        options = [word for word in candidates if word != was and self._with(node, name, word) is want]
        if not options:
            return None
        if isinstance(node, c.Like):
            like = "like" if want is not node.negated else "not like"
            return Change(name, was, options[0], like, _PATTERNS[node.how].format(node.text))
        if members:
            return Change(name, was, options[0], "=", options[0], tuple(word for word in members if word in options))
        named = [word for word in options if word in literals]
        if named:
            return Change(name, was, named[0], "=", named[0], tuple(named[:_SHOWN]))
        return Change(name, was, options[0], "!=", was, tuple(literals[:_SHOWN]))

    def _number(self, node: c.Core, name: str, want: bool, literals: list[int | float]) -> Change | None:
        """The nearest number that gives the answer, and whether it or the one before it is written in the rule."""
        type_, was = BY_NAME[name].type, self.reading.field(name)
        real = type_.kind in REAL
        lo, hi = (_place(x, real) for x in (type_.lo, type_.hi))

        def gives(place: int) -> bool:
            return self._with(node, name, _at(place, real)) is want

        near = [p + d for p in (_place(x, real) for x in literals) for d in (0, 1, -1) if lo <= p + d <= hi]
        if was is None:
            usual = [_place(x, real) for x in SAMPLES.get(name, ()) if isinstance(x, int | float)]
            some = next((place for place in (*near, *usual, lo, hi) if gives(place)), None)
            if some is None:
                return None
            below, above = gives(lo), gives(hi)
            if below is above:
                value = _at(some, real)
                return Change(name, None, value, "known", None) if below else Change(name, None, value, "=", value)
            start, end = (lo, hi) if above else (hi, lo)
        else:
            start = _place(was, real)
            reached = sorted((p for p in near if gives(p)), key=lambda p: abs(p - start))
            reached = reached or [*_reached(start, 1, hi, gives), *_reached(start, -1, lo, gives)]
            if not reached:
                return None
            end = min(reached, key=lambda p: abs(p - start))
        return _between(name, was, start, end, gives, literals)

    def _with(self, node: c.Core, name: str, value: Value) -> bool | None:
        reading = self.reading
        self.spent += reading.extents.of(node).own

        def field(asked: str) -> Value:
            return value if asked == name else reading.field(asked)

        found = evaluate(node, field, reading.params, reading.answers.__getitem__)
        return None if found is None else bool(found)


def _between(name: str, was: Value, start: int, end: int, gives: Callable[[int], bool], literals: list[Any]) -> Change:
    """The change to the first number that gives the answer, told by it or by the one before, whichever is written."""
    type_ = BY_NAME[name].type
    real = type_.kind in REAL
    first, last = _boundary(start, end, gives)
    value, outside, up = _at(first, real), _at(last, real), first > start
    if first not in (_place(type_.lo, real), _place(type_.hi, real)) and not gives(first + (1 if up else -1)):
        return Change(name, was, value, "=", value)
    written = [_at(_place(x, real), real) for x in literals]
    if outside in written and value not in written and type_.kind is not Kind.INT:
        return Change(name, was, value, ">" if up else "<", outside)
    return Change(name, was, value, ">=" if up else "<=", value)


def _is_number(value: Value) -> bool:
    return isinstance(value, int | float)


def _best(ways: Iterator[_Changes]) -> list[_Changes]:
    """The fewest and smallest changes first; of equal ones those asked first."""
    kept: dict[tuple[tuple[str, Value], ...], _Changes] = {}
    for way in ways:
        kept.setdefault(tuple(sorted((name, change.value) for name, change in way.items())), way)
    order = sorted(kept.values(), key=lambda way: (len(way), round(sum(x.distance for x in way.values()), 2)))
    return order[:_KEPT]


def _literals(node: c.Core, params: Mapping[str, Value]) -> Iterator[Value]:
    """The values a condition is written with."""
    for part in c.walk(node):
        match part:
            case c.Const(value=value):
                yield value
            case c.Param(name=name):
                yield params[name]
            case c.InSet(values=values):
                yield from values
            case c.Like(text=text):
                yield text


# -- numbers in their order, as whole numbers


def _place(value: Any, real: bool) -> int:
    """Where a number stands among all of its kind: of doubles each has one next to it."""
    if not real:
        return int(value)
    bits: int = struct.unpack("<q", struct.pack("<d", float(value)))[0]
    return bits if bits >= 0 else -(bits & 0x7FFF_FFFF_FFFF_FFFF)


def _at(place: int, real: bool) -> int | float:
    """The number that stands at a place."""
    if not real:
        return place
    value: float = struct.unpack("<d", struct.pack("<q", abs(place)))[0]
    return value if place >= 0 else -value


def _reached(start: int, way: int, end: int, gives: Callable[[int], bool]) -> Iterator[int]:
    """The first place that gives the answer, going to ``end`` in steps that double."""
    step = 1
    while (end - start) * way > step:
        if gives(start + way * step):
            yield start + way * step
            return
        step *= 2
    if end != start and gives(end):
        yield end


def _boundary(start: int, end: int, gives: Callable[[int], bool]) -> tuple[int, int]:
    """Between a place that does not give the answer and one that does: the first that does, the last that does not."""
    while abs(end - start) > 1:
        middle = (start + end) // 2
        if gives(middle):
            end = middle
        else:
            start = middle
    return end, start
