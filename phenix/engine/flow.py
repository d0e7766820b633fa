"""The catalog: each field of a row, once.

DSL names, JSON keys, REST range parameters, SQL columns, proto fields, types, units, ranges and
documentation all come from :data:`FIELDS`. A row is a tuple in this order: the raw part (what was
received, with the inputs it was enriched from) and then the enriched part.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
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
    "meaning",
    "operators",
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
    ``aliases`` are members of an enum as older clients spell them, outside the rule language.
    ``label`` is its title, ``noun`` what sentences call it ("the premium"), ``says`` a sentence
    about it with ``{}`` for what is said ("days to expiry are {}"; a yes-or-no field takes "" or "not ").
    """

    name: str
    json: str
    label: str
    type: Type
    doc: str
    part: Part
    nullable: bool = False
    column: str = ""
    python: str = ""
    ranges: str = ""
    filterable: bool = True
    aliases: tuple[tuple[str, str], ...] = ()
    noun: str = ""
    says: str = ""

    def __post_init__(self) -> None:
        noun = self.noun or f"the {self.label[0].lower()}{self.label[1:]}"
        says = self.says or f"{noun} is {{}}"
        # A yes-or-no field is a sentence of its own, and a value only as whether it is so.
        noun = f"whether {says.format('')}" if self.type.kind is Kind.BOOL else noun
        object.__setattr__(self, "noun", noun)
        object.__setattr__(self, "says", says)

    @property
    def optional(self) -> bool:
        """Whether an API's row may lack it: it can be unknown, or the row is not enriched yet."""
        return self.nullable or self.part is Part.ENRICHED

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


def _raw(name: str, json: str, label: str, type_: Type, doc: str, **more: Any) -> Field:
    return Field(name, json, label, type_, doc, Part.RAW, **more)


def _enriched(name: str, json: str, label: str, type_: Type, doc: str, **more: Any) -> Field:
    return Field(name, json, label, type_, doc, Part.ENRICHED, **more)


def _flag(name: str, label: str, says: str, doc: str) -> Field:
    json = name.split("_", maxsplit=1)[0] + "".join(part.capitalize() for part in name.split("_")[1:])
    return _enriched(name, json, label, _BOOL, doc, says=says)


