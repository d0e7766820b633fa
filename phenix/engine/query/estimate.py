"""How many rows a filter hits, of how many: of each session from memory where that has it, else from the store."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from phenix.engine.bundle import Bundle
from phenix.engine.encode import date_text
from phenix.engine.live.index import LiveIndex
from phenix.engine.predicate import Predicate
from phenix.engine.query.page import compile_filter, search_of
from phenix.engine.query.plan import Scope, count_statement, sees_cancelled
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.engine.store.base import Reader, StoreTimeout

__all__ = ["Estimate", "Hits", "fetch_estimate"]

_BEFORE = "SELECT max(session_date) FROM option_trades WHERE session_date < ?"


@dataclass(frozen=True, slots=True)
class Hits:
    """Rows of a session that a filter is true on, and all it looks at: without cancelled prints and cancel records,
    unless it asks for them.
    """

    session: int
    hits: int
    rows: int

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        return {"date": date_text(self.session), **_counted(self.hits, self.rows)}


@dataclass(frozen=True, slots=True)
class Estimate:
    """The sessions counted, latest first; not ``complete`` when time ran out before all of them were."""

    where: str
    sessions: tuple[Hits, ...]
    complete: bool
    as_of: int
    elapsed_ms: float
    plan: str

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        hits, rows = sum(one.hits for one in self.sessions), sum(one.rows for one in self.sessions)
        return {
            "where": self.where,
            **_counted(hits, rows),
            "sessions": [one.to_dict() for one in self.sessions],
            "complete": self.complete,
            "asOfSeq": self.as_of,
            "elapsedMs": round(self.elapsed_ms, 3),
            "plan": self.plan,
        }


def _counted(hits: int, rows: int) -> dict[str, Any]:
    return {"hits": hits, "rows": rows, "share": hits / rows if rows else None}


def fetch_estimate(
    reader: Reader,
    parts: Sequence[tuple[str, str]],
    bundle: Bundle,
    sessions: int,
    *,
    live: LiveIndex | None = None,
    timeout_s: float,
) -> Estimate | Refusal:
    """Count the latest sessions that hold rows, one after the other as long as there is time.

    Raises StoreError, and StoreTimeout when not one could be counted.
    """
    begun = time.monotonic()
    predicate, everything = compile_filter(parts, bundle), compile_filter((), bundle)
    if isinstance(predicate, Refusal) or isinstance(everything, Refusal):
        return predicate if isinstance(predicate, Refusal) else everything  # type: ignore[return-value] # of nothing
    request = FlowRequest(tuple(parts), sessions=1)
    request = FlowRequest(request.parts, sessions=1, include_cancelled=sees_cancelled(request, predicate))
    as_of, date = reader.watermark(), reader.current_session()
    counted: list[Hits] = []
    complete, plans = True, set()
    while date is not None and len(counted) < sessions:
        scope = Scope(as_of, session=date)

        def count(filter_: Predicate, scope: Scope = scope) -> int:
            left = begun + timeout_s - time.monotonic()
            if left <= 0:
                raise StoreTimeout("the deadline has passed")
            # Sessions beyond those that stay open are not asked for: each would close another.
            search = None
            if live is not None and len(counted) <= live.sealed.most:
                search = search_of(live, reader, request, filter_, scope, left)
            if search is not None:
                plans.add("memory")
                return search.count()
            plans.add("store")
            statement = count_statement(request, filter_, scope)
            total: int = reader.execute(statement.sql, statement.params, timeout_s=left)[0][0]
            return total

        try:
            counted.append(Hits(date, count(predicate), count(everything)))
        except StoreTimeout:
            if not counted:
                raise
            complete = False
            break
        date = reader.execute(_BEFORE, (date,))[0][0]
    elapsed = (time.monotonic() - begun) * 1000
    return Estimate(predicate.text, tuple(counted), complete, as_of, elapsed, " and ".join(sorted(plans)) or "store")
