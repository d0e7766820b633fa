"""Comparisons: what has an order, and how a literal takes the column's exact type."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Final, cast

from phenix.dsl.arithmetic import Arithmetic
from phenix.dsl.core import Compare, Const, Core, nowhere
from phenix.dsl.operand import (
    Operand,
    Refusal,
    amount,
    describe,
    holds,
    holds_real,
    is_plain,
    literal_as,
    misfit,
    shared_unit,
)
from phenix.dsl.source import Span
from phenix.dsl.types import INT64_MAX, REAL, UNORDERED, Kind

__all__ = ["Comparison", "value_within"]

_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<="}


class Comparison:
    """Compares operands; what is wrong or decided beforehand goes to the report of its :class:`Arithmetic`."""

    def __init__(self, arithmetic: Arithmetic) -> None:
        self._arithmetic, self._report = arithmetic, arithmetic.report

    def ordered(self, a: Operand, op: str) -> bool:
        """Whether ``a`` has an order, which ``op`` needs; reported when not."""
        if a.kind not in UNORDERED or op in ("=", "!="):
            return True
        message = f"`{a.text}` is {describe(a)}, which has no order: `{op}` needs one"
        help_ = f"ask `{a.text}` or `not {a.text}`" if a.kind is Kind.BOOL else "use `=`, `!=` or `in {…}`"
        self._report(Refusal("PHX106", message, help_), a.span)
        return False

    def compare(self, a: Operand, op: str, b: Operand) -> Core | None:
        """A comparison of two checked values; None when it was refused."""
        if a.literal is not None and b.literal is not None:
            return self._literals(a, op, b)
        if a.literal is not None:
            return self.compare(b, _FLIPPED.get(op, op), a)
        if not self.ordered(a, op):
            return None
        if b.literal is not None:
            return self._against_literal(a, op, b)
        pair = self._arithmetic.unify(a, b)
        if pair is None:
            return None
        for x, by, y in ((a, op, b), (b, _FLIPPED.get(op, op), a)):
            if isinstance(y.core, Const) and x.limits is not None and is_plain(x):
                always = _decided(by, Fraction(cast("int", y.core.value)), *x.limits)
                if always is not None:
                    return self._always(x, by, y, by, cast("int", y.core.value), always)
        return Compare(op, pair[0].node, pair[1].node)  # type: ignore[arg-type]

    def _literals(self, a: Operand, op: str, b: Operand) -> Core | None:
        assert a.literal is not None and b.literal is not None
        if shared_unit(a, b) is None:
            self._report(Refusal("PHX104", f"`{a.text}` is {describe(a)}, `{b.text}` is {describe(b)}"), b.span, a)
            return None
        answer = holds(a.literal, op, b.literal)
        message = f"`{a.text} {op} {b.text}` compares two literals: it is always {str(answer).lower()}"
        self._report(Refusal("PHX202", message, "compare a field with one of them"), _over(a, b))
        sign = (a.literal > b.literal) - (a.literal < b.literal)
        return Compare(op, Const(Kind.INT, sign), Const(Kind.INT, 0))  # type: ignore[arg-type]

    def _against_literal(self, a: Operand, op: str, b: Operand) -> Core | None:
        assert b.literal is not None
        if a.kind is Kind.BOOL:
            self._report(_truth(a, op, b), b.span, a)
            return None
        if (refusal := misfit(b, a)) is not None:
            self._report(refusal, b.span, a)
            return None
        if a.kind in REAL:
            value = amount(b, a)
            if is_plain(a) and a.limits is not None and (always := _decided(op, value, *a.limits)) is not None:
                lo, hi = a.limits
                far = nowhere(a.kind)
                return self._always(a, op, b, op, far if value < lo else -far if value > hi else float(value), always)
            fitted = literal_as(b, a)
            if isinstance(fitted, Refusal):
                self._report(fitted, b.span, a)
                return None
            return Compare(op, a.node, fitted.node)  # type: ignore[arg-type]
        # The literal follows the column: `dte <= 14.5` is `dte <= 14`, `dte < 14.5` is `dte < 15`.
        exact = b.literal * 10**a.scale
        always = _decided(op, exact, a.lo, a.hi)
        why = ""
        if always is None and op in ("=", "!=") and exact.denominator != 1:
            always, why = op == "!=", f"`{a.text}` never holds `{b.text}`"
        if a.hi < INT64_MAX or op not in ("<", ">="):
            by, edge = op, math.ceil(exact) if op in ("<", ">=") else math.floor(exact)
        else:  # a field of all 64 bits, for no result is that large: `x < 2**63` is `x <= 2**63 - 1`
            by, edge = "<=" if op == "<" else ">", math.ceil(exact) - 1
        edge = min(max(edge, -INT64_MAX - 1), INT64_MAX)
        if always is not None:
            return self._always(a, op, b, by, edge, always, why)
        return Compare(by, a.node, Const(a.kind or Kind.INT, edge))  # type: ignore[arg-type]

    def _always(
        self, a: Operand, op: str, literal: Operand, by: str, value: float, always: bool, why: str = ""
    ) -> Core:
        """A comparison ``by`` a value that is the same for every known ``a``; of a field or param it is said."""
        if is_plain(a):
            message = why or f"`{a.text}` is {'always' if always else 'never'} {op} `{literal.text}`"
            rest = "" if why else " where it is known"
            offer, help_ = _meant(a, literal)
            self._report(Refusal("PHX202", message + rest, help_, offer), literal.span, a)
        assert a.kind is not None
        if op in ("=", "!=") and always is (op == "!="):
            value = nowhere(a.kind)
        return Compare(by, a.node, Const(a.kind, value), always)  # type: ignore[arg-type]


def _over(a: Operand, b: Operand) -> Span:
    return Span(min(a.span.start, b.span.start), max(a.span.end, b.span.end))


def _decided(op: str, value: Fraction, lo: float, hi: float) -> bool | None:
    """The answer of ``x op value`` for every x in lo..hi; None where it depends on x."""
    if op in ("=", "!="):
        if lo == hi == value:
            return op == "="
        return None if lo <= value <= hi else op == "!="
    low, high = holds(Fraction(lo), op, value), holds(Fraction(hi), op, value)
    return low if low is high else None


def _truth(a: Operand, op: str, literal: Operand) -> Refusal:
    message = f"`{a.text}` is true or false, `{literal.text}` is {describe(literal)}"
    if literal.literal not in (0, 1) or literal.unit or op not in ("=", "!="):
        return Refusal("PHX104", message, f"ask `{a.text}` or `not {a.text}`")
    offer = a.text if (literal.literal == 1) is (op == "=") else f"not {a.text}"
    return Refusal("PHX104", message, offer=offer, safety="safe", over=_over(a, literal))


def _meant(a: Operand, literal: Operand) -> tuple[str | None, str]:
    """A percentage of a share was likely meant: ``65`` where values go to 1."""
    value = literal.literal
    if (
        a.kind is Kind.RATIO
        and a.limits == (0.0, 1.0)
        and value is not None
        and literal.unit == ""
        and 1 < value <= 100
    ):
        return f"{literal.text}%", f"it goes from 0 to 1: write `{literal.text}%`"
    return None, ""


def value_within(value: Fraction, like: Operand) -> int | float | None:
    """A literal as a stored value of a field's kind; None where the field cannot hold it."""
    if like.exact:
        exact = value * 10**like.scale
        return int(exact) if exact.denominator == 1 and like.lo <= exact <= like.hi else None
    lo, hi = like.limits if is_plain(like) and like.limits else (-1e15, 1e15)
    return float(value) if lo <= value <= hi and holds_real(value) else None
