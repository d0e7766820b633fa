"""The core tree to its shape, which SQL is written from, and to its normal form, which all else reads.

Passes are pure functions in one order; none changes an answer on any row, unknown included. Those of
:data:`SHAPE` never look at the value of a literal, so that another literal needs no new SQL: it is another
parameter. Those of :data:`VALUES` do. Of a param neither looks at the value.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl.intervals import EVERYTHING, NOTHING, Cut, Intervals, compared, one_of
from phenix.dsl.types import Kind

__all__ = [
    "FLIPPED",
    "PASSES",
    "SHAPE",
    "VALUES",
    "WIDEST",
    "Pass",
    "absorb",
    "balance",
    "constants",
    "constraint",
    "decided",
    "distinct",
    "flatten",
    "inline",
    "negation",
    "normalize",
    "ranges",
    "shape",
    "sides",
]

Pass = Callable[[c.Core], c.Core]
"""One step to the shape or the normal form."""

WIDEST: Final = 16
"""Most arguments an ``and`` or ``or`` of the normal form has: engines refuse long chains."""

FLIPPED: Final[dict[str, Any]] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
"""The comparison that says the same with its sides exchanged."""


def shape(core: c.Core) -> c.Core:
    """The tree as every tree is that differs from it in literals only."""
    return balance(_settled(core, SHAPE))


def normalize(core: c.Core) -> c.Core:
    """The normal form: every pass in order, again until none finds anything to do."""
    return _settled(core, PASSES)


def _settled(core: c.Core, steps: tuple[Pass, ...]) -> c.Core:
    while True:
        before = core
        for step in steps:
            core = step(core)
        if core == before:
            return core


def inline(core: c.Core, chips: Mapping[str, c.Core]) -> c.Core:
    """The tree with chips written out, the innermost first, so that none waits on the stack; other chips stay."""
    whole: dict[str, c.Core] = {}

    def write(node: c.Core) -> c.Core:
        return whole.get(node.id, node) if isinstance(node, c.Chip) else c.rebuild(node, write)

    def missing(node: c.Core) -> list[str]:
        return [x.id for x in c.walk(node) if isinstance(x, c.Chip) and x.id in chips and x.id not in whole]

    waiting = missing(core)
    while waiting:
        if below := missing(chips[waiting[-1]]):
            waiting += below
        elif (id_ := waiting.pop()) not in whole:
            whole[id_] = write(chips[id_])
    return write(core)


# -- negation


def negation(node: c.Core) -> c.Core:
    """Push ``not`` to the leaves: De Morgan, the opposite comparison, the negated form of a test."""
    if isinstance(node, c.Not):
        return _denied(node.operand)
    return c.rebuild(node, negation)


def _denied(node: c.Core) -> c.Core:
    match node:
        case c.Const(kind=kind, value=value):
            return c.Const(kind, None if value is None else not value)
        case c.Not(operand=operand):
            return negation(operand)
        case c.And(args=args):
            return c.Or(tuple(_denied(a) for a in args))
        case c.Or(args=args):
            return c.And(tuple(_denied(a) for a in args))
        case c.Compare(op=op, decided=always):
            return replace(node, op=c.NEGATED[op], decided=None if always is None else not always)
        case c.InSet(negated=negated) | c.Like(negated=negated) | c.IsNull(negated=negated) | c.Is(negated=negated):
            return replace(c.rebuild(node, negation), negated=not negated)  # type: ignore[arg-type]
        case _:
            return c.Not(node)


# -- sides


def sides(node: c.Core) -> c.Core:
    """Turn comparisons so that a literal, or else a param, stands on the right."""
    node = c.rebuild(node, sides)
    if isinstance(node, c.Compare) and _fixed(node.left) > _fixed(node.right):
        return replace(node, op=FLIPPED[node.op], left=node.right, right=node.left)
    return node


def _fixed(node: c.Core) -> int:
    return 2 if isinstance(node, c.Const) else 1 if isinstance(node, c.Param) else 0


# -- and, or


def flatten(node: c.Core) -> c.Core:
    """Merge ``and`` in ``and`` and ``or`` in ``or``; one part stands alone."""
    node = c.rebuild(node, flatten)
    if not isinstance(node, c.And | c.Or):
        return node
    same = type(node)
    parts = [p for a in node.args for p in (a.args if isinstance(a, same) else (a,))]
    return parts[0] if len(parts) == 1 else _regrouped(node, parts)


# -- decided


def decided(node: c.Core) -> c.Core:
    """Answer what two literals or the declared ranges decide; keep of a set each value a row can hold, once."""
    node = c.rebuild(node, decided)
    match node:
        case c.Compare(op=op, left=c.Const(value=left), right=c.Const(value=right)):
            return _truth(left in compared(op, right))
        case c.Compare(left=left, decided=bool(always)):
            return c.InSet(left, (), always)
        case c.InSet(values=values):
            kept = tuple(v for v in dict.fromkeys(values) if v not in c.NOWHERE)
            return node if kept == values else replace(node, values=kept)
    return node


# -- constants


def constants(node: c.Core) -> c.Core:
    """Compute what no row can change, and leave out what changes nothing.

    ``x and false`` is false; ``x = x`` only says that ``x`` is known.
    """
    node = c.rebuild(node, constants)
    match node:
        case c.Not(operand=c.Const()):
            return _denied(node.operand)
        case c.And(args=args) | c.Or(args=args):
            return _joined(node, args)
        case c.Compare(op=op, left=left, right=right) if left == right:
            return _known(left, op in ("=", "<=", ">="))
        case c.InSet(operand=c.Const(value=value), values=values, negated=negated):
            return _truth((value in values) is not negated)
        case c.InSet(operand=operand, values=(), negated=negated):
            return _known(operand, negated)
        case c.Like(operand=c.Const(value=str() as word), how=how, text=text, negated=negated):
            return _truth(c.matches(word, how, text) is not negated)
        case c.IsNull(operand=operand, negated=negated) if not c.nullable(operand):
            return _truth(negated)
        case c.Is(operand=operand, value=value, negated=negated):
            return _asked(node, operand, value, negated)
        case c.Coalesce(first=first) if not c.nullable(first):
            return first
        case c.Negate(operand=c.Const(kind=kind, value=int() | float() as number)):
            return c.Const(kind, -number)
        case c.Abs(operand=c.Const(kind=kind, value=int() | float() as number)):
            return c.Const(kind, abs(number))
        case c.Extreme(op=op, args=args) if all(isinstance(a, c.Const) for a in args):
            return (min if op == "min" else max)(args, key=lambda a: a.value)  # type: ignore[union-attr, arg-type, return-value]
        case c.Real(operand=c.Const(value=int() as number), scale=scale):
            return c.Const(Kind.RATIO, float(number) / float(10**scale))
        case c.Arith():
            return _computed(node)
        case c.Divide(left=c.Const(value=float() as a), right=c.Const(value=float() as b)) if b:
            return c.Const(Kind.RATIO, a / b)
    return node


def _truth(value: bool) -> c.Const:
    return c.TRUE if value else c.FALSE


def _known(operand: c.Core, value: bool) -> c.Core:
    """``value`` where the operand is known, unknown elsewhere."""
    return c.InSet(operand, (), value) if c.nullable(operand) else _truth(value)


def _joined(node: c.And | c.Or, args: tuple[c.Core, ...]) -> c.Core:
    nothing, decisive = (c.TRUE, c.FALSE) if isinstance(node, c.And) else (c.FALSE, c.TRUE)
    if decisive in args:
        return decisive
    kept = tuple(a for a in args if a != nothing)
    return node if len(kept) == len(args) > 0 else type(node)(kept) if kept else nothing


def _asked(node: c.Is, operand: c.Core, value: bool | None, negated: bool) -> c.Core:
    if isinstance(operand, c.Const):
        truth = None if operand.value is None else bool(operand.value)
        return _truth((truth is value) is not negated)
    if c.nullable(operand):
        return node
    if value is None:
        return _truth(negated)
    return operand if value is not negated else c.Not(operand)


def _computed(node: c.Arith) -> c.Core:
    op, left, right = node.op, node.left, node.right
    if isinstance(left, c.Const) and isinstance(right, c.Const):
        a, b = left.value, right.value
        return c.Const(left.kind, a + b if op == "+" else a - b if op == "-" else a * b)  # type: ignore[operator]
    neutral = 1 if op == "*" else 0
    if op == "-" and isinstance(right, c.Const) and repr(right.value) == "0.0":
        return left  # exact for every double, which adding 0.0 is not: 0.0 + -0.0 is 0.0
    if isinstance(right, c.Const) and type(right.value) is int and right.value == neutral:
        return left
    if op != "-" and isinstance(left, c.Const) and type(left.value) is int and left.value == neutral:
        return right
    return node


# -- repeated parts


def distinct(node: c.Core) -> c.Core:
    """Drop repeated parts of an ``and`` or ``or``."""
    node = c.rebuild(node, distinct)
    return _regrouped(node, list(dict.fromkeys(node.args))) if isinstance(node, c.And | c.Or) else node


def absorb(node: c.Core) -> c.Core:
    """``x and (x or y)`` is ``x``, and so is ``x or (x and y)``."""
    node = c.rebuild(node, absorb)
    if not isinstance(node, c.And | c.Or):
        return node
    other = c.Or if isinstance(node, c.And) else c.And
    if not any(isinstance(a, other) for a in node.args):
        return node
    present = set(node.args)
    return _regrouped(node, [a for a in node.args if not (isinstance(a, other) and present.intersection(a.args))])


def _regrouped(node: c.And | c.Or, args: list[c.Core]) -> c.Core:
    """The node with other parts; the same node when they are the same."""
    return node if tuple(args) == node.args else type(node)(tuple(args))


# -- ranges


def ranges(node: c.Core) -> c.Core:
    """Merge what one ``and`` or ``or`` asks of one value with literals: the tightest, or the widest, and one set.

    ``x >= 5 and x < 3`` becomes ``x in {}``: false where ``x`` is known, unknown where it is not.
    """
    node = c.rebuild(node, ranges)
    if not isinstance(node, c.And | c.Or):
        return node
    groups: dict[c.Core, list[tuple[c.Core, Intervals]]] = {}
    for arg in node.args:
        if (found := constraint(arg)) is not None:
            groups.setdefault(found[0], []).append((arg, found[1]))
    written: dict[c.Core, tuple[c.Core, ...]] = {}
    for operand, members in groups.items():
        merged = _merged(operand, members, isinstance(node, c.And)) if len(members) > 1 else None
        if merged is not None:
            own = merged.args if isinstance(merged, type(node)) else (merged,)
            written.update({arg: () for arg, _ in members})
            written[members[0][0]] = own
    return _regrouped(node, [x for a in node.args for x in written.get(a, (a,))]) if written else node


def constraint(node: c.Core) -> tuple[c.Core, Intervals] | None:
    """``(value, set)`` of a condition that asks one thing: whether a value, where it is known, lies in a set."""
    match node:
        case c.Compare(op=op, left=left, right=c.Const(value=value)) if not isinstance(value, bool | None):
            return left, compared(op, value)
        case c.InSet(operand=operand, values=values, negated=negated):
            return operand, one_of(values, negated)
        case c.And(args=args) | c.Or(args=args):
            parts = [constraint(a) for a in args]
            if not parts or any(p is None or p[0] != parts[0][0] for p in parts):  # type: ignore[index]
                return None
            return parts[0][0], _union((p[1] for p in parts if p), isinstance(node, c.And))  # type: ignore[index]
        case _:
            return None


def _union(sets: Iterable[Intervals], all_of: bool) -> Intervals:
    whole = EVERYTHING if all_of else NOTHING
    for one in sets:
        whole = whole & one if all_of else whole | one
    return whole


def _merged(operand: c.Core, members: list[tuple[c.Core, Intervals]], all_of: bool) -> c.Core | None:
    """One condition for several on one value; None unless it is shorter."""
    whole = _union((found for _, found in members), all_of)
    kinds = (x.right.kind for arg, _ in members for x in c.walk(arg)
             if isinstance(x, c.Compare) and isinstance(x.right, c.Const))  # fmt: skip
    merged = _written(operand, whole, next(kinds, None))
    return merged if _length(merged) < sum(_length(arg) for arg, _ in members) else None


def _length(node: c.Core) -> int:
    return sum(map(_length, node.args)) if isinstance(node, c.And | c.Or) else 1


def _written(operand: c.Core, among: Intervals, kind: Kind | None) -> c.Core:
    """A set of values as a condition. Without a ``kind`` there are single values only."""
    if (points := among.points()) is not None:
        return _values(operand, points, False, kind)
    if (holes := (~among).points()) is not None:
        return _values(operand, holes, True, kind)
    assert kind is not None
    pieces = list(among.pieces())
    gaps = [(left, right) for (_, left), (right, _) in pairwise(pieces) if left and right]
    if all(left[0] == right[0] for left, right in gaps):
        bounds = _bounds(operand, pieces[0][0], pieces[-1][1], kind)
        return _and([*bounds, _values(operand, [left[0] for left, _ in gaps], True, kind)] if gaps else bounds)
    parts = [_and(_bounds(operand, low, high, kind)) for low, high in pieces if not _single(low, high)]
    single = [low[0] for low, high in pieces if low and _single(low, high)]
    return c.Or((*parts, _values(operand, single, False, kind)) if single else tuple(parts))


def _single(low: Cut | None, high: Cut | None) -> bool:
    return low is not None and high is not None and low[0] == high[0]


def _bounds(operand: c.Core, low: Cut | None, high: Cut | None, kind: Kind) -> list[c.Core]:
    out: list[c.Core] = []
    if low:
        out.append(c.Compare(">" if low[1] else ">=", operand, c.Const(kind, low[0])))
    if high:
        out.append(c.Compare("<=" if high[1] else "<", operand, c.Const(kind, high[0])))
    return out


def _and(args: list[c.Core]) -> c.Core:
    return args[0] if len(args) == 1 else c.And(tuple(args))


def _values(operand: c.Core, values: list[Any], negated: bool, kind: Kind | None) -> c.Core:
    if len(values) == 1 and kind is not None:
        return c.Compare("!=" if negated else "=", operand, c.Const(kind, values[0]))
    return c.InSet(operand, tuple(values), negated)


# -- balance


def balance(node: c.Core) -> c.Core:
    """Nest ``and`` and ``or`` of more than :data:`WIDEST` parts, in halves."""
    node = c.rebuild(node, balance)
    return _halved(type(node), node.args) if isinstance(node, c.And | c.Or) else node


def _halved(kind: type[c.And | c.Or], args: tuple[c.Core, ...]) -> c.Core:
    if len(args) <= WIDEST:
        return kind(args)
    middle = len(args) // 2
    return kind((_halved(kind, args[:middle]), _halved(kind, args[middle:])))


SHAPE: Final[tuple[Pass, ...]] = (negation, sides, flatten)
"""Passes that give trees one shape whatever their literals are."""

VALUES: Final[tuple[Pass, ...]] = (decided, constants, distinct, absorb, ranges)
"""Passes that look at literals."""

PASSES: Final[tuple[Pass, ...]] = (*SHAPE, *VALUES, balance)
"""All of them; :func:`balance` is last, for the others merge what stands in one ``and`` or ``or``."""
