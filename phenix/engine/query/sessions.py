"""Which sessions a request looks at, and what is left to ask of their rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from phenix.dsl import core as c
from phenix.dsl.passes import normalize
from phenix.engine import blocks
from phenix.engine.predicate import Predicate
from phenix.engine.query.plan import Scope
from phenix.engine.store.base import Reader
from phenix.engine.store.schema import HELD_SESSIONS
from phenix.engine.targets.arrays import Column
from phenix.engine.targets.columns import compile_filter

__all__ = ["sessions_of"]

_DATE = frozenset({"session_date"})


def sessions_of(reader: Reader, predicate: Predicate, scope: Scope) -> tuple[list[int], Predicate]:
    """Dates of the sessions in which rows may match, latest first, and the filter without what those answer.

    A part that is and-ed and reads nothing of a row but its session is true for a whole session, or for none of it.
    """
    held = [date for (date,) in reader.execute(HELD_SESSIONS)]
    dates = [date for date in held if (date == scope.session if scope.session else date >= scope.since)]
    parts = predicate.core.args if isinstance(predicate.core, c.And) else (predicate.core,)
    of_session = tuple(part for part in parts if _is_of_session(part))
    if not of_session:
        return dates, predicate
    matches = compile_filter(c.And(of_session), predicate.bundle.params, predicate.bundle.bits)
    column = Column(np.array(dates, np.int64))
    found = matches(blocks.Block({"session_date": column}, len(dates)), scope.as_of)
    rest = tuple(part for part in parts if part not in of_session)
    narrowed = replace(predicate, core=normalize(c.And(rest)), text=predicate.text if rest else "")
    return [date for date, is_in in zip(dates, found.tolist(), strict=True) if is_in], narrowed


def _is_of_session(part: c.Core) -> bool:
    return c.reads(part) == _DATE and not any(isinstance(node, c.Chip) for node in c.walk(part))