FIELDS: Final[tuple[Field, ...]] = (
    # -- raw: the print as received, and the inputs it was stored with
    _raw("seq", "seq", "Store position", _SEQ, "Position in the store, assigned at commit, strictly increasing."),
    _raw("trade_id", "", "Print id", Type(Kind.INT, 0, 2**63 - 1), "Hash of the print's identity."),
    _raw("trade_ts_utc", "tradeTsUtc", "Trade time", _TS, "Exchange time of the print."),
    _raw("trade_ts_et", "tradeTsEt", "New York trade time", Type(Kind.INT, 0, 4_102_444_800_000),
         "New York wall clock of the print, in milliseconds since 1970 on that clock.", filterable=False),
    _raw("session_date", "sessionDate", "Session date", _DATE, "Session the print belongs to, a New York date."),
    _raw("session", "session", "Session", Type(Kind.ENUM, members=("gth", "early", "regular", "curb", "closed")),
         "Part of the session the print falls in."),
    _raw("symbol", "symbol", "Symbol", Type(Kind.SYMBOL), "Underlying."),
    _raw("root", "root", "Option root", Type(Kind.SYMBOL), "Option root: SPXW for weekly SPX contracts."),
    _raw("expiration", "expiration", "Expiration", _DATE, "Expiration date of the contract."),
    _raw("strike", "strike", "Strike", _STRIKE, "Strike price, dollars.", ranges="Strike"),
    _raw("right", "right", "Right", Type(Kind.ENUM, members=("CALL", "PUT")), "Call or put.",
         aliases=(("C", "CALL"), ("P", "PUT"), ("CALLS", "CALL"), ("PUTS", "PUT"))),
    _raw("price", "price", "Price", _PRICE, "Price of one share's worth of the contract, dollars.", ranges="Price"),
    _raw("size", "size", "Size", _SIZE, "Contracts.", ranges="Size"),
    _raw("bid", "bid", "Bid", _PRICE, "Best bid at the print.", nullable=True),
    _raw("ask", "ask", "Ask", _PRICE, "Best ask at the print.", nullable=True),
    _raw("quote_ts_utc", "quoteTsUtc", "Quote time", _TS, "Time of that quote.", nullable=True),
    _raw("condition", "conditionCode", "Condition code", _CODE, "Trade condition code of the vendor.",
         column="condition_code"),
    _raw("exchange", "exchange", "Exchange code", _CODE, "Exchange code of the vendor."),
    _raw("sequence", "sequence", "Sequence number", _CODE, "Sequence number, signed, as received."),
    _raw("adjusted", "adjusted", "Adjusted", _BOOL,
         "Adjusted contract (a digit in the root): its deliverable is unknown.", says="it is {}an adjusted contract"),
    _raw("spot", "spot", "Spot price", _PRICE,
         "Mid of the latest two-sided underlying quote at or before the print, rounded down.", nullable=True),
    _raw("spot_age_ms", "spotAgeMs", "Age of the spot price", Type(Kind.DURATION, 0, 10**12),
         "Age of that quote at the print.", nullable=True),
    _raw("spot_source", "spotSource", "Source of the spot price",
         Type(Kind.ENUM, members=("file", "stream", "delayed", "iv", "parity")), "Where that quote came from.",
         nullable=True),
    _raw("oi", "oi", "Open interest", _VOLUME,
         "Open interest of the contract at the start of the session; absent is unknown.", nullable=True, ranges="Oi",
         noun="open interest"),
    _raw("ingested_at_utc", "ingestedAtUtc", "Time received", _TS, "When the print was received."),
    # -- enriched: a pure function of the raw rows with smaller or equal seq
    _enriched("value", "value", "Premium", _VALUE, "Premium: price x size x 100, dollars.", ranges="Value"),
    _enriched("dte", "dte", "Days to expiry", Type(Kind.INT, -40_000, 40_000),
              "Calendar days in New York from the trade date to expiry; 0 on expiry day.", ranges="Dte",
              noun="days to expiry", says="days to expiry are {}"),
    _enriched("otm_pct", "otmPct", "Out of the money", Type(Kind.PERCENT, -1e12, 1e12),
              "How far out of the money, percent of spot; positive is out.", nullable=True, ranges="OtmPct",
              noun="the distance out of the money", says="it is {} out of the money"),
    _enriched("side", "side", "Side", _SIDE, "Where the price stood against the quote.", nullable=True,
              aliases=(("OTHER", "MID"),)),
    _enriched("aggressiveness", "aggressiveness", "Aggressiveness", Type(Kind.RATIO, -1e12, 1e12),
              "(2 price - ask - bid) / (ask - bid): -1 at the bid, +1 at the ask.", nullable=True,
              noun="aggressiveness"),
    _enriched("sentiment", "sentiment", "Sentiment", Type(Kind.ENUM, members=("bullish", "bearish", "neutral")),
              "Bullish: call bought or put sold; bearish: put bought or call sold.", noun="sentiment"),
    _enriched("day_volume", "dayVolume", "Day volume", _VOLUME,
              "Contract's size this session up to and including this print, less cancelled size.", ranges="DayVolume",
              noun="the day's volume"),
    _enriched("vol_oi_ratio", "volOiRatio", "Volume over open interest", _COUNT_RATIO,
              "day_volume / max(oi, 1); unknown without oi.", nullable=True, ranges="VolOi",
              noun="volume over open interest"),
    _enriched("repeat3m", "repeat3m", "Repeats within 3 minutes", Type(Kind.INT, 0, 10_000_000),
              "Prints of the same contract and side in the 180 s up to this one, included.", nullable=True,
              ranges="Repeat3m", noun="repeats within 3 minutes", says="repeats within 3 minutes are {}"),
    _enriched("symbol_vol_1m", "symbolVol1m", "Symbol volume this minute", _VOLUME,
              "Symbol's size in this New York minute so far.", noun="the symbol's volume this minute"),
    _enriched("symbol_vol_baseline_15m", "symbolVolBaseline15m", "Symbol volume baseline", _COUNT_RATIO,
              "Mean size a minute over the up to 15 minutes before, inside the session.", nullable=True,
              noun="the symbol's mean volume a minute over 15 minutes"),
    _enriched("open_window_baseline", "openWindowBaseline", "First hour baseline", _COUNT_RATIO,
              "Mean size a minute of the first hour so far, this minute excluded.", nullable=True,
              noun="the symbol's mean volume a minute over the first hour"),
    _enriched("bullish_ratio_15m", "bullishRatio15m", "Bullish share", _SHARE,
              "Bullish share of the symbol's bullish and bearish prints in this minute and the 15 before.",
              nullable=True, noun="the bullish share over 15 minutes"),
    _enriched("value_pctile", "valuePctile", "Premium rank", _SHARE,
              "Rank of the premium among the session's earlier prints.", nullable=True, noun="the premium's rank"),
    _enriched("side_confidence", "sideConfidence", "Side confidence", _SHARE, "AA 1, ASK 0.85, BID 0.7, MID 0.25.",
              nullable=True),
    _flag("monthly", "Monthly", "the expiration is {}a standard monthly",
          "Expiration is a standard monthly of its root."),
    _enriched("opening", "opening", "Opening", _BOOL,
              "Provably opening: larger than open interest and all earlier volume.", nullable=True,
              says="it is {}provably opening"),
    _flag("iso", "Intermarket sweep", "it is {}an intermarket sweep", "Intermarket sweep."),
    _flag("auction", "Auction", "it was {}printed in an auction", "Printed in an auction."),
    _flag("cross", "Cross", "it was {}printed in a cross", "Printed in a cross."),
    _flag("floor", "Floor", "it was {}printed on a floor", "Printed on a floor."),
    _flag("multi_leg", "Multi-leg", "it is {}a leg of a multi-leg order", "Leg of a multi-leg order."),
    _flag("stock_tied", "Stock-tied", "it is {}tied to a stock order", "Tied to a stock order."),
    _flag("late", "Late", "it was {}reported late", "Reported late or out of sequence."),
    _flag("compression", "Compression", "it is {}a compression print", "Multilateral compression."),
    _flag("cancel_record", "Cancel record", "it is {}a record that cancels another print",
          "Cancels an earlier print; not a trade itself."),
    _enriched("sig_score", "sigScore", "Score", _SHARE, "Score of the active model; unknown when an input is.",
              nullable=True, ranges="SigScore"),
    _enriched("score_quality", "scoreQuality", "Score quality", Type(Kind.ENUM, members=("complete", "partial")),
              "Whether every input of the score was known."),
    _enriched("missing_metrics", "missingMetrics", "Missing inputs", Type(Kind.TEXT),
              "Unknown inputs of the score, comma separated.", filterable=False),
    _enriched("chips_set", "", "Chips on", Type(Kind.INT, 0, 2**63 - 1), "Bit per chip that is on.", filterable=False),
    _enriched("chips_known", "", "Chips decided", Type(Kind.INT, 0, 2**63 - 1), "Bit per chip that could be decided.",
              filterable=False),
    _enriched("cancelled_seq", "", "Cancelled at", _SEQ, "Seq of the cancel record that took this print back.",
              nullable=True, filterable=False),
    _enriched("rule_version", "ruleVersion", "Rule version", Type(Kind.TEXT), "Rule version that tagged the row.",
              filterable=False),
    _enriched("enriched_at_utc", "enrichedAtUtc", "Time enriched", _TS, "When the row was enriched."),
    # -- derived: readable, never stored
    Field("time_et", "", "Time of day", Type(Kind.TIME, 0, 86_400_000 - 1), "New York time of day of the print.",
          Part.DERIVED, column="(t.trade_ts_et % 86400000)", python="({trade_ts_et} % 86400000)"),
    Field("cancelled", "cancelled", "Cancelled", _BOOL, "A later cancel matched this print.", Part.DERIVED,
          says="it was {}cancelled",
          column="(e.cancelled_seq IS NOT NULL AND e.cancelled_seq <= :as_of)",
          python="({cancelled_seq} is not None and {cancelled_seq} <= as_of)"),
)  # fmt: skip

