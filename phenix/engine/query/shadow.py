"""A request's filter under the active rules and under the candidate's definitions, over the same rows.

Under the active rules a filter reads the chips that rows are stored with. Under the candidate each chip stands for its
definition there, the score for its formula, and params for their values; the other figures are those that rows are
stored with.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from phenix.dsl import core as c
from phenix.engine.bundle import Bundle
from phenix.engine.encode import row_id
from phenix.engine.flow import INDEX
from phenix.engine.live.index import LiveIndex
from phenix.engine.predicate import Predicate, predicate_of
from phenix.engine.query.page import TIME_FIELDS, Page, compile_filter, search_of
from phenix.engine.query.plan import Scope, count_statement, span_statement
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.store.base import Reader
from phenix.engine.targets.reference import settle
from phenix.engine.written import Written

__all__ = ["NAMED", "ShadowDiff", "fetch_shadow"]

NAMED: Final = 100
"""Ids of rows that are named of those added, and of those removed: the first ones by seq."""
_TS, _ID = INDEX["trade_ts_utc"], INDEX["trade_id"]


@dataclass(frozen=True, slots=True)
class ShadowDiff:
    """Rows a filter matches under the active version and under the candidate; ``added`` and ``removed`` are the first
    :data:`NAMED` ids by seq, of so many.
    """

    active: str
    candidate: str
    active_count: int
    added_count: int
    removed_count: int
    added: tuple[str, ...]
    removed: tuple[str, ...]

    @property
    def shadow_count(self) -> int:
        """Rows it matches under the candidate."""
        return self.active_count + self.added_count - self.removed_count


def fetch_shadow(
    reader: Reader,
    request: FlowRequest,
    page: Page,
    bundle: Bundle,
    candidate: Bundle,
    *,
    live: LiveIndex | None = None,
    timeout_s: float | None = None,
) -> ShadowDiff | Refusal:
    """What the rows of a page's request would be under the candidate, as of the page.

    Refused is a filter that the candidate does not understand. Raises StoreError, and StoreTimeout past ``timeout_s``.
    """
    old, other = compile_filter(request.parts, bundle), compile_filter(request.parts, candidate)
    if isinstance(old, Refusal):
        return old
    if isinstance(other, Refusal):
        detail = f"Rule version {candidate.version}, which is in shadow, does not understand the filter: {other.detail}"
        return Refusal(other.code, detail, other.diagnostics)
    was, is_ = settle(old.checked, bundle.params), Written(candidate).of(other.checked)
    scope = _scope(request, old, page)

    def found(core: c.Core, named: int) -> tuple[int, tuple[str, ...]]:
        # Both are of the same rows: those that the filter looks at as the active rules understand it.
        predicate = predicate_of(core, old.text or "true", bundle, reads=old.reads)
        return _found(reader, request, predicate, scope, live, timeout_s, named)

    count, _ = found(was, 0)
    added_count, added = found(c.And((is_, c.Is(was, True, negated=True))), NAMED)
    removed_count, removed = found(c.And((was, c.Is(is_, True, negated=True))), NAMED)
    return ShadowDiff(bundle.version, candidate.version, count, added_count, removed_count, added, removed)


def _scope(request: FlowRequest, predicate: Predicate, page: Page) -> Scope:
    sessions = request.sessions or (0 if TIME_FIELDS & predicate.reads else 1)
    since = page.session or 0
    return Scope(page.as_of, session=since) if sessions == 1 else Scope(page.as_of, since=since if sessions else 0)


def _found(
    reader: Reader,
    request: FlowRequest,
    predicate: Predicate,
    scope: Scope,
    live: LiveIndex | None,
    timeout_s: float | None,
    named: int,
) -> tuple[int, tuple[str, ...]]:
    """How many rows match, and the ids of the first."""
    first = FlowRequest(request.parts, request.sessions, limit=named, include_cancelled=request.include_cancelled)
    search = None if live is None else search_of(live, reader, first, predicate, scope, timeout_s)
    if search is not None:
        count = search.count()
        seqs = [spot.seq for spot in search.by_seq(named, descending=False)] if named and count else []
        rows = reader.rows_at(seqs)
    else:
        counting = count_statement(first, predicate, scope)
        count = int(reader.execute(counting.sql, counting.params, timeout_s=timeout_s)[0][0])
        reading = span_statement(first, predicate, scope, 0, scope.as_of)
        rows = reader.execute(reading.sql, reading.params, timeout_s=timeout_s) if named and count else []
    return count, tuple(row_id(row[_TS], row[_ID]) for row in rows)
