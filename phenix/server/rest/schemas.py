"""JSON Schemas of what is sent and answered, from the catalog, the error table and the proto files.

Sums, facets and reasons have the shape of their messages, in dollars; a row has the fields of the catalog.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor

from phenix.dsl.types import Kind
from phenix.engine.encode import ROW_KEYS, json_value
from phenix.engine.flow import FIELDS, Field
from phenix.engine.legacy import KEYS
from phenix.engine.shadow.bands import Outcome
from phenix.server._pb import flow_pb2, rules_pb2
from phenix.server.alerts.settings import DELIVERY as ALERT_DELIVERY
from phenix.server.alerts.settings import TARGET as ALERT_TARGET
from phenix.server.editor_body import KINDS, MEMBERS, MOST_SESSIONS
from phenix.server.errors import ERRORS
from phenix.server.reading import SORTABLE, SYMBOL
from phenix.server.saved_body import LONGEST_NAME, PAYLOADS, SHOWN
from phenix.server.sums import MONEY

__all__ = ["BLANK", "Schema", "csv_of", "list_of", "parameter_schema", "ref", "schemas"]

Schema = dict[str, Any]

_TEXT: Final[Schema] = {"type": "string"}
_KINDS: Final[dict[Kind, Schema]] = {
    Kind.BOOL: {"type": "boolean"},
    Kind.INT: {"type": "integer"},
    Kind.DURATION: {"type": "integer", "description": "Milliseconds."},
    Kind.MONEY: {"type": "number", "description": "Dollars."},
    Kind.RATIO: {"type": "number"},
    Kind.PERCENT: {"type": "number", "description": "Percent."},
    Kind.DATE: {"type": "string", "format": "date"},
    Kind.TS: {"type": "string", "format": "date-time"},
}
"""How values of a kind are written; any other is a text."""
_NUMBERS: Final = frozenset({Kind.INT, Kind.DURATION, Kind.MONEY, Kind.RATIO, Kind.PERCENT})
_INSTANT: Final = _KINDS[Kind.TS]
_OTHER_KEYS: Final[dict[str, Schema]] = {
    "id": {**_TEXT, "description": "Id of the row: exchange time and identity hash."},
    "conditionName": {**_TEXT, "description": "Name of the trade condition."},
    "chips": {"type": "array", "items": _TEXT, "description": "Ids of the chips that are on."},
    "chipsUnknown": {"type": "array", "items": _TEXT, "description": "Ids of the chips that could not be decided."},
    "missingMetrics": {"type": "array", "items": _TEXT, "description": "Inputs of the score that were unknown."},
    "tradeTsEt": {**_INSTANT, "description": "New York wall clock of the print, with its offset."},
}
"""Keys of a row that are written otherwise than their field is, or have none."""


BLANK: Final[Schema] = {"type": "string", "pattern": "^ *$"}
"""Nothing, as a text."""


def ref(name: str) -> Schema:
    """A schema by its name."""
    return {"$ref": f"#/components/schemas/{name}"}


def list_of(schema: Schema) -> Schema:
    """A list of such values."""
    return {"type": "array", "items": schema}


def csv_of(schema: Schema) -> Schema:
    """A list of such values in one text, in which what is empty between two commas counts for nothing."""
    return list_of({"anyOf": [schema, BLANK]})


def schemas(chips: Iterable[str]) -> dict[str, Schema]:
    """Every schema by its name; ``chips`` are the ids of the active rule version."""
    found: dict[str, Schema] = {"Row": _row(list(chips)), **_SHAPES}
    for name, message in (("Summary", "SummarizeResponse"), ("Facets", "FacetsResponse"), ("Reasons", "WhyResponse")):
        found[name] = _message(flow_pb2.DESCRIPTOR.message_types_by_name[message], found)
    for name, title in _OF_RULES.items():
        found[title] = _message(rules_pb2.DESCRIPTOR.message_types_by_name[name], found)
    for name, members in MEMBERS.items():
        title = name.capitalize()
        found[f"Dsl{title}Body"] = _object(*members[1:], **{member: _ASKED[member] for member in members})
        found[f"Dsl{title}"] = _object(data=ref(f"{title}Answer"), meta=ref("RuleMeta"))
        if message := rules_pb2.DESCRIPTOR.message_types_by_name.get(f"{title}Response"):
            found[f"{title}Answer"] = _message(message, found)
    return found


def parameter_schema(kind: str, members: tuple[str, ...], chips: tuple[str, ...], low: int | None) -> Schema:
    """The schema of one value of a parameter: of an item, where it is a list."""
    match kind:
        case "number":
            return {"type": "number"}
        case "integer":
            return {"type": "integer", **({} if low is None else {"minimum": low})}
        case "amount":
            return {"anyOf": [{"type": "number"}, {"const": ""}]}
        case "codes":
            return {"type": "integer", "minimum": -(2**31), "maximum": 2**31 - 1}
        case "boolean":
            return {"type": "string", "enum": ["1", "true", "yes", "on", "0", "false", "no", "off", ""]}
        case "dates":
            return {"type": "string", "format": "date"}
        case "chips":
            return {"type": "string", "enum": list(chips)}
        case "fields":
            return {"type": "string", "enum": list(ROW_KEYS)}
        case "field":
            return {"type": "string", "enum": list(SORTABLE)}
        case "symbols":
            letters = SYMBOL.pattern.replace("A-Z", "A-Za-z")  # of either case, and with spaces around
            return {"type": "string", "pattern": rf"^ *-? *{letters} *$"}
        case "time":
            return {"type": "string", "anyOf": [{"format": "date"}, {"format": "date-time"}]}
    return {"type": "string", **({"enum": list(members)} if members else {})}


def _row(chips: list[str]) -> Schema:
    fields = {f.json: f for f in FIELDS if f.json}
    keys = {key: _OTHER_KEYS[key] if key in _OTHER_KEYS else _value(fields[key]) for key in ROW_KEYS}
    for key in ("chips", "chipsUnknown"):
        keys[key] = {**keys[key], "items": {**_TEXT, "examples": chips}}
    about = "One print with everything derived from it; null is unknown. With `fields` only the keys asked for."
    return {"type": "object", "description": about, "additionalProperties": False, "properties": keys}


def _value(field: Field) -> Schema:
    kind = _KINDS.get(field.type.kind, _TEXT)
    found: Schema = {**kind, "description": " ".join(filter(None, (field.doc, kind.get("description"))))}
    if field.type.members:
        found["enum"] = list(field.type.members)
    if field.type.kind in _NUMBERS and field.type.lo is not None:
        found |= {"minimum": json_value(field.name, field.type.lo), "maximum": json_value(field.name, field.type.hi)}
    return _or_null(found) if field.optional else found


def _or_null(schema: Schema) -> Schema:
    if "type" not in schema:
        return {"anyOf": [schema, {"type": "null"}]}
    more = {"enum": [*schema["enum"], None]} if "enum" in schema else {}
    return {**schema, "type": [schema["type"], "null"], **more}


def _object(*optional: str, **members: Schema) -> Schema:
    """An object with these members and no other."""
    required = [name for name in members if name not in optional]
    return {"type": "object", "additionalProperties": False, "properties": members, "required": required}


# -- messages

_TYPES: Final = {
    FieldDescriptor.CPPTYPE_STRING: "string",
    FieldDescriptor.CPPTYPE_BOOL: "boolean",
    FieldDescriptor.CPPTYPE_DOUBLE: "number",
    FieldDescriptor.CPPTYPE_INT32: "integer",
    FieldDescriptor.CPPTYPE_INT64: "integer",
}


def _message(message: Descriptor, found: dict[str, Schema]) -> Schema:
    """The shape of a message; those it holds are put beside it. ``meta`` has its place outside of it."""
    return _object(**{f.json_name: _member(f, found) for f in message.fields if f.name != "meta"})


def _member(field: FieldDescriptor, found: dict[str, Schema]) -> Schema:
    inner = field.message_type
    if inner is None:
        kind = "number" if field.json_name in MONEY else _TYPES[field.cpp_type]
        schema: Schema = {"type": kind}
    elif inner.full_name == "google.protobuf.Value":
        return {}
    else:
        schema = ref(inner.name)
        if inner.name not in found:
            found[inner.name] = {}  # a condition has conditions
            found[inner.name] = _message(inner, found)
    if field.is_repeated:
        return list_of(schema)
    absent = field.has_presence and (inner is None or field.name == "nearest_miss")
    return _or_null(schema) if absent else schema


# -- envelopes

_INTEGER: Final[Schema] = {"type": "integer"}
_NUMBER: Final[Schema] = {"type": "number"}
_FLAG: Final[Schema] = {"type": "boolean"}
_ANY: Final[Schema] = {}
_TEXT_OR_NULL: Final = _or_null(_TEXT)
_INTEGER_OR_NULL: Final = _or_null(_INTEGER)
_PLACE: Final = {
    "line": _INTEGER_OR_NULL, "column": _INTEGER_OR_NULL, "endLine": _INTEGER_OR_NULL, "endColumn": _INTEGER_OR_NULL,
}  # fmt: skip
_CHECK: Final = _object("reason", "rows", "lagSeconds", ok=_FLAG, reason=_TEXT, rows=_INTEGER, lagSeconds=_NUMBER)


def _settings() -> dict[str, Schema]:
    """Settings of an alert; a member that is null says nothing."""
    target = {**dict.fromkeys(ALERT_TARGET, _TEXT_OR_NULL), "type": _TEXT_OR_NULL}
    shapes: dict[str, Schema] = {
        "quiet": _or_null({**_object(**{"from": _TEXT}, to=_TEXT)}),
        "dailyCap": _INTEGER_OR_NULL,
        "targets": _or_null(
            list_of(
                _object(
                    *ALERT_TARGET,
                    **{name: {**schema, "description": ALERT_TARGET[name]} for name, schema in target.items()},
                )
            )
        ),
    }
    return {name: {**shapes.get(name, _TEXT_OR_NULL), "description": said} for name, said in ALERT_DELIVERY.items()}


_ASKED: Final[dict[str, Schema]] = {
    "text": {**_TEXT, "description": "Up to 64 kB."},
    "kind": {**_TEXT, "enum": list(KINDS), "description": "What the text is; an expression when it is not said."},
    "name": {**_TEXT, "description": "The rule file among the active rules whose place a file takes; alone without."},
    "offset": {**_INTEGER, "minimum": 0, "description": "Characters before the cursor; all of them when not said."},
    "sessions": {
        **_INTEGER,
        "minimum": 1,
        "maximum": MOST_SESSIONS,
        "description": "The latest so many; 1 when not said.",
    },
}
"""What an editor's question has."""

