"""Every stored row as lines of JSON, in seq order."""

from __future__ import annotations

from collections.abc import Iterator

from phenix.engine.encode import Encoder
from phenix.engine.flow import INDEX
from phenix.engine.predicate import Predicate
from phenix.engine.store.base import Reader

__all__ = ["export_lines"]

_ROWS = 2_000


def export_lines(reader: Reader, encoder: Encoder, predicate: Predicate | None = None) -> Iterator[bytes]:
    """One line a row, as of the newest row when it begins; all rows, or those that match.

    Cancelled prints and cancel records are rows like any other. Raises StoreError.
    """
    as_of, after = reader.watermark(), 0
    while after < as_of and (rows := reader.rows_after(after, _ROWS)):
        after = rows[-1][INDEX["seq"]]
        for row in rows:
            if row[INDEX["seq"]] <= as_of and (predicate is None or predicate.matches(row, as_of)):
                yield encoder.encode(row, as_of) + b"\n"
