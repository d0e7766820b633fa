"""A request as one SQL statement: a page of rows by keyset, and their number.

A page is found on seqs alone and its rows are fetched after, so that a sort over a session moves
two values a row. Unknown sort values come last in both orders, ties follow seq in the sort's
direction. Cancellation, exclusion and the page itself are judged as of one seq, so a walk sees
neither rows nor cancels that came after its first page.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from phenix.engine.flow import BY_NAME, STORED, Field, Part
from phenix.engine.predicate import Predicate
from phenix.engine.query.cursor import Cursor
from phenix.engine.query.request import FlowRequest
from phenix.engine.store.schema import FROM_RETAGGED, FROM_ROWS

__all__ = [
    "CANCEL_FIELDS",
    "Scope",
    "Statement",
    "beyond",
    "both",
    "count_statement",
    "page_statement",
    "rows_statement",
    "sees_cancelled",
    "span_statement",
]

CANCEL_FIELDS: Final = frozenset({"cancelled", "cancel_record"})
"""A filter that reads one of these decides about cancelled prints and cancel records itself."""

_COLUMNS: Final = ", ".join(f.sql for f in STORED)


@dataclass(frozen=True, slots=True)
class Statement:
    """SQL text with ``?`` for each of its parameters, in order."""

    sql: str
    params: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Scope:
    """What a page is taken from: rows up to ``as_of``, of ``session`` alone or from ``since`` on (0: all).

    ``retagged`` is the rule version whose stored tags the rows have, "" for those they are stored with.
    """

    as_of: int
    session: int = 0
    since: int = 0
    retagged: str = ""

    @property
    def rows(self) -> Statement:
        """The FROM clause."""
        return Statement(FROM_RETAGGED, (self.retagged,)) if self.retagged else Statement(FROM_ROWS)


def sees_cancelled(request: FlowRequest, predicate: Predicate) -> bool:
    """Whether cancelled prints and cancel records are shown."""
    return request.include_cancelled or bool(CANCEL_FIELDS & predicate.reads)


def page_statement(request: FlowRequest, predicate: Predicate, scope: Scope, after: Cursor | None) -> Statement:
    """One row more than the page, so that its presence says whether there is another page.

    Each row is the columns of STORED and then the sort value.
    """
    where = _where(request, predicate, scope)
    key = _value(request.sort, scope.as_of)
    if after is not None:
        where = both(where, beyond(request, key, after, nullable=request.sort.nullable))
    by_seq = request.sort.name == "seq"
    direction = "DESC" if request.descending else "ASC"

    def order(value: str, seq: str) -> str:
        nulls = f"{value} IS NULL, " if request.sort.nullable else ""
        return f"{seq} {direction}" if by_seq else f"{nulls}{value} {direction}, {seq} {direction}"

    rows = scope.rows
    sql = (
        f"WITH page AS MATERIALIZED (SELECT t.seq AS seq, {key.sql} AS sort_key FROM {rows.sql} "
        f"WHERE {where.sql} ORDER BY {order('sort_key', 't.seq')} LIMIT ?) "
        f"SELECT {_COLUMNS}, page.sort_key FROM page CROSS JOIN {rows.sql} WHERE t.seq = page.seq "
        f"ORDER BY {order('page.sort_key', 'page.seq')}"
    )
    return Statement(sql, (*key.params, *rows.params, *where.params, request.limit + 1, *rows.params))


def count_statement(request: FlowRequest, predicate: Predicate, scope: Scope) -> Statement:
    """The number of rows on all pages."""
    where = _where(request, predicate, scope)
    rows = scope.rows
    return Statement(f"SELECT count(*) FROM {rows.sql} WHERE {where.sql}", (*rows.params, *where.params))


def rows_statement(
    request: FlowRequest, predicate: Predicate, scope: Scope, fields: Sequence[str], after: int, limit: int
) -> Statement:
    """Seq and some stored fields of the matching rows after a seq, by seq."""
    where = both(_where(request, predicate, scope), Statement("t.seq > ?", (after,)))
    columns = ", ".join(BY_NAME[name].sql for name in ("seq", *fields))
    rows = scope.rows
    sql = f"SELECT {columns} FROM {rows.sql} WHERE {where.sql} ORDER BY t.seq LIMIT ?"
    return Statement(sql, (*rows.params, *where.params, limit))


def span_statement(request: FlowRequest, predicate: Predicate, scope: Scope, after: int, upto: int) -> Statement:
    """The columns of STORED of the first matching rows with after < seq <= upto, by seq."""
    where = both(Statement("t.seq > ? AND t.seq <= ?", (after, upto)), _where(request, predicate, scope))
    rows = scope.rows
    sql = f"SELECT {_COLUMNS} FROM {rows.sql} WHERE {where.sql} ORDER BY t.seq LIMIT ?"
    return Statement(sql, (*rows.params, *where.params, request.limit))


def _where(request: FlowRequest, predicate: Predicate, scope: Scope) -> Statement:
    sql, params = predicate.sql(scope.as_of)
    where = Statement(f"({sql})", tuple(params))
    if not sees_cancelled(request, predicate):
        shown = "e.cancel_record = 0 AND (e.cancelled_seq IS NULL OR e.cancelled_seq > ?)"
        where = both(where, Statement(shown, (scope.as_of,)))
    if scope.session:
        where = both(Statement("t.session_date = ?", (scope.session,)), where)
    elif scope.since:
        where = both(Statement("t.session_date >= ?", (scope.since,)), where)
    return both(Statement("t.seq <= ?", (scope.as_of,)), where)


def both(left: Statement, right: Statement) -> Statement:
    """Two conditions, and-ed."""
    return Statement(f"{left.sql} AND {right.sql}", left.params + right.params)


def _value(field: Field, as_of: int) -> Statement:
    """A field as an expression; a stored one needs no parameter."""
    if field.part is not Part.DERIVED:
        return Statement(field.sql)
    return Statement(field.sql.replace(":as_of", "?"), (as_of,) * field.sql.count(":as_of"))


def beyond(request: FlowRequest, key: Statement, after: Cursor, *, nullable: bool) -> Statement:
    """Rows after the cursor's in the request's order; ``nullable`` says that ``key`` can be unknown."""
    sign = "<" if request.descending else ">"
    if request.sort.name == "seq":
        return Statement(f"t.seq {sign} ?", (after.seq,))
    if after.key is None:
        return Statement(f"{key.sql} IS NULL AND t.seq {sign} ?", (*key.params, after.seq))
    later = f"({key.sql} {sign} ? OR ({key.sql} = ? AND t.seq {sign} ?)"
    params = (*key.params, after.key, *key.params, after.key, after.seq)
    if nullable:
        later += f" OR {key.sql} IS NULL"
        params += key.params
    return Statement(later + ")", params)