_OF_RULES: Final = {
    "ListVersionsResponse": "RuleVersionList",
    "Activation": "Activation",
    "DiffResponse": "RuleChanges",
}
"""Messages about rule versions, and their schemas."""
_TEXTS: Final[Schema] = {"type": "object", "minProperties": 1, "additionalProperties": _TEXT}

_SHAPES: Final[dict[str, Schema]] = {
    "RuleVersions": _object(data=ref("RuleVersionList")),
    "RuleActivation": _object(data=ref("Activation")),
    "RuleDiff": _object(data=ref("RuleChanges")),
    "RulesStored": _object(data=_object(version=_TEXT, checksum=_TEXT, new=_FLAG, chips=list_of(_TEXT))),
    "RulesBody": {"anyOf": [
        _object(sources={**_TEXTS, "description": "Texts of rule files by their names."}),
        _object("version", params={**_TEXTS, "description": "Values by their names, as in a rule file: `750k`."},
                version={**_TEXT, "description": "The version they change; the active one when not said."}),
    ]},
    "ActivateBody": _object("reason", "force", version=_TEXT, reason=_TEXT, force=_FLAG),
    "RollbackBody": _object("reason", reason=_TEXT),
    "DiffBody": _object("from", "to", **{"from": _TEXT}, to=_TEXT),
    "FlowPage": _object(data=list_of(ref("Row")), page=ref("Page"), meta=ref("Meta")),
    "FlowRow": _object(data=ref("Row"), meta=ref("Meta")),
    "FlowSummary": _object(data=ref("Summary"), meta=ref("Meta")),
    "FlowFacets": _object(data=ref("Facets"), meta=ref("Meta")),
    "FlowWhy": _object(data=ref("Reasons"), meta=ref("Meta")),
    "Page": _object(
        limit=_INTEGER, hasMore=_FLAG, nextCursor=_TEXT_OR_NULL, sortBy=_TEXT,
        sortOrder={**_TEXT, "enum": ["asc", "desc"]}, total=_INTEGER_OR_NULL,
    ),
    "Meta": _object(
        "shadow",
        where={**_TEXT, "description": "The whole filter as one expression of the rule language."},
        ruleVersion=_TEXT, ruleChecksum=_TEXT, scoringModel=_TEXT, asOfSeq=_INTEGER, watermark=_INTEGER,
        sessionDate=_or_null(_KINDS[Kind.DATE]), degraded=_FLAG, degradedReason=list_of(_TEXT), lagSeconds=_NUMBER,
        lagThresholdSeconds=_NUMBER, elapsedMs=_NUMBER, plan=_TEXT, shadow=ref("Shadow"),
    ),
    "Shadow": _object(
        activeVersion=_TEXT, shadowVersion=_TEXT,
        **dict.fromkeys(("activeCount", "shadowCount", "addedCount", "removedCount"), _INTEGER),
        addedByShadow=list_of(_TEXT), removedByShadow=list_of(_TEXT),
        truncated=_object(addedByShadow=_FLAG, removedByShadow=_FLAG),
    ),
    "Events": _object(
        sequence=_INTEGER, watermark=_INTEGER, degraded=_FLAG, degradedReason=list_of(_TEXT),
        events=list_of(ref("Event")),
    ),
    "Event": {
        "type": "object",
        "description": "What a stream sends; `eventType` says which members it has.",
        "properties": {"sequence": _INTEGER, "watermark": _INTEGER, "eventType": _TEXT, "flow": ref("Row"),
                       "record": ref("Row"), "data": list_of(ref("Row")), "reason": _TEXT, "oldestSeq": _INTEGER,
                       "degraded": _FLAG, "degradedReason": list_of(_TEXT), "ruleVersion": _TEXT,
                       "ruleChecksum": _TEXT, "filterKept": _FLAG},
        "required": ["sequence", "watermark", "eventType"],
    },
    "Frame": {
        "type": "object",
        "description": "An event of an event stream; `data` is the text of an Event, `id` its watermark.",
        "properties": {"id": _TEXT, "event": _TEXT, "data": _TEXT},
    },
    "Catalog": {
        "type": "object",
        "description": "What can be asked of the active rule version.",
        "properties": {"ruleVersion": _TEXT, "ruleChecksum": _TEXT, "scoringModel": _TEXT,
                       "shadow": _or_null(ref("Candidate")),
                       **dict.fromkeys(("chips", "fields", "parameters"), list_of({"type": "object"}))},
        "required": ["ruleVersion", "ruleChecksum", "scoringModel", "shadow", "chips", "fields", "parameters"],
    },
    "Candidate": {
        **_object(
            version=_TEXT, since=_INSTANT, outcome={**_TEXT, "enum": [one.value for one in Outcome]}, reason=_TEXT,
            rows=_INTEGER, sessions=_INTEGER, sessionsRequired=_INTEGER,
        ),
        "description": "The rule version in shadow, and the verdict over the whole sessions compared so far.",
    },
    "Saved": _object(
        id=_TEXT, name=_TEXT, payloadVersion={**_TEXT, "enum": ["v2", "legacy"]},
        payload={"type": ["object", "null"]}, queryDslV2={"type": "object"}, where=_TEXT,
        fidelity={**_TEXT, "enum": ["exact", "wider", "narrower", "unsupported"]}, reasons=list_of(_TEXT),
        ruleVersion=_TEXT, createdAt=_INSTANT, updatedAt=_INSTANT,
    ),
    "SavedOne": _object(data=ref("Saved")),
    "SavedMade": _object(data={"anyOf": [ref("Saved"), list_of(ref("Saved"))]}),
    "SavedPage": _object(
        data=list_of(ref("Saved")),
        page=_object(limit=_INTEGER, hasMore=_FLAG, nextCursor=_TEXT_OR_NULL, total=_INTEGER),
    ),
    "AlertSettings": _object(*ALERT_DELIVERY, **_settings()),
    "AlertDelivery": _object(data=_object(
        **_settings(), effective={"type": "object", "description": "What counts in all."}, sinceSeq=_INTEGER_OR_NULL,
    )),
    "AlertEvents": _object(
        data=list_of(ref("AlertEvent")),
        page=_object(limit=_INTEGER, hasMore=_FLAG, nextCursor=_TEXT_OR_NULL, total=_INTEGER),
    ),
    "AlertEvent": _object(
        id={**_TEXT, "description": "The same each time, also of what takes it back."},
        kind={**_TEXT, "enum": ["matched", "retracted", "test"]}, number=_INTEGER, alertId=_TEXT, alertName=_TEXT,
        revision=_INTEGER, severity=_TEXT_OR_NULL, seq=_INTEGER, sessionDate=_or_null(_KINDS[Kind.DATE]),
        createdAt=_INSTANT, flow={"anyOf": [ref("Row"), {"type": "object"}]}, deliveries=list_of(_object(
            targetId=_TEXT, type=_TEXT, digest=_FLAG, state={**_TEXT, "enum": ["waiting", "delivered", "dead"]},
            attempts=_INTEGER, problem=_TEXT_OR_NULL, dueAt=_or_null(_INSTANT), doneAt=_or_null(_INSTANT),
        )),
    ),
    "AlertTest": _object(data=ref("AlertEvent")),
    "AlertRetried": _object(data=_object(messages=_INTEGER)),
    "SavedBody": {
        "description": "A name, and a filter: `payload`, else `query`, else `dsl`, else the body itself.",
        "anyOf": [
            ref("Filter"),
            {"type": "object", "additionalProperties": False,
             "properties": {"name": {**_TEXT_OR_NULL, "maxLength": LONGEST_NAME},
                            **dict.fromkeys(SHOWN, _ANY), **dict.fromkeys(PAYLOADS, ref("Filter"))}},
        ],
    },
    "Filter": {
        "description": "Rule text, an object of older clients, or one of clauses.",
        "anyOf": [
            {"type": ["string", "null"]},
            # A key that holds nothing is not there, whatever it is called.
            {"type": "object", "additionalProperties": {"enum": [None, "", []]},
             "properties": dict.fromkeys((*KEYS, "name"), _ANY)},
            {"type": "object", "required": ["version"], "properties": {
                "version": {"const": 2}, "combinator": {**_TEXT, "enum": ["and", "or"]},
                "clauses": {"type": ["array", "null"]}, "where": _TEXT}},
        ],
    },
    "CompleteAnswer": _object(
        **{"from": _INTEGER}, to=_INTEGER,
        items=list_of(_object(label=_TEXT, kind=_TEXT, insert=_TEXT, detail=_TEXT, doc=_TEXT)),
    ),
    "RuleMeta": _object(ruleVersion=_TEXT, ruleChecksum=_TEXT),
    "Health": _object(status={"const": "ok"}),
    "Ready": _object(
        "reason", status={**_TEXT, "enum": ["ready", "not_ready"]}, reason=_TEXT,
        checks={"type": "object", "additionalProperties": _CHECK},
    ),
    "Document": {"type": "object", "required": ["openapi", "info", "paths"]},
    "Diagnostic": {
        "type": "object",
        "description": "One thing that is wrong; the place is in the text of `source`, null where all of it is meant.",
        "properties": {"code": _TEXT, "name": _TEXT, "severity": _TEXT, "message": _TEXT, "source": _TEXT, **_PLACE,
                       "help": _TEXT, "suggestion": {"type": "object"}},
        "required": ["code", "name", "severity", "message", "source", *_PLACE],
    },
    "Problem": _object(
        type=_TEXT, title=_TEXT, status=_INTEGER, detail=_TEXT, code={**_TEXT, "enum": list(ERRORS)},
        errors=list_of(ref("Diagnostic")),
        error=_object(code=_TEXT, message=_TEXT, details=list_of(ref("Diagnostic"))),
    ),
}  # fmt: skip