RAW: Final = tuple(f for f in FIELDS if f.part is Part.RAW)
ENRICHED: Final = tuple(f for f in FIELDS if f.part is Part.ENRICHED)
STORED: Final = RAW + ENRICHED
INDEX: Final = {f.name: i for i, f in enumerate(STORED)}
BY_NAME: Final = {f.name: f for f in FIELDS}
CATALOG: Final = Catalog(FIELDS, frozenset({"sig_score"}))


_ORDER: Final = ("=", "!=", "<", "<=", ">", ">=", "in", "not in")
_SAME: Final = ("=", "!=", "in", "not in")
_OPERATORS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.BOOL: ("=", "!=", "is true", "is false"),
    Kind.ENUM: _SAME,
    Kind.SYMBOL: (*_SAME, "like"),
    Kind.TEXT: (*_SAME, "like"),
}
"""Operators of a kind; every other kind is ordered."""


def operators(field: Field) -> tuple[str, ...]:
    """What can be asked of a field in rules; nothing of one that is no part of them."""
    if not field.filterable:
        return ()
    return (*_OPERATORS.get(field.type.kind, _ORDER), *(("is null", "is not null") if field.nullable else ()))


def meaning(fields: Iterable[Field] = FIELDS) -> str:
    """A hash of what rules can say of the fields and get for it: names, types, ranges, members, expressions."""
    told = [
        (f.name, f.type.kind, f.type.lo, f.type.hi, f.type.members, f.nullable, f.filterable, f.column, f.python)
        for f in fields
    ]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()
