from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class ChipReason(_message.Message):
    __slots__ = ("id", "label", "group", "rule", "english", "answer", "tree", "nearest_miss", "undecided")
    ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    GROUP_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    ENGLISH_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    TREE_FIELD_NUMBER: _ClassVar[int]
    NEAREST_MISS_FIELD_NUMBER: _ClassVar[int]
    UNDECIDED_FIELD_NUMBER: _ClassVar[int]
    id: str
    label: str
    group: str
    rule: str
    english: str
    answer: str
    tree: ConditionReason
    nearest_miss: NearestMiss
    undecided: _containers.RepeatedCompositeFieldContainer[UndecidedField]
    def __init__(self, id: _Optional[str] = ..., label: _Optional[str] = ..., group: _Optional[str] = ..., rule: _Optional[str] = ..., english: _Optional[str] = ..., answer: _Optional[str] = ..., tree: _Optional[_Union[ConditionReason, _Mapping]] = ..., nearest_miss: _Optional[_Union[NearestMiss, _Mapping]] = ..., undecided: _Optional[_Iterable[_Union[UndecidedField, _Mapping]]] = ...) -> None: ...

class ConditionReason(_message.Message):
    __slots__ = ("kind", "text", "answer", "values", "parts")
    KIND_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    ANSWER_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    kind: str
    text: str
    answer: str
    values: _containers.RepeatedCompositeFieldContainer[ReadValue]
    parts: _containers.RepeatedCompositeFieldContainer[ConditionReason]
    def __init__(self, kind: _Optional[str] = ..., text: _Optional[str] = ..., answer: _Optional[str] = ..., values: _Optional[_Iterable[_Union[ReadValue, _Mapping]]] = ..., parts: _Optional[_Iterable[_Union[ConditionReason, _Mapping]]] = ...) -> None: ...

class ReadValue(_message.Message):
    __slots__ = ("name", "label", "value", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    value: _struct_pb2.Value
    text: str
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., text: _Optional[str] = ...) -> None: ...

class NearestMiss(_message.Message):
    __slots__ = ("text", "changes")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    text: str
    changes: _containers.RepeatedCompositeFieldContainer[FieldChange]
    def __init__(self, text: _Optional[str] = ..., changes: _Optional[_Iterable[_Union[FieldChange, _Mapping]]] = ...) -> None: ...

class FieldChange(_message.Message):
    __slots__ = ("field", "label", "value", "text", "op", "needs", "needs_text", "options")
    FIELD_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    OP_FIELD_NUMBER: _ClassVar[int]
    NEEDS_FIELD_NUMBER: _ClassVar[int]
    NEEDS_TEXT_FIELD_NUMBER: _ClassVar[int]
    OPTIONS_FIELD_NUMBER: _ClassVar[int]
    field: str
    label: str
    value: _struct_pb2.Value
    text: str
    op: str
    needs: _struct_pb2.Value
    needs_text: str
    options: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, field: _Optional[str] = ..., label: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., text: _Optional[str] = ..., op: _Optional[str] = ..., needs: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., needs_text: _Optional[str] = ..., options: _Optional[_Iterable[str]] = ...) -> None: ...

class UndecidedField(_message.Message):
    __slots__ = ("name", "label")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ...) -> None: ...
