"""Syntax nodes: what was written, each with its span and its depth.

Expressions and statements are frozen records. ``depth`` and ``size`` are kept while the tree is
built, so the limits hold before anything walks it recursively.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from phenix.dsl.source import Span

__all__ = [
    "And",
    "Arith",
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
    """``2026-01-16T14:30:00Z`` as UTC milliseconds since 1970."""

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
    """Metadata after a body: doc, owner, tags, severity, deprecated, provides."""

    doc: str = ""
    owner: str = ""
    severity: str = ""
    deprecated: str = ""
    provides: str = ""
    tags: tuple[str, ...] = ()


_NOWHERE = Span(0, 0)
_NO_META = Meta()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Statement:
    span: Span
    name: str = ""
    name_span: Span = _NOWHERE
    meta: Meta = _NO_META


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
    body: Expr


@dataclass(frozen=True, slots=True, kw_only=True)
class QueryStatement(_Statement):
    """``query id "Label" where .. since .. order by .. limit ..``."""

    label: str
    where: Expr
    since: Expr | None = None
    order: tuple[str, bool, bool] | None = None
    """Field, descending, nulls last."""
    order_span: Span | None = None
    limit: int | None = None


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
    | TestStatement
)  # fmt: skip
