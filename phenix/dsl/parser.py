"""Text to syntax nodes: statements cut apart, each parsed by Lark (LALR), errors collected.

The only module that knows Lark. A broken statement gives a diagnostic and never hides the others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, NamedTuple

import lark
from lark.parse_tree_builder import maybe_create_child_filter

from phenix.dsl import nodes as n
from phenix.dsl.diagnostics import Diagnostic, Fix, diagnostic
from phenix.dsl.hints import WORDS, syntax_error
from phenix.dsl.scanner import MAX_BROKEN, Scan, scan
from phenix.dsl.source import Source, Span, packaged
from phenix.dsl.statements import StatementBuilder

__all__ = [
    "MAX_BYTES", "MAX_DEPTH", "MAX_NODES", "MAX_STATEMENTS", "Expected", "Parsed", "Part", "Token", "expected",
    "parse_expression", "parse_file", "parse_parts", "words_of",
]  # fmt: skip

MAX_BYTES: Final = 64 * 1024
"""Longest statement, in bytes of UTF-8."""
MAX_DEPTH: Final = 64
MAX_NODES: Final = 2_000
MAX_STATEMENTS: Final = 20_000
"""Most statements of a file."""
_JOINT: Final = re.compile(r"\s*(and|or)\b")
_RESTARTS: Final = 40
"""Places that are passed over on the way to one that is asked about."""


@dataclass(frozen=True, slots=True)
class Part:
    """A statement of a file: where it stands, its node if it can be read, and what is wrong with it."""

    span: Span
    node: n.Statement | None
    found: tuple[Diagnostic, ...]


Parsed = tuple[tuple[n.Statement, ...], tuple[Diagnostic, ...]]
"""The statements of a file that are whole, and what is wrong with the others."""


def parse_file(source: Source) -> Parsed:
    """Parse a rule file: the statements that are whole, and what is wrong with the others."""
    scanned = scan(source, file=True)
    parts, found = parse_parts(source, scanned)
    return (
        tuple(part.node for part in parts if part.node is not None),
        (*scanned.found, *(d for part in parts for d in part.found), *found),
    )


def parse_parts(source: Source, scanned: Scan) -> tuple[tuple[Part, ...], tuple[Diagnostic, ...]]:
    """Parse each statement of a scanned file; findings are those about the file as a whole."""
    parts: list[Part] = []
    broken = 0
    for span in scanned.statements:
        if len(parts) == MAX_STATEMENTS or broken == MAX_BROKEN:
            what = f"{broken:,} broken statements" if broken == MAX_BROKEN else f"{MAX_STATEMENTS:,} statements"
            return tuple(parts), (diagnostic("PHX004", f"the rest of the file is not read: it follows {what}", span,
                                             source, help="split the file"),)  # fmt: skip
        node, found = _parse(source, scanned.text, span, "statement")
        parts.append(Part(span, node, found))
        broken += node is None
    return tuple(parts), ()


def parse_expression(source: Source) -> tuple[n.Expr | None, tuple[Diagnostic, ...]]:
    """Parse one expression, such as a ``where``."""
    scanned = scan(source, file=False)
    node, found = _parse(source, scanned.text, scanned.statements[0], "expr")
    return node, (*scanned.found, *found)


def _parse(source: Source, clean: str, span: Span, start: str) -> tuple[Any, tuple[Diagnostic, ...]]:
    if len(source.text[span.start : span.end].encode("utf-8", "replace")) > MAX_BYTES:
        first = Span(span.start, min(span.end, span.start + 40))
        return None, (diagnostic("PHX004", f"{span.end - span.start:,} characters; a statement may have 64 kB", first,
                                 source, help="use a named `set` or split the rule"),)  # fmt: skip
    text, before = _without_semicolons(source, clean[span.start : span.end], span.start)
    try:
        top: Any = _grammar().parse(text, start=start)
    except lark.exceptions.UnexpectedInput as error:
        return None, (*before, syntax_error(error, text, span.start, source))
    builder = StatementBuilder(source, span.start)
    node = _build(top, builder)
    found = (*before, *sorted(builder.found, key=lambda d: d.span))
    if builder.broken:
        return None, found
    for body in n.bodies(node):
        if body.depth > MAX_DEPTH or body.size > MAX_NODES:
            what = f"{body.depth:,} levels deep" if body.depth > MAX_DEPTH else f"{body.size:,} nodes"
            here = Span(body.span.start, min(body.span.end, body.span.start + 40))
            return None, (*found, diagnostic("PHX004", f"the expression is {what}; {MAX_DEPTH} levels and "
                                             f"{MAX_NODES:,} nodes are allowed", here, source,
                                             help="name parts of it with `let`, or use a set"))  # fmt: skip
    return node, found


def _without_semicolons(source: Source, text: str, offset: int) -> tuple[str, tuple[Diagnostic, ...]]:
    kept = text.rstrip("; \t\r\n")
    tail = text[len(kept) :]
    if ";" not in tail:
        return text, ()
    span = Span(offset + len(kept) + tail.index(";"), offset + len(kept) + tail.rindex(";") + 1)
    return kept + " " * len(tail), (diagnostic("PHX002", "nothing ends with `;` here", span, source,
                                               fix=Fix(span, "")),)  # fmt: skip


class Token(NamedTuple):
    """A token by the name of its terminal in the grammar."""

    type: str
    text: str


class Expected(NamedTuple):
    """What stands before a place, and the terminals of the grammar that may stand there."""

    tokens: tuple[Token, ...]
    accepts: frozenset[str]


def expected(text: str, *, statement: bool) -> Expected:
    """What may stand behind a text without comments: the beginning of a statement, or of an expression.

    What cannot be read is passed over, and an expression begins behind it.
    """
    tokens: list[Token] = []
    at, start = 0, "statement" if statement else "expr"
    for _ in range(_RESTARTS):
        reading = _grammar().parse_interactive(text[at:], start=start)
        last: Any = None
        try:
            for last in reading.iter_parse():
                tokens.append(Token(last.type, str(last)))
            return Expected(tuple(tokens), frozenset(reading.accepts()))  # type: ignore[no-untyped-call]
        except lark.exceptions.UnexpectedToken as error:
            if error.token is last:
                tokens.pop()
            # Nothing begins with what was refused at once: what is behind it may.
            token_at, behind = error.token.start_pos or 0, error.token.end_pos or 1
            place = token_at if text[at : at + token_at].strip() else behind
        except lark.exceptions.UnexpectedCharacters as error:
            place = (error.pos_in_stream or 0) + 1
        at, start = at + place, "expr"
        if joint := _JOINT.match(text, at):
            at = joint.end()
    return Expected(tuple(tokens), frozenset())


def words_of(terminal: str) -> tuple[str, ...]:
    """The words of the language that a terminal stands for; none for a spelling from elsewhere, or a sign."""
    if terminal == "$END":
        return ()
    spelt = _grammar().get_terminal(terminal).pattern.value.removesuffix(r"(?!\w)").strip("()")
    if re.fullmatch("[a-z|]+", spelt):
        return tuple(spelt.split("|"))
    return (terminal.lower(),) if terminal.lower() in WORDS else ()


class _Branch:
    """A rule of the grammar as it was found: its place, signs that are left out included, and what stands below."""

    __slots__ = ("children", "data", "end_pos", "node", "start_pos")

    def __init__(self, data: str, start_pos: int, end_pos: int, children: list[Any]) -> None:
        self.data, self.start_pos, self.end_pos, self.children = data, start_pos, end_pos, children
        self.node: Any = None


class _Grammar(lark.Lark):
    """Lark, making branches in place of its trees.

    Nine in ten reductions are one level of precedence passing on what is below it; Lark's trees ask for the place of
    each, which is most of the time it takes. Here they cost a call. ``_prepare_callbacks`` is where Lark makes the
    function of each rule, for a grammar built anew and for a cached one.
    """

    def _prepare_callbacks(self) -> None:
        self._callbacks = {rule: _reduction(rule) for rule in self.rules}


def _reduction(rule: Any) -> Callable[[list[Any]], Any]:
    """What becomes of the parts of a rule that was found; the grammar has no rule without any."""
    only = rule.options.expand1 and not rule.alias
    if only and len(rule.expansion) == 1:
        return itemgetter(0)
    name = str(rule.alias or rule.origin.name)
    wrapped = maybe_create_child_filter(
        rule.expansion, rule.options.keep_all_tokens, ambiguous=False, _empty_indices=rule.options.empty_indices
    )
    # A list of many grows by one item at a time: what holds it is handed on, for copies would take its square in time.
    kept = wrapped(_as_it_is) if wrapped else list

    def found(parts: list[Any]) -> Any:
        children = kept(parts)
        if only and len(children) == 1:
            return children[0]
        return _Branch(name, parts[0].start_pos, parts[-1].end_pos, children)

    return found


def _as_it_is(children: list[Any]) -> list[Any]:
    return children


def _build(top: _Branch, builder: StatementBuilder) -> Any:
    """Calls a builder for each branch, from the leaves up, left to right."""
    order, waiting = [], [top]
    while waiting:
        branch = waiting.pop()
        order.append(branch)
        waiting += [child for child in branch.children if type(child) is _Branch]
    for branch in reversed(order):
        items = [child.node if type(child) is _Branch else child for child in branch.children]
        branch.node = getattr(builder, branch.data)(branch, items)
    return top.node


@cache
def _grammar() -> lark.Lark:
    path = packaged("grammar/phenix.lark")
    options: dict[str, Any] = {"parser": "lalr", "start": ["statement", "expr"]}
    text = path.read_text("utf-8")
    try:
        folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "phenix"
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return _Grammar(text, cache=str(folder / f"grammar-{lark.__version__}.cache"), **options)
    except (OSError, RuntimeError):  # no home, or a read-only one: build it anew in this process
        return _Grammar(text, **options)
