"""The numeric rules: which units may meet, at which scale, within which bounds."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from itertools import product
from typing import Literal, Protocol

from phenix.dsl.core import Abs, Arith, Coalesce, Const, Core, Divide, Extreme, Negate
from phenix.dsl.operand import (
    EXACT,
    MAX_FACTORS,
    NUMERIC,
    REAL,
    Operand,
    Refusal,
    as_real,
    decimal_digits,
    describe,
    holds_real,
    literal_as,
    overflow,
    rescale,
    shared_unit,
    unreal,
)
from phenix.dsl.source import Span
from phenix.dsl.types import INT64_MAX, Kind

__all__ = ["Arithmetic", "Report"]


class Report(Protocol):
    """Takes a refusal at a place, with the other side to label."""

    def __call__(self, refusal: Refusal, span: Span, other: Operand | None = None) -> None: ...


class Arithmetic:
    """Combines operands; what is not allowed goes to ``report`` and gives None."""

    def __init__(self, report: Report) -> None:
        self._report = report

    def unify(self, a: Operand, b: Operand) -> tuple[Operand, Operand] | None:
        """Two operands in one form, so that they can be compared, added or chosen between."""
        if a.literal is not None and b.literal is None:
            turned = self.unify(b, a)
            return (turned[1], turned[0]) if turned else None
        if b.literal is not None:
            fitted = literal_as(b, a)
            if isinstance(fitted, Refusal):
                self._report(fitted, b.span, a)
                return None
            b = fitted
        if a.kind in EXACT and b.kind in EXACT and a.kind is b.kind:
            scale = max(a.scale, b.scale)
            x, y = self._at(a, scale), self._at(b, scale)
            return (x, y) if x and y else None
        if {a.kind, b.kind} == {Kind.INT, Kind.RATIO}:
            return as_real(a), as_real(b)
        if a.kind is b.kind or {a.kind, b.kind} == {Kind.TEXT, Kind.SYMBOL}:
            return a, b
        code = "PHX104" if a.kind in NUMERIC and b.kind in NUMERIC else "PHX106"
        self._report(Refusal(code, f"`{a.text}` is {describe(a)}, `{b.text}` is {describe(b)}",
                             "compare values of one unit"), b.span, a)  # fmt: skip
        return None

    def _at(self, operand: Operand, scale: int) -> Operand | None:
        scaled = rescale(operand, scale)
        if isinstance(scaled, Refusal):
            self._report(scaled, operand.span)
            return None
        return scaled

    def apply(self, op: str, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        """``+ - * /`` and ``??``."""
        if op == "??":
            return self.coalesce(a, b, span, text)
        for side in (a, b):
            if side.literal is None and side.kind not in NUMERIC:
                self._report(Refusal("PHX106", f"`{op}` needs numbers, `{side.text}` is {describe(side)}"), side.span)
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

    def _fold(self, op: str, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        x, y = a.literal, b.literal
        assert x is not None and y is not None
        if op in "+-":
            if (shared := shared_unit(a, b)) is None:
                self._report(Refusal("PHX104", f"`{a.text}` is {describe(a)}, `{b.text}` is {describe(b)}"), b.span, a)
                return None
            return Operand(span, None, literal=x + y if op == "+" else x - y, unit=shared)
        if a.unit and b.unit and "%" not in (a.unit, b.unit):
            self._report(Refusal("PHX104", f"`{text}` multiplies or divides two units"), span)
            return None
        if a.unit == "%":
            x /= 100
        if b.unit == "%":
            y /= 100
        unit = a.unit.replace("%", "") or b.unit.replace("%", "")
        if op == "/":
            if y == 0:
                self._report(Refusal("PHX005", "a literal division by zero"), b.span)
                return None
            if b.unit not in ("", "%"):
                self._report(Refusal("PHX104", f"`{b.text}` is {describe(b)}, it cannot divide a number"), b.span)
                return None
            return Operand(span, None, literal=x / y, unit=unit)
        return Operand(span, None, literal=x * y, unit=unit)

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
        if max(abs(lo), abs(hi)) > INT64_MAX:
            self._report(overflow(text), span)
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
            if b.unit not in ("", "%"):
                self._report(Refusal("PHX104", f"`{b.text}` is {describe(b)}, a factor is a plain number"), b.span, a)
                return None
            if a.kind in REAL:
                if not holds_real(factor):
                    self._report(unreal(b.text), b.span)
                    return None
                other = Const(Kind.RATIO, float(factor))
                node = Arith("*", other, a.node) if swapped else Arith("*", a.node, other)
                return self._finite(replace(a, core=node, factors=a.factors + 1), span, text)
            digits = decimal_digits(factor)
            if digits is None or digits > 12:
                self._report(Refusal("PHX113", f"`{b.text}` does not end within 12 decimals"), b.span)
                return None
            number = int(factor * 10**digits)
            b = Operand(b.span, Kind.INT, Const(Kind.INT, number), digits, number, number)
        if Kind.MONEY in (a.kind, b.kind) and (a.kind in REAL or b.kind in REAL):
            side = a if a.kind in REAL else b
            self._report(Refusal("PHX113", f"`{side.text}` is {describe(side)}, a double: money stays exact",
                                 "divide money by money for a ratio, or use a literal factor"), span)  # fmt: skip
            return None
        if a.exact and b.exact:
            return self._exact_product(a, b, span, text)
        if a.kind is Kind.PERCENT and b.kind is Kind.PERCENT:
            self._report(Refusal("PHX104", f"`{text}` multiplies two percentages"), span)
            return None
        kind = Kind.PERCENT if Kind.PERCENT in (a.kind, b.kind) else Kind.RATIO
        x, y = as_real(a), as_real(b)
        made = replace(x, kind=kind, core=Arith("*", x.node, y.node), scale=0, factors=x.factors + y.factors)
        return self._finite(made, span, text)

    def _finite(self, made: Operand, span: Span, text: str) -> Operand | None:
        if made.factors > MAX_FACTORS:
            self._report(Refusal("PHX110", f"`{text}` multiplies or divides {made.factors} doubles",
                                 f"{MAX_FACTORS} are allowed, so that no result leaves the doubles"), span)  # fmt: skip
            return None
        return made

    def _exact_product(self, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        if Kind.INT not in (a.kind, b.kind):
            self._report(Refusal("PHX104", f"`{text}` multiplies {describe(a)} by {describe(b)}"), span)
            return None
        kind = a.kind if a.kind is not Kind.INT else b.kind
        corners = [x * y for x, y in product((a.lo, a.hi), (b.lo, b.hi))]
        node = a.node if isinstance(b.node, Const) and b.node.value == 1 else Arith("*", a.node, b.node)
        return self._bounded(replace(a, kind=kind, core=node, scale=a.scale + b.scale), min(corners), max(corners),
                             span, text)  # fmt: skip

    # -- quotients

    def _divide(self, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        if b.literal is not None and a.kind is Kind.MONEY and b.unit in ("", "%"):
            divisor = b.literal / 100 if b.unit == "%" else b.literal
            if divisor != 0 and decimal_digits(1 / divisor) is not None:
                return self._multiply(a, replace(b, literal=1 / divisor, unit=""), span, text)
        if Kind.MONEY in (a.kind, b.kind) or "$" in (a.unit, b.unit):
            dollars = all(side.kind is Kind.MONEY or side.unit == "$" for side in (a, b))
            pair = self.unify(a, b) if dollars else None
            if pair is None:
                if a.kind is Kind.MONEY and not dollars:
                    self._report(Refusal("PHX113", f"`{text}` is not exact money",
                                         "compare products instead: `value >= 3 * x`"), span)  # fmt: skip
                elif not dollars:
                    self._report(Refusal("PHX104", f"`{a.text}` is {describe(a)}, `{b.text}` is {describe(b)}"), span)
                return None
            a, b = pair
            # One scale on both sides: it cancels.
            top, bottom = as_real(replace(a, scale=0)), as_real(replace(b, scale=0))
            return Operand(span, Kind.RATIO, Divide(top.node, bottom.node), factors=2)
        x, y = self._factor(a, b), self._factor(b, a)
        if x is None or y is None:
            return None
        if x.kind is Kind.PERCENT and y.kind is Kind.PERCENT:
            kind = Kind.RATIO
        elif y.kind is Kind.PERCENT:
            self._report(Refusal("PHX104", f"`{a.text}` is {describe(a)}, `{b.text}` is a percentage"), span)
            return None
        else:
            kind = Kind.PERCENT if x.kind is Kind.PERCENT else Kind.RATIO
        top, bottom = as_real(x), as_real(y)
        made = Operand(span, kind, Divide(top.node, bottom.node), factors=top.factors + bottom.factors)
        return self._finite(made, span, text)

    def _factor(self, side: Operand, other: Operand) -> Operand | None:
        if side.literal is None:
            return side
        if side.unit not in ("", "%"):
            self._report(Refusal("PHX104", f"`{side.text}` is {describe(side)}, a plain number is needed"), side.span)
            return None
        if side.unit == "%" and other.kind is Kind.PERCENT:
            return Operand(side.span, Kind.PERCENT, Const(Kind.PERCENT, float(side.literal)), text=side.text)
        number = side.literal / 100 if side.unit == "%" else side.literal
        if not holds_real(number):
            self._report(unreal(side.text), side.span)
            return None
        return Operand(side.span, Kind.RATIO, Const(Kind.RATIO, float(number)), text=side.text)

    # -- functions

    def negate(self, a: Operand, span: Span, text: str) -> Operand | None:
        """``-x``."""
        if a.literal is not None:
            return replace(a, span=span, literal=-a.literal, text=text)
        if a.kind not in NUMERIC:
            self._report(Refusal("PHX106", f"`-` needs a number, `{a.text}` is {describe(a)}"), span)
            return None
        return replace(a, span=span, core=Negate(a.node), lo=-a.hi, hi=-a.lo, text=text)

    def coalesce(self, a: Operand, b: Operand, span: Span, text: str) -> Operand | None:
        """``a ?? b``."""
        if a.literal is not None:
            self._report(Refusal("PHX106", f"`{a.text}` is never unknown", "put a field on the left of `??`"), a.span)
            return None
        pair = self.unify(a, b)
        if pair is None:
            return None
        a, b = pair
        node = Coalesce(a.node, b.node)
        factors = max(a.factors, b.factors)
        return replace(a, span=span, core=node, lo=min(a.lo, b.lo), hi=max(a.hi, b.hi), text=text, factors=factors)

    def call(self, name: str, args: list[Operand], span: Span, text: str) -> Operand | None:
        """A function of the table; the number of arguments has been checked."""
        if name == "coalesce":
            return self.coalesce(args[0], args[1], span, text)
        for arg in args:
            if arg.literal is None and arg.kind not in NUMERIC:
                self._report(Refusal("PHX106", f"`{name}` needs numbers, `{arg.text}` is {describe(arg)}"), arg.span)
                return None
        table: dict[str, Callable[[list[Operand]], Operand | None]] = {
            "abs": self._abs,
            "min": lambda a: self._extreme("min", a),
            "max": lambda a: self._extreme("max", a),
            "clamp": self._clamp,
            "tent": self._tent,
        }
        result = table[name](args)
        return replace(result, span=span, text=text) if result is not None else None

    def _abs(self, args: list[Operand]) -> Operand | None:
        (a,) = args
        if a.literal is not None:
            return replace(a, literal=abs(a.literal))
        lo = 0 if a.lo <= 0 <= a.hi else min(abs(a.lo), abs(a.hi))
        return replace(a, core=Abs(a.node), lo=lo, hi=max(abs(a.lo), abs(a.hi)))

    def _extreme(self, op: Literal["min", "max"], args: Sequence[Operand]) -> Operand | None:
        formed = next((a for a in args if a.literal is None), None)
        choose = min if op == "min" else max
        if formed is None:
            literals = [a.literal for a in args if a.literal is not None]
            units = {a.unit for a in args}
            if len(units) > 1 and units != {"", "$"}:
                self._report(Refusal("PHX104", "the arguments have different units"), args[-1].span, args[0])
                return None
            return replace(args[0], literal=choose(literals), unit="$" if "$" in units else args[0].unit)
        alike: list[Operand] = []
        for arg in args:
            pair = self.unify(formed, arg)
            if pair is None:
                return None
            alike.append(pair[1])
            formed = pair[0]
        if formed.exact:
            scale = max(a.scale for a in alike)
            scaled = [self._at(a, scale) for a in alike]
            if any(s is None for s in scaled):
                return None
            alike = [s for s in scaled if s is not None]
        elif any(a.kind is not alike[0].kind for a in alike):
            alike = [as_real(a) for a in alike]
        nodes: tuple[Core, ...] = tuple(a.node for a in alike)
        lo, hi = choose(a.lo for a in alike), choose(a.hi for a in alike)
        return replace(alike[0], core=Extreme(op, nodes), lo=lo, hi=hi, factors=max(a.factors for a in alike))

    def _clamp(self, args: list[Operand]) -> Operand | None:
        x, lo, hi = args
        below = self._extreme("min", (x, hi))
        return self._extreme("max", (lo, below)) if below is not None else None

    def _tent(self, args: list[Operand]) -> Operand | None:
        """``max(0, min((x - a) / (b - a), (c - x) / (c - b)))`` in doubles."""
        x, *corners = args
        if x.literal is not None or any(p.literal is None for p in corners):
            self._report(Refusal("PHX109", "`tent` takes a field and three literals", "write `tent(x, 0, 10, 30)`"),
                         x.span)  # fmt: skip
            return None
        if x.kind is Kind.MONEY or x.kind is Kind.DURATION:
            self._report(Refusal("PHX104", f"`tent` reads a ratio, percent or count, `{x.text}` is {describe(x)}"),
                         x.span)  # fmt: skip
            return None
        fitted: list[Fraction] = []
        for p in corners:
            assert p.literal is not None
            if p.unit not in (("", "%") if x.kind is Kind.PERCENT else ("",)):
                self._report(Refusal("PHX104", f"`{p.text}` is {describe(p)}, `{x.text}` is {describe(x)}"), p.span, x)
                return None
            if not holds_real(p.literal):
                self._report(unreal(p.text), p.span)
                return None
            fitted.append(p.literal)
        a, b, c = fitted
        if not a < b < c:
            self._report(Refusal("PHX109", "the corners of `tent` must rise", "write them as a < b < c"),
                         corners[0].span)  # fmt: skip
            return None
        node = as_real(x).node

        def real(value: Fraction) -> Const:
            return Const(Kind.RATIO, float(value))

        up = Divide(Arith("-", node, real(a)), real(b - a))
        down = Divide(Arith("-", real(c), node), real(c - b))
        tent = Extreme("max", (real(Fraction(0)), Extreme("min", (up, down))))
        return self._finite(Operand(x.span, Kind.RATIO, tent, factors=x.factors + 1), x.span, "tent")
