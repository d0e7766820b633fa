"""Core trees as text, for people who look at what became of a rule."""

from __future__ import annotations

import json

from phenix.dsl import core as c
from phenix.dsl.types import Value

__all__ = ["dump"]


def dump(node: c.Core) -> str:
    """A core tree on one line: ``and(value >= 1000000, oi? in {1, 2})``; ``?`` marks what may be unknown."""
    match node:
        case c.Const(value=value):
            return _shown(value)
        case c.Field(name=name, nullable=may):
            return f"{name}?" if may else name
        case c.Param(name=name):
            return f"${name}"
        case c.Chip(id=name):
            return f"@{name}"
        case c.Arith(op=op, left=left, right=right):
            return f"({dump(left)} {op} {dump(right)})"
        case c.Divide(left=left, right=right):
            return f"({dump(left)} / {dump(right)})"
        case c.Coalesce(first=first, second=second):
            return f"({dump(first)} ?? {dump(second)})"
        case c.Real(operand=operand, scale=scale):
            return f"real({dump(operand)}, {scale})"
        case c.Extreme(op=op, args=args):
            return f"{op}({', '.join(map(dump, args))})"
        case c.Compare(op=op, left=left, right=right, decided=always):
            marked = "" if always is None else " (always)" if always else " (never)"
            return f"{dump(left)} {op} {dump(right)}{marked}"
        case c.InSet(operand=operand, values=values, negated=negated):
            return f"{dump(operand)} {'not ' * negated}in {{{', '.join(map(_shown, values))}}}"
        case c.Like(operand=operand, how=how, text=text, negated=negated):
            return f"{dump(operand)} {'not ' * negated}like {how} {_shown(text)}"
        case c.IsNull(operand=operand, negated=negated):
            return f"{dump(operand)} is {'not ' * negated}null"
        case c.Is(operand=operand, value=value, negated=negated):
            return f"[{dump(operand)}] is {'not ' * negated}{_shown(value)}"
        case _:
            return f"{type(node).__name__.lower()}({', '.join(map(dump, c.children(node)))})"


def _shown(value: Value) -> str:
    if isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    return "unknown" if value is None else "nowhere" if value in c.NOWHERE else str(value).lower()
