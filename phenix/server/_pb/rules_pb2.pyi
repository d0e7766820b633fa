from google.protobuf import struct_pb2 as _struct_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class TextKind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TEXT_KIND_UNSPECIFIED: _ClassVar[TextKind]
    TEXT_KIND_EXPRESSION: _ClassVar[TextKind]
    TEXT_KIND_FILE: _ClassVar[TextKind]
TEXT_KIND_UNSPECIFIED: TextKind
TEXT_KIND_EXPRESSION: TextKind
TEXT_KIND_FILE: TextKind

class CheckRequest(_message.Message):
    __slots__ = ("text", "kind", "name")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    text: str
    kind: TextKind
    name: str
    def __init__(self, text: _Optional[str] = ..., kind: _Optional[_Union[TextKind, str]] = ..., name: _Optional[str] = ...) -> None: ...

class CheckResponse(_message.Message):
    __slots__ = ("ok", "canonical", "diagnostics", "elapsed_ms", "complete")
    OK_FIELD_NUMBER: _ClassVar[int]
    CANONICAL_FIELD_NUMBER: _ClassVar[int]
    DIAGNOSTICS_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_MS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    ok: bool
    canonical: str
    diagnostics: _containers.RepeatedCompositeFieldContainer[Diagnostic]
    elapsed_ms: float
    complete: bool
    def __init__(self, ok: _Optional[bool] = ..., canonical: _Optional[str] = ..., diagnostics: _Optional[_Iterable[_Union[Diagnostic, _Mapping]]] = ..., elapsed_ms: _Optional[float] = ..., complete: _Optional[bool] = ...) -> None: ...

class Diagnostic(_message.Message):
    __slots__ = ("code", "name", "severity", "message", "source", "line", "column", "end_line", "end_column", "labels", "help", "suggestion")
    CODE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SEVERITY_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    END_LINE_FIELD_NUMBER: _ClassVar[int]
    END_COLUMN_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    HELP_FIELD_NUMBER: _ClassVar[int]
    SUGGESTION_FIELD_NUMBER: _ClassVar[int]
    code: str
    name: str
    severity: str
    message: str
    source: str
    line: int
    column: int
    end_line: int
    end_column: int
    labels: _containers.RepeatedCompositeFieldContainer[DiagnosticLabel]
    help: str
    suggestion: Suggestion
    def __init__(self, code: _Optional[str] = ..., name: _Optional[str] = ..., severity: _Optional[str] = ..., message: _Optional[str] = ..., source: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ..., end_line: _Optional[int] = ..., end_column: _Optional[int] = ..., labels: _Optional[_Iterable[_Union[DiagnosticLabel, _Mapping]]] = ..., help: _Optional[str] = ..., suggestion: _Optional[_Union[Suggestion, _Mapping]] = ...) -> None: ...

class DiagnosticLabel(_message.Message):
    __slots__ = ("source", "line", "column", "end_line", "end_column", "text")
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    END_LINE_FIELD_NUMBER: _ClassVar[int]
    END_COLUMN_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    source: str
    line: int
    column: int
    end_line: int
    end_column: int
    text: str
    def __init__(self, source: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ..., end_line: _Optional[int] = ..., end_column: _Optional[int] = ..., text: _Optional[str] = ...) -> None: ...

class Suggestion(_message.Message):
    __slots__ = ("text", "safe", "safety", "line", "column", "end_line", "end_column")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SAFE_FIELD_NUMBER: _ClassVar[int]
    SAFETY_FIELD_NUMBER: _ClassVar[int]
    LINE_FIELD_NUMBER: _ClassVar[int]
    COLUMN_FIELD_NUMBER: _ClassVar[int]
    END_LINE_FIELD_NUMBER: _ClassVar[int]
    END_COLUMN_FIELD_NUMBER: _ClassVar[int]
    text: str
    safe: bool
    safety: str
    line: int
    column: int
    end_line: int
    end_column: int
    def __init__(self, text: _Optional[str] = ..., safe: _Optional[bool] = ..., safety: _Optional[str] = ..., line: _Optional[int] = ..., column: _Optional[int] = ..., end_line: _Optional[int] = ..., end_column: _Optional[int] = ...) -> None: ...

class FormatRequest(_message.Message):
    __slots__ = ("text", "kind")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    text: str
    kind: TextKind
    def __init__(self, text: _Optional[str] = ..., kind: _Optional[_Union[TextKind, str]] = ...) -> None: ...

class FormatResponse(_message.Message):
    __slots__ = ("text", "changed")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    text: str
    changed: bool
    def __init__(self, text: _Optional[str] = ..., changed: _Optional[bool] = ...) -> None: ...

class ExplainRequest(_message.Message):
    __slots__ = ("text",)
    TEXT_FIELD_NUMBER: _ClassVar[int]
    text: str
    def __init__(self, text: _Optional[str] = ...) -> None: ...

