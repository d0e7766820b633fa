"""The SQLite target: a condition as ``(text, parameters)`` over the aliases ``t`` and ``e``.

Values are always bound, names come from the catalog. Negation is pushed to the leaves, so that
``not value < 5`` reads ``value >= 5`` and an index can serve it. SQL's own three-valued logic is
Kleene's; what SQLite does differently (integer division, LIKE case, ``null in ()``, a double
bound as NULL) never reaches it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl.types import Value

__all__ = ["SqliteTarget"]

_OPS: Final = {"=": "=", "!=": "<>", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


@dataclass(slots=True)
class SqliteTarget:
    """Lowers conditions; ``column`` spells a field as SQL, ``bit`` gives a chip's bit.

    Derived columns may hold ``:as_of``, which becomes a bound parameter of value ``as_of``.
    """

    column: Callable[[str], str]
    bit: Callable[[str], int]
    params: Mapping[str, Value]
    as_of: int
    bound: list[Any] = field(default_factory=list)

    def where(self, node: c.Core) -> tuple[str, tuple[Any, ...]]:
        """SQL that holds exactly where the condition is true, for a WHERE clause."""
        self.bound = []
        return self._condition(node, want=True, decided=True), tuple(self.bound)

    def three_valued(self, node: c.Core) -> tuple[str, tuple[Any, ...]]:
        """SQL that gives 1, 0 or NULL."""
        self.bound = []
        return self._condition(node, want=True, decided=False), tuple(self.bound)

    def _bind(self, value: Value) -> str:
        self.bound.append(int(value) if isinstance(value, bool) else value)
        return "?"

    def _field(self, name: str) -> str:
        text = self.column(name)
        parts = text.split(":as_of")
        for _ in parts[1:]:
            self.bound.append(self.as_of)
        return "?".join(parts)

    def _condition(self, node: c.Core, want: bool, decided: bool) -> str:
        """``want`` False lowers the negation. ``decided``: only true matters, so a chip needs one bit test."""
        match node:
            case c.Const(value=known):
                return "NULL" if known is None else str(int(bool(known) is want))
            case c.Field(name=name):
                return f"{self._field(name)} = {int(want)}"
            case c.Chip(id=name):
                return self._chip(self.bit(name), want, decided)
            case c.Not(operand=operand):
                return self._condition(operand, not want, decided)
            case c.And(args=args) | c.Or(args=args):
                joint = "AND" if isinstance(node, c.And) is want else "OR"
                if not args:
                    return str(int(isinstance(node, c.And) is want))
                return _balanced([self._condition(a, want, decided) for a in args], joint)
            case c.Compare(op=op, left=left, right=right):
                shown = _OPS[op if want else c.NEGATED[op]]
                return f"{self._value(left)} {shown} {self._value(right)}"
            case c.InSet(operand=operand, values=among, negated=negated):
                inside = want is not negated
                text = self._value(operand)
                if not among:  # SQLite: `null in ()` is 0; here it is unknown
                    return f"(CASE WHEN {text} IS NOT NULL THEN {int(not inside)} END)"
                marks = ", ".join(self._bind(v) for v in among)
                return f"{text} {'' if inside else 'NOT '}IN ({marks})"
            case c.Like(operand=operand, how=how, text=text, negated=negated):
                # LIKE folds case in SQLite; GLOB does not.
                glob = "".join(f"[{ch}]" if ch in "*?[" else ch for ch in text)
                glob = {"prefix": f"{glob}*", "suffix": f"*{glob}", "contains": f"*{glob}*", "whole": glob}[how]
                value = self._value(operand)
                return f"{value} {'' if want is not negated else 'NOT '}GLOB {self._bind(glob)}"
            case c.IsNull(operand=operand, negated=negated):
                return f"{self._value(operand)} IS {'NOT ' if want is negated else ''}NULL"
            case c.Is(operand=operand, value=expected, negated=negated):
                inner = self._condition(operand, True, decided=False)
                word = "NULL" if expected is None else str(int(expected))
                return f"(({inner}) IS {'NOT ' if want is negated else ''}{word})"
            case _:
                raise TypeError(f"not a condition: {node!r}")

    def _chip(self, bit: int, want: bool, decided: bool) -> str:
        mask = 1 << bit
        if decided:
            word = "e.chips_set" if want else "(e.chips_known & ~e.chips_set)"
            return f"({word} & {self._bind(mask)}) <> 0"
        known, on = self._bind(mask), self._bind(mask)
        return f"(CASE WHEN (e.chips_known & {known}) <> 0 THEN (e.chips_set & {on}) {'<>' if want else '='} 0 END)"

    def _value(self, node: c.Core) -> str:
        match node:
            case c.Const(value=known):
                return self._bind(known)
            case c.Field(name=name):
                return self._field(name)
            case c.Param(name=name):
                return self._bind(self.params[name])
            case c.Arith(op=op, left=left, right=right):
                return f"({self._value(left)} {op} {self._value(right)})"
            case c.Divide(left=left, right=right):
                return f"({self._value(left)} / NULLIF({self._value(right)}, 0.0))"
            case c.Real(operand=operand, scale=scale):
                text = f"CAST({self._value(operand)} AS REAL)"
                return f"({text} / {float(10**scale)!r})" if scale else text
            case c.Negate(operand=operand):
                return f"(-{self._value(operand)})"
            case c.Abs(operand=operand):
                return f"abs({self._value(operand)})"
            case c.Extreme(op=op, args=args):
                # The scalar forms give NULL when any argument is.
                return f"{op}({', '.join(self._value(a) for a in args)})"
            case c.Coalesce(first=first, second=second):
                return f"coalesce({self._value(first)}, {self._value(second)})"
            case _:
                raise TypeError(f"not a value: {node!r}")


def _balanced(parts: list[str], joint: str) -> str:
    """Join pairwise: SQLite refuses a flat chain of more than 1,000 terms."""
    if len(parts) == 1:
        return parts[0]
    if len(parts) <= 16:
        return "(" + f" {joint} ".join(parts) + ")"
    middle = len(parts) // 2
    return f"({_balanced(parts[:middle], joint)} {joint} {_balanced(parts[middle:], joint)})"
