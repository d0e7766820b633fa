"""Values under check: units, exact scales and bounds.

A number is one of two forms. *Exact*: a scaled integer (int, money, duration, …), whose scale and
bounds the checker tracks so that nothing can leave 64 bits. *Real*: a double (ratio, percent).
A literal is neither until it meets something: it is kept as an exact fraction and takes the form
of the other side.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date
from fractions import Fraction
from typing import Final

from phenix.dsl.core import Arith, Const, Core, Field, Param, Real
from phenix.dsl.diagnostics import Safety
from phenix.dsl.source import Span
from phenix.dsl.types import INT64_MAX, MONEY_SCALE, REAL, Kind

__all__ = [
    "EXACT",
    "MAX_FACTORS",
    "NUMERIC",
    "WORDS",
    "Operand",
    "Refusal",
    "amount",
    "as_real",
    "decimal_digits",
    "describe",
    "endless",
    "holds",
    "holds_real",
    "inexact",
    "is_plain",
    "literal_as",
    "misfit",
    "mismatch",
    "overflow",
    "reach",
    "rescale",
    "shared_unit",
    "unit",
    "unreal",
]

EXACT: Final = frozenset({Kind.INT, Kind.MONEY, Kind.DURATION})
NUMERIC: Final = EXACT | REAL
WORDS: Final = frozenset({Kind.ENUM, Kind.SYMBOL})
"""Opposite these a bare word is a member."""
_MAX_DIGITS: Final = 12
MAX_FACTORS: Final = 8
"""Fields stay below 1e15 and differences of doubles above 1e-20, so eight factors stay well within 1e308."""
_LEAST, _MOST = Fraction(1, 10**12), Fraction(10**15)


@dataclass(frozen=True, slots=True)
class Refusal:
    """What is wrong with a value or where two meet; ``offer`` would replace ``over``, else the reported place."""

    code: str
    message: str
    help: str = ""
    offer: str | None = None
    safety: Safety = "unsafe"
    over: Span | None = None
    note: str = ""
    """What stands at the place itself, said behind its carets."""


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
    limits: tuple[float, float] | None = None
    """The declared range of a field or param whose values are doubles, dates or times, in stored units."""
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
    value = literal.literal
    assert value is not None and like.kind is not None
    if (refusal := misfit(literal, like)) is not None:
        return refusal
    if like.kind in REAL:
        number = amount(literal, like)
        if not holds_real(number):
            return unreal(literal.text)
        return replace(literal, kind=like.kind, core=Const(like.kind, float(number)), literal=None)
    digits = decimal_digits(value)
    if digits is None or digits > _MAX_DIGITS:
        return endless(literal.text)
    base = MONEY_SCALE if like.kind is Kind.MONEY else 0
    scale = max(digits, base)
    scaled = int(value * 10**scale)
    if abs(scaled) >= INT64_MAX:
        return overflow(literal.text)
    return replace(
        literal, kind=like.kind, core=Const(like.kind, scaled), scale=scale, lo=scaled, hi=scaled, literal=None
    )


def amount(literal: Operand, like: Operand) -> Fraction:
    """What a literal says of a value of ``like``'s kind: ``5%`` is a twentieth of a ratio, 5 of a percentage."""
    assert literal.literal is not None
    return literal.literal / 100 if like.kind is Kind.RATIO and literal.unit == "%" else literal.literal


def misfit(literal: Operand, like: Operand) -> Refusal | None:
    """Why a literal is no value of the operand's unit; None where it is one."""
    units = {Kind.INT: "", Kind.MONEY: "$", Kind.RATIO: "%", Kind.PERCENT: "%", Kind.DURATION: "s"}
    allowed = units.get(like.kind) if like.kind else None
    bare_duration = like.kind is Kind.DURATION and literal.unit != "s" and literal.literal != 0
    if allowed is None or bare_duration or literal.unit not in ("", allowed):
        return _refuse(literal, like)
    return None


def endless(text: str) -> Refusal:
    """The refusal of a number that exact arithmetic cannot hold."""
    return Refusal("PHX113", f"`{text}` does not end within {_MAX_DIGITS} decimals", "round it, or divide by a ratio")


def holds_real(value: Fraction) -> bool:
    """Whether a literal may enter arithmetic on doubles: zero, or of a size that keeps results finite."""
    return value == 0 or _LEAST <= abs(value) <= _MOST


_WRITTEN: Final = {
    Kind.DATE: "write a date as 2026-01-16",
    Kind.TIME: "write a time of day as `09:30 ET`",
    Kind.TS: "write a point in time as 2026-01-16T14:30:00Z",
    Kind.MONEY: "write dollars as `250k` or `$2.50`",
    Kind.PERCENT: "write a percentage as `5%`",
    Kind.DURATION: "write a duration as `180s` or `3m`; units: ms s m h d",
}
_ONE_UNIT: Final = "compare values of one unit"


