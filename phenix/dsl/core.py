"""The core tree: what the checker proves and every target reads.

About fifteen node kinds, all total: each is defined for every input, unknown included. Numbers
appear in two forms only: exact scaled integers, whose scales the checker has already aligned, and
IEEE doubles. Nodes are frozen and compared by value.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from operator import attrgetter, is_
from typing import Any, Final, Literal

from phenix.dsl.types import INT64_MAX, REAL, Kind, Value

__all__ = [
    "FALSE",
    "NEGATED",
    "NOWHERE",
    "TRUE",
    "Abs",
    "And",
    "Arith",
    "Chip",
    "Coalesce",
    "Compare",
    "Const",
    "Core",
    "Divide",
    "Extreme",
    "Field",
    "InSet",
    "Is",
    "IsNull",
    "Like",
    "Negate",
    "Not",
    "Or",
    "Param",
    "Real",
    "assume_known",
    "children",
    "matches",
    "nowhere",
    "nullable",
    "reads",
    "rebuild",
    "walk",
]


@dataclass(frozen=True, slots=True)
class Const:
    """A known value in stored form."""

    kind: Kind
    value: Value


@dataclass(frozen=True, slots=True)
class Field:
    """A field of the row."""

    name: str
    kind: Kind
    nullable: bool


@dataclass(frozen=True, slots=True)
class Param:
    """A rule parameter: always known, bound when the target runs."""

    name: str
    kind: Kind


@dataclass(frozen=True, slots=True)
class Chip:
    """Another chip: three-valued."""

    id: str


@dataclass(frozen=True, slots=True)
class Arith:
    """``+ - *`` on two integers or two doubles; unknown if either is."""

    op: Literal["+", "-", "*"]
    left: Core
    right: Core


@dataclass(frozen=True, slots=True)
class Divide:
    """Real division of two doubles; unknown on zero."""

    left: Core
    right: Core


@dataclass(frozen=True, slots=True)
class Real:
    """A scaled integer as a double: ``operand / 10**scale``."""

    operand: Core
    scale: int


@dataclass(frozen=True, slots=True)
class Negate:
    """``-x``."""

    operand: Core


@dataclass(frozen=True, slots=True)
class Abs:
    """``|x|``."""

    operand: Core


@dataclass(frozen=True, slots=True)
class Extreme:
    """``min`` or ``max`` of two or more; unknown if any is."""

    op: Literal["min", "max"]
    args: tuple[Core, ...]


@dataclass(frozen=True, slots=True)
class Coalesce:
    """The first if known, else the second."""

    first: Core
    second: Core


@dataclass(frozen=True, slots=True)
class Compare:
    """``= != < <= > >=`` of two values of one form; unknown if either is.

    ``decided``: the answer for every known ``left``, where its declared range and the literal ``right`` leave but one.
    """

    op: Literal["=", "!=", "<", "<=", ">", ">="]
    left: Core
    right: Core
    decided: bool | None = None


@dataclass(frozen=True, slots=True)
class InSet:
    """Membership; unknown if the operand is. An empty set is false for every known operand.

    An item that the operand cannot hold stands as :func:`nowhere`, so that it keeps its place.
    """

    operand: Core
    values: tuple[Value, ...]
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Like:
    """Case-sensitive prefix, suffix, contains or whole match; unknown if the operand is."""

    operand: Core
    how: Literal["prefix", "suffix", "contains", "whole"]
    text: str
    negated: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    """Whether a value is unknown; itself always known."""

    operand: Core
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Is:
    """Whether a condition is true, false or unknown (None); itself always known."""

    operand: Core
    value: bool | None
    negated: bool = False


@dataclass(frozen=True, slots=True)
class Not:
    """Kleene not."""

    operand: Core


@dataclass(frozen=True, slots=True)
class And:
    """Kleene and."""

    args: tuple[Core, ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Kleene or."""

    args: tuple[Core, ...]


