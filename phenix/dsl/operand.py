"""Values under check: units, exact scales and bounds.

A number is one of two forms. *Exact*: a scaled integer (int, money, duration, …), whose scale and
bounds the checker tracks so that nothing can leave 64 bits. *Real*: a double (ratio, percent).
A literal is neither until it meets something: it is kept as an exact fraction and takes the form
of the other side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Final

from phenix.dsl.core import Arith, Const, Core, Field, Param, Real
from phenix.dsl.source import Span
from phenix.dsl.types import INT64_MAX, MONEY_SCALE, Kind

__all__ = [
    "EXACT",
    "MAX_FACTORS",
    "NUMERIC",
    "REAL",
    "Operand",
    "Refusal",
    "as_real",
    "decimal_digits",
    "describe",
    "holds",
    "holds_real",
    "is_plain",
    "literal_as",
    "overflow",
    "rescale",
    "shared_unit",
    "unreal",
]

EXACT: Final = frozenset({Kind.INT, Kind.MONEY, Kind.DURATION})
REAL: Final = frozenset({Kind.RATIO, Kind.PERCENT})
NUMERIC: Final = EXACT | REAL
_MAX_DIGITS: Final = 12
MAX_FACTORS: Final = 8
"""Fields stay below 1e15 and differences of doubles above 1e-20, so eight factors stay well within 1e308."""
_LEAST, _MOST = Fraction(1, 10**12), Fraction(10**15)


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why two things cannot meet: diagnostic code, message, help and an offered spelling."""

    code: str
    message: str
    help: str = ""
    offer: str | None = None


@dataclass(frozen=True, slots=True)
class Operand:
    """A checked value.

    ``literal`` is set for numbers not yet given a form, with ``unit`` "", "$", "%" or "s"; then
    ``core`` is None. ``lo`` and ``hi`` bound exact operands, in units of ``10**-scale``.
    """

    span: Span
    kind: Kind | None
    core: Core | None = None
    scale: int = 0
    lo: int = -INT64_MAX
    hi: int = INT64_MAX
    members: tuple[str, ...] = ()
    literal: Fraction | None = None
    unit: str = ""
    text: str = ""
    factors: int = 1
    """How many doubles were multiplied or divided to make it; :data:`MAX_FACTORS` keep every result finite."""

    @property
    def exact(self) -> bool:
        """Whether it is a scaled integer."""
        return self.kind in EXACT

    @property
    def node(self) -> Core:
        """The core node; a literal has none until it takes a form."""
        assert self.core is not None
        return self.core


def describe(operand: Operand) -> str:
    """What an operand is, for messages: ``money``, ``a duration``."""
    if operand.literal is not None:
        return {"": "a number", "$": "money", "%": "a percentage", "s": "a duration"}[operand.unit]
    assert operand.kind
    return {
        Kind.INT: "a whole number", Kind.MONEY: "money", Kind.RATIO: "a ratio", Kind.PERCENT: "a percentage",
        Kind.DURATION: "a duration", Kind.DATE: "a date", Kind.TIME: "a time of day", Kind.TS: "a point in time",
        Kind.SYMBOL: "a symbol", Kind.ENUM: "one of " + ", ".join(operand.members), Kind.TEXT: "text",
        Kind.BOOL: "true or false",
    }[operand.kind]  # fmt: skip


def decimal_digits(value: Fraction) -> int | None:
    """Digits after the point of a finite decimal; None for one that never ends (1/3)."""
    twos = fives = 0
    rest = value.denominator
    while rest % 2 == 0:
        rest, twos = rest // 2, twos + 1
    while rest % 5 == 0:
        rest, fives = rest // 5, fives + 1
    return max(twos, fives) if rest == 1 else None


def literal_as(literal: Operand, like: Operand) -> Operand | Refusal:
    """Give a literal the form of the operand it meets.

    Exact operands get a scale fine enough to hold it, doubles the nearest double.
    """
    value, unit = literal.literal, literal.unit
    assert value is not None and like.kind is not None
    allowed = {
        Kind.INT: "", Kind.MONEY: "$", Kind.RATIO: "%", Kind.PERCENT: "%", Kind.DURATION: "s",
    }.get(like.kind)  # fmt: skip
    refusal = _refuse(literal, like)
    if allowed is None or (like.kind is Kind.DURATION and unit != "s" and value != 0):
        return refusal
    if unit not in ("", allowed):
        return refusal
    if like.kind in REAL:
        number = value / 100 if like.kind is Kind.RATIO and unit == "%" else value
        if not holds_real(number):
            return unreal(literal.text)
        return replace(literal, kind=like.kind, core=Const(like.kind, float(number)), literal=None)
    digits = decimal_digits(value)
    if digits is None or digits > _MAX_DIGITS:
        return Refusal("PHX113", f"`{literal.text}` does not end within 12 decimals", "round it, or divide by a ratio")
    base = MONEY_SCALE if like.kind is Kind.MONEY else 0
    scale = max(digits, base)
    scaled = int(value * 10**scale)
    return replace(
        literal, kind=like.kind, core=Const(like.kind, scaled), scale=scale, lo=scaled, hi=scaled, literal=None
    )


