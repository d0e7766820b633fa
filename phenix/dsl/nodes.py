"""Syntax nodes: what was written, each with its span and its depth.

Expressions and statements are frozen records. ``depth`` and ``size`` are kept while the tree is
built, so the limits hold before anything walks it recursively.
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from fractions import Fraction
from typing import Final, Literal

from phenix.dsl.source import Span

__all__ = [
    "META",
    "NO_META",
    "STATEMENTS",
    "AlertStatement",
    "And",
    "Arith",
    "AssertStatement",
    "Call",
    "ChipName",
    "ChipStatement",
    "Compare",
    "Constant",
    "DateLit",
    "Edition",
    "Expr",
    "FieldStatement",
    "In",
    "Is",
    "LetStatement",
    "Like",
    "Meta",
    "Name",
    "Negate",
    "Not",
    "Number",
    "Or",
    "ParamName",
    "ParamStatement",
    "QueryStatement",
    "Range",
    "SetLit",
    "SetStatement",
    "Statement",
    "TestStatement",
    "Text",
    "TimeLit",
    "TsLit",
    "bodies",
    "children",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Node:
    span: Span
    depth: int = 1
    size: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Number(_Node):
    """``250k``, ``5%``, ``180s``, ``$2.11``: an exact number and its unit.

    ``unit`` is "" (plain), "$", "%" (value in points), or "s" (a duration, value in milliseconds).
    """

    text: str
    value: Fraction
    unit: Literal["", "$", "%", "s"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Text(_Node):
    """A double-quoted string."""

    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DateLit(_Node):
    """``2026-01-16`` as YYYYMMDD."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeLit(_Node):
    """``09:30 ET`` as milliseconds of the New York day."""

    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TsLit(_Node):
    """``2026-01-16T14:30:00Z``, ``2026-01-16 09:30 ET`` as UTC milliseconds since 1970."""

    text: str = ""
    value: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(_Node):
    """``true``, ``false`` or ``null``."""

    value: bool | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Name(_Node):
    """A bare word: a field, a ``let``, a derived field, or a member opposite an enum or symbol."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipName(_Node):
    """``@urgent``."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamName(_Node):
    """``$urgent_value``."""

    name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Negate(_Node):
    """``-x``."""

    operand: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Arith(_Node):
    """``+ - * /`` or ``??``."""

    op: str
    left: Expr
    right: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(_Node):
    """``max(a, b)``."""

    name: str
    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Compare(_Node):
    """``a op b op c``: a chain of one or more comparisons."""

    operands: tuple[Expr, ...]
    ops: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Range(_Node):
    """``21..180`` closed, ``21..<180`` half open, ``21..`` open ended."""

    low: Expr | None
    high: Expr | None
    half_open: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class SetLit(_Node):
    """``{95, 126}``."""

    items: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class In(_Node):
    """``x in {..}``, ``x in lo..hi``, ``x in named_set``, each with ``not``."""

    operand: Expr
    among: SetLit | Range | Name
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Like(_Node):
    """``x like "AA*"``."""

    operand: Expr
    pattern: Text
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Is(_Node):
    """``x is [not] null|true|false|unknown``."""

    operand: Expr
    what: str
    negated: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Not(_Node):
    """``not x``."""

    operand: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class And(_Node):
    """``a and b and c``."""

    args: tuple[Expr, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Or(_Node):
    """``a or b or c``."""

    args: tuple[Expr, ...]


Expr = (
    Number | Text | DateLit | TimeLit | TsLit | Constant | Name | ChipName | ParamName | Negate | Arith | Call
    | Compare | In | Like | Is | Not | And | Or
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Meta:
    """What follows a body and says nothing of its meaning: empty where it is not given."""

    doc: str = ""
    owner: str = ""
    tags: tuple[str, ...] = ()
    severity: str = ""
    deprecated: str = ""
    provides: str = ""


META: Final = tuple(f.name for f in fields(Meta))
"""The kinds of metadata, in the order they are printed."""

_NOWHERE = Span(0, 0)
NO_META: Final = Meta()
STATEMENTS: Final = (
    "edition", "param", "set", "let", "chip", "field", "query", "alert", "test", "assert",
)  # fmt: skip
"""The words that begin a statement."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    span: Span
    name: str = ""
    name_span: Span = _NOWHERE
    meta: Meta = NO_META
    places: tuple[tuple[str, Span], ...] = field(default=(), compare=False, repr=False)
    """Where each clause and piece of metadata stands, by its word."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Edition(_Statement):
    """``edition 1``."""

    number: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ParamStatement(_Statement):
    """``param name: type = value in lo..hi``."""

    type_name: str
    value: Expr
    range: Range | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SetStatement(_Statement):
    """``set name = {..}``."""

    body: SetLit


@dataclass(frozen=True, slots=True, kw_only=True)
class LetStatement(_Statement):
    """``let name = expression``: a macro."""

    body: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class ChipStatement(_Statement):
    """``chip id "Label" aliases {..} group g = condition``."""

    label: str
    aliases: tuple[str, ...]
    group: str
    body: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldStatement(_Statement):
    """``field id "Label": type = expression``."""

    label: str
    type_name: str
    group: str
    body: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryStatement(_Statement):
    """``query id "Label" where .. since .. order by .. limit ..``."""

    label: str
    where: Expr
    group: str = ""
    since: DateLit | None = None
    order: tuple[Name, bool, bool] | None = None
    """Field, descending, nulls last."""
    limit: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertStatement(_Statement):
    """``alert id "Label" where .. cooldown 3m per contract``."""

    label: str
    where: Expr
    group: str = ""
    cooldown: Number | None = None
    per: Literal["contract", "symbol"] = "contract"


@dataclass(frozen=True, slots=True, kw_only=True)
class AssertStatement(_Statement):
    """``assert never x``, ``assert x implies y``, ``assert rate x in lo..hi``."""

    kind: Literal["never", "implies", "rate"]
    left: Expr
    right: Expr | None = None
    range: Range | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TestStatement(_Statement):
    """``test "label" for target { field: literal } => expected``."""

    label: str
    target: Expr
    row: tuple[tuple[Name, Expr], ...]
    expected: Expr | None
    """None when ``unknown`` is expected."""


Statement = (
    Edition | ParamStatement | SetStatement | LetStatement | ChipStatement | FieldStatement | QueryStatement
    | AlertStatement | AssertStatement | TestStatement
)  # fmt: skip


def bodies(node: Expr | Statement) -> tuple[Expr | SetLit | Range, ...]:
    """The expressions a statement is made of; an expression is its own."""
    if not isinstance(node, _Statement):
        return (node,)
    parts = (getattr(node, key, None) for key in ("body", "where", "left", "right", "value", "range", "target"))
    return tuple(part for part in parts if part is not None)


def children(node: Expr) -> tuple[Expr, ...]:
    """The expressions directly below, left to right; those of a range or an inline set stand for it."""
    match node:
        case Negate(operand=operand) | Not(operand=operand) | Is(operand=operand) | Like(operand=operand):
            return (operand,)
        case Arith(left=left, right=right):
            return (left, right)
        case Call(args=args) | And(args=args) | Or(args=args) | Compare(operands=args):
            return args
        case In(operand=operand, among=SetLit(items=items)):
            return (operand, *items)
        case In(operand=operand, among=Range(low=low, high=high)):
            return (operand, *(x for x in (low, high) if x is not None))
        case In(operand=operand):
            return (operand,)
        case _:
            return ()