def _refuse(literal: Operand, like: Operand) -> Refusal:
    subject = like.text or "the other side"
    message = f"`{subject}` is {describe(like)}, `{literal.text}` is {describe(literal)}"
    offer = None
    safety: Safety = "unsafe"
    note = _spelled(literal) if literal.unit == "s" else ""
    digits = literal.text.removesuffix("m")
    help_ = _WRITTEN.get(like.kind, "") if like.kind else ""
    if (
        literal.unit == "s"
        and like.kind is Kind.MONEY
        and digits != literal.text
        and digits.replace(".", "", 1).isdigit()
    ):
        # Premiums are spoken of in millions; no duration can be meant opposite money.
        offer, safety = f"{digits}M", "safe"
        help_ = f"write `{offer}` for {digits} million dollars"
    elif literal.unit == "%" and like.kind is Kind.MONEY:
        help_ = f"a percentage of what? write `{literal.text} * …`"
    elif literal.unit == "s" and like.kind is Kind.INT and literal.text.removesuffix("d").isdigit():
        offer = literal.text.removesuffix("d")
        help_ = f"`{subject}` is a count: write `{offer}`"
    elif literal.unit == "$" and like.kind in (Kind.INT, Kind.RATIO):
        offer = literal.text.removeprefix("$")
        help_ = f"`{subject}` has no unit: write `{offer}`"
    elif like.kind in (Kind.INT, Kind.RATIO):
        help_ = f"`{subject}` has no unit: write a plain number"
    elif like.kind is Kind.DURATION and literal.unit == "" and literal.text[-1:].isdigit():
        offer = literal.text + ("ms" if subject.endswith("_ms") else "s")
        help_ = f"say the unit: `{offer}`, or another of ms s m h d"
    elif like.kind is Kind.SYMBOL:
        help_ = "write a ticker such as SPY"
    elif like.kind is Kind.BOOL:
        help_ = f"ask `{subject}` or `not {subject}`"
    return Refusal("PHX104", message, help_ or _ONE_UNIT, offer, safety, note=note)


def _spelled(literal: Operand) -> str:
    value = literal.literal
    assert value is not None
    for size, name in ((86_400_000, "day"), (3_600_000, "hour"), (60_000, "minute"), (1_000, "second")):
        if value and value % size == 0:
            count = value / size
            return f"{count} {name}{'' if count == 1 else 's'}"
    return f"{float(value):g} milliseconds"


def mismatch(a: Operand, b: Operand) -> Refusal:
    """The refusal of two values of different kinds."""
    message = f"`{a.text}` is {describe(a)}, `{b.text}` is {describe(b)}"
    if a.kind is Kind.ENUM and b.kind is Kind.ENUM:
        return Refusal("PHX106", message, "they have different values: compare each with a word of its own")
    code = "PHX104" if a.kind in NUMERIC and b.kind in NUMERIC else "PHX106"
    constant = next((x for x, y in ((a, b), (b, a)) if x.kind in _WRITTEN and isinstance(y.core, Const)), None)
    return Refusal(code, message, _WRITTEN[constant.kind] if constant and constant.kind else _ONE_UNIT)


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
    if max(abs(lo), abs(hi)) >= INT64_MAX:
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
    return Refusal("PHX110", f"`{text}` could leave 64 bits", "use fewer decimals or a smaller factor")


def unreal(text: str) -> Refusal:
    """The refusal of a literal too large or too small for arithmetic on doubles."""
    return Refusal("PHX110", f"`{text}` is too large or too small to compute with",
                   "sizes from 1e-12 to 1e15 are fine, and zero")  # fmt: skip


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


def inexact(double: Operand, exact: Operand, text: str) -> Refusal:
    """The refusal to multiply or divide what is kept exact by a double."""
    return Refusal("PHX113", f"`{text}` makes `{exact.text}` inexact: `{double.text}` is {describe(double)}",
                   "compare each by itself, or use a literal factor")  # fmt: skip


def unit(operand: Operand) -> str:
    """What an operand counts in, for labels."""
    if operand.literal is not None:
        return describe(operand)
    counted = {Kind.MONEY: "money in dollars", Kind.PERCENT: "a percentage in points"}
    return counted.get(operand.kind or Kind.BOOL) or describe(operand)


def reach(operand: Operand) -> str:
    """The declared range of a field or param, for labels: ``money, $0 to $100,000``."""
    lo, hi = operand.limits or (operand.lo, operand.hi)
    return f"{describe(operand)}, {_shown(lo, operand)} to {_shown(hi, operand)}"


def _shown(bound: float, operand: Operand) -> str:
    match operand.kind:
        case Kind.MONEY:
            dollars = Fraction(bound) / 10**operand.scale
            return f"${int(dollars):,}" if dollars.denominator == 1 else f"${float(dollars):,.4f}".rstrip("0")
        case Kind.DATE:
            day = int(bound)
            return f"{day // 10_000}-{day // 100 % 100:02d}-{day % 100:02d}"
        case Kind.TIME:
            minutes = int(bound) // 60_000
            return f"{minutes // 60:02d}:{minutes % 60:02d} ET"
        case Kind.TS:
            return date.fromordinal(int(bound) // 86_400_000 + 719_163).isoformat()
        case Kind.DURATION:
            return f"{int(bound):,}ms"
        case Kind.PERCENT:
            return f"{bound:,.15g}%"
        case _:
            return f"{bound:,.15g}" if isinstance(bound, float) else f"{bound:,}"
