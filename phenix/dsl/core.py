"""The core tree: what the checker proves and every target reads.

About fifteen node kinds, all total: each is defined for every input, unknown included. Numbers
appear in two forms only: exact scaled integers, whose scales the checker has already aligned, and
IEEE doubles. Nodes are frozen and compared by value.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

from phenix.dsl.types import Kind, Value

__all__ = [
    "FALSE",
    "NEGATED",
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
    "nullable",
    "reads",
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
    """``= != < <= > >=`` of two values of one form; unknown if either is."""

    op: Literal["=", "!=", "<", "<=", ">", ">="]
    left: Core
    right: Core


@dataclass(frozen=True, slots=True)
class InSet:
    """Membership; unknown if the operand is. An empty set is false for every known operand."""

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

_CORE = (
    Const, Field, Param, Chip, Arith, Divide, Real, Negate, Abs, Extreme, Coalesce, Compare, InSet, Like, IsNull, Is,
    Not, And, Or,
)  # fmt: skip


def children(node: Core) -> Iterator[Core]:
    """The nodes directly below, left to right."""
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, _CORE):
            yield value
        elif isinstance(value, tuple):
            yield from (v for v in value if isinstance(v, _CORE))


def walk(node: Core) -> Iterator[Core]:
    """The node and everything below it."""
    yield node
    for child in children(node):
        yield from walk(child)


def reads(node: Core) -> frozenset[str]:
    """Names of the fields below; chips are not looked into."""
    return frozenset(n.name for n in walk(node) if isinstance(n, Field))


def assume_known(node: Core) -> Core:
    """The tree for rows on which every field it reads is known; it may still be :func:`nullable` (division, chips)."""
    if isinstance(node, Field):
        return replace(node, nullable=False)
    changed: dict[str, Any] = {}
    for field in fields(node):
        value = getattr(node, field.name)
        if isinstance(value, _CORE):
            changed[field.name] = assume_known(value)
        elif isinstance(value, tuple) and value and isinstance(value[0], _CORE):
            changed[field.name] = tuple(assume_known(v) for v in value)
    return replace(node, **changed) if changed else node


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
