"""Stores held against one another, column by column, and each against its own inputs."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any, Final

from drills._tapes import Tape
from phenix import app
from phenix.engine.enrich.formulas import spot_mid
from phenix.engine.flow import INDEX, RAW, STORED
from phenix.engine.store.base import Batch
from phenix.ingest.reading import read_parts

__all__ = ["ASIDE", "differences", "record_tape", "stored_prints", "stored_rows", "unfounded", "verify"]

ASIDE: Final = {
    "ingested_at_utc": "when it was received",
    "enriched_at_utc": "when it was computed",
    "spot_source": "which way the underlying's quote came: file, stream",
}
"""Columns of a row in which two ways into the store differ, and what they say."""

_KEPT: Final = tuple(field.name for field in STORED if field.name not in ASIDE)
_PRINT: Final = tuple(field.name for field in RAW if field.name not in {*ASIDE, "seq", "spot", "spot_age_ms"})
_ALL: Final = 10**9
_TABLES: Final = {
    "contract_stats_intraday": "SELECT session_date, symbol, root, expiration, strike, right, day_volume, oi,"
    " last_trade_ts FROM contract_stats_intraday ORDER BY 1, 2, 3, 4, 5, 6",
    "symbol_stats_intraday": "SELECT symbol, minute_bucket_et, vol_1m FROM symbol_stats_intraday ORDER BY 1, 2",
    "open_interest": "SELECT root, expiration, strike, right, date, ts_utc, open_interest FROM open_interest"
    " ORDER BY 1, 2, 3, 4, 5, 6",
}
"""What is compared beside rows: all but ``updated_at``, and of a symbol's minutes what does not depend on batches."""


def record_tape(store: Path, tape: Tape) -> None:
    """Store all of a tape in one batch, enriched."""
    with app.open_writer(f"sqlite:{store}") as writer:
        app.recorder(writer).record(Batch(rows=[row for part in read_parts(tape.sources) for row in part.rows]))


def stored_rows(store: Path) -> list[tuple[Any, ...]]:
    """Every row of a store in the order of seq, without the columns of :data:`ASIDE`."""
    keep = [INDEX[name] for name in _KEPT]
    with app.open_reader(f"sqlite:{store}") as reader:
        return [tuple(row[i] for i in keep) for row in reader.rows_after(0, _ALL)]


def stored_prints(store: Path) -> Counter[tuple[Any, ...]]:
    """What stored prints say of themselves, whichever way and in whichever order they came, and how often each is.

    That is their identity, the quote before them, session and open interest; one fetched from history comes without
    quotes of its underlying, so ``spot`` may be older then.
    """
    keep = [INDEX[name] for name in _PRINT]
    with app.open_reader(f"sqlite:{store}") as reader:
        return Counter(tuple(row[i] for i in keep) for row in reader.raw_rows(0, _ALL))


def differences(expected: Path, found: Path) -> Counter[str]:
    """Values that differ between two stores, by column; rows and lines that only one has by their table."""
    different: Counter[str] = Counter()
    left, right = stored_rows(expected), stored_rows(found)
    different["rows"] += abs(len(left) - len(right))
    for one, other in zip(left, right, strict=False):
        if one != other:
            different.update(name for name, a, b in zip(_KEPT, one, other, strict=True) if a != b)
    for table, sql in _TABLES.items():
        lines = []
        for store in (expected, found):
            with app.open_reader(f"sqlite:{store}") as reader:
                lines.append(set(reader.execute(sql)))
        different[table] += len(lines[0] ^ lines[1])
    return +different


def verify(store: Path) -> Counter[str]:
    """What ``phenix replay --verify`` finds, by field, of every session date of a store."""
    found: Counter[str] = Counter()
    with app.open_reader(f"sqlite:{store}") as reader:
        dates = [date for (date,) in reader.execute("SELECT DISTINCT session_date FROM option_trades")]
    for date in dates:
        with app.replay(f"sqlite:{store}", date, verify=True) as replay:
            *_, replayed = replay.run()
        found.update(replayed.by_field)
        found["statistics not compared"] += replayed.growing
    return +found


def unfounded(store: Path) -> Counter[str]:
    """Rows whose price of the underlying or open interest is not that of a stored input known at their time."""
    wrong: Counter[str] = Counter()
    at = [INDEX[name] for name in (
        "trade_ts_utc", "session_date", "symbol", "root", "expiration", "strike", "right", "spot", "spot_age_ms",
        "spot_source", "oi",
    )]  # fmt: skip
    with app.open_reader(f"sqlite:{store}") as reader:
        quotes = {
            (symbol, ts, source, spot_mid(bid, ask))
            for symbol, ts, source, bid, ask in reader.execute(
                "SELECT symbol, ts_utc, source, bid, ask FROM underlying_quotes"
            )
        }
        told: dict[tuple[Any, ...], list[tuple[int, int]]] = {}
        for interest in reader.open_interest(0, 99_999_999):
            contract = interest.root, interest.expiration, interest.strike, interest.right
            told.setdefault((*contract, interest.date), []).append((interest.ts_utc, interest.open_interest))
        for row in reader.rows_after(0, _ALL):
            ts, date, symbol, *contract_, spot, age, source, oi = (row[i] for i in at)
            if spot is not None and ((symbol, ts - age, source, spot) not in quotes or age < 0):
                wrong["spot"] += 1
            known = [count for since, count in told.get((*contract_, date), ()) if since <= ts]
            if oi is not None and oi not in known:
                wrong["oi"] += 1
    return wrong
