"""Every row of a request in seq order, as of its beginning, a little at a time.

Each step is one short statement: whoever exports all holds up nobody else, and can be stopped between any two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, Row
from phenix.engine.live.index import LiveIndex
from phenix.engine.predicate import Predicate
from phenix.engine.query.cursor import Cursor
from phenix.engine.query.page import compile_filter, resume_after, scope_of, search_of, walk_hash
from phenix.engine.query.plan import Scope, span_statement
from phenix.engine.query.request import MAX_LIMIT, FlowRequest, Refusal
from phenix.engine.store.base import Reader

__all__ = ["Export", "begin_export", "next_rows"]

_SPAN: Final = 65_536
"""Seqs looked at in one statement, however few of their rows match."""


@dataclass(frozen=True, slots=True)
class Export:
    """An export under way: every matching row up to ``position`` was given.

    ``removed`` is the last seq that was missing from the store when it began.
    """

    request: FlowRequest
    predicate: Predicate
    scope: Scope
    watermark: int
    position: int
    removed: int

    @property
    def done(self) -> bool:
        """Whether every row was given."""
        return self.position >= self.scope.as_of

    @property
    def cursor(self) -> str:
        """Where it stands, as the ``cursor`` of a request that goes on from there; empty when it is done."""
        if self.done:
            return ""
        since = self.scope.session or self.scope.since
        version = self.predicate.bundle.version
        asked = walk_hash(self.request, self.predicate)
        return Cursor(asked, version, self.scope.as_of, since, self.position, self.position).encode()


def begin_export(reader: Reader, request: FlowRequest, bundle: Bundle) -> Export | Refusal:
    """An export of a request, or the rest of the one its cursor is of. Raises StoreError."""
    request = replace(request, sort=BY_NAME["seq"], descending=False, limit=MAX_LIMIT)
    predicate = compile_filter(request.parts, bundle)
    if isinstance(predicate, Refusal):
        return predicate
    watermark, removed = reader.watermark(), reader.removed_upto()
    after = resume_after(request, walk_hash(request, predicate), bundle, watermark) if request.cursor else None
    if isinstance(after, Refusal):
        return after
    scope = scope_of(reader, request, predicate, after, watermark)
    if after is None:
        since = scope.session or scope.since
        sql = "SELECT min(seq) FROM option_trades WHERE session_date >= ?"
        first = reader.execute(sql, (since,))[0][0]
        return Export(request, predicate, scope, watermark, scope.as_of if first is None else first - 1, removed)
    if after.seq < removed:
        return _gone()
    return Export(request, predicate, scope, watermark, after.seq, removed)


def next_rows(
    reader: Reader, export: Export, *, live: LiveIndex | None = None, timeout_s: float | None = None
) -> tuple[list[Row], Export] | Refusal:
    """The next rows, at most a page of them and perhaps none, and the export after them.

    Raises StoreError, and StoreTimeout past ``timeout_s``.
    """
    request, predicate, scope, after = export.request, export.predicate, export.scope, export.position
    search = None if live is None else search_of(live, reader, request, predicate, scope, timeout_s)
    rows: list[Row]
    if search is not None:
        seqs = [spot.seq for spot in search.by_seq(request.limit, descending=False, after=after)]
        upto = seqs[-1] if len(seqs) == request.limit else scope.as_of
        rows = list(reader.rows_at(seqs))
    else:
        upto = min(after + _SPAN, scope.as_of)
        statement = span_statement(request, predicate, scope, after, upto)
        rows = list(reader.execute(statement.sql, statement.params, timeout_s=timeout_s))
        upto = rows[-1][0] if len(rows) == request.limit else upto
    # Asked last, so that a removal under way is not missed.
    removed = reader.removed_upto()
    if removed > after and removed != export.removed:
        return _gone()
    return rows, replace(export, position=upto)


def _gone() -> Refusal:
    return Refusal("cursor_expired", "Rows of this export were removed from the store meanwhile; begin again.")
