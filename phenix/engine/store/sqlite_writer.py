"""Writing a SQLite store: each method is one transaction, numbered by seq."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import astuple
from operator import itemgetter
from pathlib import Path
from typing import Any, Final, Self

import apsw

from phenix.engine.feed import Feed
from phenix.engine.flow import INDEX
from phenix.engine.store import sqlite_rules
from phenix.engine.store.base import ENRICHED_STREAM, SNIPPET_BYTES, Appended, Batch
from phenix.engine.store.schema import ENRICHED_TABLE, INSERT_ENRICHED, INSERT_RAW, RAW_TABLE
from phenix.engine.store.shadow import PUT_COMPARISON, Candidate, Comparison
from phenix.engine.store.sqlite_guard import guarded, transaction
from phenix.engine.store.sqlite_reader import SqliteReader
from phenix.engine.store.versions import Activation, RuleVersion, Why

__all__ = ["SqliteWriter"]

_TS: Final = INDEX["trade_ts_utc"]
_ID: Final = INDEX["trade_id"]
_TIME_OF: Final = itemgetter(_TS)

# Replacing, not ignoring: a quote that comes again is the latest once more.
_INSERT_QUOTE: Final = (
    "INSERT OR REPLACE INTO underlying_quotes (symbol, ts_utc, bid, ask, source) VALUES (?, ?, ?, ?, ?)"
)
_INSERT_OI: Final = "INSERT OR REPLACE INTO open_interest VALUES (?, ?, ?, ?, ?, ?, ?)"
# No place is an empty one: an index takes no two NULLs for the same.
_INSERT_LETTER: Final = (
    "INSERT OR IGNORE INTO ingest_dead_letter (stream_name, place, reason, detail, snippet, at_utc)"
    " VALUES (?, coalesce(?, ''), ?, ?, ?, ?)"
)
_PUT_GAP: Final = "INSERT OR REPLACE INTO ingest_gaps VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_PUT_FEED: Final = "INSERT OR REPLACE INTO feed_state VALUES (1, ?, ?, ?, ?, ?, ?, ?)"
_PUT_CHECKPOINT: Final = "INSERT OR REPLACE INTO ingest_checkpoints VALUES (?, ?, ?)"
_PUT_CONTRACT: Final = (
    "INSERT OR REPLACE INTO contract_stats_intraday"
    ' (symbol, root, expiration, strike, "right", session_date, day_volume, oi, last_trade_ts, updated_at)'
    " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
)
_PUT_SYMBOL: Final = (
    "INSERT OR REPLACE INTO symbol_stats_intraday"
    " (symbol, minute_bucket_et, vol_1m, vol_baseline_15m, open_window_baseline, bullish_ratio_15m, updated_at)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)


def _identity(row: Sequence[Any]) -> tuple[int, int]:
    return row[_TS], row[_ID]


def _now() -> int:
    return time.time_ns() // 1_000_000


class SqliteWriter:
    """Implements :class:`phenix.engine.store.base.Writer`; opened by :func:`phenix.engine.store.sqlite.open_writer`."""

    def __init__(self, connection: apsw.Connection, path: Path, lock: int) -> None:
        self._connection = connection
        self._path = path
        self._lock: int | None = lock
        self.reads = SqliteReader(connection, path, None)
        self._last_seq = self.reads.raw_watermark()
        latest = self.reads.latest_trade()
        self._last_ts: int = -1 if latest is None else latest

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def append(self, batch: Batch) -> Appended:
        """Store a batch in one transaction; the new rows come back with their seq, in order."""
        with guarded(self._path), transaction(self._connection):
            new = self._new_rows(batch.rows)
            rows = [(seq, *row[1:]) for seq, row in enumerate(new, self._last_seq + 1)]
            mark = batch.watermark
            payloads = dict(zip(map(_identity, batch.rows), batch.payloads, strict=True)) if batch.payloads else None
            beside = ((*row, payloads[_identity(row)] if payloads else None, mark) for row in rows)
            self._connection.executemany(INSERT_RAW, beside)
            if batch.quotes:
                quotes = ((q.symbol, q.ts_utc, q.bid, q.ask, q.source) for q in batch.quotes)
                self._connection.executemany(_INSERT_QUOTE, quotes)
            if batch.open_interest:
                interest = (
                    (o.root, o.expiration, o.strike, o.right, o.date, o.ts_utc, o.open_interest)
                    for o in batch.open_interest
                )
                self._connection.executemany(_INSERT_OI, interest)
            before = self._connection.total_changes()
            if batch.dead_letters:
                letters = (
                    (d.stream, d.place, d.reason, d.detail, d.snippet[:SNIPPET_BYTES], d.at_utc)
                    for d in batch.dead_letters
                )
                self._connection.executemany(_INSERT_LETTER, letters)
            letters_kept = self._connection.total_changes() - before
            for g in batch.gaps:
                recovered = g.recovered if g.number is None else g.recovered + len(rows)
                values = (g.number, g.cause.value, g.from_utc, g.upto_utc, g.messages, g.state.value, recovered)
                self._connection.execute(_PUT_GAP, (*values, g.detail, _now()))
            if batch.redriven:
                marks = ((_now(), number) for number in batch.redriven)
                self._connection.executemany("UPDATE ingest_dead_letter SET redriven_at = ? WHERE id = ?", marks)
            if batch.stream:
                self._put_checkpoint(batch.stream, batch.watermark)
        if rows:
            self._last_seq += len(rows)
            self._last_ts = max(self._last_ts, *map(_TIME_OF, rows))
        return Appended(rows, len(batch.rows) - len(rows), letters_kept)

    def append_enriched(
        self,
        rows: Sequence[Sequence[Any]],
        cancels: Sequence[tuple[int, int]] = (),
        contract_stats: Iterable[Sequence[Any]] = (),
        symbol_stats: Iterable[Sequence[Any]] = (),
    ) -> None:
        """Store enriched rows in one transaction.

        ``rows``: seq, trade id, then the values of :data:`phenix.engine.flow.ENRICHED`; ``cancels``: (seq of the
        original, seq of its cancel). Statistics are rows of their tables' columns and replace older ones.
        """
        with guarded(self._path), transaction(self._connection):
            self._connection.executemany(INSERT_ENRICHED, rows)
            if cancels:
                marks = ((cancel, original) for original, cancel in cancels)
                self._connection.executemany(f"UPDATE {ENRICHED_TABLE} SET cancelled_seq = ? WHERE seq = ?", marks)
            self._connection.executemany(_PUT_CONTRACT, contract_stats)
            self._connection.executemany(_PUT_SYMBOL, symbol_stats)
            if rows:
                self._put_checkpoint(ENRICHED_STREAM, str(rows[-1][0]))

    def put_feed(self, feed: Feed) -> None:
        """Keep what the feed is like now, in place of what it was."""
        with guarded(self._path), transaction(self._connection):
            self._connection.execute(_PUT_FEED, astuple(feed))

    def put_comparisons(self, candidate: Candidate, upto_seq: int, found: Sequence[Comparison]) -> bool:
        """Store what is compared up to a seq; false and nothing once another candidate was named, or this one anew."""
        sql = "UPDATE shadow_candidate SET counted_seq = ? WHERE version_id = ? AND since_utc = ?"
        with guarded(self._path), transaction(self._connection):
            self._connection.execute(sql, (upto_seq, candidate.version_id, candidate.since_utc))
            still = bool(self._connection.changes())
            if still:
                self._connection.executemany(PUT_COMPARISON, map(astuple, found))
        return still

    def put_rule_version(self, version: RuleVersion, *, activate: bool = False, now_utc: int = 0) -> None:
        """Keep a rule version; with ``activate`` it becomes the active one from the next enriched row on.

        Raises BitTakenError, and ValueError when another configuration is stored under the same id.
        """
        connection = self._connection
        with guarded(self._path), transaction(connection):
            sqlite_rules.keep(connection, version)
            if activate:
                first = connection.execute("SELECT 1 FROM filter_rule_versions WHERE is_active = 1").get is None
                asked = Activation(0, Why.BOOTSTRAP if first else Why.ACTIVATE, version.version_id, now_utc)
                sqlite_rules.activate(connection, sqlite_rules.ask(connection, asked).number, now_utc)

    def ask_activation(self, asked: Activation) -> Activation:
        """Enter what is asked of the rules in the ledger, numbered; :meth:`activate` or :meth:`refuse` answers it."""
        with guarded(self._path), transaction(self._connection):
            return sqlite_rules.ask(self._connection, asked)

    def activate(self, asked: Activation, now_utc: int) -> Activation:
        """Make its version the active one from the next enriched row on."""
        with guarded(self._path), transaction(self._connection):
            return sqlite_rules.activate(self._connection, asked.number, now_utc)

    def refuse(self, asked: Activation, why: str) -> Activation:
        """Leave the active version as it is, and say why."""
        with guarded(self._path), transaction(self._connection):
            return sqlite_rules.refuse(self._connection, asked.number, why)

    def close(self) -> None:
        """Fold the log back into the database, close it and free the lock; closing twice is fine."""
        try:
            with guarded(self._path):
                self.reads.close()
        finally:
            if self._lock is not None:
                os.close(self._lock)
                self._lock = None

    def _put_checkpoint(self, stream: str, watermark: str) -> None:
        self._connection.execute(_PUT_CHECKPOINT, (stream, watermark, _now()))

    def _new_rows(self, rows: Sequence[Sequence[Any]]) -> Sequence[Sequence[Any]]:
        """The rows not stored yet, each identity once, in order."""
        # Only what is not later than everything stored can be there already: a look-up for each, not an index scan.
        doubtful = [_identity(row) for row in rows if row[_TS] <= self._last_ts]
        sql = f"SELECT trade_ts_utc, trade_id FROM {RAW_TABLE} WHERE trade_ts_utc = ? AND trade_id = ?"
        seen = set(self._connection.executemany(sql, doubtful))
        if not seen and len({row[_ID] for row in rows}) == len(rows):
            return rows
        new = []
        for row in rows:
            identity = _identity(row)
            if identity not in seen:
                seen.add(identity)
                new.append(row)
        return new
