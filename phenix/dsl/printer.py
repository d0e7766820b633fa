"""Canonical text of expressions: ``parse(print(x))`` means ``x``, parentheses by precedence."""

from __future__ import annotations

from datetime import date

from phenix.dsl import nodes as n

__all__ = ["print_expression"]

_OR, _AND, _NOT, _IS, _COMPARE, _ELSE, _SUM, _PRODUCT, _UNARY, _ATOM = range(10)
_LEVEL = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "??": _ELSE}


def print_expression(node: n.Expr) -> str:
    """The expression on one line, as the formatter writes it."""
    return _print(node, _OR)


def _print(node: n.Expr, least: int) -> str:
    text, level = _text(node)
    return f"({text})" if level < least else text


def _text(node: n.Expr) -> tuple[str, int]:
    match node:
        case n.Number(text=text):
            return text, _ATOM
        case n.Text(value=value):
            return _quoted(value), _ATOM
        case n.DateLit(value=value):
            return f"{value // 10_000:04d}-{value // 100 % 100:02d}-{value % 100:02d}", _ATOM
        case n.TimeLit(value=value):
            return f"{_clock(value)} ET", _ATOM
        case n.TsLit(value=value):
            return _instant(value), _ATOM
        case n.Constant(value=value):
            return {True: "true", False: "false", None: "null"}[value], _ATOM
        case n.Name(name=name):
            return name, _ATOM
        case n.ChipName(name=name):
            return f"@{name}" if name.replace("_", "a").isalnum() else f'@"{name}"', _ATOM
        case n.ParamName(name=name):
            return f"${name}", _ATOM
        case n.Negate(operand=operand):
            return f"-{_print(operand, _UNARY)}", _UNARY
        case n.Arith(op=op, left=left, right=right):
            level = _LEVEL[op]
            return f"{_print(left, level)} {op} {_print(right, level + 1)}", level
        case n.Call(name=name, args=args):
            return f"{name}({', '.join(_print(a, _OR) for a in args)})", _ATOM
        case n.Compare(operands=operands, ops=ops):
            parts = [_print(operands[0], _ELSE)]
            for op, operand in zip(ops, operands[1:], strict=True):
                parts += [op, _print(operand, _ELSE)]
            return " ".join(parts), _COMPARE
        case n.In(operand=operand, among=among, negated=negated):
            return f"{_print(operand, _ELSE)} {'not ' if negated else ''}in {_among(among)}", _COMPARE
        case n.Like(operand=operand, pattern=pattern, negated=negated):
            return f"{_print(operand, _ELSE)} {'not ' if negated else ''}like {_quoted(pattern.value)}", _COMPARE
        case n.Is(operand=operand, what=what, negated=negated):
            return f"{_print(operand, _IS)} is {'not ' if negated else ''}{what}", _IS
        case n.Not(operand=operand):
            return f"not {_print(operand, _NOT)}", _NOT
        case n.And(args=args):
            return " and ".join(_print(a, _NOT) for a in args), _AND
        case n.Or(args=args):
            # `and` inside `or` keeps its parentheses: a mixed line is a lint.
            return " or ".join(_print(a, _NOT) for a in args), _OR


def _among(among: n.SetLit | n.Range | n.Name) -> str:
    match among:
        case n.SetLit(items=items):
            return "{" + ", ".join(_print(i, _SUM) for i in items) + "}"
        case n.Range(low=low, high=high, half_open=half_open):
            dots = "..<" if half_open else ".."
            return f"{_print(low, _SUM) if low else ''}{dots}{_print(high, _SUM) if high else ''}"
        case n.Name(name=name):
            return name


def _quoted(text: str) -> str:
    if "\n" in text:
        return f'"""{text}"""'
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _clock(ms: int) -> str:
    minutes, rest = divmod(ms, 60_000)
    text = f"{minutes // 60:02d}:{minutes % 60:02d}"
    if rest:
        text += f":{rest // 1000:02d}" + (f".{rest % 1000:03d}" if rest % 1000 else "")
    return text


def _instant(ms: int) -> str:
    days, rest = divmod(ms, 86_400_000)
    clock = _clock(rest)
    return f"{date.fromordinal(days + 719_163).isoformat()}T{clock}Z"
