from . import row_pb2 as _row_pb2
from . import why_pb2 as _why_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Total(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TOTAL_UNSPECIFIED: _ClassVar[Total]
    TOTAL_ESTIMATE: _ClassVar[Total]
    TOTAL_EXACT: _ClassVar[Total]

class EventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    EVENT_KIND_UNSPECIFIED: _ClassVar[EventKind]
    EVENT_KIND_UPDATED: _ClassVar[EventKind]
    EVENT_KIND_RETRACTED: _ClassVar[EventKind]
TOTAL_UNSPECIFIED: Total
TOTAL_ESTIMATE: Total
TOTAL_EXACT: Total
EVENT_KIND_UNSPECIFIED: EventKind
EVENT_KIND_UPDATED: EventKind
EVENT_KIND_RETRACTED: EventKind

class Filter(_message.Message):
    __slots__ = ("where", "chips", "not_chips", "parameters", "include_cancelled")
    class ParametersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    WHERE_FIELD_NUMBER: _ClassVar[int]
    CHIPS_FIELD_NUMBER: _ClassVar[int]
    NOT_CHIPS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    INCLUDE_CANCELLED_FIELD_NUMBER: _ClassVar[int]
    where: str
    chips: _containers.RepeatedScalarFieldContainer[str]
    not_chips: _containers.RepeatedScalarFieldContainer[str]
    parameters: _containers.ScalarMap[str, str]
    include_cancelled: bool
    def __init__(self, where: _Optional[str] = ..., chips: _Optional[_Iterable[str]] = ..., not_chips: _Optional[_Iterable[str]] = ..., parameters: _Optional[_Mapping[str, str]] = ..., include_cancelled: _Optional[bool] = ...) -> None: ...

class QueryRequest(_message.Message):
    __slots__ = ("filter", "page_size", "page_token", "order_by", "total")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    ORDER_BY_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    page_size: int
    page_token: str
    order_by: str
    total: Total
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., order_by: _Optional[str] = ..., total: _Optional[_Union[Total, str]] = ...) -> None: ...

