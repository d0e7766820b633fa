"""Text to syntax nodes: statements cut apart, each parsed by Lark (LALR), errors collected.

The only module that knows Lark. A broken statement gives a diagnostic and never hides the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from fractions import Fraction
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, TypeVar

import lark
from lark.visitors import Transformer_NonRecursive, v_args

from phenix.dsl import nodes as n
from phenix.dsl.diagnostics import Diagnostic, Fix, diagnostic
from phenix.dsl.hints import syntax_error
from phenix.dsl.source import Source, Span, packaged

__all__ = ["MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "parse_expression", "parse_file"]

MAX_BYTES: Final = 64 * 1024
"""Longest statement, in bytes of UTF-8."""
MAX_DEPTH: Final = 64
MAX_NODES: Final = 2_000
MAX_ITEMS: Final = 1_000
"""Most items of an inline set."""

_STATEMENT = re.compile(
    r'"""(?:.|\n)*?"""|"(?:[^"\\\n]|\\.)*"|#[^\n]*'
    r"|^[ \t]*(?P<word>edition|param|set|let|chip|field|query|test)(?=[ \t]+[\w\"@$#]|[ \t]*$)",
    re.MULTILINE,
)
_SUFFIX: Final[dict[str, tuple[Fraction, str]]] = {
    "": (Fraction(1), ""),
    "k": (Fraction(1_000), ""),
    "K": (Fraction(1_000), ""),
    "M": (Fraction(1_000_000), ""),
    "B": (Fraction(1_000_000_000), ""),
    "%": (Fraction(1), "%"),
    "bp": (Fraction(1, 100), "%"),
    "ms": (Fraction(1), "s"),
    "s": (Fraction(1_000), "s"),
    "m": (Fraction(60_000), "s"),
    "h": (Fraction(3_600_000), "s"),
    "d": (Fraction(86_400_000), "s"),
}
_FOREIGN: Final = {"==": "=", "<>": "!=", "&&": "and", "&": "and", "||": "or", "|": "or", "!": "not"}
_PARTS = re.compile(r"(\$?)([\d_,]+(?:\.\d+)?)([A-Za-z%]*)")
_F = TypeVar("_F", bound=Callable[..., Any])


def parse_file(source: Source) -> tuple[tuple[n.Statement, ...], tuple[Diagnostic, ...]]:
    """Parse a rule file: the statements that are whole, and what is wrong with the others."""
    statements: list[n.Statement] = []
    found: list[Diagnostic] = []
    for span in _cut(source, found):
        node = _parse(source, span, "statement", found)
        if node is not None:
            statements.append(node)
    return tuple(statements), tuple(found)


def parse_expression(source: Source) -> tuple[n.Expr | None, tuple[Diagnostic, ...]]:
    """Parse one expression, such as a ``where``."""
    found: list[Diagnostic] = []
    node = _parse(source, Span(0, len(source.text)), "expr", found)
    return node, tuple(found)


def _cut(source: Source, found: list[Diagnostic]) -> list[Span]:
    starts = [m.start("word") for m in _STATEMENT.finditer(source.text) if m.group("word")]
    first = starts[0] if starts else len(source.text)
    before = re.sub(r"#[^\n]*", lambda m: " " * len(m[0]), source.text[:first])
    if before.strip():
        at = len(before) - len(before.lstrip())
        found.append(
            diagnostic(
                "PHX001", "expected a statement", Span(at, at + len(before.strip().split()[0])), source,
                help="a statement begins with param, set, let, chip, field, query or test",
            )
        )  # fmt: skip
    return [Span(a, b) for a, b in pairwise([*starts, len(source.text)])]


def _parse(source: Source, span: Span, start: str, found: list[Diagnostic]) -> Any:
    text = source.text[span.start : span.end]
    if len(text.encode("utf-8", "replace")) > MAX_BYTES:
        first = Span(span.start, min(span.end, span.start + 40))
        found.append(diagnostic("PHX004", f"{len(text):,} characters; a statement may have 64 kB", first, source,
                                help="use a named `set` or split the rule"))  # fmt: skip
        return None
    try:
        tree = _grammar().parse(text, start=start)
    except lark.exceptions.UnexpectedInput as error:
        found.append(syntax_error(error, text, span.start, source))
        return None
    builder = _Builder(source, span.start)
    node = builder.transform(tree)
    found.extend(builder.found)
    if any(d.code != "PHX002" for d in builder.found):
        return None
    for body in _bodies(node):
        if body.depth > MAX_DEPTH or body.size > MAX_NODES:
            what = f"{body.depth:,} levels deep" if body.depth > MAX_DEPTH else f"{body.size:,} nodes"
            found.append(diagnostic("PHX004", f"the expression is {what}; {MAX_DEPTH} levels and {MAX_NODES:,} nodes "
                                    "are allowed", Span(body.span.start, min(body.span.end, body.span.start + 40)),
                                    source, help="name parts of it with `let`, or use a set"))  # fmt: skip
            return None
    return node


def _bodies(node: Any) -> list[Any]:
    if not hasattr(node, "meta"):
        return [node]
    return [body for key in ("body", "where", "value", "target") if (body := getattr(node, key, None)) is not None]


@cache
def _grammar() -> lark.Lark:
    path = packaged("grammar/phenix.lark")
    options: dict[str, Any] = {"parser": "lalr", "start": ["statement", "expr"], "propagate_positions": True}
    text = path.read_text("utf-8")
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phenix"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return lark.Lark(text, cache=str(folder / f"grammar-{lark.__version__}.cache"), **options)
    except (OSError, RuntimeError):  # no home, or a read-only one: build it anew in this process
        return lark.Lark(text, **options)


def _at(function: _F) -> Any:
    return v_args(meta=True)(function)


class _Builder(Transformer_NonRecursive[Any, Any]):
    """Lark tree to nodes; literals are read and checked here, spans moved to the source."""

    def __init__(self, source: Source, offset: int) -> None:
        super().__init__()
        self.source, self.offset = source, offset
        self.found: list[Diagnostic] = []

    # -- spans and sizes

    def _span(self, meta: Any) -> Span:
        if not hasattr(meta, "start_pos"):  # an empty rule such as `{}` has no tokens kept
            return Span(self.offset, self.offset)
        return Span(meta.start_pos + self.offset, meta.end_pos + self.offset)

    def _token(self, token: Any) -> Span:
        return Span(token.start_pos + self.offset, token.end_pos + self.offset)

    def _over(self, *parts: Any) -> dict[str, int]:
        return {"depth": 1 + max(p.depth for p in parts), "size": 1 + sum(p.size for p in parts)}

    def _report(self, code: str, message: str, span: Span, help: str = "", fix: str | None = None) -> None:
        self.found.append(
            diagnostic(code, message, span, self.source, help=help, fix=Fix(span, fix) if fix is not None else None)
        )

    def _word(self, token: Any) -> str:
        text = str(token)
        if (ours := _FOREIGN.get(text)) is not None:
            self._report("PHX002", f"`{text}` is written `{ours}` here", self._token(token), fix=ours)
            return ours
        return text

    # -- atoms

    @_at
    def number(self, _meta: Any, items: list[Any]) -> n.Number:
        return self._number(items[0])

    def _number(self, token: Any) -> n.Number:
        text, span = str(token), self._token(token)
        match = _PARTS.fullmatch(text)
        assert match
        dollar, digits, suffix = match.groups()
        value = Fraction(digits.replace("_", "").replace(",", "")) if len(digits) <= 40 else Fraction(0)
        if len(digits) > 40:
            self._report("PHX005", f"a number of {len(digits):,} digits", span, "40 digits are allowed")
        scale, unit = _SUFFIX.get(suffix, (None, ""))
        if scale is None:
            near = {"mm": "M", "mil": "M", "mio": "M", "b": "B", "bn": "B", "sec": "s", "min": "m", "bps": "bp"}.get(
                suffix.lower()
            )
            self._report("PHX005", f"`{suffix}` is no unit", span, "units: k M B, %, bp, ms s m h d",
                         fix=f"{dollar}{digits}{near}" if near else None)  # fmt: skip
            scale = Fraction(1)
        elif dollar and unit:
            self._report("PHX005", f"`{text}` is dollars and something else", span, "write either `$` or the unit")
        return n.Number(span=span, text=text, value=value * scale, unit="$" if dollar else unit)  # type: ignore[arg-type]

    @_at
    def string(self, _meta: Any, items: list[Any]) -> n.Text:
        return self._string(items[0])

    def _string(self, token: Any) -> n.Text:
        text, span = str(token), self._token(token)
        if text.startswith('"""'):
            return n.Text(span=span, value=text[3:-3])
        if text.startswith("'"):
            fix = '"' + text[1:-1].replace('"', '\\"') + '"'
            self._report("PHX002", "text is written in double quotes", span, fix=fix)
            return n.Text(span=span, value=text[1:-1])
        return n.Text(span=span, value=re.sub(r"\\(.)", r"\1", text[1:-1]))

    def _date(self, token: Any) -> int:
        try:
            day = date.fromisoformat(str(token))
        except ValueError:
            self._report("PHX005", f"`{token}` is no day of the calendar", self._token(token), "write 2026-01-16")
            return 0
        return day.year * 10_000 + day.month * 100 + day.day

    @_at
    def date(self, _meta: Any, items: list[Any]) -> n.DateLit:
        return n.DateLit(span=self._token(items[0]), value=self._date(items[0]))

    @_at
    def ts(self, _meta: Any, items: list[Any]) -> n.TsLit:
        token = items[0]
        match = re.fullmatch(r"(\d{4}-\d{2}-\d{2})T(\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,3}))?)?Z", str(token))
        span = self._token(token)
        if match is None:
            self._report("PHX005", f"`{token}` is no point in time", span, "write it in UTC: 2026-01-16T14:30:00Z")
            return n.TsLit(span=span, value=0)
        hour, minute, second = int(match[2]), int(match[3]), int(match[4] or 0)
        try:
            days = date.fromisoformat(match[1]).toordinal() - date(1970, 1, 1).toordinal()
        except ValueError:
            days = -1
        if days < 0 or hour > 23 or minute > 59 or second > 59:
            self._report("PHX005", f"`{token}` is no point in time", span, "write it in UTC: 2026-01-16T14:30:00Z")
        ms = int((match[5] or "0").ljust(3, "0"))
        return n.TsLit(span=span, value=(((days * 24 + hour) * 60 + minute) * 60 + second) * 1000 + ms)

    @_at
    def time(self, _meta: Any, items: list[Any]) -> n.TimeLit:
        token = items[0]
        text, span = str(token), self._token(token)
        clock = text.removesuffix("ET").strip()
        if clock == text:
            self._report("PHX003", "a time of day needs its zone", span, fix=f"{text} ET")
        hour, minute, second = [*clock.split(":"), "0"][:3]
        if int(hour) > 23 or int(minute) > 59 or Fraction(second) >= 60:
            self._report("PHX005", f"`{text}` is no time of day", span, "write 09:30 ET")
        value = (int(hour) * 60 + int(minute)) * 60_000 + int(Fraction(second) * 1000)
        return n.TimeLit(span=span, value=value)

    @_at
    def true(self, meta: Any, _items: list[Any]) -> n.Constant:
        return n.Constant(span=self._span(meta), value=True)

    @_at
    def false(self, meta: Any, _items: list[Any]) -> n.Constant:
        return n.Constant(span=self._span(meta), value=False)

    @_at
    def null(self, meta: Any, _items: list[Any]) -> n.Constant:
        return n.Constant(span=self._span(meta), value=None)

    def unknown(self, _items: list[Any]) -> None:
        return None

    @_at
    def name(self, _meta: Any, items: list[Any]) -> n.Name:
        return n.Name(span=self._token(items[0]), name=str(items[0]))

    @_at
    def chip_name(self, _meta: Any, items: list[Any]) -> n.ChipName:
        return n.ChipName(span=self._token(items[0]), name=str(items[0])[1:].strip('"'))

    @_at
    def param_name(self, _meta: Any, items: list[Any]) -> n.ParamName:
        return n.ParamName(span=self._token(items[0]), name=str(items[0])[1:])

    # -- expressions

    @_at
    def group_expr(self, _meta: Any, items: list[Any]) -> Any:
        return replace(items[0], depth=items[0].depth + 1)

    @_at
    def call(self, meta: Any, items: list[Any]) -> n.Call:
        args = tuple(a for a in items[1:] if a is not None)
        size = self._over(*args) if args else {}
        return n.Call(span=self._span(meta), name=items[0].name, args=args, **size)

    @_at
    def negate(self, meta: Any, items: list[Any]) -> n.Negate:
        return n.Negate(span=self._span(meta), operand=items[1], **self._over(items[1]))

    @_at
    def arith(self, meta: Any, items: list[Any]) -> n.Arith:
        left, op, right = items
        return n.Arith(span=self._span(meta), op=str(op), left=left, right=right, **self._over(left, right))

    def compare_op(self, items: list[Any]) -> str:
        return self._word(items[0])

    def what(self, items: list[Any]) -> str:
        return str(items[0])

    @_at
    def compare(self, meta: Any, items: list[Any]) -> n.Compare:
        operands = tuple(items[0::2])
        return n.Compare(span=self._span(meta), operands=operands, ops=tuple(items[1::2]), **self._over(*operands))

    @_at
    def set_literal(self, meta: Any, items: list[Any]) -> n.SetLit:
        args = tuple(a for a in items if a is not None)
        if len(args) > MAX_ITEMS:
            self._report("PHX004", f"a set of {len(args):,} items; {MAX_ITEMS:,} are allowed", args[MAX_ITEMS].span,
                         "split it over several sets")  # fmt: skip
        return n.SetLit(span=self._span(meta), items=args, size=1 + len(args) // MAX_ITEMS)

    @_at
    def range(self, meta: Any, items: list[Any]) -> n.Range:
        low, dots, high = items
        size = self._over(*(p for p in (low, high) if p is not None))
        return n.Range(span=self._span(meta), low=low, high=high, half_open=dots == "..<", **size)

    @_at
    def range_to(self, meta: Any, items: list[Any]) -> n.Range:
        dots, high = items
        return n.Range(span=self._span(meta), low=None, high=high, half_open=dots == "..<", **self._over(high))

    @_at
    def in_(self, meta: Any, items: list[Any]) -> n.In:
        operand, negated, among = items
        span = self._span(meta)
        if negated is not None:
            self._word(negated)
        return n.In(span=span, operand=operand, among=among, negated=negated is not None, **self._over(operand, among))

    @_at
    def like(self, meta: Any, items: list[Any]) -> n.Like:
        operand, negated, pattern = items
        if negated is not None:
            self._word(negated)
        return n.Like(span=self._span(meta), operand=operand, pattern=pattern, negated=negated is not None,
                      **self._over(operand))  # fmt: skip

    @_at
    def is_(self, meta: Any, items: list[Any]) -> n.Is:
        operand, negated, what = items
        if negated is not None:
            self._word(negated)
        return n.Is(span=self._span(meta), operand=operand, what=what, negated=negated is not None,
                    **self._over(operand))  # fmt: skip

    @_at
    def not_(self, meta: Any, items: list[Any]) -> n.Not:
        self._word(items[0])
        return n.Not(span=self._span(meta), operand=items[1], **self._over(items[1]))

    @_at
    def and_(self, meta: Any, items: list[Any]) -> n.And:
        for word in items[1::2]:
            self._word(word)
        args = tuple(items[0::2])
        return n.And(span=self._span(meta), args=args, **self._over(*args))

    @_at
    def or_(self, meta: Any, items: list[Any]) -> n.Or:
        for word in items[1::2]:
            self._word(word)
        args = tuple(items[0::2])
        return n.Or(span=self._span(meta), args=args, **self._over(*args))

    # -- metadata

    def doc(self, items: list[Any]) -> tuple[str, Any]:
        return "doc", re.sub(r"\s+", " ", items[0].value).strip()

    def owner(self, items: list[Any]) -> tuple[str, Any]:
        return "owner", items[0].value

    def severity(self, items: list[Any]) -> tuple[str, Any]:
        return "severity", items[0].name

    def deprecated(self, items: list[Any]) -> tuple[str, Any]:
        return "deprecated", items[0].value

    def provides(self, items: list[Any]) -> tuple[str, Any]:
        return "provides", items[0].name

    def tags(self, items: list[Any]) -> tuple[str, Any]:
        return "tags", tuple(i.name for i in items)

    def aliases(self, items: list[Any]) -> tuple[str, ...]:
        return tuple(self._string(i).value for i in items if i is not None)

    def group(self, items: list[Any]) -> str:
        return str(items[0].name)

    # -- statements

    def _head(self, meta: Any, name: n.Name, metadata: list[Any]) -> dict[str, Any]:
        pairs = dict(m for m in metadata if m is not None)
        return {"span": self._span(meta), "name": name.name, "name_span": name.span, "meta": n.Meta(**pairs)}

    def _label(self, token: Any) -> str:
        return self._string(token).value if token is not None else ""

    @_at
    def edition(self, meta: Any, items: list[Any]) -> n.Edition:
        number = self._number(items[0])
        if number.value != 1 or number.unit:
            self._report("PHX005", f"edition {number.text} is unknown", number.span, "this compiler reads edition 1")
        return n.Edition(span=self._span(meta), number=1)

    @_at
    def param(self, meta: Any, items: list[Any]) -> n.ParamStatement:
        name, type_name, _equal, value, range_, *more = items
        return n.ParamStatement(**self._head(meta, name, more), type_name=type_name.name, value=value, range=range_)

    @_at
    def set_(self, meta: Any, items: list[Any]) -> n.SetStatement:
        name, _equal, body, *more = items
        return n.SetStatement(**self._head(meta, name, more), body=body)

    @_at
    def let(self, meta: Any, items: list[Any]) -> n.LetStatement:
        name, _equal, body, *more = items
        return n.LetStatement(**self._head(meta, name, more), body=body)

    @_at
    def chip(self, meta: Any, items: list[Any]) -> n.ChipStatement:
        name, label, aliases, group, _equal, body, *more = items
        return n.ChipStatement(**self._head(meta, name, more), label=self._label(label) or name.name,
                               aliases=aliases or (), group=group or "", body=body)  # fmt: skip

    @_at
    def field(self, meta: Any, items: list[Any]) -> n.FieldStatement:
        name, label, type_name, _equal, body, *more = items
        return n.FieldStatement(**self._head(meta, name, more), label=self._label(label) or name.name,
                                type_name=type_name.name, body=body)  # fmt: skip

    def since(self, items: list[Any]) -> tuple[str, Any]:
        return "since", n.DateLit(span=self._token(items[0]), value=self._date(items[0]))

    def order(self, items: list[Any]) -> tuple[str, Any]:
        name, direction, edge = items
        return "order", (name.name, direction == "desc", edge != "first", name.span)

    def limit(self, items: list[Any]) -> tuple[str, Any]:
        number = self._number(items[0])
        if number.unit or number.value.denominator != 1 or number.value < 1:
            self._report("PHX005", "a limit is a whole number from 1", number.span, "write `limit 200`")
        return "limit", int(number.value)

    @_at
    def query(self, meta: Any, items: list[Any]) -> n.QueryStatement:
        name, label, where, since, order, limit, *more = items
        clauses = dict(c for c in (since, order, limit) if c is not None)
        ordering = clauses.get("order")
        return n.QueryStatement(
            **self._head(meta, name, more), label=self._label(label) or name.name, where=where,
            since=clauses.get("since"), order=ordering[:3] if ordering else None,
            order_span=ordering[3] if ordering else None, limit=clauses.get("limit"),
        )  # fmt: skip

    def pair(self, items: list[Any]) -> tuple[n.Name, Any]:
        return items[0], items[1]

    @_at
    def test(self, meta: Any, items: list[Any]) -> n.TestStatement:
        label, target, *row, expected = items
        return n.TestStatement(span=self._span(meta), name=self._label(label), name_span=self._token(label),
                               label=self._label(label), target=target, row=tuple(p for p in row if p is not None),
                               expected=expected)  # fmt: skip

    def statement(self, items: list[Any]) -> Any:
        return items[0]
