"""The numeric rules: which units may meet, at which scale, within which bounds."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Final, Protocol

from phenix.dsl.core import Arith, Coalesce, Const, Divide, Negate
from phenix.dsl.operand import (
    EXACT,
    MAX_FACTORS,
    NUMERIC,
    Operand,
    Refusal,
    as_real,
    decimal_digits,
    describe,
    holds_real,
    inexact,
    literal_as,
    mismatch,
    overflow,
    rescale,
    shared_unit,
    unreal,
)
from phenix.dsl.source import Span
from phenix.dsl.types import INT64_MAX, REAL, Kind

__all__ = ["SIZED", "Arithmetic", "Report"]


SIZED: Final = {Kind.MONEY: "$", Kind.DURATION: "s"}
"""Kinds with a unit that are kept exact, and the unit of their literals."""
_NO_ARITHMETIC: Final = {
    Kind.BOOL: "conditions are joined with `and`, `or` and `not`",
    Kind.DATE: "dates and times are compared, not computed with",
    Kind.TIME: "dates and times are compared, not computed with",
    Kind.TS: "dates and times are compared, not computed with",
}


class Report(Protocol):
    """Takes a refusal at a place, with the other side to label."""

    def __call__(self, refusal: Refusal, span: Span, other: Operand | None = None) -> None: ...


class Arithmetic:
    """Combines operands; what is not allowed goes to ``report`` and gives None."""

    def __init__(self, report: Report) -> None:
        self.report = report

    def unify(self, a: Operand, b: Operand) -> tuple[Operand, Operand] | None:
        """Two operands in one form, so that they can be compared, added or chosen between."""
        if a.literal is not None and b.literal is None:
            turned = self.unify(b, a)
            return (turned[1], turned[0]) if turned else None
        if b.literal is not None:
            fitted = literal_as(b, a)
            if isinstance(fitted, Refusal):
                self.report(fitted, b.span, a)
                return None
            b = fitted
        if a.kind in EXACT and b.kind in EXACT and a.kind is b.kind:
            scale = max(a.scale, b.scale)
            x, y = self.at(a, scale), self.at(b, scale)
            return (x, y) if x and y else None
        if {a.kind, b.kind} == {Kind.INT, Kind.RATIO}:
            return as_real(a), as_real(b)
        if (a.kind is b.kind and a.members == b.members) or {a.kind, b.kind} == {Kind.TEXT, Kind.SYMBOL}:
            return a, b
        self.report(mismatch(a, b), b.span, a)
        return None

    def at(self, operand: Operand, scale: int) -> Operand | None:
        """The exact operand at a finer scale, if its bounds stay within 64 bits there."""
        scaled = rescale(operand, scale)
        if isinstance(scaled, Refusal):
            self.report(scaled, operand.span)
            return None
        return scaled

    def apply(self, op: str, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        """``+ - * /`` and ``??``."""
        if op == "??":
            return self.coalesce(a, b, span, text)
        for side in (a, b):
            if not self.number(op, side):
                return None
        result: Operand | None
        if a.literal is not None and b.literal is not None:
            result = self._fold(op, a, b, span, text)
        elif op in "+-":
            result = self._add(op, a, b, span, text)
        elif op == "*":
            result = self._multiply(a, b, span, text)
        else:
            result = self._divide(a, b, span, text)
        return replace(result, span=span, text=text) if result is not None else None

    # -- literals only: exact fractions, converted once on meeting a field

    def number(self, what: str, side: Operand) -> bool:
        """Whether ``what`` can compute with it; reported when it cannot."""
        if side.literal is not None or side.kind in NUMERIC:
            return True
        message = f"`{what}` needs numbers, `{side.text}` is {describe(side)}"
        self.report(Refusal("PHX106", message, _NO_ARITHMETIC.get(side.kind or Kind.BOOL, "")), side.span)
        return False

    def _fold(self, op: str, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        x, y = a.literal, b.literal
        assert x is not None and y is not None
        if op in "+-":
            if (shared := shared_unit(a, b)) is None:
                self.report(Refusal("PHX104", f"`{a.text}` is {describe(a)}, `{b.text}` is {describe(b)}"), b.span, a)
                return None
            return Operand(span, None, literal=x + y if op == "+" else x - y, unit=shared)
        if a.unit and b.unit and "%" not in (a.unit, b.unit) and not (op == "/" and a.unit == b.unit):
            self.report(Refusal("PHX104", f"`{text}` multiplies or divides two units"), span)
            return None
        if op == "/" and y == 0:
            self._by_zero(b, text)
            return None
        if op == "/" and b.unit in SIZED.values() and a.unit != b.unit:
            self.report(Refusal("PHX104", f"`{b.text}` is {describe(b)}, it cannot divide {describe(a)}"), b.span, a)
            return None
        units = {a.unit, b.unit} - {"", "%"}
        if op == "/":
            # Of two alike the unit cancels; a percentage divided by a number stays one.
            if a.unit == b.unit:
                return Operand(span, None, literal=x / y)
            return Operand(span, None, literal=x / y * (100 if b.unit == "%" else 1), unit="".join(units) or a.unit)
        if units:
            return Operand(span, None, literal=x * y / (100 if "%" in (a.unit, b.unit) else 1), unit="".join(units))
        # `5% * 2` is 10%, and 5% of 5% is a quarter of one.
        return Operand(span, None, literal=x * y / (100 if a.unit == b.unit == "%" else 1), unit=a.unit or b.unit)

    def _by_zero(self, b: Operand, text: str) -> None:
        self.report(Refusal("PHX005", f"`{text}` divides by zero", "write another divisor"), b.span)

    # -- sums

    def _add(self, op: str, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        pair = self.unify(a, b)
        if pair is None:
            return None
        a, b = pair
        node = Arith(op, a.node, b.node)  # type: ignore[arg-type]
        if not a.exact:
            return replace(a, core=node, factors=max(a.factors, b.factors))
        lo, hi = (a.lo + b.lo, a.hi + b.hi) if op == "+" else (a.lo - b.hi, a.hi - b.lo)
        return self._bounded(replace(a, core=node), lo, hi, span, text)

    def _bounded(self, operand: Operand, lo: int, hi: int, span: Span, text: str) -> Operand | None:
        if max(abs(lo), abs(hi)) >= INT64_MAX:
            self.report(overflow(text), span)
            return None
        return replace(operand, lo=lo, hi=hi)

    # -- products

    def _multiply(self, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        if a.literal is not None:
            a, b = b, a
            swapped = True
        else:
            swapped = False
        if b.literal is not None:
            factor = b.literal / 100 if b.unit == "%" else b.literal
            if b.unit in SIZED.values() and a.kind is Kind.INT:
                return self._times(a, b, span, text)
            if b.unit not in ("", "%"):
                self.report(Refusal("PHX104", f"`{b.text}` is {describe(b)}, a factor is a plain number"), b.span, a)
                return None
            if a.kind in REAL:
                if not holds_real(factor):
                    self.report(unreal(b.text), b.span)
                    return None
                other = Const(Kind.RATIO, float(factor))
                node = Arith("*", other, a.node) if swapped else Arith("*", a.node, other)
                return self.finite(replace(a, core=node, factors=a.factors + 1), span, text)
            return self._times(a, replace(b, literal=factor, unit=""), span, text)
        for exact, side in ((a, b), (b, a)):
            if exact.kind in SIZED and side.kind in REAL:
                self.report(inexact(side, exact, text), side.span, exact)
                return None
        if a.exact and b.exact:
            return self._exact_product(a, b, span, text)
        if a.kind is Kind.PERCENT and b.kind is Kind.PERCENT:
            self.report(Refusal("PHX104", f"`{text}` multiplies two percentages, which are in points",
                                 "compare each by itself, or use a literal factor"), span)  # fmt: skip
            return None
        kind = Kind.PERCENT if Kind.PERCENT in (a.kind, b.kind) else Kind.RATIO
        x, y = as_real(a), as_real(b)
        made = replace(x, kind=kind, core=Arith("*", x.node, y.node), scale=0, factors=x.factors + y.factors)
        return self.finite(made, span, text)

    def _times(self, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        """An exact operand by a literal: a plain number, or one with a unit where the operand counts."""
        kind = {"$": Kind.MONEY, "s": Kind.DURATION}.get(b.unit, Kind.INT)
        fitted = literal_as(b, Operand(b.span, kind))
        if isinstance(fitted, Refusal):
            self.report(fitted, b.span)
            return None
        return self._exact_product(a, fitted, span, text)

    def finite(self, made: Operand, span: Span, text: str) -> Operand | None:
        """The double, unless it was made of too many to stay finite."""
        if made.factors > MAX_FACTORS:
            message = f"`{text}` multiplies or divides {made.factors} ratios"
            help_ = f"{MAX_FACTORS} are allowed, so that no result grows beyond a double"
            self.report(Refusal("PHX110", message, help_), span)
            return None
        return made

    def _exact_product(self, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        if Kind.INT not in (a.kind, b.kind):
            self.report(Refusal("PHX104", f"`{text}` multiplies {describe(a)} by {describe(b)}",
                                 "multiply by a count or a literal"), span)  # fmt: skip
            return None
        kind = a.kind if a.kind is not Kind.INT else b.kind
        corners = [x * y for x, y in product((a.lo, a.hi), (b.lo, b.hi))]
        node = Arith("*", a.node, b.node)
        return self._bounded(replace(a, kind=kind, core=node, scale=a.scale + b.scale), min(corners), max(corners),
                             span, text)  # fmt: skip

    # -- quotients

    def _divide(self, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        if a.kind in SIZED and b.literal is not None and b.unit in ("", "%"):
            divisor = b.literal / 100 if b.unit == "%" else b.literal
            if divisor == 0:
                self._by_zero(b, text)
                return None
            if decimal_digits(1 / divisor) is not None:
                return self._multiply(a, replace(b, literal=1 / divisor, unit=""), span, text)
        if b.literal == 0:
            self.report(Refusal("PHX202", f"`{text}` is always unknown: it divides by zero"), b.span)
        top, bottom = self._sized(a), self._sized(b)
        if top is not bottom:
            self._uneven(a, b, top, bottom, span, text)
            return None
        if top is not None:
            pair = self.unify(a, b)
            if pair is None:
                return None
            # One scale on both sides: it cancels.
            x, y = (as_real(replace(side, scale=0)) for side in pair)
            return Operand(span, Kind.RATIO, Divide(x.node, y.node), factors=2)
        return self._quotient(a, b, span, text)

    def _sized(self, side: Operand) -> Kind | None:
        return next((kind for kind, unit in SIZED.items() if side.kind is kind or side.unit == unit), None)

    def _uneven(self, a: Operand, b: Operand, top: Kind | None, bottom: Kind | None, span: Span, text: str) -> None:
        if top is not None and b.kind in REAL:
            self.report(inexact(b, a, text), b.span, a)
            return
        if top is not None and bottom is None:
            message = f"`{text}` is not exact: `{a.text}` is {describe(a)}, kept in whole units"
            help_ = f"compare products instead, `{a.text} >= 3 * …`"
            self.report(Refusal("PHX113", message, help_), span)
            return
        refusal = Refusal("PHX104", f"`{a.text}` is {describe(a)}, `{b.text}` is {describe(b)}, which cannot divide it")
        if bottom is Kind.MONEY and a.literal is not None and a.unit == "" and a.text[:1].isdigit():
            refusal = replace(refusal, help=f"write `${a.text}` for dollars", offer=f"${a.text}", over=a.span)
        self.report(refusal, b.span, a)

    def _quotient(self, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        x, y = self._factor(a, b), self._factor(b, a)
        if x is None or y is None:
            return None
        if x.kind is Kind.PERCENT and y.kind is Kind.PERCENT:
            kind = Kind.RATIO
        elif y.kind is Kind.PERCENT:
            self.report(Refusal("PHX104", f"`{a.text}` is {describe(a)}, `{b.text}` is a percentage in points",
                                 "divide by a number, or a percentage by a percentage"), b.span, a)  # fmt: skip
            return None
        else:
            kind = Kind.PERCENT if x.kind is Kind.PERCENT else Kind.RATIO
        top, bottom = as_real(x), as_real(y)
        made = Operand(span, kind, Divide(top.node, bottom.node), factors=top.factors + bottom.factors)
        return self.finite(made, span, text)

    def _factor(self, side: Operand, other: Operand) -> Operand | None:
        if side.literal is None:
            return side
        if side.unit == "%" and other.kind is Kind.PERCENT:
            return Operand(side.span, Kind.PERCENT, Const(Kind.PERCENT, float(side.literal)), text=side.text)
        number = side.literal / 100 if side.unit == "%" else side.literal
        if not holds_real(number):
            self.report(unreal(side.text), side.span)
            return None
        return Operand(side.span, Kind.RATIO, Const(Kind.RATIO, float(number)), text=side.text)

    # -- one operand, or the first known

    def negate(self, a: Operand, span: Span, text: str) -> Operand | None:
        """``-x``."""
        if a.literal is not None:
            return replace(a, span=span, literal=-a.literal, text=text)
        if not self.number("-", a):
            return None
        return replace(a, span=span, core=Negate(a.node), lo=-a.hi, hi=-a.lo, text=text)

    def coalesce(self, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        """``a ?? b``."""
        if a.literal is not None:
            self.report(Refusal("PHX106", f"`{a.text}` is never unknown, so `??` has nothing to fill in",
                                 "put a field on the left of `??`"), a.span)  # fmt: skip
            return None
        if a.kind is Kind.BOOL:
            self.report(
                Refusal(
                    "PHX106",
                    f"`??` fills in values, `{a.text}` is true or false",
                    f"write `{a.text} is true`, or `{a.text} is not false` to take unknown in",
                ),
                a.span,
            )
            return None
        pair = self.unify(a, b)
        if pair is None:
            return None
        a, b = pair
        node = Coalesce(a.node, b.node)
        factors = max(a.factors, b.factors)
        return replace(a, span=span, core=node, lo=min(a.lo, b.lo), hi=max(a.hi, b.hi), text=text, factors=factors)
