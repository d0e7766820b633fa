"""Canonical text: ``parse(print(x))`` means ``x``, parentheses by precedence, one layout for a statement."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from typing import Final

from phenix.dsl import nodes as n
from phenix.dsl.layout import Chain, Doc, Leaf, Lines, Listed, Row, flat, leaves
from phenix.dsl.source import Span

__all__ = ["StatementText", "lay_out", "print_expression", "print_line", "print_statement", "quoted"]

_OR, _AND, _NOT, _IS, _COMPARE, _ELSE, _SUM, _PRODUCT, _UNARY, _ATOM = range(10)
_LEVEL: Final = {"+": _SUM, "-": _SUM, "*": _PRODUCT, "/": _PRODUCT, "??": _ELSE}
_FOLLOWS: Final = frozenset({*n.META, "group", "since", "order", "limit", "cooldown", "implies"})
"""Words that follow a range without an end; a name among them takes parentheses to be one."""
_BREATH: Final = 20
"""Columns that stay free behind a body on the line of its head: a longer one reads better below it."""
_INNER: Final = 2
"""Columns that what belongs to a statement is set in."""


def print_expression(node: n.Expr) -> str:
    """The expression on one line, as the formatter writes it."""
    text = flat(_print(node, _OR))
    assert text is not None
    return text


def print_statement(node: n.Statement) -> str:
    """The statement in its canonical layout, without a line end behind it."""
    return lay_out(StatementText(node))


def print_line(node: n.Statement) -> str:
    """The statement on one line, however wide: the same whatever its layout was, and whatever ours becomes."""
    statement = StatementText(node)
    docs: list[Doc] = [statement.head, *([statement.body] if statement.body else [])]
    for line in statement.lines:
        docs += line.parts if isinstance(line, Row) else (line,)
    return " ".join(text for doc in docs if (text := flat(doc)) is not None)


# -- expressions


def _print(node: n.Expr, least: int) -> Doc:
    doc, level = _doc(node)
    if level >= least:
        return doc
    if isinstance(doc, Chain):
        return Chain(doc.items, doc.words, parenthesised=True)
    return Row((Leaf("("), doc, Leaf(")")))


def _row(*parts: Doc | str) -> Row:
    return Row(tuple(Leaf(part) if isinstance(part, str) else part for part in parts))


def _doc(node: n.Expr) -> tuple[Doc, int]:
    match node:
        case n.Call(name=name, args=args, span=span):
            opening = Leaf(f"{name}(", Span(span.start, span.start + len(name)))
            return Listed(opening, tuple(_print(a, _OR) for a in args), _closing(")", span)), _ATOM
        case n.Negate(operand=operand):
            # `--` begins a comment elsewhere, so a second sign stands in parentheses.
            return _row("-", _print(operand, _ATOM)), _UNARY
        case n.Arith(op=op):
            return _sum(node), _LEVEL[op]
        case n.Compare(operands=operands, ops=ops):
            parts: list[Doc | str] = [_print(operands[0], _ELSE)]
            for op, operand in zip(ops, operands[1:], strict=True):
                parts += [f" {op} ", _print(operand, _ELSE)]
            return _row(*parts), _COMPARE
        case n.In(operand=operand, among=among, negated=negated):
            return _row(_print(operand, _ELSE), " not in " if negated else " in ", _among(among)), _COMPARE
        case n.Like(operand=operand, pattern=pattern, negated=negated):
            word = " not like " if negated else " like "
            return _row(_print(operand, _ELSE), word, Leaf(quoted(pattern.value), pattern.span)), _COMPARE
        case n.Is(operand=operand, what=what, negated=negated, span=span):
            last = Leaf(what, Span(span.end - len(what), span.end))
            return _row(_print(operand, _IS), " is not " if negated else " is ", last), _IS
        case n.Not(operand=operand):
            return _row("not ", _print(operand, _NOT)), _NOT
        case n.And(args=args):
            return Chain(tuple(_print(a, _NOT) for a in args), ("and",) * (len(args) - 1)), _AND
        case n.Or(args=args):
            # `and` inside `or` keeps its parentheses: a mixed line is a lint.
            return Chain(tuple(_print(a, _NOT) for a in args), ("or",) * (len(args) - 1)), _OR
        case _:
            return Leaf(_atom(node), node.span), _ATOM


def _sum(node: n.Arith) -> Chain:
    """Terms of one precedence side by side, as they are grouped from the left."""
    level = _LEVEL[node.op]
    items: list[Doc] = []
    words: list[str] = []
    left: n.Expr = node
    while isinstance(left, n.Arith) and _LEVEL[left.op] == level:
        items.append(_print(left.right, level + 1))
        words.append(left.op)
        left = left.left
    items.append(_print(left, level))
    return Chain(tuple(reversed(items)), tuple(reversed(words)))


def _atom(node: n.Expr) -> str:
    match node:
        case n.Number(text=text):
            return text
        case n.Text(value=value):
            return quoted(value)
        case n.DateLit(value=value):
            return _day(value)
        case n.TimeLit(value=value):
            return f"{_clock(value)} ET"
        case n.TsLit(text=text, value=value):
            return text if text.endswith("ET") else _instant(value)
        case n.Constant(value=value):
            return {True: "true", False: "false", None: "null"}[value]
        case n.ChipName(name=name):
            return f"@{name}" if re.fullmatch(r"\w+", name) else f"@{quoted(name)}"
        case n.ParamName(name=name):
            return f"${name}"
        case n.Name(name=name):
            return name
        case _:
            raise AssertionError(node)


def _closing(text: str, span: Span) -> Leaf:
    return Leaf(text, Span(span.end - 1, span.end))


def _among(among: n.SetLit | n.Range | n.Name) -> Doc:
    match among:
        case n.SetLit():
            return _set(among)
        case n.Range(low=low, high=high, half_open=half_open):
            dots = "..<" if half_open else ".."
            last: list[Doc | str] = [_print(high, _SUM)] if high else []
            if isinstance(high, n.Name) and high.name in _FOLLOWS:
                last = ["(", *last, ")"]
            return _row(*([_print(low, _SUM)] if low else []), dots, *last)
        case n.Name(name=name, span=span):
            return Leaf(name, span)


def _set(node: n.SetLit) -> Listed:
    opening = Leaf("{", Span(node.span.start, node.span.start + 1))
    return Listed(opening, tuple(_print(i, _SUM) for i in node.items), _closing("}", node.span))


def quoted(text: str) -> str:
    """A text between quotes, as it is read."""
    if "\n" in text:
        return f'"""{text}"""'
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _day(value: int) -> str:
    return f"{value // 10_000:04d}-{value // 100 % 100:02d}-{value % 100:02d}"


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


# -- statements


class StatementText:
    """A statement taken apart for printing: its head, its body, the lines below; comments are hung on their leaves."""

    def __init__(self, node: n.Statement) -> None:
        self.node = node
        self._places = dict(node.places)
        at = node.name_span.start or node.span.start
        self.head = Leaf(_head(node), Span(at, max(at + 1, node.name_span.end)))
        self.body: Doc | None = None
        self.lines: list[Doc] = []
        match node:
            case n.Edition(number=number):
                self.body = Leaf(str(number), node.span)
            case n.ParamStatement(value=value, range=range_):
                inside = [" in ", _among(range_)] if range_ else []
                self.body = _row(_print(value, _SUM), *inside)
            case n.SetStatement(body=items):
                self.body = _set(items)
            case n.LetStatement(body=body) | n.ChipStatement(body=body) | n.FieldStatement(body=body):
                self.body = _print(body, _OR)
            case n.QueryStatement():
                self.lines = [_where(node.where), *self._query(node)]
            case n.AlertStatement():
                self.lines = [_where(node.where), *self._cooldown(node)]
            case n.AssertStatement():
                self._assertion(node)
            case n.TestStatement():
                self._test(node)
        if not isinstance(node, n.ChipStatement) and (group := getattr(node, "group", "")):
            self._line("group", group)
        for key in n.META:
            if value_ := getattr(node.meta, key):
                self._line(key, _said(key, value_))

    def _line(self, key: str, text: str) -> None:
        self.lines.append(Leaf(f"{key} {text}", self._places.get(key)))

    def _query(self, node: n.QueryStatement) -> Iterable[Doc]:
        if node.since:
            yield Leaf(f"since {_day(node.since.value)}", self._places.get("since"))
        if node.order:
            name, descending, last = node.order
            words = f"{'desc' if descending else 'asc'} nulls {'last' if last else 'first'}"
            yield Leaf(f"order by {name.name} {words}", self._places.get("order"))
        if node.limit:
            yield Leaf(f"limit {node.limit}", self._places.get("limit"))

    def _cooldown(self, node: n.AlertStatement) -> Iterable[Doc]:
        if node.cooldown:
            yield Leaf(f"cooldown {node.cooldown.text} per {node.per}", self._places.get("cooldown"))

    def _assertion(self, node: n.AssertStatement) -> None:
        left = _print(node.left, _ELSE if node.kind == "rate" else _NOT)
        if node.kind == "never":
            self.body = _row("never ", left)
        elif node.kind == "rate":
            self.body = _row("rate ", left, *([" in ", _among(node.range)] if node.range else []))
        else:
            assert node.right is not None
            self.body = Chain((left, _print(node.right, _NOT)), ("implies",))

    def _test(self, node: n.TestStatement) -> None:
        pairs = tuple(_row(Leaf(f"{name.name}: ", name.span), _print(value, _SUM)) for name, value in node.row)
        end = Leaf("unknown" if node.expected is None else flat(_print(node.expected, _SUM)) or "",
                   Span(node.span.end - 1, node.span.end))  # fmt: skip
        place = self._places.get("row", Span(0, 0))
        opening = Leaf("{", Span(place.start, place.start + 1))
        row = Listed(opening, pairs, _closing("}", place), spaced=True)
        self.body = _row(_print(node.target, _ATOM), " ", row, " => ", end)

    def leaves(self) -> list[Leaf]:
        """Every leaf that stood in the text, in the order of the text."""
        docs = [self.head, *([self.body] if self.body else []), *self.lines]
        found = [leaf for doc in docs for leaf in leaves(doc) if leaf.span is not None]
        return sorted(found, key=lambda leaf: leaf.span or Span(0, 0))


def _where(node: n.Expr) -> Row:
    return _row("where", _print(node, _OR))


def _head(node: n.Statement) -> str:
    match node:
        case n.Edition():
            return "edition"
        case n.AssertStatement():
            return "assert"
        case n.TestStatement(label=label):
            return f"test {quoted(label)} for"
        case n.ParamStatement(name=name, type_name=type_name):
            return f"param {name}: {type_name} ="
        case n.SetStatement(name=name):
            return f"set {name} ="
        case n.LetStatement(name=name):
            return f"let {name} ="
        case n.ChipStatement(name=name, aliases=aliases, group=group):
            also = f" aliases {{{', '.join(map(quoted, aliases))}}}" if aliases else ""
            return f"chip {name}{_label(node)}{also}{f' group {group}' if group else ''} ="
        case n.FieldStatement(name=name, type_name=type_name):
            return f"field {name}{_label(node)}: {type_name} ="
        case n.QueryStatement(name=name):
            return f"query {name}{_label(node)}"
        case n.AlertStatement(name=name):
            return f"alert {name}{_label(node)}"


def _label(node: n.ChipStatement | n.FieldStatement | n.QueryStatement | n.AlertStatement) -> str:
    return f" {quoted(node.label)}" if node.label != node.name else ""


def _said(key: str, value: str | tuple[str, ...]) -> str:
    if isinstance(value, tuple):
        return f"[{', '.join(value)}]"
    return value if key in ("severity", "provides") else quoted(value)


def lay_out(statement: StatementText) -> str:
    """The statement's lines."""
    out = Lines()
    out.write(statement.head, 0)
    body = statement.body
    if isinstance(statement.node, n.TestStatement):
        _write_test(out, statement)
    elif body is not None:
        # A set opens on the line of its head.
        alone = statement.head.after or _first(body).before
        if not alone and (isinstance(body, Listed) or out.fits(Row((Leaf(" "), body)), _BREATH)):
            out.write(Row((Leaf(" "), body)), 0)
        else:
            out.newline(_INNER)
            out.write(body, _INNER)
    for line in statement.lines:
        out.newline(_INNER)
        _write_line(out, line)
    return str(out)


def _first(doc: Doc) -> Leaf:
    """The first word that stood in the text."""
    return next((leaf for leaf in leaves(doc) if leaf.span is not None), Leaf(""))


def _write_test(out: Lines, statement: StatementText) -> None:
    """On one line, or with the row below what the test is for."""
    assert isinstance(statement.body, Row)
    target, _, row, *rest = statement.body.parts
    if statement.head.after or _first(target).before:
        out.newline(_INNER)
        out.write(target, _INNER)
    else:
        out.write(Row((Leaf(" "), target)), 0)
    below = Row((row, *rest))
    if _first(row).before or any(leaf.after for leaf in leaves(target)) or not out.fits(Row((Leaf(" "), below))):
        out.newline(_INNER)
        out.write(below, _INNER)
    else:
        out.write(Row((Leaf(" "), below)), 0)


def _write_line(out: Lines, line: Doc) -> None:
    if not isinstance(line, Row):
        out.write(line, _INNER)
        return
    word, body = line.parts
    out.write(word, _INNER)
    if out.fits(Row((Leaf(" "), body))):
        out.write(Leaf(" "), _INNER)
        out.write(body, _INNER)
    else:
        out.newline(2 * _INNER)
        out.write(body, 2 * _INNER)
