from . import row_pb2 as _row_pb2
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

class Meta(_message.Message):
    __slots__ = ("where", "rule_version", "rule_checksum", "scoring_model", "as_of_seq", "watermark", "session_date", "elapsed_ms")
    WHERE_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RULE_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    SCORING_MODEL_FIELD_NUMBER: _ClassVar[int]
    AS_OF_SEQ_FIELD_NUMBER: _ClassVar[int]
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    SESSION_DATE_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_MS_FIELD_NUMBER: _ClassVar[int]
    where: str
    rule_version: str
    rule_checksum: str
    scoring_model: str
    as_of_seq: int
    watermark: int
    session_date: int
    elapsed_ms: float
    def __init__(self, where: _Optional[str] = ..., rule_version: _Optional[str] = ..., rule_checksum: _Optional[str] = ..., scoring_model: _Optional[str] = ..., as_of_seq: _Optional[int] = ..., watermark: _Optional[int] = ..., session_date: _Optional[int] = ..., elapsed_ms: _Optional[float] = ...) -> None: ...

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
    __slots__ = ("watermark", "snapshot", "events", "progress")
    WATERMARK_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    PROGRESS_FIELD_NUMBER: _ClassVar[int]
    watermark: int
    snapshot: Snapshot
    events: EventBatch
    progress: Progress
    def __init__(self, watermark: _Optional[int] = ..., snapshot: _Optional[_Union[Snapshot, _Mapping]] = ..., events: _Optional[_Union[EventBatch, _Mapping]] = ..., progress: _Optional[_Union[Progress, _Mapping]] = ...) -> None: ...

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
