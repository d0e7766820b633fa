"""The reference interpreter: slow, obvious, the definition every other target is compared with.

The commonest kinds of node stand first: a match looks at one after the other.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from phenix.dsl import core as c
from phenix.dsl.types import Kind, Value

__all__ = ["evaluate", "settle"]

Lookup = Callable[[str], Value]


def evaluate(node: c.Core, field: Lookup, params: Mapping[str, Value], chip: Lookup) -> Value:
    """Value of a core tree on one row; None is unknown.

    ``field`` gives a field's stored value, ``chip`` another chip's three-valued answer.
    """

    def run(x: c.Core) -> Value:
        return evaluate(x, field, params, chip)

    match node:
        case c.Const(value=value):
            return value
        case c.Field(name=name):
            return field(name)
        case c.Compare(op=op, left=left, right=right):
            a, b = run(left), run(right)
            return None if a is None or b is None else _compare(op, a, b)
        case c.InSet(operand=operand, values=among, negated=negated):
            a = run(operand)
            return None if a is None else (a in among) is not negated
        case c.And(args=args):
            answers = [run(a) for a in args]
            if any(v is not None and not v for v in answers):
                return False
            return None if any(v is None for v in answers) else True
        case c.Or(args=args):
            answers = [run(a) for a in args]
            if any(v is not None and v for v in answers):
                return True
            return None if any(v is None for v in answers) else False
        case c.Param(name=name):
            return params[name]
        case c.Chip(id=name):
            return chip(name)
        case c.Arith(op=op, left=left, right=right):
            a, b = run(left), run(right)
            if a is None or b is None:
                return None
            return a + b if op == "+" else a - b if op == "-" else a * b  # type: ignore[operator]
        case c.Divide(left=left, right=right):
            a, b = run(left), run(right)
            return None if a is None or b is None or b == 0 else a / b  # type: ignore[operator]
        case c.Real(operand=operand, scale=scale):
            a = run(operand)
            return None if a is None else float(a) / float(10**scale)
        case c.Negate(operand=operand):
            a = run(operand)
            return None if a is None else -a  # type: ignore[operator]
        case c.Abs(operand=operand):
            a = run(operand)
            return None if a is None else abs(a)  # type: ignore[arg-type]
        case c.Extreme(op=op, args=args):
            values = [run(a) for a in args]
            if any(v is None for v in values):
                return None
            return (min if op == "min" else max)(values)  # type: ignore[type-var]
        case c.Coalesce(first=first, second=second):
            a = run(first)
            return run(second) if a is None else a
        case c.Like(operand=operand, how=how, text=text, negated=negated):
            a = run(operand)
            return None if a is None else c.matches(str(a), how, text) is not negated
        case c.IsNull(operand=operand, negated=negated):
            return (run(operand) is None) is not negated
        case c.Is(operand=operand, value=expected, negated=negated):
            a = run(operand)
            truth = None if a is None else bool(a)
            return (truth is expected) is not negated
        case c.Not(operand=operand):
            a = run(operand)
            return None if a is None else not a


def _compare(op: str, a: Value, b: Value) -> bool:
    if op == "=":
        return a == b
    if op == "!=":
        return a != b
    if op == "<":
        return a < b  # type: ignore[operator]
    if op == "<=":
        return a <= b  # type: ignore[operator]
    if op == ">":
        return a > b  # type: ignore[operator]
    return a >= b  # type: ignore[operator]


def settle(node: c.Core, params: Mapping[str, Value]) -> c.Core:
    """The tree with what no row can change computed by the definition, params among it."""
    node = c.rebuild(node, lambda part: settle(part, params))
    match node:
        case c.Param(name=name, kind=kind):
            return c.Const(kind, params[name])
        case c.Coalesce(first=c.Const(value=value) as first, second=second):
            return second if value is None else first
        case c.Coalesce(first=first, second=c.Const(value=None)):
            return first
        case c.Divide(right=c.Const(value=0)):
            return c.Const(Kind.RATIO, None)
        case c.And() | c.Or() | c.Const() | c.Field() | c.Chip():
            return node
    parts = list(c.children(node))
    if all(isinstance(p, c.Const) for p in parts):
        return _as_constant(evaluate(node, _never, params, _never), parts[0])
    if any(isinstance(p, c.Const) and p.value is None for p in parts):
        return _as_constant(None, parts[0])
    return node


def _as_constant(value: Value, like: c.Core) -> c.Const:
    kind = like.kind if isinstance(like, c.Const) else Kind.BOOL
    return c.Const(Kind.BOOL if isinstance(value, bool) else kind, value)


def _never(name: str) -> Value:
    raise AssertionError(f"{name} is not constant")
