"""The Python row target: core trees as the source of one generated function.

Three values become two rails of plain boolean source: one that holds where the condition is true,
one where it is false; unknown is neither. Kleene's tables then are Python's own ``and`` and ``or``
(true of an ``and`` needs all true rails, false any false rail), and a condition over known fields
costs one comparison.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Final

from phenix.dsl import core as c

__all__ = ["UNSUPPORTED", "Names", "false_rail", "true_rail", "value"]

UNSUPPORTED: Final[Mapping[str, str]] = {}
"""Kinds of node and functions this target lacks, each with its reason."""

_OPS: Final = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


@dataclasses.dataclass(slots=True)
class Names:
    """How leaves are spelt in the generated source, and the constants it is given."""

    field: Callable[[str], str]
    chip_true: Callable[[str], str]
    chip_false: Callable[[str], str]
    params: Mapping[str, Any]
    constants: dict[str, Any] = dataclasses.field(default_factory=dict)
    temporaries: int = 0

    def temporary(self) -> str:
        """A fresh local name."""
        self.temporaries += 1
        return f"v{self.temporaries}"

    def constant(self, value: Any) -> str:
        """A name for a constant of the generated code."""
        if isinstance(value, bool) or value is None:
            return repr(value)
        if isinstance(value, int | float | str):  # their repr is a literal of exactly this value
            return repr(value) if isinstance(value, str) or value >= 0 else f"({value!r})"
        name = f"k{len(self.constants)}"
        self.constants[name] = value
        return name


@dataclasses.dataclass(frozen=True, slots=True)
class _Value:
    """Source of a value, and the source conditions under which it is known.

    The conditions stand before the value and may name parts of it, so that no part is written twice: text that
    doubled with each nesting would let a short filter exhaust the machine.
    """

    text: str
    guards: tuple[str, ...] = ()


def value(node: c.Core, names: Names) -> str:
    """Source of a value that is None where unknown."""
    lowered = _value(node, names)
    return f"({lowered.text} if {' and '.join(lowered.guards)} else None)" if lowered.guards else lowered.text


def true_rail(node: c.Core, names: Names) -> str:
    """Source that is truthy exactly where the condition is true."""
    return _rail(node, names, True)


def false_rail(node: c.Core, names: Names) -> str:
    """Source that is truthy exactly where the condition is false."""
    return _rail(node, names, False)


def _rail(node: c.Core, names: Names, want: bool) -> str:
    match node:
        case c.Const(value=known):
            return repr(known is not None and bool(known) is want)
        case c.Field(name=name, nullable=may):
            text = names.field(name)
            if want:
                return text
            return f"({text} is not None and not {text})" if may else f"(not {text})"
        case c.Param() | c.Coalesce():  # a truth value by another way
            a = _value(node, names)
            return _guarded(a.guards, a.text if want else f"not {a.text}")
        case c.Chip(id=name):
            return names.chip_true(name) if want else names.chip_false(name)
        case c.Not(operand=operand):
            return _rail(operand, names, not want)
        case c.And(args=args) | c.Or(args=args):
            if not args:
                return repr(isinstance(node, c.And) is want)
            joint = " and " if isinstance(node, c.And) is want else " or "
            return "(" + joint.join(_rail(a, names, want) for a in args) + ")"
        case c.Compare(op=op, left=left, right=right):
            a, b = _value(left, names), _value(right, names)
            shown = _OPS[op if want else c.NEGATED[op]]
            return _guarded(a.guards + b.guards, f"{a.text} {shown} {b.text}")
        case c.InSet(operand=operand, values=among, negated=negated):
            a = _value(operand, names)
            word = "in" if want is not negated else "not in"
            return _guarded(a.guards, f"{a.text} {word} {names.constant(frozenset(among))}")
        case c.Like(operand=operand, how=how, text=text, negated=negated):
            a = _value(operand, names)
            what = names.constant(text)
            test = {
                "prefix": f"{a.text}.startswith({what})", "suffix": f"{a.text}.endswith({what})",
                "contains": f"{what} in {a.text}", "whole": f"{a.text} == {what}",
            }[how]  # fmt: skip
            return _guarded(a.guards, test if want is not negated else f"not ({test})")
        case c.IsNull(operand=operand, negated=negated):
            a = _value(operand, names)
            known = " and ".join(a.guards) or "True"
            return f"({known})" if want is negated else f"(not ({known}))"
        case c.Is(operand=operand, value=expected, negated=negated):
            test = f"{_three(operand, names)} is None" if expected is None else _rail(operand, names, expected)
            return f"({test})" if want is not negated else f"(not ({test}))"
        case _:
            raise TypeError(f"not a condition: {node!r}")


def _three(node: c.Core, names: Names) -> str:
    """Source of True, False or None, each part once: rails would double with every ``is unknown`` in another."""
    match node:
        case c.Not(operand=operand):
            return f"{names.constant(_not)}({_three(operand, names)})"
        case c.And(args=args) | c.Or(args=args):
            joint = names.constant(_all if isinstance(node, c.And) else _any)
            return f"{joint}({', '.join(_three(a, names) for a in args)})"
        case c.Is() | c.IsNull():
            # A rail is only truthy or not: of an unknown field it is None.
            return f"(True if {_rail(node, names, True)} else False)"
        case _:
            return f"(True if {_rail(node, names, True)} else False if {_rail(node, names, False)} else None)"


def _not(value: bool | None) -> bool | None:
    return None if value is None else not value


def _all(*values: bool | None) -> bool | None:
    return False if False in values else None if None in values else True


def _any(*values: bool | None) -> bool | None:
    return True if True in values else None if None in values else False


def _guarded(guards: tuple[str, ...], test: str) -> str:
    return "(" + " and ".join((*dict.fromkeys(guards), test)) + ")"


def _value(node: c.Core, names: Names) -> _Value:
    match node:
        case c.Const(value=None):
            return _Value("None", ("False",))
        case c.Const(value=known):
            return _Value(names.constant(known))
        case c.Field(name=name, nullable=may):
            text = names.field(name)
            return _Value(text, (f"{text} is not None",) if may else ())
        case c.Param(name=name):
            return _Value(names.constant(names.params[name]))
        case c.Arith(op=op, left=left, right=right):
            a, b = _value(_bare(left, right), names), _value(_bare(right, left), names)
            return _Value(f"({a.text} {op} {b.text})", _both(a, b))
        case c.Divide(left=left, right=right):
            a, b = _value(_bare(left, right), names), _value(right, names)
            if isinstance(right, c.Const) and right.value != 0:
                return _Value(f"({a.text} / {b.text})", _both(a, b))
            divisor, named = _named(b.text, names)
            return _Value(f"({a.text} / {divisor})", (*_both(a, b), f"{named} != 0"))
        case c.Real(operand=operand, scale=scale):
            a = _value(operand, names)
            # A division of a whole number by a double converts it just so.
            return _Value(f"({a.text} / {float(10**scale)!r})", a.guards)
        case c.Negate(operand=operand):
            a = _value(operand, names)
            return _Value(f"(-{a.text})", a.guards)
        case c.Abs(operand=operand):
            a = _value(operand, names)
            return _Value(f"abs({a.text})", a.guards)
        case c.Extreme(op=op, args=args):
            parts = [_value(a, names) for a in args]
            return _Value(_extreme(op, [p.text for p in parts], names), _both(*parts))
        case c.Coalesce(first=first, second=second):
            a, b = _value(first, names), _value(second, names)
            if not a.guards:
                return a
            known = " and ".join(a.guards)
            if not b.guards:
                return _Value(f"({a.text} if {known} else {b.text})")
            name = names.temporary()
            other = f"({b.text} if {' and '.join(b.guards)} else None)"
            return _Value(name, (f"({name} := ({a.text} if {known} else {other})) is not None",))
        case _:
            raise TypeError(f"not a value: {node!r}")


def _bare(node: c.Core, other: c.Core) -> c.Core:
    """An operand without its conversion where the other is a double: Python converts just so, without a call."""
    if isinstance(node, c.Real) and node.scale == 0 and not isinstance(other, c.Real):
        return node.operand
    return node


def _extreme(op: str, texts: list[str], names: Names) -> str:
    """Two at a time as one comparison: a third of what a call of ``min`` or ``max`` costs."""
    text = texts[0]
    for other in texts[1:]:
        a, first = _named(text, names)
        b, second = _named(other, names)
        text = f"({b} if {second} {'<' if op == 'min' else '>'} {first} else {a})"
    return text


def _named(text: str, names: Names) -> tuple[str, str]:
    """A name for a value, and the source that gives it; a literal or a variable is its own name."""
    if text.replace(".", "").replace("_", "").isalnum():
        return text, text
    name = names.temporary()
    return name, f"({name} := {text})"


def _both(*parts: _Value) -> tuple[str, ...]:
    return tuple(dict.fromkeys(g for p in parts for g in p.guards))