class QueryResponse(_message.Message):
    __slots__ = ("rows", "next_page_token", "total_size", "meta")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[_row_pb2.Row]
    next_page_token: str
    total_size: int
    meta: Meta
    def __init__(self, rows: _Optional[_Iterable[_Union[_row_pb2.Row, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ...) -> None: ...

class ExportRequest(_message.Message):
    __slots__ = ("filter", "page_token")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    page_token: str
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., page_token: _Optional[str] = ...) -> None: ...

class ExportResponse(_message.Message):
    __slots__ = ("rows", "next_page_token", "meta")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[_row_pb2.Row]
    next_page_token: str
    meta: Meta
    def __init__(self, rows: _Optional[_Iterable[_Union[_row_pb2.Row, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ...) -> None: ...

class GetRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class GetResponse(_message.Message):
    __slots__ = ("row", "meta")
    ROW_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    row: _row_pb2.Row
    meta: Meta
    def __init__(self, row: _Optional[_Union[_row_pb2.Row, _Mapping]] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ...) -> None: ...

class WhyRequest(_message.Message):
    __slots__ = ("id",)
    ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    def __init__(self, id: _Optional[str] = ...) -> None: ...

class WhyResponse(_message.Message):
    __slots__ = ("id", "rule_version", "rule_checksum", "chips", "meta")
    ID_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RULE_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    CHIPS_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    id: str
    rule_version: str
    rule_checksum: str
    chips: _containers.RepeatedCompositeFieldContainer[_why_pb2.ChipReason]
    meta: Meta
    def __init__(self, id: _Optional[str] = ..., rule_version: _Optional[str] = ..., rule_checksum: _Optional[str] = ..., chips: _Optional[_Iterable[_Union[_why_pb2.ChipReason, _Mapping]]] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ...) -> None: ...

class SummarizeRequest(_message.Message):
    __slots__ = ("filter", "limit")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    limit: int
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class SummarizeResponse(_message.Message):
    __slots__ = ("all", "calls", "puts", "put_call_ratio", "put_call_premium_ratio", "bullish_ratio", "sides", "symbols", "contracts", "minutes", "meta")
    ALL_FIELD_NUMBER: _ClassVar[int]
    CALLS_FIELD_NUMBER: _ClassVar[int]
    PUTS_FIELD_NUMBER: _ClassVar[int]
    PUT_CALL_RATIO_FIELD_NUMBER: _ClassVar[int]
    PUT_CALL_PREMIUM_RATIO_FIELD_NUMBER: _ClassVar[int]
    BULLISH_RATIO_FIELD_NUMBER: _ClassVar[int]
    SIDES_FIELD_NUMBER: _ClassVar[int]
    SYMBOLS_FIELD_NUMBER: _ClassVar[int]
    CONTRACTS_FIELD_NUMBER: _ClassVar[int]
    MINUTES_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    all: Sums
    calls: Sums
    puts: Sums
    put_call_ratio: float
    put_call_premium_ratio: float
    bullish_ratio: float
    sides: _containers.RepeatedCompositeFieldContainer[SideSums]
    symbols: _containers.RepeatedCompositeFieldContainer[SymbolSums]
    contracts: _containers.RepeatedCompositeFieldContainer[ContractSums]
    minutes: _containers.RepeatedCompositeFieldContainer[MinuteSums]
    meta: Meta
    def __init__(self, all: _Optional[_Union[Sums, _Mapping]] = ..., calls: _Optional[_Union[Sums, _Mapping]] = ..., puts: _Optional[_Union[Sums, _Mapping]] = ..., put_call_ratio: _Optional[float] = ..., put_call_premium_ratio: _Optional[float] = ..., bullish_ratio: _Optional[float] = ..., sides: _Optional[_Iterable[_Union[SideSums, _Mapping]]] = ..., symbols: _Optional[_Iterable[_Union[SymbolSums, _Mapping]]] = ..., contracts: _Optional[_Iterable[_Union[ContractSums, _Mapping]]] = ..., minutes: _Optional[_Iterable[_Union[MinuteSums, _Mapping]]] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ...) -> None: ...

class Sums(_message.Message):
    __slots__ = ("rows", "size", "premium", "bullish_premium", "bearish_premium")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PREMIUM_FIELD_NUMBER: _ClassVar[int]
    BULLISH_PREMIUM_FIELD_NUMBER: _ClassVar[int]
    BEARISH_PREMIUM_FIELD_NUMBER: _ClassVar[int]
    rows: int
    size: int
    premium: int
    bullish_premium: int
    bearish_premium: int
    def __init__(self, rows: _Optional[int] = ..., size: _Optional[int] = ..., premium: _Optional[int] = ..., bullish_premium: _Optional[int] = ..., bearish_premium: _Optional[int] = ...) -> None: ...

class SideSums(_message.Message):
    __slots__ = ("side", "rows", "premium")
    SIDE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PREMIUM_FIELD_NUMBER: _ClassVar[int]
    side: str
    rows: int
    premium: int
    def __init__(self, side: _Optional[str] = ..., rows: _Optional[int] = ..., premium: _Optional[int] = ...) -> None: ...

class SymbolSums(_message.Message):
    __slots__ = ("symbol", "rows", "size", "premium", "bullish_premium", "bearish_premium")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PREMIUM_FIELD_NUMBER: _ClassVar[int]
    BULLISH_PREMIUM_FIELD_NUMBER: _ClassVar[int]
    BEARISH_PREMIUM_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    rows: int
    size: int
    premium: int
    bullish_premium: int
    bearish_premium: int
    def __init__(self, symbol: _Optional[str] = ..., rows: _Optional[int] = ..., size: _Optional[int] = ..., premium: _Optional[int] = ..., bullish_premium: _Optional[int] = ..., bearish_premium: _Optional[int] = ...) -> None: ...

class ContractSums(_message.Message):
    __slots__ = ("symbol", "root", "expiration", "strike", "right", "rows", "size", "premium", "bullish_premium", "bearish_premium")
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    ROOT_FIELD_NUMBER: _ClassVar[int]
    EXPIRATION_FIELD_NUMBER: _ClassVar[int]
    STRIKE_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SIZE_FIELD_NUMBER: _ClassVar[int]
    PREMIUM_FIELD_NUMBER: _ClassVar[int]
    BULLISH_PREMIUM_FIELD_NUMBER: _ClassVar[int]
    BEARISH_PREMIUM_FIELD_NUMBER: _ClassVar[int]
    symbol: str
    root: str
    expiration: str
    strike: int
    right: str
    rows: int
    size: int
    premium: int
    bullish_premium: int
    bearish_premium: int
    def __init__(self, symbol: _Optional[str] = ..., root: _Optional[str] = ..., expiration: _Optional[str] = ..., strike: _Optional[int] = ..., right: _Optional[str] = ..., rows: _Optional[int] = ..., size: _Optional[int] = ..., premium: _Optional[int] = ..., bullish_premium: _Optional[int] = ..., bearish_premium: _Optional[int] = ...) -> None: ...

class MinuteSums(_message.Message):
    __slots__ = ("minute_et", "aa", "ask", "bid", "mid", "unknown")
    MINUTE_ET_FIELD_NUMBER: _ClassVar[int]
    AA_FIELD_NUMBER: _ClassVar[int]
    ASK_FIELD_NUMBER: _ClassVar[int]
    BID_FIELD_NUMBER: _ClassVar[int]
    MID_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    minute_et: str
    aa: int
    ask: int
    bid: int
    mid: int
    unknown: int
    def __init__(self, minute_et: _Optional[str] = ..., aa: _Optional[int] = ..., ask: _Optional[int] = ..., bid: _Optional[int] = ..., mid: _Optional[int] = ..., unknown: _Optional[int] = ...) -> None: ...

class FacetsRequest(_message.Message):
    __slots__ = ("filter", "limit")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    limit: int
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., limit: _Optional[int] = ...) -> None: ...

class FacetsResponse(_message.Message):
    __slots__ = ("rows", "symbol", "chip", "sentiment", "side", "right", "expiration", "session", "meta")
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SYMBOL_FIELD_NUMBER: _ClassVar[int]
    CHIP_FIELD_NUMBER: _ClassVar[int]
    SENTIMENT_FIELD_NUMBER: _ClassVar[int]
    SIDE_FIELD_NUMBER: _ClassVar[int]
    RIGHT_FIELD_NUMBER: _ClassVar[int]
    EXPIRATION_FIELD_NUMBER: _ClassVar[int]
    SESSION_FIELD_NUMBER: _ClassVar[int]
    META_FIELD_NUMBER: _ClassVar[int]
    rows: int
    symbol: _containers.RepeatedCompositeFieldContainer[Facet]
    chip: _containers.RepeatedCompositeFieldContainer[Facet]
    sentiment: _containers.RepeatedCompositeFieldContainer[Facet]
    side: _containers.RepeatedCompositeFieldContainer[Facet]
    right: _containers.RepeatedCompositeFieldContainer[Facet]
    expiration: _containers.RepeatedCompositeFieldContainer[Facet]
    session: _containers.RepeatedCompositeFieldContainer[Facet]
    meta: Meta
    def __init__(self, rows: _Optional[int] = ..., symbol: _Optional[_Iterable[_Union[Facet, _Mapping]]] = ..., chip: _Optional[_Iterable[_Union[Facet, _Mapping]]] = ..., sentiment: _Optional[_Iterable[_Union[Facet, _Mapping]]] = ..., side: _Optional[_Iterable[_Union[Facet, _Mapping]]] = ..., right: _Optional[_Iterable[_Union[Facet, _Mapping]]] = ..., expiration: _Optional[_Iterable[_Union[Facet, _Mapping]]] = ..., session: _Optional[_Iterable[_Union[Facet, _Mapping]]] = ..., meta: _Optional[_Union[Meta, _Mapping]] = ...) -> None: ...

class Facet(_message.Message):
    __slots__ = ("value", "rows")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    value: str
    rows: int
    def __init__(self, value: _Optional[str] = ..., rows: _Optional[int] = ...) -> None: ...

class Meta(_message.Message):
    __slots__ = ("where", "rule_version", "rule_checksum", "scoring_model", "as_of_seq", "watermark", "session_date", "elapsed_ms", "degraded_reasons", "lag_seconds", "plan", "shadow")
    WHERE_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RULE_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    SCORING_MODEL_FIELD_NUMBER: _ClassVar[int]
    AS_OF_SEQ_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    SESSION_DATE_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_MS_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_REASONS_FIELD_NUMBER: _ClassVar[int]
    LAG_SECONDS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    where: str
    rule_version: str
    rule_checksum: str
    scoring_model: str
    as_of_seq: int
    watermark: int
    session_date: int
    elapsed_ms: float
    degraded_reasons: _containers.RepeatedScalarFieldContainer[str]
    lag_seconds: float
    plan: str
    shadow: ShadowDiff
    def __init__(self, where: _Optional[str] = ..., rule_version: _Optional[str] = ..., rule_checksum: _Optional[str] = ..., scoring_model: _Optional[str] = ..., as_of_seq: _Optional[int] = ..., watermark: _Optional[int] = ..., session_date: _Optional[int] = ..., elapsed_ms: _Optional[float] = ..., degraded_reasons: _Optional[_Iterable[str]] = ..., lag_seconds: _Optional[float] = ..., plan: _Optional[str] = ..., shadow: _Optional[_Union[ShadowDiff, _Mapping]] = ...) -> None: ...

class ShadowDiff(_message.Message):
    __slots__ = ("active_version", "shadow_version", "active_count", "shadow_count", "added_count", "removed_count", "added_by_shadow", "removed_by_shadow")
    ACTIVE_VERSION_FIELD_NUMBER: _ClassVar[int]
    SHADOW_VERSION_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_COUNT_FIELD_NUMBER: _ClassVar[int]
    SHADOW_COUNT_FIELD_NUMBER: _ClassVar[int]
    ADDED_COUNT_FIELD_NUMBER: _ClassVar[int]
    REMOVED_COUNT_FIELD_NUMBER: _ClassVar[int]
    ADDED_BY_SHADOW_FIELD_NUMBER: _ClassVar[int]
    REMOVED_BY_SHADOW_FIELD_NUMBER: _ClassVar[int]
    active_version: str
    shadow_version: str
    active_count: int
    shadow_count: int
    added_count: int
    removed_count: int
    added_by_shadow: _containers.RepeatedScalarFieldContainer[str]
    removed_by_shadow: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, active_version: _Optional[str] = ..., shadow_version: _Optional[str] = ..., active_count: _Optional[int] = ..., shadow_count: _Optional[int] = ..., added_count: _Optional[int] = ..., removed_count: _Optional[int] = ..., added_by_shadow: _Optional[_Iterable[str]] = ..., removed_by_shadow: _Optional[_Iterable[str]] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("filter", "snapshot", "after_seq")
    FILTER_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    AFTER_SEQ_FIELD_NUMBER: _ClassVar[int]
    filter: Filter
    snapshot: int
    after_seq: int
    def __init__(self, filter: _Optional[_Union[Filter, _Mapping]] = ..., snapshot: _Optional[int] = ..., after_seq: _Optional[int] = ...) -> None: ...

class SubscribeResponse(_message.Message):
    __slots__ = ("watermark", "snapshot", "events", "progress", "rules", "degraded", "reset")
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    DEGRADED_FIELD_NUMBER: _ClassVar[int]
    RESET_FIELD_NUMBER: _ClassVar[int]
    watermark: int
    snapshot: Snapshot
    events: EventBatch
    progress: Progress
    rules: RulesChanged
    degraded: Degraded
    reset: Reset
    def __init__(self, watermark: _Optional[int] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., events: _Optional[_Union[EventBatch, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ..., rules: _Optional[_Union[RulesChanged, _Mapping]] = ..., degraded: _Optional[_Union[Degraded, _Mapping]] = ..., reset: _Optional[_Union[Reset, _Mapping]] = ...) -> None: ...

class RulesChanged(_message.Message):
    __slots__ = ("version", "checksum", "filter_kept")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    FILTER_KEPT_FIELD_NUMBER: _ClassVar[int]
    version: str
    checksum: str
    filter_kept: bool
    def __init__(self, version: _Optional[str] = ..., checksum: _Optional[str] = ..., filter_kept: _Optional[bool] = ...) -> None: ...

class Degraded(_message.Message):
    __slots__ = ("reasons",)
    REASONS_FIELD_NUMBER: _ClassVar[int]
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class Reset(_message.Message):
    __slots__ = ("reason", "oldest_seq")
    REASON_FIELD_NUMBER: _ClassVar[int]
    OLDEST_SEQ_FIELD_NUMBER: _ClassVar[int]
    reason: str
    oldest_seq: int
    def __init__(self, reason: _Optional[str] = ..., oldest_seq: _Optional[int] = ...) -> None: ...

class Snapshot(_message.Message):
    __slots__ = ("rows",)
    ROWS_FIELD_NUMBER: _ClassVar[int]
    rows: _containers.RepeatedCompositeFieldContainer[_row_pb2.Row]
    def __init__(self, rows: _Optional[_Iterable[_Union[_row_pb2.Row, _Mapping]]] = ...) -> None: ...

class EventBatch(_message.Message):
    __slots__ = ("events",)
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[Event]
    def __init__(self, events: _Optional[_Iterable[_Union[Event, _Mapping]]] = ...) -> None: ...

class Event(_message.Message):
    __slots__ = ("kind", "sequence", "row", "record")
    KIND_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    ROW_FIELD_NUMBER: _ClassVar[int]
    RECORD_FIELD_NUMBER: _ClassVar[int]
    kind: EventKind
    sequence: int
    row: _row_pb2.Row
    record: _row_pb2.Row
    def __init__(self, kind: _Optional[_Union[EventKind, str]] = ..., sequence: _Optional[int] = ..., row: _Optional[_Union[_row_pb2.Row, _Mapping]] = ..., record: _Optional[_Union[_row_pb2.Row, _Mapping]] = ...) -> None: ...

class Progress(_message.Message):
    __slots__ = ("replaying", "closing")
    REPLAYING_FIELD_NUMBER: _ClassVar[int]
    CLOSING_FIELD_NUMBER: _ClassVar[int]
    replaying: bool
    closing: bool
    def __init__(self, replaying: _Optional[bool] = ..., closing: _Optional[bool] = ...) -> None: ...
