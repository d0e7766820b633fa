"""Dead letters read again: what this version understands becomes rows, the rest stays where it is.

A letter of an import is a line of a file, whose header says how it is read; a letter of the stream holds the frames.
Both go through the normaliser of live prints, with the quote of the underlying and the open interest that the store
knows of their time. A row that is stored already is not stored again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache, partial
from pathlib import Path
from typing import Final

from phenix.engine.enrich.clock import DAY
from phenix.engine.flow import INDEX
from phenix.engine.store.base import SNIPPET_BYTES, Batch, DeadLetter, Reader
from phenix.ingest.deadletter import IMPORT
from phenix.ingest.files import open_table
from phenix.ingest.intake import Intake
from phenix.ingest.layout import TRADE_QUOTE, Layout, LayoutError, ndjson_values
from phenix.ingest.normalize import RawRow, Refusal, Sessions
from phenix.ingest.prints import PrintReader
from phenix.ingest.recorder import Recorder, now_utc
from phenix.ingest.terminal.layouts import TRADE_QUOTE_COLUMNS
from phenix.ingest.terminal.protocol import decode

__all__ = ["Redriven", "redrive"]

_LETTERS: Final = 1_000
_QUOTE_AGE: Final = 7 * DAY
"""How far back a quote of the underlying is looked for: over a holiday weekend."""
_PRINT: Final = tuple(INDEX[name] for name in ("symbol", "trade_ts_utc", "session_date"))
_CONTRACT: Final = tuple(INDEX[name] for name in ("root", "expiration", "strike", "right"))


@dataclass(slots=True)
class Redriven:
    """What came of reading letters again; ``left`` counts by reason those that are still none."""

    letters: int = 0
    stored: int = 0
    duplicates: int = 0
    left: Counter[str] = field(default_factory=Counter)


def redrive(reader: Reader, recorder: Recorder, sessions: Sessions, *, reason: str = "") -> Redriven:
    """Read every dead letter again, or those of a reason; raises StoreError.

    The rows and the mark of the letters they came from are stored in one transaction.
    """
    recorder.catch_up()
    done, after = Redriven(), 0
    while page := reader.dead_letters(after_id=after, limit=_LETTERS):
        after = page[-1][0]
        rows: list[RawRow] = []
        numbers = []
        for number, letter in page:
            if reason and letter.reason != reason:
                continue
            done.letters += 1
            row = _read(letter, reader, sessions)
            if row is None:
                done.left[letter.reason] += 1
            else:
                rows.append(row)
                numbers.append(number)
        if rows:
            recorded = recorder.record(Batch(rows=rows, redriven=numbers))
            done.stored += len(recorded.rows)
            done.duplicates += recorded.duplicates
    recorder.finish(level=False)
    return done


def _read(letter: DeadLetter, reader: Reader, sessions: Sessions) -> RawRow | None:
    """The print of a letter with what is known of its time; None while it is none."""
    if not letter.snippet.strip() or len(letter.snippet) >= SNIPPET_BYTES:
        return None  # it tells of something that is not there, or is cut
    found = _print(letter, Intake(sessions))
    if found is None:
        return None
    intake = Intake(sessions)
    symbol, at, date = (found[i] for i in _PRINT)
    intake.remember(reader.underlying_quotes(symbol, at - _QUOTE_AGE, at, latest=1))
    root, expiration, strike, right = (found[i] for i in _CONTRACT)
    interest = reader.interest_at(root, expiration, strike, right, date, at)
    intake.remember_interest([interest] if interest else [])
    return _print(letter, intake)


def _print(letter: DeadLetter, intake: Intake) -> RawRow | None:
    if letter.stream != IMPORT:
        intake.frames(decode(letter.snippet), now_utc())
        batch = intake.take()
        return tuple(batch.rows[0]) if batch and len(batch.rows) == 1 and not batch.dead_letters else None
    values = _values(letter)
    row = None if values is None else PrintReader(intake.normalizer).row(values, now_utc())
    return None if isinstance(row, Refusal) else row


def _values(letter: DeadLetter) -> Sequence[bytes] | None:
    """The columns of an imported line; None where it is no print, or is still not understood."""
    reading = _reading_of(Path(str(letter.place).rpartition(":")[0]))
    values = reading(letter.snippet) if reading else None
    return None if isinstance(values, Refusal) else values


@lru_cache(256)
def _reading_of(path: Path) -> Callable[[bytes], Sequence[bytes] | Refusal] | None:
    """How lines of a file are read: by its header, in the vendor's order where it is gone; None: not as prints."""
    if not path.exists():
        layout = Layout(TRADE_QUOTE, TRADE_QUOTE_COLUMNS)
        return partial(ndjson_values, layout) if path.suffix in (".ndjson", ".jsonl") else layout.values
    try:
        return open_table(TRADE_QUOTE, path).values
    except LayoutError:
        return None
