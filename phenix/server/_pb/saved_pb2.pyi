from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class SavedKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SAVED_KIND_UNSPECIFIED: _ClassVar[SavedKind]
    SAVED_KIND_PRESET: _ClassVar[SavedKind]
    SAVED_KIND_ALERT: _ClassVar[SavedKind]

class PayloadVersion(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    PAYLOAD_VERSION_UNSPECIFIED: _ClassVar[PayloadVersion]
    PAYLOAD_VERSION_V2: _ClassVar[PayloadVersion]
    PAYLOAD_VERSION_LEGACY: _ClassVar[PayloadVersion]

class Fidelity(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FIDELITY_UNSPECIFIED: _ClassVar[Fidelity]
    FIDELITY_EXACT: _ClassVar[Fidelity]
    FIDELITY_WIDER: _ClassVar[Fidelity]
    FIDELITY_NARROWER: _ClassVar[Fidelity]
    FIDELITY_UNSUPPORTED: _ClassVar[Fidelity]

class FilterForm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FILTER_FORM_UNSPECIFIED: _ClassVar[FilterForm]
    FILTER_FORM_WHERE: _ClassVar[FilterForm]
    FILTER_FORM_V2: _ClassVar[FilterForm]
    FILTER_FORM_LEGACY: _ClassVar[FilterForm]

class AlertEventKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_EVENT_KIND_UNSPECIFIED: _ClassVar[AlertEventKind]
    ALERT_EVENT_KIND_MATCHED: _ClassVar[AlertEventKind]
    ALERT_EVENT_KIND_RETRACTED: _ClassVar[AlertEventKind]
    ALERT_EVENT_KIND_TEST: _ClassVar[AlertEventKind]

class AlertDeliveryState(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ALERT_DELIVERY_STATE_UNSPECIFIED: _ClassVar[AlertDeliveryState]
    ALERT_DELIVERY_STATE_WAITING: _ClassVar[AlertDeliveryState]
    ALERT_DELIVERY_STATE_DELIVERED: _ClassVar[AlertDeliveryState]
    ALERT_DELIVERY_STATE_DEAD: _ClassVar[AlertDeliveryState]
SAVED_KIND_UNSPECIFIED: SavedKind
SAVED_KIND_PRESET: SavedKind
SAVED_KIND_ALERT: SavedKind
PAYLOAD_VERSION_UNSPECIFIED: PayloadVersion
PAYLOAD_VERSION_V2: PayloadVersion
PAYLOAD_VERSION_LEGACY: PayloadVersion
FIDELITY_UNSPECIFIED: Fidelity
FIDELITY_EXACT: Fidelity
FIDELITY_WIDER: Fidelity
FIDELITY_NARROWER: Fidelity
FIDELITY_UNSUPPORTED: Fidelity
FILTER_FORM_UNSPECIFIED: FilterForm
FILTER_FORM_WHERE: FilterForm
FILTER_FORM_V2: FilterForm
FILTER_FORM_LEGACY: FilterForm
ALERT_EVENT_KIND_UNSPECIFIED: AlertEventKind
ALERT_EVENT_KIND_MATCHED: AlertEventKind
ALERT_EVENT_KIND_RETRACTED: AlertEventKind
ALERT_EVENT_KIND_TEST: AlertEventKind
ALERT_DELIVERY_STATE_UNSPECIFIED: AlertDeliveryState
ALERT_DELIVERY_STATE_WAITING: AlertDeliveryState
ALERT_DELIVERY_STATE_DELIVERED: AlertDeliveryState
ALERT_DELIVERY_STATE_DEAD: AlertDeliveryState

class SavedQuery(_message.Message):
    __slots__ = ("id", "kind", "name", "where", "payload_version", "payload_json", "fidelity", "reasons", "rule_version", "created_at", "updated_at", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_VERSION_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: SavedKind
    name: str
    where: str
    payload_version: PayloadVersion
    payload_json: str
    fidelity: Fidelity
    reasons: _containers.RepeatedScalarFieldContainer[str]
    rule_version: str
    created_at: int
    updated_at: int
    etag: str
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[_Union[SavedKind, str]] = ..., name: _Optional[str] = ..., where: _Optional[str] = ..., payload_version: _Optional[_Union[PayloadVersion, str]] = ..., payload_json: _Optional[str] = ..., fidelity: _Optional[_Union[Fidelity, str]] = ..., reasons: _Optional[_Iterable[str]] = ..., rule_version: _Optional[str] = ..., created_at: _Optional[int] = ..., updated_at: _Optional[int] = ..., etag: _Optional[str] = ...) -> None: ...

class SavedQueryServiceCreateRequest(_message.Message):
    __slots__ = ("kind", "name", "where", "payload_json")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    kind: SavedKind
    name: str
    where: str
    payload_json: str
    def __init__(self, kind: _Optional[_Union[SavedKind, str]] = ..., name: _Optional[str] = ..., where: _Optional[str] = ..., payload_json: _Optional[str] = ...) -> None: ...

class SavedQueryServiceCreateResponse(_message.Message):
    __slots__ = ("saved_query",)
    SAVED_QUERY_FIELD_NUMBER: _ClassVar[int]
    saved_query: SavedQuery
    def __init__(self, saved_query: _Optional[_Union[SavedQuery, _Mapping]] = ...) -> None: ...

class SavedQueryServiceGetRequest(_message.Message):
    __slots__ = ("id", "payload_version")
    ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_VERSION_FIELD_NUMBER: _ClassVar[int]
    id: str
    payload_version: PayloadVersion
    def __init__(self, id: _Optional[str] = ..., payload_version: _Optional[_Union[PayloadVersion, str]] = ...) -> None: ...

class SavedQueryServiceGetResponse(_message.Message):
    __slots__ = ("saved_query",)
    SAVED_QUERY_FIELD_NUMBER: _ClassVar[int]
    saved_query: SavedQuery
    def __init__(self, saved_query: _Optional[_Union[SavedQuery, _Mapping]] = ...) -> None: ...

class SavedQueryServiceListRequest(_message.Message):
    __slots__ = ("kind", "page_size", "page_token", "payload_version")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_VERSION_FIELD_NUMBER: _ClassVar[int]
    kind: SavedKind
    page_size: int
    page_token: str
    payload_version: PayloadVersion
    def __init__(self, kind: _Optional[_Union[SavedKind, str]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., payload_version: _Optional[_Union[PayloadVersion, str]] = ...) -> None: ...

class SavedQueryServiceListResponse(_message.Message):
    __slots__ = ("saved_queries", "next_page_token", "total_size")
    SAVED_QUERIES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    saved_queries: _containers.RepeatedCompositeFieldContainer[SavedQuery]
    next_page_token: str
    total_size: int
    def __init__(self, saved_queries: _Optional[_Iterable[_Union[SavedQuery, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class SavedQueryServiceUpdateRequest(_message.Message):
    __slots__ = ("id", "name", "where", "payload_json", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WHERE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    where: str
    payload_json: str
    etag: str
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., where: _Optional[str] = ..., payload_json: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class SavedQueryServiceUpdateResponse(_message.Message):
    __slots__ = ("saved_query",)
    SAVED_QUERY_FIELD_NUMBER: _ClassVar[int]
    saved_query: SavedQuery
    def __init__(self, saved_query: _Optional[_Union[SavedQuery, _Mapping]] = ...) -> None: ...

class SavedQueryServiceDeleteRequest(_message.Message):
    __slots__ = ("id", "etag")
    ID_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    id: str
    etag: str
    def __init__(self, id: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class SavedQueryServiceDeleteResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class SavedQueryServiceConvertRequest(_message.Message):
    __slots__ = ("where", "payload_json", "to")
    WHERE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    where: str
    payload_json: str
    to: FilterForm
    def __init__(self, where: _Optional[str] = ..., payload_json: _Optional[str] = ..., to: _Optional[_Union[FilterForm, str]] = ...) -> None: ...

class SavedQueryServiceConvertResponse(_message.Message):
    __slots__ = ("where", "payload_json", "fidelity", "reasons")
    WHERE_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_JSON_FIELD_NUMBER: _ClassVar[int]
    FIDELITY_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    where: str
    payload_json: str
    fidelity: Fidelity
    reasons: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, where: _Optional[str] = ..., payload_json: _Optional[str] = ..., fidelity: _Optional[_Union[Fidelity, str]] = ..., reasons: _Optional[_Iterable[str]] = ...) -> None: ...

class AlertDelivery(_message.Message):
    __slots__ = ("target_id", "target_type", "digest", "state", "attempts", "problem", "due_at", "done_at")
    TARGET_ID_FIELD_NUMBER: _ClassVar[int]
    TARGET_TYPE_FIELD_NUMBER: _ClassVar[int]
    DIGEST_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    DUE_AT_FIELD_NUMBER: _ClassVar[int]
    DONE_AT_FIELD_NUMBER: _ClassVar[int]
    target_id: str
    target_type: str
    digest: bool
    state: AlertDeliveryState
    attempts: int
    problem: str
    due_at: int
    done_at: int
    def __init__(self, target_id: _Optional[str] = ..., target_type: _Optional[str] = ..., digest: _Optional[bool] = ..., state: _Optional[_Union[AlertDeliveryState, str]] = ..., attempts: _Optional[int] = ..., problem: _Optional[str] = ..., due_at: _Optional[int] = ..., done_at: _Optional[int] = ...) -> None: ...

class AlertEvent(_message.Message):
    __slots__ = ("id", "kind", "number", "alert_id", "alert_name", "revision", "severity", "seq", "session_date", "created_at", "row_json", "deliveries")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    ALERT_NAME_FIELD_NUMBER: _ClassVar[int]
    REVISION_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    SESSION_DATE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ROW_JSON_FIELD_NUMBER: _ClassVar[int]
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: AlertEventKind
    number: int
    alert_id: str
    alert_name: str
    revision: int
    severity: str
    seq: int
    session_date: int
    created_at: int
    row_json: str
    deliveries: _containers.RepeatedCompositeFieldContainer[AlertDelivery]
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[_Union[AlertEventKind, str]] = ..., number: _Optional[int] = ..., alert_id: _Optional[str] = ..., alert_name: _Optional[str] = ..., revision: _Optional[int] = ..., severity: _Optional[str] = ..., seq: _Optional[int] = ..., session_date: _Optional[int] = ..., created_at: _Optional[int] = ..., row_json: _Optional[str] = ..., deliveries: _Optional[_Iterable[_Union[AlertDelivery, _Mapping]]] = ...) -> None: ...

class ListAlertEventsRequest(_message.Message):
    __slots__ = ("alert_id", "page_size", "page_token")
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    alert_id: str
    page_size: int
    page_token: str
    def __init__(self, alert_id: _Optional[str] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListAlertEventsResponse(_message.Message):
    __slots__ = ("events", "next_page_token", "total_size")
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SIZE_FIELD_NUMBER: _ClassVar[int]
    events: _containers.RepeatedCompositeFieldContainer[AlertEvent]
    next_page_token: str
    total_size: int
    def __init__(self, events: _Optional[_Iterable[_Union[AlertEvent, _Mapping]]] = ..., next_page_token: _Optional[str] = ..., total_size: _Optional[int] = ...) -> None: ...

class WatchAlertsRequest(_message.Message):
    __slots__ = ("alert_id", "after_number")
    ALERT_ID_FIELD_NUMBER: _ClassVar[int]
    AFTER_NUMBER_FIELD_NUMBER: _ClassVar[int]
    alert_id: str
    after_number: int
    def __init__(self, alert_id: _Optional[str] = ..., after_number: _Optional[int] = ...) -> None: ...

class WatchAlertsResponse(_message.Message):
    __slots__ = ("number", "events")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    EVENTS_FIELD_NUMBER: _ClassVar[int]
    number: int
    events: _containers.RepeatedCompositeFieldContainer[AlertEvent]
    def __init__(self, number: _Optional[int] = ..., events: _Optional[_Iterable[_Union[AlertEvent, _Mapping]]] = ...) -> None: ...
