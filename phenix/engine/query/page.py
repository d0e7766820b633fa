"""A request answered: one page of rows, and where the next begins."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from phenix.dsl import core as c
from phenix.dsl.codes import Severity
from phenix.dsl.diagnostics import Diagnostic, diagnostic
from phenix.dsl.source import Source, Span
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle
from phenix.engine.flow import INDEX, STORED, Field, Row
from phenix.engine.live.index import LiveIndex
from phenix.engine.live.search import Search, Spot, can_sort
from phenix.engine.live.several import Several
from phenix.engine.predicate import Predicate, compile_predicate, predicate_of
from phenix.engine.query.behind import Keyed, Waiting, count_waiting, merged, waiting_rows
from phenix.engine.query.cursor import Cursor, filter_hash
from phenix.engine.query.plan import Scope, count_statement, page_statement, sees_cancelled
from phenix.engine.query.request import MAX_LIMIT, FlowRequest, Refusal, Total
from phenix.engine.query.sessions import sessions_of
from phenix.engine.store.base import Reader, StoreTimeout
from phenix.engine.store.retagged import covers
from phenix.engine.store.schema import TAGS
from phenix.engine.written import Written

__all__ = [
    "TIME_FIELDS",
    "Page",
    "compile_filter",
    "fetch_page",
    "refused_filter",
    "resume_after",
    "scope_of",
    "search_of",
    "walk_hash",
]

TIME_FIELDS = frozenset({"session_date", "trade_ts_utc"})
"""A filter that reads one of these bounds the time itself: it is not narrowed to the current session."""

_CATCH_UP = 2_000
"""Rows that a request reads itself, so that it finds what was stored before it came."""
_SEQ = 0  # position of seq in a stored row
_WIDTH = len(STORED)
_VERSION: Final = INDEX["rule_version"]
_TAGS: Final = frozenset({*TAGS, "rule_version"})


@dataclass(frozen=True, slots=True)
class Page:
    """Rows as of a seq; ``session`` is the session they were narrowed to, None when the request bounds the time."""

    rows: tuple[Row, ...]
    as_of: int
    watermark: int
    session: int | None
    has_more: bool
    next_cursor: str | None
    total: int | None
    where: str
    limit: int
    elapsed_ms: float
    plan: str = "store"
    """Where the rows were found: ``memory`` and how many were looked at, or ``store``; and of another rule version
    whether its tags were computed for the request, or had been stored by re-tagging.
    """
    waiting: bool = False
    """Whether prints that wait for enrichment are among those looked at, as they were received."""


def _written(found: Predicate, bundle: Bundle) -> Predicate:
    """A filter with the chips and the score of its rules written out: it reads nothing that rows are tagged with."""
    return predicate_of(Written(bundle).of(found.checked), found.text, bundle, reads=found.reads)


def _tagged(rows: Sequence[Row], bundle: Bundle) -> tuple[Row, ...]:
    """Rows with the chips and the score of a version; those that wait have none yet."""
    again = [list(row) for row in rows]
    bundle.tag(row for row in again if row[_VERSION] is not None)
    return tuple(map(tuple, again))


def compile_filter(parts: Sequence[tuple[str, str]], bundle: Bundle) -> Predicate | Refusal:
    """The filter of a request; a refusal holds every diagnostic."""
    compiled = compile_predicate(parts, bundle)
    if not isinstance(compiled, Predicate):
        return refused_filter(compiled)
    served = {chip.id for chip in bundle.served}
    if len(served) == len(bundle.chips) or not (unserved := _chips(compiled) - served):
        return compiled
    return refused_filter([_unserved(chip, parts, bundle) for chip in sorted(unserved)])


def _chips(predicate: Predicate) -> set[str]:
    """The chips a filter names."""
    return {node.id for node in c.walk(predicate.checked) if isinstance(node, c.Chip)}


def _unserved(chip: str, parts: Sequence[tuple[str, str]], bundle: Bundle) -> Diagnostic:
    """A filter that asks for a chip which is not rolled out yet."""
    origin, text = next(((origin, text) for origin, text in parts if chip in text), parts[0])
    at = max(text.find(chip), 0)
    mode = bundle.rollout.mode
    return diagnostic(
        "PHX102", f"chip `{chip}` is not served: its rollout is `{bundle.rollout.state(chip)}`",
        Span(at, min(at + len(chip), len(text))), Source(origin, text),
        help=f"the server runs with FLOW_FILTERS_V2={mode}; the catalog says which chips are on",
    )  # fmt: skip


def refused_filter(found: Sequence[Diagnostic]) -> Refusal:
    """The refusal of a text that does not compile, by all that is wrong with it."""
    errors = tuple(finding for finding in found if finding.severity is Severity.ERROR)
    large = all(finding.name == "too-large" for finding in errors)
    first = errors[0].message
    detail = first if len(errors) == 1 else f"{len(errors)} things are wrong with the filter; the first: {first}"
    return Refusal("too_complex" if large else "invalid_query", detail, errors)


def fetch_page(
    reader: Reader,
    request: FlowRequest,
    bundle: Bundle,
    *,
    live: LiveIndex | None = None,
    timeout_s: float | None = None,
    behind: bool = False,
) -> Page | Refusal:
    """The page of a request, found in ``live`` where that holds what it asks for, else in the store.

    ``behind`` says that enrichment is: prints that wait for it are given as they were received. A walk goes on as it
    began. Raises StoreError, and StoreTimeout past ``timeout_s``.
    """
    begun = time.monotonic()
    stored = compile_filter(request.parts, bundle)
    if isinstance(stored, Refusal):
        return stored
    predicate = _written(stored, bundle) if request.rules else stored
    asked = walk_hash(request, predicate)
    watermark = reader.watermark()
    after = resume_after(request, asked, bundle, watermark, waiting=True) if request.cursor else None
    if isinstance(after, Refusal):
        return after
    scope = scope_of(reader, request, predicate, after, watermark)
    waiting = None
    if behind if after is None else after.waiting:
        waiting = Waiting(scope.as_of, reader.raw_watermark() if after is None else after.waiting)
    limit = min(request.limit, MAX_LIMIT)
    by_tag = bool(request.rules) and request.sort.name in _TAGS
    search = None if live is None or by_tag else search_of(live, reader, request, predicate, scope, timeout_s)
    # Columns in memory are tagged faster than stored tags are read; out of the store it is the other way.
    dates = sessions_of(reader, predicate, scope)[0] if request.rules and search is None else []
    if dates and covers(reader, bundle.version, dates, scope.as_of):
        scope = replace(scope, retagged=bundle.version)
    elif by_tag and dates:
        return _unsorted(request)
    asked_of = stored if scope.retagged else predicate
    found = _enriched(reader, request, asked_of, scope, search, after, timeout_s)
    counts = [lambda: _count(reader, request, asked_of, scope, search, timeout_s)]
    if waiting is not None:
        counts.append(lambda: count_waiting(reader, request, predicate, scope, waiting, timeout_s))
    total = _total(request, counts)
    if scope.retagged and not covers(reader, bundle.version, dates, scope.as_of):  # they are being removed
        return fetch_page(reader, request, bundle, live=live, timeout_s=timeout_s, behind=behind)
    if waiting is not None:
        found = merged(request, found, waiting_rows(reader, request, predicate, scope, waiting, after, timeout_s))
    next_cursor = None
    if len(found) > limit:
        (last, key), since = found[limit - 1], scope.session or scope.since
        upto = waiting.upto if waiting else 0
        next_cursor = Cursor(asked, bundle.version, scope.as_of, since, key, last[_SEQ], upto).encode()
    rows, plan = tuple(row for row, _ in found[:limit]), "store" if search is None else search.plan
    if request.rules:
        plan += ", re-tagged" if scope.retagged else ", tags computed"
    return Page(
        rows=_tagged(rows, bundle) if request.rules and not scope.retagged else rows,
        as_of=scope.as_of,
        watermark=watermark,
        session=scope.session or scope.since or None,
        has_more=len(found) > limit,
        next_cursor=next_cursor,
        total=total,
        where=predicate.text,
        limit=limit,
        elapsed_ms=(time.monotonic() - begun) * 1000,
        plan=plan,
        waiting=waiting is not None,
    )


def _unsorted(request: FlowRequest) -> Refusal:
    return Refusal(
        "invalid_query",
        f"Rows are sorted by what they were tagged with: leave `rules` out, or sort by another field than"
        f" `{request.sort.json}`, or have the sessions re-tagged by `phenix rules retag {request.rules}`.",
    )


def _enriched(
    reader: Reader,
    request: FlowRequest,
    predicate: Predicate,
    scope: Scope,
    search: Search | Several | None,
    after: Cursor | None,
    timeout_s: float | None,
) -> list[Keyed]:
    """Enriched rows with their sort values, one more than the page where there are so many."""
    if search is None:
        statement = page_statement(request, predicate, scope, after)
        keyed = reader.execute(statement.sql, statement.params, timeout_s=timeout_s)
        return [(row[:_WIDTH], row[_WIDTH]) for row in keyed]
    spots = _spots(search, request, after)
    rows = reader.rows_at([spot.seq for spot in spots])
    keys = {spot.seq: spot.key for spot in spots}
    return [(row, keys[row[_SEQ]]) for row in rows]


def search_of(
    live: LiveIndex, reader: Reader, request: FlowRequest, predicate: Predicate, scope: Scope, timeout_s: float | None
) -> Search | Several | None:
    """The request as a search in memory; None where a session is not there or behind, or it is not sorted like that."""
    if not can_sort(request.sort):
        return None
    dates, rest = sessions_of(reader, predicate, scope)
    snapshots = live.snapshots(reader, dates, scope.as_of, _CATCH_UP)
    if snapshots is None:
        return None
    shown = sees_cancelled(request, predicate)
    searches = [
        Search(rest, one, scope.as_of, cancelled=shown, timeout_s=timeout_s, unwanted=reader.unwanted)
        for one in snapshots
    ]
    return searches[0] if len(searches) == 1 else Several(searches)


def _spots(search: Search | Several, request: FlowRequest, after: Cursor | None) -> list[Spot]:
    """One more than the page."""
    limit = min(request.limit, MAX_LIMIT) + 1
    if request.sort.name == "seq":
        return search.by_seq(limit, descending=request.descending, after=after.seq if after else None)
    spot = None if after is None else Spot(after.seq, after.key)
    return search.by_field(request.sort, limit, descending=request.descending, after=spot)


def scope_of(reader: Reader, request: FlowRequest, predicate: Predicate, after: Cursor | None, watermark: int) -> Scope:
    """A walk stays on the sessions its first page looked at."""
    sessions = request.sessions or (0 if TIME_FIELDS & predicate.reads else 1)
    if not sessions:
        return Scope(after.as_of if after else watermark)
    if after:
        since, as_of = after.since, after.as_of
    else:
        since, as_of = _first_session(reader, sessions), watermark
    return Scope(as_of, session=since) if sessions == 1 else Scope(as_of, since=since)


def _first_session(reader: Reader, sessions: int) -> int:
    """Date of the n-th latest session with rows (the earliest when there are fewer); 0 in an empty store."""
    date = reader.current_session() or 0
    for _ in range(sessions - 1):
        earlier = reader.execute("SELECT max(session_date) FROM option_trades WHERE session_date < ?", (date,))
        if earlier[0][0] is None:
            break
        date = earlier[0][0]
    return date


def walk_hash(request: FlowRequest, predicate: Predicate) -> str:
    """Hash of what a walk through the rows of a request must not change."""
    named = (request.rules,) if request.rules else ()
    return filter_hash(
        predicate.text, request.sessions, request.include_cancelled, request.sort.name, request.descending, *named
    )


def resume_after(
    request: FlowRequest, asked: str, bundle: Bundle, watermark: int, *, waiting: bool = False
) -> Cursor | Refusal:
    """The cursor of a request; refused where it is none, or of another walk than ``asked``.

    ``waiting`` says that the walk may be one that takes prints as they were received.
    """
    cursor = Cursor.decode(request.cursor)
    if cursor is None:
        return Refusal("invalid_query", "`cursor` is not one that this service gave out.")
    if cursor.filter != asked or not _key_fits(cursor, request.sort) or (cursor.waiting and not waiting):
        return Refusal(
            "cursor_mismatch",
            "`cursor` belongs to a query with another filter or order; ask for the first page without a cursor.",
        )
    if cursor.rule_version != bundle.version:
        return Refusal("cursor_expired", "`cursor` was given out under another rule version; start at the first page.")
    if cursor.as_of > watermark:
        return Refusal("cursor_expired", "`cursor` was given out for rows this store no longer has; start again.")
    return cursor


_KEY_TYPES: dict[Kind, type | tuple[type, ...]] = {
    Kind.ENUM: str,
    Kind.SYMBOL: str,
    Kind.TEXT: str,
    Kind.RATIO: (int, float),
    Kind.PERCENT: (int, float),
}


def _key_fits(cursor: Cursor, field: Field) -> bool:
    if cursor.key is None:
        return field.nullable or bool(cursor.waiting)
    return isinstance(cursor.key, _KEY_TYPES.get(field.type.kind, int))


def _count(
    reader: Reader,
    request: FlowRequest,
    predicate: Predicate,
    scope: Scope,
    search: Search | Several | None,
    timeout_s: float | None,
) -> int:
    if search is not None:
        return search.count()
    statement = count_statement(request, predicate, scope)
    return int(reader.execute(statement.sql, statement.params, timeout_s=timeout_s)[0][0])


def _total(request: FlowRequest, counts: Sequence[Callable[[], int]]) -> int | None:
    if request.total is Total.NONE:
        return None
    try:
        return sum(count() for count in counts)
    except StoreTimeout:
        if request.total is Total.EXACT:
            raise
        return None
