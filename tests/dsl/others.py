"""A rule with every literal another of its type, and nothing else changed.

The type of a literal is its unit and, where it takes part in arithmetic, how many decimals it has: money and counts
are aligned to the finest of them. Opposite a field or in a set a literal may have any. The words ``true``, ``false``
and ``null`` are no literals: ``x = false`` is written ``not x``.
"""

from __future__ import annotations

import random
from dataclasses import fields, replace
from fractions import Fraction
from typing import Any, Final

from phenix.dsl import nodes as n
from phenix.dsl.checker import Checker
from phenix.dsl.operand import decimal_digits
from phenix.dsl.parser import parse_expression
from phenix.dsl.printer import print_expression
from phenix.dsl.scope import Scope
from phenix.dsl.source import Source, Span
from phenix.dsl.types import INT64_MAX, Kind
from phenix.engine.certify.literals import SYMBOLS, spell

__all__ = ["Others"]

_WHOLE: Final = (0, 1, 2, 3, 14, 100, 2**31, 10**15, 2**53 + 1, INT64_MAX, INT64_MAX + 1, 10**18, 10**30)
_ANY: Final = (
    *map(Fraction, _WHOLE),
    *map(Fraction, ["0.5", "0.0001", "0.00005", "14.5", "2.1", "0.1", "99999.9999", "1.0000000001"]),
)
_BODIES: Final = (*(s for s in SYMBOLS if "*" not in s and "%" not in s), "a", "\U0010ffff", "é", "\0")
_DAYS: Final = (10101, 19700101, 19891231, 20240229, 20260116, 20991231, 99991231)
_CLOCKS: Final = (0, 1, 34_200_000, 57_600_000, 86_399_999)
_INSTANTS: Final = (0, 1, 1_718_373_303_122, 4_000_000_000_000, 253_402_300_799_999)
_UNITS: Final = {"": ("", ""), "$": ("$", ""), "%": ("", "%"), "s": ("", "ms")}
_LITERAL: Final = n.Number | n.Negate | n.Arith | n.Call


class Others:
    """Changes the literals of rules of one scope, by choices of ``rng``."""

    def __init__(self, rng: random.Random, scope: Scope) -> None:
        self.rng, self.scope = rng, scope

    def rule(self, text: str) -> str:
        """The rule with other literals."""
        node, found = parse_expression(Source("rule", text))
        assert node is not None, found
        return print_expression(self._other(node))

    def _other(self, node: Any) -> Any:
        match node:
            case n.Compare(operands=operands):
                words = self._members(operands)
                return replace(node, operands=tuple(self._opposite(o, words) for o in operands))
            case n.In(operand=operand, among=n.SetLit(items=items) as among):
                words = self._members((operand,))
                changed = replace(among, items=tuple(self._opposite(item, words) for item in items))
                return replace(node, operand=self._other(operand), among=changed)
            case n.In(operand=operand, among=n.Range(low=low, high=high) as among):
                ends = [None if end is None else self._opposite(end, ()) for end in (low, high)]
                return replace(node, operand=self._other(operand), among=replace(among, low=ends[0], high=ends[1]))
            case n.Like(pattern=pattern):
                body = pattern.value.strip("*")
                return replace(node, pattern=replace(pattern, value=pattern.value.replace(body, self._pick(_BODIES))))
            case n.Text() | n.DateLit() | n.TimeLit() | n.TsLit():
                return self._opposite(node, ())
            case n.Arith(op="/", left=left, right=right) if self._worth(node) is None:
                below = self._group(right, divides=True) if self._worth(right) is not None else self._other(right)
                return replace(node, left=self._other(left), right=below)
            case _ if self._worth(node) is not None:
                return self._group(node, divides=False)
            case _:
                changed = {f.name: self._each(getattr(node, f.name)) for f in fields(node)}
                return replace(node, **changed)

    def _each(self, value: Any) -> Any:
        if isinstance(value, tuple) and not isinstance(value, Span):
            return tuple(map(self._each, value))
        return self._other(value) if isinstance(value, n._Node) else value

    def _pick(self, among: Any) -> Any:
        return self.rng.choice(among)

    # -- where a literal is set against a field, or stands in a set

    def _members(self, operands: tuple[n.Expr, ...]) -> tuple[str, ...]:
        """The words of the enum among the operands; symbols where one is a symbol."""
        for node in operands:
            field = self.scope.catalog.by_name.get(node.name) if isinstance(node, n.Name) else None
            if field is not None and field.type.kind in (Kind.ENUM, Kind.SYMBOL):
                return field.type.members or SYMBOLS
        return ()

    def _opposite(self, node: Any, words: tuple[str, ...]) -> Any:
        match node:
            case n.Name(name=name) if words and name not in self.scope.catalog.by_name:
                return n.Text(span=node.span, value=self._pick(words))
            case n.Text():
                return replace(node, value=self._pick(words or SYMBOLS))
            case n.DateLit():
                return replace(node, value=self._pick(_DAYS))
            case n.TimeLit():
                return replace(node, value=self._pick(_CLOCKS))
            case n.TsLit():
                return replace(node, value=self._pick(_INSTANTS), text="")
            case _ if self._worth(node) is not None:
                return self._numbers(node, lambda number: self._pick(_ANY))
            case _:
                return self._other(node)

    # -- numbers

    def _worth(self, node: Any) -> tuple[Fraction, str] | None:
        """The value and unit of what is made of literals alone."""
        if not isinstance(node, _LITERAL) or any(not isinstance(x, _LITERAL) for x in _below(node)):
            return None
        text = print_expression(node)
        again, _ = parse_expression(Source("literal", text))
        assert again is not None
        operand = Checker(self.scope, Source("literal", text)).value(again)
        return None if operand is None or operand.literal is None else (operand.literal, operand.unit)

    def _group(self, node: Any, divides: bool) -> Any:
        """Literals that are folded into one, which keeps its decimals; another where they allow one."""
        changed = self._numbers(node, lambda number: self._beside(number, divides))
        before, after = self._worth(node), self._worth(changed)
        same = before is not None and after is not None and _form(*before, divides) == _form(*after, divides)
        return changed if same else node

    def _beside(self, number: n.Number, divides: bool) -> Fraction:
        """A value of the same decimals."""
        form = _form(number.value, number.unit, divides)
        drawn = [Fraction(whole, 10 ** (form[1] or 0)) * (100 if number.unit == "%" else 1) for whole in _WHOLE]
        fit = [value for value in drawn if _form(value, number.unit, divides) == form]
        return self._pick([*fit, number.value])  # type: ignore[no-any-return]

    def _numbers(self, node: Any, value: Any) -> Any:
        if not isinstance(node, n.Number):
            return replace(node, **{f.name: self._in(getattr(node, f.name), value) for f in fields(node)})
        before, after = _UNITS[node.unit]
        found = value(node)
        return replace(node, value=found, text=f"{before}{spell(found)}{after}")

    def _in(self, held: Any, value: Any) -> Any:
        if isinstance(held, tuple) and not isinstance(held, Span):
            return tuple(self._in(x, value) for x in held)
        return self._numbers(held, value) if isinstance(held, n._Node) else held


def _below(node: Any) -> list[Any]:
    out = [*n.children(node)]
    return out + [x for child in out for x in _below(child)]


def _form(value: Fraction, unit: str, divides: bool) -> tuple[str, int | None, int | None]:
    """Unit, decimals, and decimals of the factor that a divisor is."""
    exact = value / 100 if unit == "%" else value
    return unit, decimal_digits(exact), decimal_digits(1 / exact) if divides and exact else None
