"""A rule and a row made as small as they can be while something about them stays."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any, Final, TypeVar

from phenix.dsl import nodes as n
from phenix.dsl.parser import parse_expression
from phenix.dsl.printer import print_expression
from phenix.dsl.scope import Scope
from phenix.dsl.source import Source, Span
from phenix.engine.certify.rows import PLAIN
from phenix.engine.flow import STORED, Row

__all__ = ["shrink"]

_TRIES: Final = 300
_LISTS: Final = (n.SetLit, n.Range)
_NODES: Final = (*n.Expr.__args__, *_LISTS)
_HERE: Final = Span(0, 0)
_SIMPLE: Final = tuple(n.Number(span=_HERE, text=str(v), value=Fraction(v), unit="") for v in (0, 1))
_N = TypeVar("_N")


def shrink(
    text: str, row: Row, scope: Scope, stays: Callable[[str, Row], bool], tries: int = _TRIES
) -> tuple[str, Row]:
    """The smallest rule and row found of which ``stays`` still holds, as it must of what is given.

    Nodes give way to their children, macros to their bodies, lists lose items, literals become plain, values of the
    row unknown or ordinary.
    """
    left = tries
    node, _ = parse_expression(Source("rule", text))
    assert node is not None
    going = True
    while going and left > 0:
        going = False
        for candidate in sorted(_smaller(node, scope), key=_size):
            shorter = print_expression(candidate)
            left -= 1
            if left <= 0:
                break
            if shorter != text and stays(shorter, row):
                node, text, going = candidate, shorter, True
                break
    return text, _plainer(text, list(row), stays)


def _plainer(text: str, row: list[Any], stays: Callable[[str, Row], bool]) -> Row:
    for i, field in enumerate(STORED):
        for value in (None, PLAIN.get(field.name)) if field.nullable else (PLAIN.get(field.name),):
            if field.name in ("seq", "trade_id") or row[i] == value:
                break
            changed = [*row[:i], value, *row[i + 1 :]]
            if stays(text, changed):
                row = changed
                break
    return row


def _smaller(node: Any, scope: Scope) -> Iterator[Any]:
    """Trees with one step taken, here or anywhere below."""
    yield from _steps(node, scope)
    for name, value in _children(node):
        if isinstance(value, tuple):
            for i, item in enumerate(value):
                for less in _smaller(item, scope):
                    yield _with(node, name, (*value[:i], less, *value[i + 1 :]))
        elif name != "among" or isinstance(value, _LISTS):
            for less in _smaller(value, scope):
                yield _with(node, name, less)


def _steps(node: Any, scope: Scope) -> Iterator[Any]:
    if not isinstance(node, _LISTS):
        parts = (p for _, value in _children(node) for p in (value if isinstance(value, tuple) else (value,)))
        yield from (part for part in parts if not isinstance(part, _LISTS))
    match node:
        case n.And(args=args) | n.Or(args=args) | n.Call(args=args):
            yield from (_with(node, "args", less) for less in _one_less(args) if less)
        case n.SetLit(items=items):
            yield from (_with(node, "items", less) for less in _one_less(items))
        case n.Compare(operands=operands, ops=ops) if len(ops) > 1:
            for i in range(len(ops)):
                yield dataclasses.replace(node, operands=operands[i : i + 2], ops=ops[i : i + 1])
        case n.Range(low=low, high=high):
            if low is not None and high is not None:
                yield _with(node, "low", None)
                yield _with(node, "high", None)
        case n.Number(text=text):
            yield from (simple for simple in _SIMPLE if len(simple.text) < len(text))
        case n.Name(name=name):
            macro = scope.lets.get(name) or scope.derived.get(name)
            if macro is not None:
                yield macro.node.body
        case n.In(among=n.Name(name=name)) if name in scope.sets:
            yield _with(node, "among", scope.sets[name].node.body)


def _one_less(items: tuple[_N, ...]) -> Iterator[tuple[_N, ...]]:
    return (items[:i] + items[i + 1 :] for i in range(len(items)))


def _children(node: Any) -> list[tuple[str, Any]]:
    """Fields that hold nodes, one or a tuple of them."""
    held = ((field.name, getattr(node, field.name)) for field in dataclasses.fields(node))
    return [
        (name, value)
        for name, value in held
        if isinstance(value, _NODES) or (isinstance(value, tuple) and value and isinstance(value[0], _NODES))
    ]


def _with(node: Any, name: str, value: Any) -> Any:
    return dataclasses.replace(node, **{name: value})


def _size(node: Any) -> int:
    parts = (p for _, value in _children(node) for p in (value if isinstance(value, tuple) else (value,)))
    return 1 + sum(map(_size, parts))
