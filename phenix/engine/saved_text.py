"""Saved queries and alerts as `.phx` text: `query` and `alert` statements read, and written again.

The statement's name is the id without its kind: ``query hot_calls`` is ``preset_hot_calls``. So a text that is
imported twice is there once, and what was exported comes back under its own ids.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Final

from phenix.dsl import nodes as n
from phenix.dsl.compiler import compile_saved
from phenix.dsl.diagnostics import Diagnostic, diagnostic, has_errors
from phenix.dsl.parser import parse_expression, parse_file
from phenix.dsl.printer import print_statement
from phenix.dsl.program import SavedAlert, SavedQuery
from phenix.dsl.scanner import scan
from phenix.dsl.source import Source, Span
from phenix.engine.bundle import Bundle
from phenix.engine.saved import SavedPayload, save
from phenix.engine.store.saved import Entry, Kind

__all__ = ["MOST_STATEMENTS", "NAME", "Draft", "print_entries", "read_statements"]

MOST_STATEMENTS: Final = 1_000
"""Statements of one import."""
NAME: Final = re.compile(r"[A-Za-z]\w{0,63}", re.ASCII)
"""What an id is without its kind."""

_WORDS: Final[dict[Kind, str]] = {"preset": "query", "alert": "alert"}
_NODES: Final[dict[Kind, type[n.QueryStatement | n.AlertStatement]]] = {
    "preset": n.QueryStatement,
    "alert": n.AlertStatement,
}
_TRUE: Final = n.Constant(span=Span(0, 0), value=True)


@dataclass(frozen=True, slots=True)
class Draft:
    """A statement as it would be saved.

    ``statement`` holds what it says beside name and filter (an order, a cooldown, a doc): "" where it is nothing.
    """

    name: str
    label: str
    saved: SavedPayload
    statement: str


def read_statements(
    text: str, kind: Kind, bundle: Bundle, *, timeout_s: float = 10.0
) -> list[Draft] | tuple[Diagnostic, ...]:
    """The statements of a text, all of one kind, checked against a rule version; findings when any is refused.

    A ``since`` becomes part of the filter, for it is one. What takes longer than ``timeout_s`` is refused, too.
    """
    until = time.monotonic() + timeout_s
    source = Source("import", text)
    count = len(scan(source, file=True).statements)
    if count > MOST_STATEMENTS:
        message = f"{count:,} statements; {MOST_STATEMENTS:,} are imported at a time"
        return (diagnostic("PHX004", message, Span(0, 0), source, help="split the file"),)
    statements, compiled, found = compile_saved(source, bundle.scope)
    found += tuple(finding for node in statements if (finding := _misplaced(node, kind, source)))
    if not statements and not found:
        help_ = f"write `{_WORDS[kind]} big where value >= 1M`"
        found = (
            diagnostic("PHX501", f"there is no `{_WORDS[kind]}` statement", Span(0, len(text)), source, help=help_),
        )
    if has_errors(found):
        return found
    meant = {one.id: one for one in compiled}
    drafts = []
    for node in statements:
        assert isinstance(node, n.QueryStatement | n.AlertStatement)
        one = meant[node.name]
        if time.monotonic() > until:
            message = f"reading up to here took {timeout_s:g} seconds, as long as an import may take"
            return (diagnostic("PHX004", message, node.name_span, source, help="split the file"),)
        saved = save(_where(one), bundle)
        if isinstance(saved, tuple):  # as long as may be, and a `since` on top
            return saved
        drafts.append(Draft(node.name, node.label, saved, _rest(node)))
    return drafts


def _misplaced(node: n.Statement, kind: Kind, source: Source) -> Diagnostic | None:
    word = _WORDS[kind]
    if not isinstance(node, _NODES[kind]):
        message = f"only `{word}` statements are imported here"
        help_ = "an `alert` is imported among the alerts, a `query` among the presets; rules belong in a rule version"
        return diagnostic("PHX501", message, node.name_span if node.name_span.end else node.span, source, help=help_)
    if not NAME.fullmatch(node.name):
        message = "the name becomes an id: it begins with a letter and has up to 64 of a-z, A-Z, 0-9 and _"
        return diagnostic("PHX501", message, node.name_span, source)
    return None


def _where(one: SavedQuery | SavedAlert) -> str:
    text = "" if one.where.text == "true" else one.where.text
    since = one.since if isinstance(one, SavedQuery) else None
    if since is None:
        return text
    day = f"session_date >= {since // 10_000:04d}-{since // 100 % 100:02d}-{since % 100:02d}"
    if not text:
        return day
    return f"({text}) and {day}" if isinstance(one.where.node, n.Or) else f"{text} and {day}"


def _rest(node: n.QueryStatement | n.AlertStatement) -> str:
    """What a statement says beside name and filter, as a statement that says only that; "" where it is nothing."""
    if isinstance(node, n.QueryStatement):
        node = replace(node, since=None)
    places = tuple(place for place in node.places if place[0] != "since")
    return print_statement(replace(node, name="x", label="x", where=_TRUE, places=places)) if places else ""


def print_entries(entries: Iterable[Entry]) -> Iterator[str]:
    """Each entry as a statement in the canonical layout, parted by empty lines."""
    for number, entry in enumerate(entries):
        yield ("\n" if number else "") + print_statement(_node(entry)) + "\n"


def _node(entry: Entry) -> n.Statement:
    name = entry.id.removeprefix(f"{entry.kind}_")
    where = parse_expression(Source("where", entry.where))[0] if entry.where else _TRUE
    assert where is not None
    said: dict[str, Any] = {"name": name, "label": entry.name, "where": where}
    if entry.statement:
        (node,), _ = parse_file(Source("statement", entry.statement))
        return replace(node, **said)
    return _NODES[entry.kind](span=Span(0, 0), name_span=Span(0, 0), **said)