def holds_real(value: Fraction) -> bool:
    """Whether a literal may enter arithmetic on doubles: zero, or of a size that keeps results finite."""
    return value == 0 or _LEAST <= abs(value) <= _MOST


def _refuse(literal: Operand, like: Operand) -> Refusal:
    subject = like.text or "the other side"
    message = f"`{subject}` is {describe(like)}, `{literal.text}` is {describe(literal)}"
    offer = help_ = None
    if literal.unit == "s" and like.kind is Kind.MONEY and literal.text.endswith("m"):
        offer = literal.text[:-1] + "M"
        help_ = f"write `{offer}` for millions of dollars"
    elif like.kind is Kind.INT:
        help_ = f"`{subject}` is a plain count: write a number without a unit"
    elif like.kind is Kind.DURATION:
        offer = f"{literal.text}s"
        help_ = f"write `{offer}` for seconds, or another unit: ms s m h d"
    elif literal.unit == "%" and like.kind is Kind.MONEY:
        help_ = f"a percentage of what? write `{literal.text} * field`"
    elif like.kind is Kind.DATE:
        help_ = "write a date as 2026-01-16"
    elif like.kind is Kind.TIME:
        help_ = "write a time of day as `09:30 ET`"
    elif like.kind is Kind.TS:
        help_ = "write a point in time as 2026-01-16T14:30:00Z"
    return Refusal("PHX104", message, help_ or "compare values of one unit", offer)


def shared_unit(a: Operand, b: Operand) -> str | None:
    """The unit two literals have together: a plain number takes up dollars; None when they differ."""
    if a.unit == b.unit:
        return a.unit
    return "$" if {a.unit, b.unit} == {"", "$"} else None


def rescale(operand: Operand, scale: int) -> Operand | Refusal:
    """Express an exact operand at a finer scale; refused when the bounds would leave 64 bits."""
    if scale == operand.scale:
        return operand
    factor = 10 ** (scale - operand.scale)
    lo, hi = operand.lo * factor, operand.hi * factor
    if max(abs(lo), abs(hi)) > INT64_MAX:
        return overflow(operand.text)
    node = operand.node
    core: Core
    if isinstance(node, Const):
        assert isinstance(node.value, int)
        core = Const(node.kind, node.value * factor)
    else:
        core = Arith("*", node, Const(Kind.INT, factor))
    return replace(operand, core=core, scale=scale, lo=lo, hi=hi)


def overflow(text: str) -> Refusal:
    """The refusal of a result that the declared ranges allow to leave 64 bits."""
    return Refusal("PHX110", f"`{text}` could leave 64 bits" if text else "the result could leave 64 bits",
                   "use fewer decimals or a smaller factor")  # fmt: skip


def unreal(text: str) -> Refusal:
    """The refusal of a literal too large or too small for arithmetic on doubles."""
    return Refusal("PHX110", f"`{text}` is no size a double is computed with", "use 1e-12 to 1e15, or zero")


def as_real(operand: Operand) -> Operand:
    """An exact operand as a double."""
    if not operand.exact:
        return operand
    node = operand.node
    if isinstance(node, Const) and isinstance(node.value, int):
        return replace(operand, kind=Kind.RATIO, core=Const(Kind.RATIO, float(Fraction(node.value, 10**operand.scale))))
    return replace(operand, kind=Kind.RATIO, core=Real(node, operand.scale), scale=0, factors=1)


def is_plain(operand: Operand) -> bool:
    """Whether it is a field or param itself, not a computation."""
    return isinstance(operand.core, Field | Param)


def holds(a: Fraction, op: str, b: Fraction) -> bool:
    """Whether two exact numbers compare so."""
    return {"=": a == b, "!=": a != b, "<": a < b, "<=": a <= b, ">": a > b, ">=": a >= b}[op]
