"""Pages while enrichment is behind: prints that are stored and not enriched yet, as they were received.

A page then has two parts in one order: the enriched rows up to a seq as always, and the received ones after it up to
another. A walk keeps both seqs, so that a row that is enriched meanwhile does not change its place or come twice.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, INDEX, RAW, STORED, Field, Row
from phenix.engine.predicate import Predicate
from phenix.engine.query.cursor import Cursor
from phenix.engine.query.plan import Scope, Statement, beyond, both, sees_cancelled
from phenix.engine.query.request import FlowRequest
from phenix.engine.store.base import Reader
from phenix.engine.store.schema import RAW_TABLE, STAYING
from phenix.engine.targets.sqlite import SqliteTarget
from phenix.engine.unenriched import CANCELS, RECEIVED, Unenriched

__all__ = ["Keyed", "Waiting", "count_waiting", "merged", "waiting_row", "waiting_rows"]

Keyed: TypeAlias = tuple[Row, Any]
"""A row and its sort value."""
_SET, _KNOWN = INDEX["chips_set"], INDEX["chips_known"]
_SEQ: Final = INDEX["seq"]
_WIDTH: Final = len(RAW)
_COLUMNS: Final = ", ".join(field.sql for field in RAW)
_NOTHING: Final[tuple[None, ...]] = (None,) * (len(STORED) - _WIDTH)


@dataclass(frozen=True, slots=True)
class Waiting:
    """The prints in (after, upto], none of them taken as enriched."""

    after: int
    upto: int


def waiting_rows(
    reader: Reader,
    request: FlowRequest,
    predicate: Predicate,
    scope: Scope,
    waiting: Waiting,
    after: Cursor | None,
    timeout_s: float | None,
) -> list[Keyed]:
    """Those that match, one more than a page, in the request's order; each with the chips its received row decides.

    Raises StoreError, and StoreTimeout past ``timeout_s``.
    """
    key = Statement(_sort_value(request.sort))
    shown, bits = _shown(predicate.bundle, key.sql, scope.as_of)
    where = _where(request, predicate, scope, waiting)
    if after is not None:
        where = both(where, beyond(request, key, after, nullable=True))
    direction = "DESC" if request.descending else "ASC"
    sql = f"{shown.sql} WHERE {where.sql} ORDER BY sort_key IS NULL, sort_key {direction}, t.seq {direction} LIMIT ?"
    found = reader.execute(sql, (*shown.params, *where.params, request.limit + 1), timeout_s=timeout_s)
    return [(_row(one, bits), one[_WIDTH]) for one in found]


def waiting_row(reader: Reader, bundle: Bundle, trade_ts_utc: int, trade_id: int) -> Row | None:
    """A print that waits, by its identity; None where none with it does. Raises StoreError."""
    watermark = reader.watermark()
    shown, bits = _shown(bundle, "NULL", watermark)
    sql = f"{shown.sql} WHERE {STAYING} AND t.trade_ts_utc = ? AND t.trade_id = ? AND t.seq > ?"
    found = reader.execute(sql, (*shown.params, trade_ts_utc, trade_id, watermark))
    return _row(found[0], bits) if found else None


def count_waiting(
    reader: Reader, request: FlowRequest, predicate: Predicate, scope: Scope, waiting: Waiting, timeout_s: float | None
) -> int:
    """How many match. Raises as :func:`waiting_rows`."""
    where = _where(request, predicate, scope, waiting)
    sql = f"SELECT count(*) FROM {RAW_TABLE} t WHERE {where.sql}"
    return int(reader.execute(sql, where.params, timeout_s=timeout_s)[0][0])


def merged(request: FlowRequest, *parts: list[Keyed]) -> list[Keyed]:
    """Rows of all parts in the request's order: unknown values last, ties by seq in the sort's direction."""
    every = sorted((one for part in parts for one in part), key=lambda one: one[0][_SEQ], reverse=request.descending)
    known = sorted((one for one in every if one[1] is not None), key=lambda one: one[1], reverse=request.descending)
    return known + [one for one in every if one[1] is None]


def _sort_value(field: Field) -> str:
    return field.sql if field.name in RECEIVED else "NULL"


def _target(bundle: Bundle) -> SqliteTarget:
    return SqliteTarget(lambda name: BY_NAME[name].sql, bundle.bits.__getitem__)


def _where(request: FlowRequest, predicate: Predicate, scope: Scope, waiting: Waiting) -> Statement:
    bundle = predicate.bundle
    matching = _target(bundle).where(Unenriched.of_bundle(bundle).of(predicate.checked))
    where = Statement(f"({matching.text})", tuple(matching.bind(bundle.params, scope.as_of)))
    if not sees_cancelled(request, predicate):
        where = both(where, Statement(f"t.condition_code NOT IN ({', '.join('?' * len(CANCELS))})", CANCELS))
    if scope.session or scope.since:
        sign = "=" if scope.session else ">="
        where = both(Statement(f"t.session_date {sign} ?", (scope.session or scope.since,)), where)
    return both(Statement(f"{STAYING} AND t.seq > ? AND t.seq <= ?", (waiting.after, waiting.upto)), where)


def _shown(bundle: Bundle, key: str, as_of: int) -> tuple[Statement, list[int]]:
    """A SELECT of the received columns, the sort value and each chip, and the bits of the chips."""
    chips = Unenriched.of_bundle(bundle).chips
    answers = _target(bundle).select([core for _, core in chips])
    sql = f"SELECT {_COLUMNS}, {key} AS sort_key{', ' if chips else ''}{answers.text} FROM {RAW_TABLE} t"
    return Statement(sql, tuple(answers.bind(bundle.params, as_of))), [bit for bit, _ in chips]


def _row(found: tuple[Any, ...], bits: list[int]) -> Row:
    row = [*found[:_WIDTH], *_NOTHING]
    answers = list(zip(bits, found[_WIDTH + 1 :], strict=True))
    row[_SET] = sum(1 << bit for bit, answer in answers if answer)
    row[_KNOWN] = sum(1 << bit for bit, answer in answers if answer is not None)
    return tuple(row)
