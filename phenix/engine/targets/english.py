"""The plain-English target: what a condition says, as one sentence a trader can read."""

from __future__ import annotations

from fractions import Fraction
from typing import Final

from phenix.dsl import nodes as n
from phenix.dsl.printer import print_expression
from phenix.dsl.scope import Scope
from phenix.dsl.types import Kind

__all__ = ["say"]

_OPS: Final = {
    "=": "is", "!=": "is not", "<": "is below", "<=": "is at most", ">": "is above", ">=": "is at least",
}  # fmt: skip
_ARITH: Final = {"+": "plus", "-": "minus", "*": "times", "/": "divided by"}


def say(node: n.Expr, scope: Scope) -> str:
    """The sentence, capitalised and ended, params shown with their values."""
    text = _condition(node, scope)
    return text[:1].upper() + text[1:] + "."


def _condition(node: n.Expr, scope: Scope) -> str:
    match node:
        case n.And(args=args):
            return " and ".join(_grouped(a, scope, n.Or) for a in args)
        case n.Or(args=args):
            return " or ".join(_grouped(a, scope, n.And) for a in args)
        case n.Not(operand=n.Name(name=name)) if name in scope.catalog.by_name:
            return f"it is not {_words(name)}"
        case n.Not(operand=operand):
            return f"it is not so that {_grouped(operand, scope, n.And | n.Or)}"
        case n.Compare(operands=operands, ops=ops):
            parts = [_value(operands[0], scope)]
            for i, (op, operand) in enumerate(zip(ops, operands[1:], strict=True)):
                parts += ["and" if i else "", _OPS[op], _value(operand, scope, operands[0])]
            return " ".join(p for p in parts if p)
        case n.In(operand=operand, among=among, negated=negated):
            return f"{_value(operand, scope)} is {'not ' if negated else ''}{_among(among, operand, scope)}"
        case n.Like(operand=operand, pattern=pattern, negated=negated):
            return f"{_value(operand, scope)} {'does not read' if negated else 'reads'} like {pattern.value}"
        case n.Is(operand=operand, what=what, negated=negated):
            missing = {"null": "missing", "unknown": "undecided"}.get(what, what)
            inner = _value(operand, scope) if what == "null" else f"({_condition(operand, scope)})"
            return f"{inner} is {'not ' if negated else ''}{missing}"
        case n.ChipName(name=name):
            return f"the chip {name} is on"
        case n.Name(name=name) if name in scope.catalog.by_name:
            return f"it is {_words(name)}"
        case n.Name(name=name) if name in scope.lets:
            return _grouped(scope.lets[name].node.body, scope, n.And | n.Or)
        case n.Constant(value=known):
            return "always" if known else "never"
        case _:
            return print_expression(node)


def _grouped(node: n.Expr, scope: Scope, split: type | object) -> str:
    text = _condition(node, scope)
    return f"({text})" if isinstance(node, split) else text  # type: ignore[arg-type]


def _among(among: n.SetLit | n.Range | n.Name, operand: n.Expr, scope: Scope) -> str:
    match among:
        case n.SetLit(items=items):
            return "one of " + ", ".join(_value(i, scope, operand) for i in items) if items else "one of nothing"
        case n.Name(name=name):
            return f"in the set {_words(name)}"
        case n.Range(low=low, high=high, half_open=half_open):
            if low is None or high is None:
                bound = _value(low or high, scope, operand)  # type: ignore[arg-type]
                return f"{bound} or more" if high is None else f"{'below ' if half_open else 'up to '}{bound}"
            joint = "up to but not including" if half_open else "to"
            return f"from {_value(low, scope, operand)} {joint} {_value(high, scope, operand)}"


def _value(node: n.Expr, scope: Scope, beside: n.Expr | None = None) -> str:
    match node:
        case n.Number(value=number, unit=unit, text=text):
            money = unit == "$" or (not unit and beside is not None and _kind(beside, scope) is Kind.MONEY)
            if money:
                return _dollars(number)
            return f"{_plain(number)}%" if unit == "%" else (text if unit == "s" else _plain(number))
        case n.ParamName(name=name):
            info = scope.params.get(name)
            if info is None or info.exact is None:
                return _words(name)
            if info.kind is Kind.MONEY:
                return _dollars(info.exact)
            return _plain(info.exact) + ("%" if info.kind is Kind.PERCENT else "")
        case n.Name(name=name):
            return _words(name)
        case n.Arith(op="??", left=left, right=right):
            return f"{_value(left, scope)} (or {_value(right, scope, left)} where missing)"
        case n.Arith(op=op, left=left, right=right):
            return f"{_value(left, scope, right)} {_ARITH[op]} {_value(right, scope, left)}"
        case n.Call(name="abs", args=(arg,)):
            return f"the size of {_value(arg, scope)}"
        case n.Call(name=name, args=args):
            return f"the {name} of {', '.join(_value(a, scope) for a in args)}"
        case _:
            return print_expression(node)


def _kind(node: n.Expr, scope: Scope) -> Kind | None:
    match node:
        case n.Name(name=name) if name in scope.catalog.by_name:
            return scope.catalog.by_name[name].type.kind
        case n.ParamName(name=name) if name in scope.params:
            return scope.params[name].kind
        case n.Arith(left=left, right=right):
            return _kind(left, scope) or _kind(right, scope)
        case n.Call(args=args):
            return next((k for a in args if (k := _kind(a, scope))), None)
        case _:
            return None


def _words(name: str) -> str:
    return name.replace("_", " ")


def _plain(number: Fraction) -> str:
    return f"{int(number):,}" if number.denominator == 1 else f"{float(number):g}"


def _dollars(number: Fraction) -> str:
    return f"${int(number):,}" if number.denominator == 1 else f"${float(number):,.4f}".rstrip("0")
