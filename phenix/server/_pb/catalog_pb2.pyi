from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class GetCatalogRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class GetCatalogResponse(_message.Message):
    __slots__ = ("rule_version", "rule_checksum", "scoring_model", "chips", "fields", "parameters", "shadow")
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RULE_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    SCORING_MODEL_FIELD_NUMBER: _ClassVar[int]
    CHIPS_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    SHADOW_FIELD_NUMBER: _ClassVar[int]
    rule_version: str
    rule_checksum: str
    scoring_model: str
    chips: _containers.RepeatedCompositeFieldContainer[Chip]
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    parameters: _containers.RepeatedCompositeFieldContainer[Parameter]
    shadow: Candidate
    def __init__(self, rule_version: _Optional[str] = ..., rule_checksum: _Optional[str] = ..., scoring_model: _Optional[str] = ..., chips: _Optional[_Iterable[_Union[Chip, _Mapping]]] = ..., fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ..., parameters: _Optional[_Iterable[_Union[Parameter, _Mapping]]] = ..., shadow: _Optional[_Union[Candidate, _Mapping]] = ...) -> None: ...

class ListFieldsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListFieldsResponse(_message.Message):
    __slots__ = ("fields",)
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    fields: _containers.RepeatedCompositeFieldContainer[Field]
    def __init__(self, fields: _Optional[_Iterable[_Union[Field, _Mapping]]] = ...) -> None: ...

class ListChipsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListChipsResponse(_message.Message):
    __slots__ = ("rule_version", "rule_checksum", "chips")
    RULE_VERSION_FIELD_NUMBER: _ClassVar[int]
    RULE_CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    CHIPS_FIELD_NUMBER: _ClassVar[int]
    rule_version: str
    rule_checksum: str
    chips: _containers.RepeatedCompositeFieldContainer[Chip]
    def __init__(self, rule_version: _Optional[str] = ..., rule_checksum: _Optional[str] = ..., chips: _Optional[_Iterable[_Union[Chip, _Mapping]]] = ...) -> None: ...

class Chip(_message.Message):
    __slots__ = ("id", "label", "aliases", "group", "doc", "rule", "english", "fields", "rollout")
    ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    ENGLISH_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    ROLLOUT_FIELD_NUMBER: _ClassVar[int]
    id: str
    label: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    group: str
    doc: str
    rule: str
    english: str
    fields: _containers.RepeatedScalarFieldContainer[str]
    rollout: str
    def __init__(self, id: _Optional[str] = ..., label: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., group: _Optional[str] = ..., doc: _Optional[str] = ..., rule: _Optional[str] = ..., english: _Optional[str] = ..., fields: _Optional[_Iterable[str]] = ..., rollout: _Optional[str] = ...) -> None: ...

class Candidate(_message.Message):
    __slots__ = ("version", "since", "outcome", "reason", "rows", "sessions", "sessions_required")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_REQUIRED_FIELD_NUMBER: _ClassVar[int]
    version: str
    since: str
    outcome: str
    reason: str
    rows: int
    sessions: int
    sessions_required: int
    def __init__(self, version: _Optional[str] = ..., since: _Optional[str] = ..., outcome: _Optional[str] = ..., reason: _Optional[str] = ..., rows: _Optional[int] = ..., sessions: _Optional[int] = ..., sessions_required: _Optional[int] = ...) -> None: ...

class Field(_message.Message):
    __slots__ = ("name", "json", "type", "nullable", "doc", "operators", "members", "label")
    NAME_FIELD_NUMBER: _ClassVar[int]
    JSON_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NULLABLE_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    OPERATORS_FIELD_NUMBER: _ClassVar[int]
    MEMBERS_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    json: str
    type: str
    nullable: bool
    doc: str
    operators: _containers.RepeatedScalarFieldContainer[str]
    members: _containers.RepeatedScalarFieldContainer[str]
    label: str
    def __init__(self, name: _Optional[str] = ..., json: _Optional[str] = ..., type: _Optional[str] = ..., nullable: _Optional[bool] = ..., doc: _Optional[str] = ..., operators: _Optional[_Iterable[str]] = ..., members: _Optional[_Iterable[str]] = ..., label: _Optional[str] = ...) -> None: ...

class Parameter(_message.Message):
    __slots__ = ("name", "kind", "doc")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    doc: str
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., doc: _Optional[str] = ...) -> None: ...
