"""The saved-payload target: conditions as flat clauses ``{field, op, value}``, and clauses as rule text.

A clause says one thing of one field, named by its JSON name; clauses are and-ed, or or-ed. What is
nested, computed or asked about the unknown has no clause and is refused with the reason.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Literal, cast

from phenix.dsl import core as c
from phenix.dsl.types import CatalogField, Kind, Value
from phenix.engine.targets.readings import ET, day_of, flag_of, instant_of, instant_text, items_of, number_of, quoted

__all__ = [
    "AMOUNTS",
    "OPERATORS",
    "UNSUPPORTED",
    "WORDS",
    "Clause",
    "Clauses",
    "Fault",
    "Fidelity",
    "Names",
    "combine",
    "lower",
    "plain",
    "to_clauses",
]

UNSUPPORTED: Final[Mapping[str, str]] = {
    "Arith": "a clause compares a field with a value, not with a computation",
    "Divide": "a clause compares a field with a value, not with a quotient",
    "Real": "a clause compares a field with a value, not with another number",
    "Negate": "a clause compares a field with a value, not the opposite of one",
    "Abs": "a clause compares a field with a value, not its size",
    "Extreme": "a clause compares a field with a value, not the least or greatest of several",
    "Coalesce": "a clause cannot put a value where one is missing",
    "IsNull": "a clause cannot ask whether a value is missing",
    "Is": "a clause cannot ask whether a condition is false or unknown",
    "min": "a clause knows no functions",
    "max": "a clause knows no functions",
    "abs": "a clause knows no functions",
    "clamp": "a clause knows no functions",
    "tent": "a clause knows no functions",
    "coalesce": "a clause knows no functions",
}
"""Kinds of core nodes and functions that no flat clause can say, and why."""

_NESTED: Final = "flat clauses are all and-ed or all or-ed, this mixes or nests them"
_FIELDS: Final = "a clause compares a field with a value, not with another field"
_PATTERN: Final = "a clause knows a text that is contained, not how one begins, ends, or what it lacks"
_CASE: Final = "a clause takes a symbol in capitals, and this one is not"
_NEVER: Final = "no clause says that nothing matches"
_BOTH: Final = "a clause compares a field with a value, this is a value or a condition alone"


class Fidelity(StrEnum):
    """How a converted filter relates to the original, row by row."""

    EXACT = "exact"
    WIDER = "wider"
    """Every row the original matches, and perhaps others."""
    NARROWER = "narrower"
    """Only rows the original matches, perhaps not all."""
    UNSUPPORTED = "unsupported"
    """No filter of the other form stands for it."""


def combine(found: Sequence[Fidelity]) -> Fidelity:
    """Of conditions that are and-ed or or-ed: wider and narrower at once is neither."""
    kinds = set(found) - {Fidelity.EXACT}
    if not kinds:
        return Fidelity.EXACT
    return kinds.pop() if len(kinds) == 1 else Fidelity.UNSUPPORTED


@dataclass(frozen=True, slots=True)
class Clause:
    """One clause; ``value`` is a JSON scalar or a list of them."""

    field: str
    op: str
    value: Any


@dataclass(frozen=True, slots=True)
class Clauses:
    """A condition as clauses, and what they keep of it: a param's value, for one."""

    combinator: Literal["and", "or"]
    clauses: tuple[Clause, ...]
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with a clause: the member of it, what was expected, a spelling that is near.

    ``code`` is the diagnostic's where it is not that of the member.
    """

    part: Literal["field", "op", "value"]
    message: str
    help: str = ""
    near: str = ""
    code: str = ""


@dataclass(frozen=True, slots=True)
class Names:
    """How clauses call things: the JSON key of a field ("" where it has none), its values, the chips."""

    key: Callable[[str], str]
    show: Callable[[str, Value], Any]
    params: Mapping[str, Value]


# -- operators

AMOUNTS: Final = {"eq": "=", "ne": "!=", "gt": ">", "gte": ">=", "lt": "<", "lte": "<="}
"""Comparisons, and how the rule language writes them."""

_AMONG: Final = {"in": "in", "nin": "not in"}
WORDS: Final = ("eq", "ne", "in", "nin")
_ORDERED: Final = (*AMOUNTS, *_AMONG)
OPERATORS: Final[Mapping[Kind, tuple[str, ...]]] = {
    Kind.BOOL: ("eq", "ne"),
    Kind.ENUM: WORDS,
    Kind.SYMBOL: (*WORDS, "contains"),
    Kind.TEXT: (*WORDS, "contains"),
    **dict.fromkeys((Kind.INT, Kind.MONEY, Kind.RATIO, Kind.PERCENT, Kind.DATE, Kind.TS, Kind.DURATION), _ORDERED),
}
"""Operators a clause may have, by the kind of its field."""


# -- conditions to clauses


def to_clauses(core: c.Core, names: Names) -> Clauses | str:
    """The clauses that match the same rows, or the reason why there are none.

    Chips and params stand as they are now: a param becomes its value, with a note.
    """
    notes: dict[str, None] = {}
    split = _split(core)
    combinator: Literal["and", "or"] = "or" if split is c.Or else "and"
    out: list[Clause] = []
    for part, negated in _parts(core, False, split):
        if isinstance(part, c.Const):
            holds = bool(part.value) is not negated
            if holds and combinator == "or":
                return Clauses("and", ())  # everything matches
            if not holds and combinator == "and":
                return _NEVER
            continue
        clause = _clause(part, negated, names, notes)
        if isinstance(clause, str):
            return clause
        out.append(clause)
    if combinator == "or" and not out:
        return _NEVER
    return Clauses(combinator if len(out) > 1 else "and", tuple(out), tuple(notes))


def _split(core: c.Core, negated: bool = False) -> type:
    """Whether the condition is an ``and`` or an ``or`` once negation is pushed inwards."""
    match core:
        case c.Not(operand):
            return _split(operand, not negated)
        case c.Is(operand, True, False) if not negated:
            return _split(operand)
        case _:
            return c.Or if isinstance(core, c.And if negated else c.Or) else c.And


def _parts(core: c.Core, negated: bool, split: type) -> Iterator[tuple[c.Core, bool]]:
    """The conditions that ``split`` joins, each with whether it is negated."""
    match core:
        case c.And(args) | c.Or(args) if isinstance(core, split) is not negated:
            for arg in args:
                yield from _parts(arg, negated, split)
        case c.Not(operand):
            yield from _parts(operand, not negated, split)
        case c.Is(operand, True, False) if not negated:  # a filter matches on true only
            yield from _parts(operand, False, split)
        case _:
            yield core, negated


def _clause(core: c.Core, negated: bool, names: Names, notes: dict[str, None]) -> Clause | str:
    match core:
        case c.And() | c.Or():
            return _NESTED
        case c.Chip(id):
            return Clause("chips", "nin" if negated else "has", id)
        case c.Field(name):
            return _named(name, names, "eq", not negated)
        case c.Compare(op, (c.Const() | c.Param()) as left, c.Field() as right):
            turned = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}.get(op, op)
            return _clause(c.Compare(cast("Any", turned), right, left), negated, names, notes)
        case c.Compare(op, c.Field(name), (c.Const() | c.Param()) as right):
            sign = c.NEGATED[op] if negated else op
            word = next(word for word, text in AMOUNTS.items() if text == sign)
            value = right.value if isinstance(right, c.Const) else names.params[right.name]
            made = _named(name, names, word, plain(names.show(name, value)))
            if isinstance(right, c.Param) and isinstance(made, Clause):
                notes[f"${right.name} is kept as {made.value}, its value now"] = None
            return made
        case c.Compare(_, c.Field(), c.Field()):
            return _FIELDS
        case c.InSet(c.Field(name), values, out):
            return _named(
                name, names, "nin" if out is not negated else "in", [plain(names.show(name, v)) for v in values]
            )
        case c.Like(c.Field(name, kind), how, text, out):
            if how == "whole" and kind is Kind.SYMBOL and text != text.upper():
                return _CASE
            if how in ("prefix", "suffix") or (how == "contains" and out is not negated):
                return _PATTERN
            return _named(name, names, "contains" if how == "contains" else "ne" if out is not negated else "eq", text)
        case _:
            return next((UNSUPPORTED[k] for node in c.walk(core) if (k := type(node).__name__) in UNSUPPORTED), _BOTH)


def _named(name: str, names: Names, op: str, value: Any) -> Clause | str:
    key = names.key(name)
    return Clause(key, op, value) if key else f"`{name}` has no JSON name a clause could use"


def plain(value: Any) -> Any:
    """A number as people write it in JSON: whole ones without a point."""
    return int(value) if isinstance(value, float) and value.is_integer() and abs(value) < 10**15 else value


# -- clauses to rule text

_SYMBOL: Final = re.compile(r"[A-Za-z0-9][\w./^$-]{0,19}", re.ASCII)
_BARE: Final = re.compile(r"[A-Z]\w*(\.[A-Z]{1,2})?", re.ASCII)
_RESERVED: Final = frozenset({"AND", "OR", "NOT", "IN", "IS", "LIKE", "NULL", "TRUE", "FALSE", "UNKNOWN"})
_EXPECTED: Final[Mapping[Kind, str]] = {
    Kind.BOOL: "true or false",
    Kind.SYMBOL: "a symbol such as SPY or BRK.B",
    Kind.TEXT: "a text",
    Kind.DATE: "a date such as 2026-09-18",
    Kind.TS: "a point in time such as 2026-09-18T13:30:00Z, or its milliseconds since 1970",
}


def lower(field: CatalogField, key: str, op: str, value: Any) -> str | Fault:
    """Rule text of a clause on a field of the catalog, called ``key`` there, or what is wrong with it."""
    kind = field.type.kind
    allowed = OPERATORS[kind]
    if op not in allowed:
        return Fault("op", f"`{key}` has no operator `{op}`", f"it has {', '.join(allowed)}")
    if op in _AMONG:
        items = items_of(value)
        texts = [_literal(field, item) for item in items] if items is not None else [None]
        if any(text is None for text in texts):
            return _ill_typed(field, key, "a list of values, each ")
        return f"{field.name} {_AMONG[op]} {{{', '.join(dict.fromkeys(cast('list[str]', texts)))}}}"
    if kind is Kind.BOOL:
        on = flag_of(value)
        return _ill_typed(field, key) if on is None else field.name if on is (op == "eq") else f"not {field.name}"
    if op == "contains":
        if not isinstance(value, str) or not value or "*" in value or not value.isprintable():
            return Fault("value", "a part of a text was expected, without `*`")
        return f"{field.name} like {quoted(f'*{value}*')}"
    if kind is Kind.TS and (day := day_of(value)) is not None:
        return _within_day(field, key, op, day)
    text = _literal(field, value, op)
    return _ill_typed(field, key) if text is None else f"{field.name} {AMOUNTS[op]} {text}"


def _ill_typed(field: CatalogField, key: str, before: str = "") -> Fault:
    expected = _EXPECTED.get(field.type.kind, "a number, or a text that is one")
    expected = f"one of {', '.join(field.type.members)}" if field.type.members else expected
    return Fault("value", f"`{key}` takes {before}{expected}")


def _within_day(field: CatalogField, key: str, op: str, day: date) -> str | Fault:
    """A day in New York against a point in time: before it, from its start, to its end, after it."""
    if op not in _EDGES:
        return Fault("value", f"`{key}` is a point in time, never a whole day", "use gte and lt")
    sign, later = _EDGES[op]
    edge = day + timedelta(days=later)
    start = datetime(edge.year, edge.month, edge.day, tzinfo=ET).astimezone(UTC)
    return f"{field.name} {sign} {instant_text(start)}"


_EDGES: Final = {"gte": (">=", 0), "lt": ("<", 0), "lte": ("<", 1), "gt": (">=", 1)}


def _literal(field: CatalogField, value: Any, op: str = "eq") -> str | None:
    """A JSON value as a literal of the field's kind; None when it is none."""
    match field.type.kind:
        case Kind.ENUM:
            names = {m.lower(): m for m in field.type.members} | {a.lower(): m for a, m in field.aliases}
            return names.get(value.lower()) if isinstance(value, str) else None
        case Kind.SYMBOL:
            if not isinstance(value, str) or not _SYMBOL.fullmatch(value):
                return None
            name = value.upper()
            return name if _BARE.fullmatch(name) and name not in _RESERVED else quoted(name)
        case Kind.TEXT:
            return quoted(value) if isinstance(value, str) and value.isprintable() else None
        case Kind.DATE:
            day = day_of(value)
            return day.isoformat() if day is not None else None
        case Kind.TS:
            at = instant_of(value, op)
            return instant_text(at) if at is not None else None
        case kind:
            number = number_of(value)
            return f"{number:f}{'ms' if kind is Kind.DURATION else ''}" if number is not None else None