class ExplainResponse(_message.Message):
    __slots__ = ("rule", "chip", "english", "fields", "chips", "params", "can_be_unknown", "unknown_without", "normal", "sql")
    RULE_FIELD_NUMBER: _ClassVar[int]
    CHIP_FIELD_NUMBER: _ClassVar[int]
    ENGLISH_FIELD_NUMBER: _ClassVar[int]
    FIELDS_FIELD_NUMBER: _ClassVar[int]
    CHIPS_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    CAN_BE_UNKNOWN_FIELD_NUMBER: _ClassVar[int]
    UNKNOWN_WITHOUT_FIELD_NUMBER: _ClassVar[int]
    NORMAL_FIELD_NUMBER: _ClassVar[int]
    SQL_FIELD_NUMBER: _ClassVar[int]
    rule: str
    chip: str
    english: str
    fields: _containers.RepeatedCompositeFieldContainer[ExplainedField]
    chips: _containers.RepeatedCompositeFieldContainer[ExplainedChip]
    params: _containers.RepeatedCompositeFieldContainer[ExplainedParam]
    can_be_unknown: bool
    unknown_without: _containers.RepeatedScalarFieldContainer[str]
    normal: str
    sql: ExplainedSql
    def __init__(self, rule: _Optional[str] = ..., chip: _Optional[str] = ..., english: _Optional[str] = ..., fields: _Optional[_Iterable[_Union[ExplainedField, _Mapping]]] = ..., chips: _Optional[_Iterable[_Union[ExplainedChip, _Mapping]]] = ..., params: _Optional[_Iterable[_Union[ExplainedParam, _Mapping]]] = ..., can_be_unknown: _Optional[bool] = ..., unknown_without: _Optional[_Iterable[str]] = ..., normal: _Optional[str] = ..., sql: _Optional[_Union[ExplainedSql, _Mapping]] = ...) -> None: ...

class ExplainedField(_message.Message):
    __slots__ = ("name", "label", "type", "nullable", "doc")
    NAME_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    TYPE_FIELD_NUMBER: _ClassVar[int]
    NULLABLE_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    name: str
    label: str
    type: str
    nullable: bool
    doc: str
    def __init__(self, name: _Optional[str] = ..., label: _Optional[str] = ..., type: _Optional[str] = ..., nullable: _Optional[bool] = ..., doc: _Optional[str] = ...) -> None: ...

class ExplainedChip(_message.Message):
    __slots__ = ("id", "label", "rule")
    ID_FIELD_NUMBER: _ClassVar[int]
    LABEL_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    id: str
    label: str
    rule: str
    def __init__(self, id: _Optional[str] = ..., label: _Optional[str] = ..., rule: _Optional[str] = ...) -> None: ...

class ExplainedParam(_message.Message):
    __slots__ = ("name", "value", "text", "doc")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    DOC_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: _struct_pb2.Value
    text: str
    doc: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., text: _Optional[str] = ..., doc: _Optional[str] = ...) -> None: ...

class ExplainedSql(_message.Message):
    __slots__ = ("text", "parameters")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    PARAMETERS_FIELD_NUMBER: _ClassVar[int]
    text: str
    parameters: _containers.RepeatedCompositeFieldContainer[SqlParameter]
    def __init__(self, text: _Optional[str] = ..., parameters: _Optional[_Iterable[_Union[SqlParameter, _Mapping]]] = ...) -> None: ...

class SqlParameter(_message.Message):
    __slots__ = ("value", "name")
    VALUE_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    value: _struct_pb2.Value
    name: str
    def __init__(self, value: _Optional[_Union[_struct_pb2.Value, _Mapping]] = ..., name: _Optional[str] = ...) -> None: ...

class EstimateRequest(_message.Message):
    __slots__ = ("text", "sessions")
    TEXT_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    text: str
    sessions: int
    def __init__(self, text: _Optional[str] = ..., sessions: _Optional[int] = ...) -> None: ...

class EstimateResponse(_message.Message):
    __slots__ = ("where", "hits", "rows", "share", "sessions", "complete", "as_of_seq", "elapsed_ms", "plan")
    WHERE_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    SESSIONS_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    AS_OF_SEQ_FIELD_NUMBER: _ClassVar[int]
    ELAPSED_MS_FIELD_NUMBER: _ClassVar[int]
    PLAN_FIELD_NUMBER: _ClassVar[int]
    where: str
    hits: int
    rows: int
    share: float
    sessions: _containers.RepeatedCompositeFieldContainer[SessionEstimate]
    complete: bool
    as_of_seq: int
    elapsed_ms: float
    plan: str
    def __init__(self, where: _Optional[str] = ..., hits: _Optional[int] = ..., rows: _Optional[int] = ..., share: _Optional[float] = ..., sessions: _Optional[_Iterable[_Union[SessionEstimate, _Mapping]]] = ..., complete: _Optional[bool] = ..., as_of_seq: _Optional[int] = ..., elapsed_ms: _Optional[float] = ..., plan: _Optional[str] = ...) -> None: ...