Core = (
    Const | Field | Param | Chip | Arith | Divide | Real | Negate | Abs | Extreme | Coalesce | Compare | InSet | Like
    | IsNull | Is | Not | And | Or
)  # fmt: skip

TRUE = Const(Kind.BOOL, True)
FALSE = Const(Kind.BOOL, False)
NEGATED: dict[str, Literal["=", "!=", "<", "<=", ">", ">="]] = {
    "=": "!=", "!=": "=", "<": ">=", "<=": ">", ">": "<=", ">=": "<",
}  # fmt: skip
"""The comparison that is true exactly where the other is false; both are unknown together."""

_PARTS: dict[type[Core], tuple[str, ...]] = {
    Const: (), Field: (), Param: (), Chip: (),
    Arith: ("left", "right"), Divide: ("left", "right"), Compare: ("left", "right"), Coalesce: ("first", "second"),
    Real: ("operand",), Negate: ("operand",), Abs: ("operand",), InSet: ("operand",), Like: ("operand",),
    IsNull: ("operand",), Is: ("operand",), Not: ("operand",),
    Extreme: ("args",), And: ("args",), Or: ("args",),
}  # fmt: skip
"""Where each kind of node keeps the nodes below it."""


_LEAST: Final = -INT64_MAX  # not one less: SQLite may put it in a field's place, and of that it knows no abs()
_FAR: Final = -sys.float_info.max


def nowhere(kind: Kind) -> int | float:
    """A number of a kind that no row and no arithmetic reaches: an integer beyond the bounds, the farthest double."""
    return _FAR if kind in REAL else _LEAST


def _below(names: tuple[str, ...]) -> Callable[[Core], tuple[Core, ...]]:
    if names in ((), ("operand",)):
        return (lambda node: (node.operand,)) if names else (lambda _: ())  # type: ignore[union-attr]
    return attrgetter(*names)  # a tuple: of two, or the one that the node holds


_BELOW = {kind: _below(names) for kind, names in _PARTS.items()}


NOWHERE: Final = frozenset(map(nowhere, Kind))
"""All of them."""


def children(node: Core) -> tuple[Core, ...]:
    """The nodes directly below, left to right."""
    return _BELOW[type(node)](node)


def rebuild(node: Core, change: Callable[[Core], Core]) -> Core:
    """The node with every node directly below it changed; the same node when nothing was."""
    old = _BELOW[type(node)](node)
    if not old:
        return node
    new = tuple(map(change, old))  # one frame a level less than a comprehension: trees are deep
    if all(map(is_, old, new)):
        return node
    names = _PARTS[type(node)]
    changed: dict[str, Any] = {"args": new} if names == ("args",) else dict(zip(names, new, strict=True))
    return replace(node, **changed)


def walk(node: Core) -> Iterator[Core]:
    """The node and everything below it, each before what is below it, left to right."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        waiting += children(node)[::-1]


def reads(node: Core) -> frozenset[str]:
    """Names of the fields below; chips are not looked into."""
    return frozenset(n.name for n in walk(node) if isinstance(n, Field))


def assume_known(node: Core) -> Core:
    """The tree for rows on which every field it reads is known; it may still be :func:`nullable` (division, chips)."""
    if isinstance(node, Field):
        return replace(node, nullable=False)
    return rebuild(node, assume_known)


def nullable(node: Core) -> bool:
    """Whether the node can be unknown on some row."""
    match node:
        case Const(value=value):
            return value is None
        case Field(nullable=may):
            return may
        case Param() | IsNull() | Is():
            return False
        case Chip():
            return True
        case Divide(left, right):
            return nullable(left) or not (isinstance(right, Const) and right.value != 0)
        case Coalesce(_, second):
            return nullable(second)
        case _:
            return any(nullable(child) for child in children(node))


def matches(value: str, how: str, text: str) -> bool:
    """Whether a word is what a :class:`Like` asks for, letter for letter."""
    if how == "prefix":
        return value.startswith(text)
    if how == "suffix":
        return value.endswith(text)
    if how == "contains":
        return text in value
    return value == text
