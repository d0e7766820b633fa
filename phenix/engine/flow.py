"""The catalog: each field of a row, once.

DSL names, JSON keys, REST range parameters, SQL columns, proto fields, types, units, ranges and
documentation all come from :data:`FIELDS`. A row is a tuple in this order: the raw part (what was
received, with the inputs it was enriched from) and then the enriched part.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from phenix.dsl.types import Catalog, Kind, Type

__all__ = [
    "BY_NAME",
    "CATALOG",
    "ENRICHED",
    "FIELDS",
    "INDEX",
    "RAW",
    "STORED",
    "Field",
    "Part",
    "Row",
]

Row = Sequence[Any]
"""One stored row: values of :data:`STORED` in order, in stored units; None is unknown."""


class Part(StrEnum):
    """Where a field lives."""

    RAW = "raw"
    """Column of ``option_trades``: received, or an input read when the print was stored."""
    ENRICHED = "enriched"
    """Column of ``option_trade_enriched``: computed from raw rows by seq."""
    DERIVED = "derived"
    """Not stored; an SQL expression over stored columns."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a row.

    ``column`` is the SQL column (for derived fields: an SQL expression over aliases ``t`` for
    ``option_trades`` and ``e`` for ``option_trade_enriched``; ``:as_of`` is the reader's seq).
    ``python`` is the same for derived fields in Python, with ``{name}`` for a stored value.
    ``json`` is the key in API rows, empty where the field does not appear under its own name.
    ``ranges`` names the REST range parameters (``Value`` gives ``minValue`` and ``maxValue``).
    """

    name: str
    json: str
    type: Type
    doc: str
    part: Part
    nullable: bool = False
    column: str = ""
    python: str = ""
    ranges: str = ""
    filterable: bool = True

    @property
    def source(self) -> str:
        """The field as Python source over ``row`` (and ``as_of``, the reader's seq)."""
        template = self.python or f"{{{self.name}}}"
        return template.format_map({name: f"row[{i}]" for name, i in INDEX.items()})

    @property
    def sql(self) -> str:
        """The field as an SQL expression over the aliases ``t`` and ``e``."""
        match self.part:
            case Part.RAW:
                return f"t.{self.column or self.name}"
            case Part.ENRICHED:
                return f"e.{self.column or self.name}"
            case _:
                return self.column


_BOOL = Type(Kind.BOOL)
_SEQ = Type(Kind.INT, 0, 2**53)
_TS = Type(Kind.TS, 0, 4_102_444_800_000)  # to 2100
_DATE = Type(Kind.DATE, 19900101, 20991231)
_PRICE = Type(Kind.MONEY, 0, 100_000_0000)
_STRIKE = Type(Kind.MONEY, 1, 1_000_000_0000)
_VALUE = Type(Kind.MONEY, 0, 100_000_000_000_0000)  # 100 billion dollars
_SIZE = Type(Kind.INT, 1, 10_000_000)
_VOLUME = Type(Kind.INT, 0, 10_000_000_000)
_SHARE = Type(Kind.RATIO, 0.0, 1.0)
_COUNT_RATIO = Type(Kind.RATIO, 0.0, 1e10)
_CODE = Type(Kind.INT, -(2**31), 2**31 - 1)
_SIDE = Type(Kind.ENUM, members=("AA", "ASK", "BID", "MID"))


def _raw(name: str, json: str, type_: Type, doc: str, **more: Any) -> Field:
    return Field(name, json, type_, doc, Part.RAW, **more)


def _enriched(name: str, json: str, type_: Type, doc: str, **more: Any) -> Field:
    return Field(name, json, type_, doc, Part.ENRICHED, **more)


def _flag(name: str, doc: str) -> Field:
    json = name.split("_", maxsplit=1)[0] + "".join(part.capitalize() for part in name.split("_")[1:])
    return _enriched(name, json, _BOOL, doc)


FIELDS: Final[tuple[Field, ...]] = (
    # -- raw: the print as received, and the inputs it was stored with
    _raw("seq", "seq", _SEQ, "Position in the store, assigned at commit, strictly increasing."),
    _raw("trade_id", "", Type(Kind.INT, 0, 2**63 - 1), "Hash of the print's identity.", filterable=False),
    _raw("trade_ts_utc", "tradeTsUtc", _TS, "Exchange time of the print."),
    _raw("trade_ts_et", "tradeTsEt", Type(Kind.INT, 0, 4_102_444_800_000),
         "New York wall clock of the print, in milliseconds since 1970 on that clock.", filterable=False),
    _raw("session_date", "sessionDate", _DATE, "Session the print belongs to, a New York date."),
    _raw("session", "session", Type(Kind.ENUM, members=("gth", "early", "regular", "curb", "closed")),
         "Part of the session the print falls in."),
    _raw("symbol", "symbol", Type(Kind.SYMBOL), "Underlying."),
    _raw("root", "root", Type(Kind.SYMBOL), "Option root: SPXW for weekly SPX contracts."),
    _raw("expiration", "expiration", _DATE, "Expiration date of the contract."),
    _raw("strike", "strike", _STRIKE, "Strike price, dollars.", ranges="Strike"),
    _raw("right", "right", Type(Kind.ENUM, members=("CALL", "PUT")), "Call or put."),
    _raw("price", "price", _PRICE, "Price of one share's worth of the contract, dollars.", ranges="Price"),
    _raw("size", "size", _SIZE, "Contracts.", ranges="Size"),
    _raw("bid", "bid", _PRICE, "Best bid at the print.", nullable=True),
    _raw("ask", "ask", _PRICE, "Best ask at the print.", nullable=True),
    _raw("quote_ts_utc", "quoteTsUtc", _TS, "Time of that quote.", nullable=True),
    _raw("condition", "conditionCode", _CODE, "Trade condition code of the vendor.", column="condition_code"),
    _raw("exchange", "exchange", _CODE, "Exchange code of the vendor."),
    _raw("sequence", "sequence", _CODE, "Sequence number, signed, as received."),
    _raw("adjusted", "adjusted", _BOOL, "Adjusted contract (a digit in the root): its deliverable is unknown."),
    _raw("spot", "spot", _PRICE,
         "Mid of the latest two-sided underlying quote at or before the print, rounded down.", nullable=True),
    _raw("spot_age_ms", "spotAgeMs", Type(Kind.DURATION, 0, 10**12), "Age of that quote at the print.", nullable=True),
    _raw("spot_source", "spotSource", Type(Kind.ENUM, members=("file", "stream", "delayed")),
         "Where that quote came from.", nullable=True),
    _raw("oi", "oi", _VOLUME, "Open interest of the contract at the start of the session; absent is unknown.",
         nullable=True, ranges="Oi"),
    _raw("ingested_at_utc", "ingestedAtUtc", _TS, "When the print was received."),
    # -- enriched: a pure function of the raw rows with smaller or equal seq
    _enriched("value", "value", _VALUE, "Premium: price x size x 100, dollars.", ranges="Value"),
    _enriched("dte", "dte", Type(Kind.INT, -40_000, 40_000),
              "Calendar days in New York from the trade date to expiry; 0 on expiry day.", ranges="Dte"),
    _enriched("otm_pct", "otmPct", Type(Kind.PERCENT, -1e12, 1e12),
              "How far out of the money, percent of spot; positive is out.", nullable=True, ranges="OtmPct"),
    _enriched("side", "side", _SIDE, "Where the price stood against the quote.", nullable=True),
    _enriched("aggressiveness", "aggressiveness", Type(Kind.RATIO, -1e12, 1e12),
              "(2 price - ask - bid) / (ask - bid): -1 at the bid, +1 at the ask.", nullable=True),
    _enriched("sentiment", "sentiment", Type(Kind.ENUM, members=("bullish", "bearish", "neutral")),
              "Bullish: call bought or put sold; bearish: put bought or call sold."),
    _enriched("day_volume", "dayVolume", _VOLUME,
              "Contract's size this session up to and including this print, less cancelled size.", ranges="DayVolume"),
    _enriched("vol_oi_ratio", "volOiRatio", _COUNT_RATIO, "day_volume / max(oi, 1); unknown without oi.",
              nullable=True, ranges="VolOi"),
    _enriched("repeat3m", "repeat3m", Type(Kind.INT, 0, 10_000_000),
              "Prints of the same contract and side in the 180 s up to this one, included.",
              nullable=True, ranges="Repeat3m"),
    _enriched("symbol_vol_1m", "symbolVol1m", _VOLUME, "Symbol's size in this New York minute so far."),
    _enriched("symbol_vol_baseline_15m", "symbolVolBaseline15m", _COUNT_RATIO,
              "Mean size a minute over the up to 15 minutes before, inside the session.", nullable=True),
    _enriched("open_window_baseline", "openWindowBaseline", _COUNT_RATIO,
              "Mean size a minute of the first hour so far, this minute excluded.", nullable=True),
    _enriched("bullish_ratio_15m", "bullishRatio15m", _SHARE,
              "Bullish share of the symbol's bullish and bearish prints in this minute and the 15 before.",
              nullable=True),
    _enriched("value_pctile", "valuePctile", _SHARE, "Rank of the premium among the session's earlier prints.",
              nullable=True),
    _enriched("side_confidence", "sideConfidence", _SHARE, "AA 1, ASK 0.85, BID 0.7, MID 0.25.", nullable=True),
    _flag("monthly", "Expiration is a standard monthly of its root."),
    _enriched("opening", "opening", _BOOL, "Provably opening: larger than open interest and all earlier volume.",
              nullable=True),
    _flag("iso", "Intermarket sweep."),
    _flag("auction", "Printed in an auction."),
    _flag("cross", "Printed in a cross."),
    _flag("floor", "Printed on a floor."),
    _flag("multi_leg", "Leg of a multi-leg order."),
    _flag("stock_tied", "Tied to a stock order."),
    _flag("late", "Reported late or out of sequence."),
    _flag("compression", "Multilateral compression."),
    _flag("cancel_record", "Cancels an earlier print; not a trade itself."),
    _enriched("sig_score", "sigScore", _SHARE, "Score of the active model; unknown when an input is.",
              nullable=True, ranges="SigScore"),
    _enriched("score_quality", "scoreQuality", Type(Kind.ENUM, members=("complete", "partial")),
              "Whether every input of the score was known."),
    _enriched("missing_metrics", "missingMetrics", Type(Kind.TEXT), "Unknown inputs of the score, comma separated.",
              filterable=False),
    _enriched("chips_set", "", Type(Kind.INT, 0, 2**63 - 1), "Bit per chip that is on.", filterable=False),
    _enriched("chips_known", "", Type(Kind.INT, 0, 2**63 - 1), "Bit per chip that could be decided.", filterable=False),
    _enriched("cancelled_seq", "", _SEQ, "Seq of the cancel record that took this print back.", nullable=True,
              filterable=False),
    _enriched("rule_version", "ruleVersion", Type(Kind.TEXT), "Rule version that tagged the row.", filterable=False),
    _enriched("enriched_at_utc", "enrichedAtUtc", _TS, "When the row was enriched."),
    # -- derived: readable, never stored
    Field("time_et", "", Type(Kind.TIME, 0, 86_400_000 - 1), "New York time of day of the print.", Part.DERIVED,
          column="(t.trade_ts_et % 86400000)", python="({trade_ts_et} % 86400000)"),
    Field("cancelled", "cancelled", _BOOL, "A later cancel matched this print.", Part.DERIVED,
          column="(e.cancelled_seq IS NOT NULL AND e.cancelled_seq <= :as_of)",
          python="({cancelled_seq} is not None and {cancelled_seq} <= as_of)"),
)  # fmt: skip

RAW: Final = tuple(f for f in FIELDS if f.part is Part.RAW)
ENRICHED: Final = tuple(f for f in FIELDS if f.part is Part.ENRICHED)
STORED: Final = RAW + ENRICHED
INDEX: Final = {f.name: i for i, f in enumerate(STORED)}
BY_NAME: Final = {f.name: f for f in FIELDS}
CATALOG: Final = Catalog(FIELDS)