class SessionEstimate(_message.Message):
    __slots__ = ("date", "hits", "rows", "share")
    DATE_FIELD_NUMBER: _ClassVar[int]
    HITS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    SHARE_FIELD_NUMBER: _ClassVar[int]
    date: str
    hits: int
    rows: int
    share: float
    def __init__(self, date: _Optional[str] = ..., hits: _Optional[int] = ..., rows: _Optional[int] = ..., share: _Optional[float] = ...) -> None: ...

class ListVersionsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class ListVersionsResponse(_message.Message):
    __slots__ = ("versions", "activations", "retaggings")
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    ACTIVATIONS_FIELD_NUMBER: _ClassVar[int]
    RETAGGINGS_FIELD_NUMBER: _ClassVar[int]
    versions: _containers.RepeatedCompositeFieldContainer[RuleVersion]
    activations: _containers.RepeatedCompositeFieldContainer[Activation]
    retaggings: _containers.RepeatedCompositeFieldContainer[Retagging]
    def __init__(self, versions: _Optional[_Iterable[_Union[RuleVersion, _Mapping]]] = ..., activations: _Optional[_Iterable[_Union[Activation, _Mapping]]] = ..., retaggings: _Optional[_Iterable[_Union[Retagging, _Mapping]]] = ...) -> None: ...

class RuleVersion(_message.Message):
    __slots__ = ("version", "checksum", "active", "created_at", "activated_at", "activated_seq")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_AT_FIELD_NUMBER: _ClassVar[int]
    ACTIVATED_SEQ_FIELD_NUMBER: _ClassVar[int]
    version: str
    checksum: str
    active: bool
    created_at: str
    activated_at: str
    activated_seq: int
    def __init__(self, version: _Optional[str] = ..., checksum: _Optional[str] = ..., active: _Optional[bool] = ..., created_at: _Optional[str] = ..., activated_at: _Optional[str] = ..., activated_seq: _Optional[int] = ...) -> None: ...

class Retagging(_message.Message):
    __slots__ = ("version", "session_date", "state", "rows", "waiting_rows", "updated_at")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SESSION_DATE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    WAITING_ROWS_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    version: str
    session_date: str
    state: str
    rows: int
    waiting_rows: int
    updated_at: str
    def __init__(self, version: _Optional[str] = ..., session_date: _Optional[str] = ..., state: _Optional[str] = ..., rows: _Optional[int] = ..., waiting_rows: _Optional[int] = ..., updated_at: _Optional[str] = ...) -> None: ...

class Activation(_message.Message):
    __slots__ = ("number", "cause", "version", "before", "seq", "at", "refused", "waiting", "asked_at", "asked_by", "reason", "forced")
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    SEQ_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    REFUSED_FIELD_NUMBER: _ClassVar[int]
    WAITING_FIELD_NUMBER: _ClassVar[int]
    ASKED_AT_FIELD_NUMBER: _ClassVar[int]
    ASKED_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCED_FIELD_NUMBER: _ClassVar[int]
    number: int
    cause: str
    version: str
    before: str
    seq: int
    at: str
    refused: str
    waiting: bool
    asked_at: str
    asked_by: str
    reason: str
    forced: bool
    def __init__(self, number: _Optional[int] = ..., cause: _Optional[str] = ..., version: _Optional[str] = ..., before: _Optional[str] = ..., seq: _Optional[int] = ..., at: _Optional[str] = ..., refused: _Optional[str] = ..., waiting: _Optional[bool] = ..., asked_at: _Optional[str] = ..., asked_by: _Optional[str] = ..., reason: _Optional[str] = ..., forced: _Optional[bool] = ...) -> None: ...

class PushRequest(_message.Message):
    __slots__ = ("files", "params", "version")
    class ParamsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    FILES_FIELD_NUMBER: _ClassVar[int]
    PARAMS_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    files: _containers.RepeatedCompositeFieldContainer[RuleFile]
    params: _containers.ScalarMap[str, str]
    version: str
    def __init__(self, files: _Optional[_Iterable[_Union[RuleFile, _Mapping]]] = ..., params: _Optional[_Mapping[str, str]] = ..., version: _Optional[str] = ...) -> None: ...

class RuleFile(_message.Message):
    __slots__ = ("name", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    text: str
    def __init__(self, name: _Optional[str] = ..., text: _Optional[str] = ...) -> None: ...

class PushResponse(_message.Message):
    __slots__ = ("version", "checksum", "new", "chips")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    CHIPS_FIELD_NUMBER: _ClassVar[int]
    version: str
    checksum: str
    new: bool
    chips: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, version: _Optional[str] = ..., checksum: _Optional[str] = ..., new: _Optional[bool] = ..., chips: _Optional[_Iterable[str]] = ...) -> None: ...

