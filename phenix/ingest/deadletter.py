"""Records that could not become rows, kept with their reason."""

from __future__ import annotations

from phenix.engine.store.base import SNIPPET_BYTES, DeadLetter
from phenix.ingest.normalize import Refusal

__all__ = ["IMPORT", "TERMINAL", "letter"]

IMPORT = "import"
TERMINAL = "terminal"


def letter(stream: str, place: str | None, refusal: Refusal, record: bytes | str, at_utc: int) -> DeadLetter:
    """A dead letter; the record is cut to what is kept of it."""
    raw = record.encode("utf-8", "replace") if isinstance(record, str) else record
    return DeadLetter(stream, place, refusal.reason, refusal.detail, raw[:SNIPPET_BYTES], at_utc)
