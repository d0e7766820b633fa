"""The tables: columns of the two row tables come from the catalog, the rest stand here.

Every index written live is right-edge (it grows at its end, or at the end of one symbol's range): others belong
to sealed sessions.
"""

from __future__ import annotations

from typing import Final

from phenix.dsl.types import Kind
from phenix.engine.flow import BY_NAME, ENRICHED, RAW, STORED, Field

__all__ = [
    "ACTIVATIONS",
    "ALL_ROWS",
    "ENRICHED_TABLE",
    "FEED",
    "FROM_RETAGGED",
    "FROM_ROWS",
    "GAPS",
    "HELD_SESSIONS",
    "INDEXES",
    "INSERT_ENRICHED",
    "INSERT_RAW",
    "INSERT_RETAGGED",
    "LEAVING",
    "RAW_TABLE",
    "RETAGGED",
    "RETAGGED_TABLE",
    "SELECT_RAW",
    "SELECT_SESSION",
    "SELECT_STORED",
    "SHADOW",
    "STAYING",
    "TABLES",
    "TAGS",
    "column",
    "column_sql",
]

RAW_TABLE: Final = "option_trades"
ENRICHED_TABLE: Final = "option_trade_enriched"

STAYING: Final = "t.session_date IS NOT (SELECT session_date FROM session_leaving)"
"""Whether a row's session is not being removed."""
ALL_ROWS: Final = f"{ENRICHED_TABLE} e JOIN {RAW_TABLE} t ON t.seq = e.seq"
"""FROM clause under which Field.sql is valid."""
FROM_ROWS: Final = f"{ALL_ROWS} AND {STAYING}"
"""The same without rows that are being removed: what readers see."""
RETAGGED_TABLE: Final = "option_trade_retagged"
TAGS: Final = ("sig_score", "score_quality", "missing_metrics", "chips_set", "chips_known")
"""What a rule version gives a row; the other fields are the same under every version."""
HELD_SESSIONS: Final = f"""WITH RECURSIVE held (date) AS (
    SELECT max(session_date) FROM {RAW_TABLE}
    UNION ALL SELECT (SELECT max(session_date) FROM {RAW_TABLE} WHERE session_date < held.date) FROM held
    WHERE held.date IS NOT NULL
) SELECT date FROM held WHERE date IS NOT NULL AND date IS NOT (SELECT session_date FROM session_leaving)"""
"""Dates of the sessions with rows, latest first, one look into the index each."""

_SQL_TYPES: Final = {
    Kind.RATIO: "REAL",
    Kind.PERCENT: "REAL",
    Kind.ENUM: "TEXT",
    Kind.SYMBOL: "TEXT",
    Kind.TEXT: "TEXT",
}


def column(field: Field) -> str:
    """Name of a stored field's column."""
    return field.column or field.name


def column_sql(field: Field) -> str:
    """A stored field as a column definition."""
    kind = _SQL_TYPES.get(field.type.kind, "INTEGER")
    if field.name == "seq":
        return '"seq" INTEGER PRIMARY KEY'
    return f'"{column(field)}" {kind}' + ("" if field.nullable else " NOT NULL")


def _names(fields: tuple[Field, ...]) -> str:
    return ", ".join(f'"{column(field)}"' for field in fields)


GAPS: Final = """CREATE TABLE IF NOT EXISTS ingest_gaps (
        id INTEGER PRIMARY KEY, cause TEXT NOT NULL, from_utc INTEGER NOT NULL, upto_utc INTEGER NOT NULL,
        messages INTEGER NOT NULL, state TEXT NOT NULL, recovered INTEGER NOT NULL, detail TEXT NOT NULL,
        updated_at INTEGER NOT NULL) STRICT"""

# One row: what ingest last told of the terminal's feed, in the order of :class:`phenix.engine.feed.Feed`.
FEED: Final = """CREATE TABLE IF NOT EXISTS feed_state (
        id INTEGER PRIMARY KEY CHECK (id = 1), at_utc INTEGER NOT NULL,
        stream_connected INTEGER NOT NULL, terminal_connected INTEGER NOT NULL, data_utc INTEGER NOT NULL,
        quote_utc INTEGER NOT NULL, offset_ms INTEGER NOT NULL, closed INTEGER NOT NULL) STRICT"""

# What was asked of the rules, in order, and what came of it: an entry without a seq and a refusal waits for the writer.
ACTIVATIONS: Final = """CREATE TABLE IF NOT EXISTS rule_activations (
        id INTEGER PRIMARY KEY, cause TEXT NOT NULL, version_id TEXT NOT NULL, asked_at INTEGER NOT NULL,
        asked_by TEXT NOT NULL, reason TEXT NOT NULL, forced INTEGER NOT NULL CHECK (forced IN (0, 1)),
        before_id TEXT, activated_seq INTEGER, activated_at INTEGER, refused TEXT) STRICT"""