class ActivateRequest(_message.Message):
    __slots__ = ("version", "reason", "force")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    version: str
    reason: str
    force: bool
    def __init__(self, version: _Optional[str] = ..., reason: _Optional[str] = ..., force: _Optional[bool] = ...) -> None: ...

class ActivateResponse(_message.Message):
    __slots__ = ("activation",)
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    activation: Activation
    def __init__(self, activation: _Optional[_Union[Activation, _Mapping]] = ...) -> None: ...

class RollbackRequest(_message.Message):
    __slots__ = ("reason",)
    REASON_FIELD_NUMBER: _ClassVar[int]
    reason: str
    def __init__(self, reason: _Optional[str] = ...) -> None: ...

class RollbackResponse(_message.Message):
    __slots__ = ("activation",)
    ACTIVATION_FIELD_NUMBER: _ClassVar[int]
    activation: Activation
    def __init__(self, activation: _Optional[_Union[Activation, _Mapping]] = ...) -> None: ...

class DiffRequest(_message.Message):
    __slots__ = ("before", "after")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    before: str
    after: str
    def __init__(self, before: _Optional[str] = ..., after: _Optional[str] = ...) -> None: ...

class DiffResponse(_message.Message):
    __slots__ = ("before", "after", "params_only", "changes")
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    PARAMS_ONLY_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    before: str
    after: str
    params_only: bool
    changes: _containers.RepeatedCompositeFieldContainer[RuleChange]
    def __init__(self, before: _Optional[str] = ..., after: _Optional[str] = ..., params_only: _Optional[bool] = ..., changes: _Optional[_Iterable[_Union[RuleChange, _Mapping]]] = ...) -> None: ...

class RuleChange(_message.Message):
    __slots__ = ("kind", "name", "before", "after", "through")
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    THROUGH_FIELD_NUMBER: _ClassVar[int]
    kind: str
    name: str
    before: str
    after: str
    through: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, kind: _Optional[str] = ..., name: _Optional[str] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., through: _Optional[_Iterable[str]] = ...) -> None: ...

class CertifyRequest(_message.Message):
    __slots__ = ("version", "pairs", "seed")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    version: str
    pairs: int
    seed: int
    def __init__(self, version: _Optional[str] = ..., pairs: _Optional[int] = ..., seed: _Optional[int] = ...) -> None: ...

class CertifyResponse(_message.Message):
    __slots__ = ("version", "checksum", "clean", "seed", "rules", "rows", "pairs", "answers", "targets", "skipped", "mismatches", "seconds")
    class TargetsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    class SkippedEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    VERSION_FIELD_NUMBER: _ClassVar[int]
    CHECKSUM_FIELD_NUMBER: _ClassVar[int]
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    SEED_FIELD_NUMBER: _ClassVar[int]
    RULES_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    PAIRS_FIELD_NUMBER: _ClassVar[int]
    ANSWERS_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    SKIPPED_FIELD_NUMBER: _ClassVar[int]
    MISMATCHES_FIELD_NUMBER: _ClassVar[int]
    SECONDS_FIELD_NUMBER: _ClassVar[int]
    version: str
    checksum: str
    clean: bool
    seed: int
    rules: int
    rows: int
    pairs: int
    answers: int
    targets: _containers.ScalarMap[str, str]
    skipped: _containers.ScalarMap[str, str]
    mismatches: _containers.RepeatedCompositeFieldContainer[RuleMismatch]
    seconds: float
    def __init__(self, version: _Optional[str] = ..., checksum: _Optional[str] = ..., clean: _Optional[bool] = ..., seed: _Optional[int] = ..., rules: _Optional[int] = ..., rows: _Optional[int] = ..., pairs: _Optional[int] = ..., answers: _Optional[int] = ..., targets: _Optional[_Mapping[str, str]] = ..., skipped: _Optional[_Mapping[str, str]] = ..., mismatches: _Optional[_Iterable[_Union[RuleMismatch, _Mapping]]] = ..., seconds: _Optional[float] = ...) -> None: ...

class RuleMismatch(_message.Message):
    __slots__ = ("target", "question", "rule", "expected", "found")
    TARGET_FIELD_NUMBER: _ClassVar[int]
    QUESTION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    EXPECTED_FIELD_NUMBER: _ClassVar[int]
    FOUND_FIELD_NUMBER: _ClassVar[int]
    target: str
    question: str
    rule: str
    expected: str
    found: str
    def __init__(self, target: _Optional[str] = ..., question: _Optional[str] = ..., rule: _Optional[str] = ..., expected: _Optional[str] = ..., found: _Optional[str] = ...) -> None: ...
