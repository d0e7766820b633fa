"""Membership: ``in`` a set, a named set or a range, and ``like`` a pattern."""

from __future__ import annotations

from fractions import Fraction
from itertools import islice
from typing import Final, Literal, Protocol, cast

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.comparison import Comparison, value_within
from phenix.dsl.operand import WORDS, Operand, Refusal, amount, describe, misfit
from phenix.dsl.printer import quoted
from phenix.dsl.scope import Scope
from phenix.dsl.source import Source, Span
from phenix.dsl.types import Kind

__all__ = ["Asker", "Membership"]

_SHOWN: Final = 3
"""Findings of one kind shown of one set; a pasted list would bury the others."""


class Asker(Protocol):
    """What membership needs of the checker whose expression it stands in."""

    scope: Scope
    source: Source

    @property
    def comparison(self) -> Comparison: ...
    def value(self, node: n.Expr) -> Operand | None: ...
    def member(self, node: n.Expr, of: Operand) -> Operand | None: ...
    def refuse(self, refusal: Refusal, span: Span, other: Operand | None = None) -> None: ...
    def unknown_set(self, name: n.Name, operand: Operand) -> None: ...
    def beside(self, source: Source) -> Asker:
        """One that reads another source and reports with this."""
        ...


class Membership:
    """Checks the conditions that ask where a value lies."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    def among(self, node: n.In) -> c.Core | None:
        """``x in {…}``, ``x in lo..hi``, ``x in name``."""
        operand = self._asker.value(node.operand)
        if operand is None:
            return None
        if operand.literal is not None:
            message = f"`in` asks where a field lies, `{operand.text}` is a literal"
            self._asker.refuse(Refusal("PHX106", message, "put a field on the left of `in`"), operand.span)
            return None
        if operand.kind is Kind.BOOL:
            message = f"`{operand.text}` is true or false, `in` asks of values"
            self._asker.refuse(
                Refusal("PHX106", message, f"ask `{operand.text}` or `not {operand.text}`"), operand.span
            )
            return None
        match node.among:
            case n.Range():
                return self._within(operand, node, node.among)
            case n.SetLit(items=items, span=span):
                return self._items(self._asker, items, operand, node.negated, span)
            case n.Name(name=name, span=span):
                found = self._asker.scope.sets.get(name)
                if found is None:
                    self._asker.unknown_set(node.among, operand)
                    return None
                return self._items(self._asker.beside(found.source), found.node.body.items, operand, node.negated, span)

    def _items(
        self, asker: Asker, items: tuple[n.Expr, ...], operand: Operand, negated: bool, span: Span
    ) -> c.Core | None:
        if not items:
            answer = "true" if negated else "false"
            message = f"the set is empty: this is {answer} wherever `{operand.text}` is known"
            self._asker.refuse(Refusal("PHX205", message), span, operand)
        inside = Membership(asker)
        values = [inside.constant(item, operand) for item in items]
        if any(v is False for v in values):
            return None
        first: dict[object, n.Expr] = {}
        repeated: list[tuple[n.Expr, n.Expr]] = []
        for item, value in zip(items, values, strict=True):
            if value is not None and first.setdefault(value, item) is not item:
                repeated.append((item, first[value]))
        for item, before in islice(repeated, _SHOWN):
            text = asker.source.text[item.span.start : item.span.end]
            other = asker.source.text[before.span.start : before.span.end]
            same = "" if text == other else f", as `{other}`"
            asker.refuse(Refusal("PHX206", f"`{text}` is in the set already{same}", "leave it out"), item.span)
        assert operand.kind is not None
        never = c.nowhere(operand.kind)
        return c.InSet(operand.node, tuple(never if v is None else v for v in values), negated)

    def constant(self, item: n.Expr, like: Operand) -> int | float | str | Literal[False] | None:
        """A literal as a stored value of ``like``'s type; None if it can hold no such value, False if refused."""
        asker = self._asker
        text = asker.source.text[item.span.start : item.span.end]
        if isinstance(item, n.Constant):
            help_ = f"ask with `{like.text} is null`" if item.value is None else "a set holds values"
            asker.refuse(Refusal("PHX107", f"a set of values cannot hold `{text}`", help_), item.span)
            return False
        if like.kind in WORDS:
            member = asker.member(item, like)
            return cast("str", cast("c.Const", member.node).value) if member is not None else False
        value = asker.value(item)
        if value is None:
            return False
        if value.literal is None:
            if isinstance(value.core, c.Const) and value.kind is like.kind:
                return cast("int | str", value.core.value)
            if isinstance(value.core, c.Const):
                message = f"`{like.text}` is {describe(like)}, `{text}` is {describe(value)}"
                asker.refuse(Refusal("PHX106", message, "write values of one kind"), item.span, like)
            else:
                message = f"a set holds literals, `{text}` is {describe(value)} of the row"
                if isinstance(value.core, c.Param):
                    message = f"a set holds literals, `{text}` is a param"
                asker.refuse(Refusal("PHX106", message, f"write `{like.text} = {text}`, joined with `or`"), item.span)
            return False
        if (refusal := misfit(value, like)) is not None:
            asker.refuse(refusal, item.span, like)
            return False
        exact = amount(value, like)
        stored = value_within(exact, like)
        if stored is None:
            asker.refuse(Refusal("PHX202", f"`{like.text}` never holds `{value.text}`"), item.span, like)
        return stored

    # -- ranges

    def _within(self, operand: Operand, node: n.In, among: n.Range) -> c.Core | None:
        if not self._asker.comparison.ordered(operand, ".."):
            return None
        bounds = [(among.low, ">="), (among.high, "<" if among.half_open else "<=")]
        values = [(self._asker.value(bound), op) for bound, op in bounds if bound is not None]
        parts = [self._asker.comparison.compare(operand, op, value) for value, op in values if value is not None]
        if len(parts) < len(values) or any(p is None for p in parts):
            return None
        if len(values) == 2:
            low, high = values[0][0], values[1][0]
            assert low is not None
            assert high is not None
            a, b = _end(low, operand), _end(high, operand)
            if a is not None and b is not None and (a > b or (among.half_open and a == b)):
                self._asker.refuse(_reversed(operand, node, low, high, alike=a == b), among.span)
        inside = cast("c.Core", parts[0] if len(parts) == 1 else c.And(cast("tuple[c.Core, ...]", tuple(parts))))
        return c.Not(inside) if node.negated else inside

    # -- patterns

    def like(self, node: n.Like) -> c.Core | None:
        """``x like "AA*"``: a prefix, a suffix or a part."""
        operand = self._asker.value(node.operand)
        if operand is None:
            return None
        if operand.kind not in (Kind.TEXT, Kind.SYMBOL):
            words = operand.kind is Kind.ENUM
            help_ = (
                f"write `{operand.text} in {{{', '.join(operand.members[:2])}}}`" if words else "compare it with `=`"
            )
            message = f"`like` reads text, `{operand.text}` is {describe(operand)}"
            self._asker.refuse(Refusal("PHX106", message, help_), operand.span)
            return None
        pattern = node.pattern.value
        body = pattern.strip("*")
        if "*" in body or not body:
            message = "a pattern is a prefix, a suffix or a part of the text"
            self._asker.refuse(Refusal("PHX005", message, 'write "AA*", "*AA" or "*AA*"'), node.pattern.span)
            return None
        if operand.kind is Kind.SYMBOL and body != body.upper():
            message = f"`{operand.text}` is in capitals, and `like` minds them: nothing is like `{pattern}`"
            refusal = Refusal("PHX202", message, offer=quoted(pattern.upper()), safety="safe")
            self._asker.refuse(refusal, node.pattern.span)
        return c.Like(operand.node, _HOW[pattern.startswith("*"), pattern.endswith("*")], body, node.negated)