# The session that is being removed, and the time of what goes with it: hidden at once, and gone a little later. One at
# a time, so that a row is compared with one value.
LEAVING: Final = """CREATE TABLE IF NOT EXISTS session_leaving (
        id INTEGER PRIMARY KEY CHECK (id = 1), session_date INTEGER NOT NULL, from_date INTEGER NOT NULL,
        from_utc INTEGER NOT NULL, upto_utc INTEGER NOT NULL,
        from_wall INTEGER NOT NULL, upto_wall INTEGER NOT NULL) STRICT"""

# The rule version in shadow, and what its comparisons have counted: see :mod:`phenix.engine.store.shadow`.
SHADOW: Final = (
    """CREATE TABLE IF NOT EXISTS shadow_candidate (
        id INTEGER PRIMARY KEY CHECK (id = 1), version_id TEXT NOT NULL, since_utc INTEGER NOT NULL,
        after_seq INTEGER NOT NULL, counted_seq INTEGER NOT NULL) STRICT""",
    """CREATE TABLE IF NOT EXISTS shadow_comparisons (
        session_date INTEGER NOT NULL, active_version TEXT NOT NULL, candidate_version TEXT NOT NULL,
        upto_seq INTEGER NOT NULL, rows INTEGER NOT NULL, missed INTEGER NOT NULL, origin TEXT NOT NULL,
        counts_json TEXT NOT NULL, begun_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
        PRIMARY KEY (session_date, active_version, candidate_version)) STRICT, WITHOUT ROWID""",
)

# What other rule versions would have tagged rows with, and up to which seq of each session that is known: see
# :mod:`phenix.engine.store.retagged`.
RETAGGED: Final = (
    """CREATE TABLE IF NOT EXISTS rule_retaggings (
        version_id TEXT NOT NULL, session_date INTEGER NOT NULL, upto_seq INTEGER NOT NULL, rows INTEGER NOT NULL,
        updated_at INTEGER NOT NULL, PRIMARY KEY (version_id, session_date)) STRICT, WITHOUT ROWID""",
    f"""CREATE TABLE IF NOT EXISTS {RETAGGED_TABLE} (
        version_id TEXT NOT NULL, seq INTEGER NOT NULL, {", ".join(column_sql(BY_NAME[name]) for name in TAGS)},
        PRIMARY KEY (version_id, seq)) STRICT, WITHOUT ROWID""",
)

TABLES: Final = (
    # Beside the row: the terminal's own words for it (null for a file, which is still there), and how far the
    # stream had come in the transaction that stored it.
    f"""CREATE TABLE {RAW_TABLE} (
        {", ".join(map(column_sql, RAW))}, raw_payload_json TEXT, watermark TEXT NOT NULL) STRICT""",
    f"""CREATE TABLE {ENRICHED_TABLE} (
        seq INTEGER PRIMARY KEY, trade_id INTEGER NOT NULL, {", ".join(map(column_sql, ENRICHED))}) STRICT""",
    """CREATE TABLE contract_stats_intraday (
        symbol TEXT NOT NULL, root TEXT NOT NULL, expiration INTEGER NOT NULL, strike INTEGER NOT NULL,
        "right" TEXT NOT NULL, session_date INTEGER NOT NULL,
        day_volume INTEGER NOT NULL, oi INTEGER, last_trade_ts INTEGER NOT NULL, updated_at INTEGER NOT NULL,
        PRIMARY KEY (session_date, root, expiration, strike, "right")) STRICT, WITHOUT ROWID""",
    """CREATE TABLE symbol_stats_intraday (
        symbol TEXT NOT NULL, minute_bucket_et INTEGER NOT NULL,
        vol_1m INTEGER NOT NULL, vol_baseline_15m REAL, open_window_baseline REAL, bullish_ratio_15m REAL,
        updated_at INTEGER NOT NULL,
        PRIMARY KEY (minute_bucket_et, symbol)) STRICT, WITHOUT ROWID""",
    # Numbered as they came: of the quotes of one millisecond the last one counts, after a restart too.
    """CREATE TABLE underlying_quotes (
        id INTEGER PRIMARY KEY, symbol TEXT NOT NULL, ts_utc INTEGER NOT NULL, bid INTEGER NOT NULL,
        ask INTEGER NOT NULL, source TEXT NOT NULL,
        UNIQUE (symbol, ts_utc, bid, ask, source)) STRICT""",
    """CREATE TABLE open_interest (
        root TEXT NOT NULL, expiration INTEGER NOT NULL, strike INTEGER NOT NULL, "right" TEXT NOT NULL,
        date INTEGER NOT NULL, ts_utc INTEGER NOT NULL, open_interest INTEGER NOT NULL,
        PRIMARY KEY (date, root, expiration, strike, "right", ts_utc)) STRICT, WITHOUT ROWID""",
    """CREATE TABLE filter_rule_versions (
        version_id TEXT PRIMARY KEY, config_json TEXT NOT NULL, checksum TEXT NOT NULL,
        is_active INTEGER NOT NULL CHECK (is_active IN (0, 1)),
        created_at INTEGER NOT NULL, activated_at INTEGER, activated_seq INTEGER) STRICT""",
    """CREATE TABLE ingest_checkpoints (
        stream_name TEXT PRIMARY KEY, watermark TEXT NOT NULL, updated_at INTEGER NOT NULL) STRICT""",
    """CREATE TABLE ingest_dead_letter (
        id INTEGER PRIMARY KEY, stream_name TEXT NOT NULL, place TEXT, reason TEXT NOT NULL, detail TEXT NOT NULL,
        snippet BLOB NOT NULL, at_utc INTEGER NOT NULL, redriven_at INTEGER) STRICT""",
    GAPS,
    LEAVING,
    FEED,
    *SHADOW,
    ACTIVATIONS,
    *RETAGGED,
)

