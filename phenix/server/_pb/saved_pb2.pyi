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
