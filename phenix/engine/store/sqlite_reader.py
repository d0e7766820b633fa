"""Reading a SQLite store: every statement has a deadline and ends when nobody wants it, none can write."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, Self

import apsw

from phenix.engine.feed import Feed
from phenix.engine.flow import INDEX
from phenix.engine.store.base import (
    RETENTION_STREAM,
    Cause,
    Checkpoint,
    DeadLetter,
    Gap,
    GapState,
    OpenInterest,
    RuleVersion,
    UnderlyingQuote,
)
from phenix.engine.store.schema import ENRICHED_TABLE, RAW_TABLE, SELECT_RAW, SELECT_SESSION, SELECT_STORED, STAYING
from phenix.engine.store.sqlite_guard import guarded
from phenix.engine.store.sqlite_rules import SELECT_ACTIVATIONS, activation_of
from phenix.engine.store.versions import Activation

__all__ = ["SqliteReader"]

_DEADLINE_STEPS: Final = 2_000
"""Virtual machine steps between looks at the clock: some tens of microseconds."""

_PAGE: Final = 10_000
_SEQS: Final = 1_001
"""Seqs asked for in one statement: a page and one more."""


class SqliteReader:
    """Implements :class:`phenix.engine.store.base.Reader`.

    One connection, usable from several threads one at a time (a statement waits for the one before it); open several
    readers for reads side by side.
    """

    def __init__(self, connection: apsw.Connection, path: Path, timeout_s: float | None) -> None:
        self._connection = connection
        self._path = path
        self._timeout_s = timeout_s
        self._mutex = threading.Lock()
        self._deadline = float("inf")
        self.unwanted: Callable[[], bool] = _never
        """Whether nobody wants what is read any more; asked on the thread that reads."""
        self._data_version: int | None = None
        connection.set_progress_handler(self._late, _DEADLINE_STEPS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def execute(self, sql: str, params: Sequence[Any] = (), *, timeout_s: float | None = None) -> list[tuple[Any, ...]]:
        """All rows of one statement; raises StoreTimeout past its deadline, or when it is unwanted."""
        limit = self._timeout_s if timeout_s is None else timeout_s
        with self._mutex, guarded(self._path):
            self._deadline = float("inf") if limit is None else time.monotonic() + limit
            try:
                return list(self._connection.execute(sql, params))
            finally:
                self._deadline = float("inf")

    def watermark(self) -> int:
        """Largest enriched seq; 0 when there is none."""
        return int(self.execute(f"SELECT coalesce(max(seq), 0) FROM {ENRICHED_TABLE}")[0][0])

    def raw_watermark(self) -> int:
        """Largest raw seq; 0 when there is none."""
        return int(self.execute(f"SELECT coalesce(max(seq), 0) FROM {RAW_TABLE}")[0][0])

    def removed_upto(self) -> int:
        """Largest seq of the rows that retention removed; 0 when it removed none."""
        mark = self.checkpoint(RETENTION_STREAM)
        return int(mark.watermark) if mark else 0

    def raw_rows(self, after_seq: int, limit: int) -> list[tuple[Any, ...]]:
        """Raw rows after a seq, in seq order."""
        return self.execute(f"{SELECT_RAW} WHERE t.seq > ? ORDER BY t.seq LIMIT ?", (after_seq, limit))

    def session_raw(self, session_date: int, before_seq: int, after_seq: int = 0) -> Iterator[tuple[Any, ...]]:
        """Raw rows of a session with after < seq < before, in seq order; fetched in pages."""
        sql = f"{SELECT_RAW} WHERE t.session_date = ? AND t.seq > ? AND t.seq < ? ORDER BY t.seq LIMIT ?"
        while page := self.execute(sql, (session_date, after_seq, before_seq, _PAGE)):
            yield from page
            after_seq = page[-1][INDEX["seq"]]

    def session_stored(self, session_date: int, after_seq: int, upto_seq: int, limit: int) -> list[tuple[Any, ...]]:
        """Whole rows of a session in (after, upto], and last the trade id of the enriched part; None where it lacks."""
        sql = f"{SELECT_SESSION} AND t.session_date = ? AND t.seq > ? AND t.seq <= ? ORDER BY t.seq LIMIT ?"
        return self.execute(sql, (session_date, after_seq, upto_seq, limit))

    def session_count(self, session_date: int, upto_seq: int, after_seq: int = 0) -> int:
        """How many raw rows of a session have a seq in (after, upto]."""
        sql = f"SELECT count(*) FROM {RAW_TABLE} t WHERE {STAYING} AND session_date = ? AND seq > ? AND seq <= ?"
        return int(self.execute(sql, (session_date, after_seq, upto_seq))[0][0])

    def rows_after(self, seq: int, limit: int) -> list[tuple[Any, ...]]:
        """Whole rows after a seq, in seq order."""
        return self.execute(f"{SELECT_STORED} WHERE e.seq > ? ORDER BY e.seq LIMIT ?", (seq, limit))

    def rows_at(self, seqs: Sequence[int]) -> list[tuple[Any, ...]]:
        """Whole rows of some seqs, in the order given; those not stored are left out."""
        found = {}
        for start in range(0, len(seqs), _SEQS):
            some = seqs[start : start + _SEQS]
            for row in self.execute(f"{SELECT_STORED} WHERE t.seq IN ({', '.join('?' * len(some))})", some):
                found[row[INDEX["seq"]]] = row
        return [found[seq] for seq in seqs if seq in found]

    def row(self, trade_ts_utc: int, trade_id: int) -> tuple[Any, ...] | None:
        """The whole row of a print, or None."""
        found = self.execute(f"{SELECT_STORED} WHERE t.trade_ts_utc = ? AND t.trade_id = ?", (trade_ts_utc, trade_id))
        return found[0] if found else None

    def cancelled_between(self, after_seq: int, upto_seq: int) -> list[tuple[Any, ...]]:
        """Whole rows taken back by a cancel in (after_seq, upto_seq], by the cancel's seq."""
        sql = f"{SELECT_STORED} WHERE e.cancelled_seq > ? AND e.cancelled_seq <= ? ORDER BY e.cancelled_seq"
        return self.execute(sql, (after_seq, upto_seq))

    def current_session(self) -> int | None:
        """Latest session date with rows."""
        latest: int | None = self.execute(f"SELECT max(session_date) FROM {RAW_TABLE}")[0][0]
        return latest

    def latest_trade(self) -> int | None:
        """Latest trade time of all rows, UTC ms."""
        latest: int | None = self.execute(f"SELECT max(trade_ts_utc) FROM {RAW_TABLE}")[0][0]
        return latest

    def dead_letters(self, *, after_id: int = 0, limit: int = 1000) -> list[tuple[int, DeadLetter]]:
        """Dead letters with their number, oldest first, without those that became rows since."""
        sql = (
            "SELECT id, stream_name, nullif(place, ''), reason, detail, snippet, at_utc"
            " FROM ingest_dead_letter WHERE redriven_at IS NULL AND id > ? ORDER BY id LIMIT ?"
        )
        return [(row[0], DeadLetter(*row[1:])) for row in self.execute(sql, (after_id, limit))]

    def dead_letter_counts(self) -> dict[str, int]:
        """Dead letters by reason, without those that became rows since."""
        sql = (
            "SELECT reason, count(*) FROM ingest_dead_letter WHERE redriven_at IS NULL GROUP BY reason ORDER BY reason"
        )
        return dict(self.execute(sql))

    def gaps(self, state: GapState | None = None) -> list[Gap]:
        """Gaps of the stream, oldest first; of one state when named."""
        sql = (
            "SELECT cause, from_utc, upto_utc, messages, state, recovered, detail, id FROM ingest_gaps"
            " WHERE state = ?1 OR ?1 IS NULL ORDER BY id"
        )
        rows = self.execute(sql, (None if state is None else state.value,))
        return [
            Gap(Cause(cause), since, upto, messages, GapState(known), recovered, detail, number)
            for cause, since, upto, messages, known, recovered, detail, number in rows
        ]

    def checkpoint(self, stream: str) -> Checkpoint | None:
        """How far a stream has come."""
        sql = "SELECT stream_name, watermark, updated_at FROM ingest_checkpoints WHERE stream_name = ?"
        found = self.execute(sql, (stream,))
        return Checkpoint(*found[0]) if found else None

    def feed(self) -> Feed | None:
        """What ingest last told of the terminal's feed; None before it did."""
        sql = (
            "SELECT at_utc, stream_connected, terminal_connected, data_utc, quote_utc, offset_ms, closed"
            " FROM feed_state"
        )
        for at, stream, terminal, data, quote, offset, closed in self.execute(sql):
            return Feed(at, bool(stream), bool(terminal), data, quote, offset, bool(closed))
        return None

    def underlying_quotes(
        self, symbol: str, from_utc: int, upto_utc: int, latest: int | None = None
    ) -> list[UnderlyingQuote]:
        """Quotes of an underlying with from <= time <= upto, oldest first, those of one time as they came.

        Only the ``latest`` so many of them, if that is given: they alone are read.
        """
        sql = (
            "SELECT symbol, ts_utc, bid, ask, source FROM underlying_quotes"
            " WHERE symbol = ? AND ts_utc BETWEEN ? AND ? ORDER BY ts_utc DESC, id DESC LIMIT ?"
        )
        found = self.execute(sql, (symbol, from_utc, upto_utc, -1 if latest is None else latest))
        return [UnderlyingQuote(*row) for row in reversed(found)]

    def open_interest(self, from_date: int, upto_date: int, root: str | None = None) -> Iterator[OpenInterest]:
        """Open interest of the dates, oldest first; of one root when named."""
        named = ("", ()) if root is None else (" AND root = ?", (root,))
        sql = (
            'SELECT root, expiration, strike, "right", date, ts_utc, open_interest FROM open_interest'
            f' WHERE date BETWEEN ? AND ?{named[0]} ORDER BY date, root, expiration, strike, "right", ts_utc'
        )
        return (OpenInterest(*row) for row in self.execute(sql, (from_date, upto_date, *named[1])))

    def traded(self, session_date: int) -> list[tuple[str, int, int, str]]:
        """Contracts with rows of a session: root, expiration, strike, right."""
        # Counted where rows are enriched; only those that wait are looked at one by one.
        sql = (
            'SELECT root, expiration, strike, "right" FROM contract_stats_intraday WHERE session_date = ?1'
            f' UNION SELECT root, expiration, strike, "right" FROM {RAW_TABLE} WHERE session_date = ?1'
            f" AND seq > (SELECT coalesce(max(seq), 0) FROM {ENRICHED_TABLE})"
        )
        return [(*row,) for row in self.execute(sql, (session_date,))]

    def interest_at(
        self, root: str, expiration: int, strike: int, right: str, date: int, ts_utc: int
    ) -> OpenInterest | None:
        """The latest open interest of a contract told for a date by a time."""
        sql = (
            'SELECT root, expiration, strike, "right", date, ts_utc, open_interest FROM open_interest WHERE root = ?'
            ' AND expiration = ? AND strike = ? AND "right" = ? AND date = ? AND ts_utc <= ?'
            " ORDER BY ts_utc DESC LIMIT 1"
        )
        found = self.execute(sql, (root, expiration, strike, right, date, ts_utc))
        return OpenInterest(*found[0]) if found else None

    def contract_stats(self, session_date: int) -> list[tuple[Any, ...]]:
        """Lines of ``contract_stats_intraday`` of a session."""
        sql = (
            'SELECT symbol, root, expiration, strike, "right", session_date, day_volume, oi, last_trade_ts, updated_at'
            " FROM contract_stats_intraday WHERE session_date = ?"
        )
        return self.execute(sql, (session_date,))

    def symbol_stats(self, from_bucket: int, upto_bucket: int) -> list[tuple[Any, ...]]:
        """Lines of ``symbol_stats_intraday`` with from <= minute <= upto (New York wall clock, ms)."""
        sql = (
            "SELECT symbol, minute_bucket_et, vol_1m, vol_baseline_15m, open_window_baseline, bullish_ratio_15m,"
            " updated_at FROM symbol_stats_intraday WHERE minute_bucket_et BETWEEN ? AND ?"
        )
        return self.execute(sql, (from_bucket, upto_bucket))

    def rule_version(self, version_id: str | None = None) -> RuleVersion | None:
        """The active rule version, or the one named."""
        named = ("is_active",) if version_id is None else ("version_id = ?", version_id)
        found = self._rule_versions(*named)
        return found[0] if found else None

    def rule_versions(self) -> list[RuleVersion]:
        """Every stored rule version, oldest first."""
        return self._rule_versions("TRUE")

    def _rule_versions(self, where: str, *values: str) -> list[RuleVersion]:
        sql = (
            "SELECT version_id, config_json, checksum, is_active, created_at, activated_at, activated_seq"
            f" FROM filter_rule_versions WHERE {where} ORDER BY created_at, rowid"
        )
        return [RuleVersion(a, b, c, bool(d), e, f, g) for a, b, c, d, e, f, g in self.execute(sql, values)]

    def activations(self, *, waiting: bool = False) -> list[Activation]:
        """What was asked of the rules, oldest first; only what the writer has not looked at when ``waiting``."""
        where = " WHERE activated_seq IS NULL AND refused IS NULL" if waiting else ""
        return [activation_of(row) for row in self.execute(f"{SELECT_ACTIVATIONS}{where} ORDER BY id")]

    def changed(self) -> bool:
        """Whether another connection committed since the last call (cheap); true the first time."""
        version = int(self.execute("PRAGMA data_version")[0][0])
        before, self._data_version = self._data_version, version
        return before != version

    def close(self) -> None:
        """Release the connection; closing twice is fine."""
        with self._mutex:
            self._connection.close()

    def _late(self) -> bool:
        return time.monotonic() > self._deadline or self.unwanted()


def _never() -> bool:
    return False