INDEXES: Final = (
    f"CREATE UNIQUE INDEX option_trades_identity ON {RAW_TABLE} (trade_ts_utc, trade_id)",
    f"CREATE INDEX option_trades_symbol ON {RAW_TABLE} (symbol, seq)",
    f"CREATE INDEX option_trades_session ON {RAW_TABLE} (session_date, seq)",
    f"""CREATE INDEX option_trade_enriched_cancelled ON {ENRICHED_TABLE} (cancelled_seq)
        WHERE cancelled_seq IS NOT NULL""",
    "CREATE UNIQUE INDEX filter_rule_versions_active ON filter_rule_versions (is_active) WHERE is_active = 1",
    "CREATE UNIQUE INDEX ingest_dead_letter_once ON ingest_dead_letter (stream_name, place, reason, snippet)",
)

INSERT_RAW: Final = (
    f"INSERT INTO {RAW_TABLE} ({_names(RAW)}, raw_payload_json, watermark) VALUES ({', '.join('?' * (len(RAW) + 2))})"
)
INSERT_ENRICHED: Final = (
    f"INSERT INTO {ENRICHED_TABLE} (seq, trade_id, {_names(ENRICHED)}) VALUES ({', '.join('?' * (len(ENRICHED) + 2))})"
)
INSERT_RETAGGED: Final = (
    f"INSERT INTO {RETAGGED_TABLE} (version_id, seq, {_names(tuple(BY_NAME[name] for name in TAGS))})"
    f" VALUES ({', '.join('?' * (len(TAGS) + 2))})"
)
SELECT_RAW: Final = f"SELECT {', '.join(field.sql for field in RAW)} FROM {RAW_TABLE} t"
SELECT_STORED: Final = f"SELECT {', '.join(field.sql for field in STORED)} FROM {FROM_ROWS}"
SELECT_SESSION: Final = (
    f"SELECT {', '.join(field.sql for field in STORED)}, e.trade_id"
    f" FROM {RAW_TABLE} t LEFT JOIN {ENRICHED_TABLE} e ON e.seq = t.seq WHERE {STAYING}"
)
"""As SELECT_STORED, with rows whose enriched part is missing, and last the trade id of that part."""


def _retagged(field: Field) -> str:
    name = f'"{column(field)}"'
    if field.name == "rule_version":
        return f"r.version_id AS {name}"
    return f"r.{name}" if field.name in TAGS else f"x.{name}"


# CROSS JOIN: from a session's rows to their tags; the planner would begin at the tags, those of every session.
FROM_RETAGGED: Final = (
    f"{RAW_TABLE} t CROSS JOIN (SELECT r.seq, x.trade_id, {', '.join(map(_retagged, ENRICHED))} FROM {RETAGGED_TABLE} r"
    f" JOIN {ENRICHED_TABLE} x ON x.seq = r.seq WHERE r.version_id = ?) e ON t.seq = e.seq AND {STAYING}"
)
"""FROM_ROWS with the tags of another rule version, its one parameter, in the place of those rows are stored with."""
