"""The functions of the language: what each takes, and the core nodes it becomes."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Literal

from phenix.dsl.arithmetic import SIZED, Arithmetic
from phenix.dsl.core import Abs, Arith, Const, Core, Divide, Extreme
from phenix.dsl.operand import Operand, Refusal, amount, as_real, describe, holds_real, misfit, unreal
from phenix.dsl.source import Span
from phenix.dsl.types import Kind

__all__ = ["Calls"]


class Calls:
    """Function calls over the operands of one :class:`Arithmetic`, reported there."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        self._arithmetic = arithmetic

    def call(self, name: str, args: list[Operand], span: Span, text: str) -> Operand | None:
        """A function of the table; the number of arguments has been checked."""
        if name == "coalesce":
            return self._arithmetic.coalesce(args[0], args[1], span, text)
        for arg in args:
            if not self._arithmetic.number(name, arg):
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
                first = args[0]
                other = next(a for a in args if a.unit != first.unit)
                message = (
                    f"`{op}` needs one unit: `{first.text}` is {describe(first)}, `{other.text}` {describe(other)}"
                )
                self._arithmetic.report(Refusal("PHX104", message), other.span, first)
                return None
            return replace(args[0], literal=choose(literals), unit="$" if "$" in units else args[0].unit)
        alike: list[Operand] = []
        for arg in args:
            pair = self._arithmetic.unify(formed, arg)
            if pair is None:
                return None
            alike.append(pair[1])
            formed = pair[0]
        if formed.exact:
            scale = max(a.scale for a in alike)
            scaled = [self._arithmetic.at(a, scale) for a in alike]
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
        ends = [end for end in (lo, hi) if end.literal is not None]
        alike = lo.unit == hi.unit if x.literal is not None else all(misfit(end, x) is None for end in ends)
        if len(ends) == 2 and alike and amount(lo, x) > amount(hi, x):
            message = f"`clamp` between `{lo.text}` and `{hi.text}` always gives `{lo.text}`: the ends are reversed"
            over = Span(lo.span.start, hi.span.end)
            self._arithmetic.report(Refusal("PHX204", message, offer=f"{hi.text}, {lo.text}"), over)
        below = self._extreme("min", (x, hi))
        return self._extreme("max", (lo, below)) if below is not None else None

    def _tent(self, args: list[Operand]) -> Operand | None:
        """``max(0, min((x - a) / (b - a), (c - x) / (c - b)))`` in doubles."""
        x, *corners = args
        if x.literal is not None or any(p.literal is None for p in corners):
            refusal = Refusal("PHX109", "`tent` takes a field and three literals", "write `tent(x, 0, 10, 30)`")
            self._arithmetic.report(refusal, x.span)
            return None
        if x.kind in SIZED:
            message = f"`tent` reads a ratio, percent or count, `{x.text}` is {describe(x)}"
            self._arithmetic.report(Refusal("PHX104", message, "divide it by one of its kind first"), x.span)
            return None
        fitted: list[Fraction] = []
        for p in corners:
            if (wrong := misfit(p, x)) is not None:
                self._arithmetic.report(wrong, p.span, x)
                return None
            corner = amount(p, x)
            if not holds_real(corner):
                self._arithmetic.report(unreal(p.text), p.span)
                return None
            fitted.append(corner)
        a, b, c = fitted
        if not a < b < c:
            self._arithmetic.report(Refusal("PHX109", "the corners of `tent` must rise", "write them as a < b < c"),
                         Span(corners[0].span.start, corners[-1].span.end))  # fmt: skip
            return None
        node = as_real(x).node

        def real(value: Fraction) -> Const:
            return Const(Kind.RATIO, float(value))

        up = Divide(Arith("-", node, real(a)), real(b - a))
        down = Divide(Arith("-", real(c), node), real(c - b))
        tent = Extreme("max", (real(Fraction(0)), Extreme("min", (up, down))))
        return self._arithmetic.finite(Operand(x.span, Kind.RATIO, tent, factors=x.factors + 1), x.span, "tent")