_HOW: Final[dict[tuple[bool, bool], Literal["prefix", "suffix", "contains", "whole"]]] = {
    (False, True): "prefix", (True, False): "suffix", (True, True): "contains", (False, False): "whole",
}  # fmt: skip


def _end(bound: Operand, operand: Operand) -> Fraction | int | None:
    """What a literal says of the operand; None of what depends on the row or the params."""
    if bound.literal is not None:
        return amount(bound, operand)
    return cast("int", bound.core.value) if isinstance(bound.core, c.Const) else None


def _reversed(operand: Operand, node: n.In, low: Operand, high: Operand, alike: bool) -> Refusal:
    among = cast("n.Range", node.among)
    dots = "..<" if among.half_open else ".."
    shown = f"{low.text}{dots}{high.text}"
    message = f"nothing lies in `{shown}`: its lower end is not below its upper end"
    if low.kind is Kind.TIME and not alike:
        within = "<" if among.half_open else "<="
        text = f"{operand.text} >= {low.text} or {operand.text} {within} {high.text}"
        offer = f"not ({text})" if node.negated else f"({text})"
        return Refusal("PHX204", message, f"a night is two ranges: `{text}`", offer, over=node.span)
    if alike:
        return Refusal("PHX204", message, offer=f"{low.text}..{high.text}")
    return Refusal("PHX204", message, offer=f"{high.text}{dots}{low.text}")
