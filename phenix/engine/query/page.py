"""A request answered: one page of rows, and where the next begins."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from phenix.dsl.diagnostics import Severity
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle
from phenix.engine.flow import STORED, Field, Row
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.query.cursor import Cursor, filter_hash
from phenix.engine.query.plan import Scope, count_statement, page_statement
from phenix.engine.query.request import MAX_LIMIT, FlowRequest, Refusal, Total
from phenix.engine.store.base import Reader, StoreTimeout

__all__ = ["TIME_FIELDS", "Page", "compile_filter", "fetch_page"]

TIME_FIELDS = frozenset({"session_date", "trade_ts_utc"})
"""A filter that reads one of these bounds the time itself: it is not narrowed to the current session."""

_SEQ = 0  # position of seq in a stored row
_WIDTH = len(STORED)


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


def compile_filter(parts: Sequence[tuple[str, str]], bundle: Bundle) -> Predicate | Refusal:
    """The filter of a request; a refusal holds every diagnostic."""
    compiled = compile_predicate(parts, bundle)
    if isinstance(compiled, Predicate):
        return compiled
    errors = tuple(finding for finding in compiled if finding.severity is Severity.ERROR)
    large = all(finding.name == "too-large" for finding in errors)
    first = errors[0].message
    detail = first if len(errors) == 1 else f"{len(errors)} things are wrong with the filter; the first: {first}"
    return Refusal("too_complex" if large else "invalid_query", detail, errors)


def fetch_page(
    reader: Reader, request: FlowRequest, bundle: Bundle, *, timeout_s: float | None = None
) -> Page | Refusal:
    """The page of a request. Raises StoreError, and StoreTimeout past ``timeout_s``."""
    begun = time.monotonic()
    predicate = compile_filter(request.parts, bundle)
    if isinstance(predicate, Refusal):
        return predicate
    asked = filter_hash(
        predicate.text, request.sessions, request.include_cancelled, request.sort.name, request.descending
    )
    watermark = reader.watermark()
    after = _resume(request, asked, bundle, watermark) if request.cursor else None
    if isinstance(after, Refusal):
        return after
    scope = _scope(reader, request, predicate, after, watermark)
    limit = min(request.limit, MAX_LIMIT)
    statement = page_statement(request, predicate, scope, after)
    found = reader.execute(statement.sql, statement.params, timeout_s=timeout_s)
    rows, has_more = found[:limit], len(found) > limit
    next_cursor = None
    if has_more:
        last = rows[-1]
        key = last[_WIDTH]
        next_cursor = Cursor(asked, bundle.version, scope.as_of, scope.session or scope.since, key, last[_SEQ]).encode()
    return Page(
        rows=tuple(row[:_WIDTH] for row in rows),
        as_of=scope.as_of,
        watermark=watermark,
        session=scope.session or scope.since or None,
        has_more=has_more,
        next_cursor=next_cursor,
        total=_count(reader, request, predicate, scope, timeout_s),
        where=predicate.text,
        limit=limit,
        elapsed_ms=(time.monotonic() - begun) * 1000,
    )


def _scope(reader: Reader, request: FlowRequest, predicate: Predicate, after: Cursor | None, watermark: int) -> Scope:
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


def _resume(request: FlowRequest, asked: str, bundle: Bundle, watermark: int) -> Cursor | Refusal:
    cursor = Cursor.decode(request.cursor)
    if cursor is None:
        return Refusal("invalid_query", "`cursor` is not one that this service gave out.")
    if cursor.filter != asked or not _key_fits(cursor.key, request.sort):
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


def _key_fits(key: Any, field: Field) -> bool:
    return key is None if key is None and field.nullable else isinstance(key, _KEY_TYPES.get(field.type.kind, int))


def _count(
    reader: Reader, request: FlowRequest, predicate: Predicate, scope: Scope, timeout_s: float | None
) -> int | None:
    if request.total is Total.NONE:
        return None
    statement = count_statement(request, predicate, scope)
    try:
        total: int = reader.execute(statement.sql, statement.params, timeout_s=timeout_s)[0][0]
    except StoreTimeout:
        if request.total is Total.EXACT:
            raise
        return None
    return total
