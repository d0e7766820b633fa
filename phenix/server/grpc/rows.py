"""Rows as messages: stored units under the names of the rule language, absent when unknown."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from phenix.engine.encode import Encoder, converter, et_text, row_id
from phenix.engine.enrich.conditions import condition
from phenix.engine.flow import BY_NAME, INDEX, STORED, Row
from phenix.server._pb import row_pb2
from phenix.server.grpc.schema import HIDDEN, SPECIAL

__all__ = ["to_json", "to_message"]

_PLAIN: Final = tuple(
    (f.name, INDEX[f.name], bool if f.type.kind.value == "bool" else None)
    for f in STORED
    if f.name not in SPECIAL and f.name not in HIDDEN
)
_TS, _ID, _CONDITION = INDEX["trade_ts_utc"], INDEX["trade_id"], INDEX["condition"]
_SET, _KNOWN = INDEX["chips_set"], INDEX["chips_known"]
_MISSING, _CANCELLED = INDEX["missing_metrics"], INDEX["cancelled_seq"]


def to_message(row: Row, as_of: int, encoder: Encoder) -> row_pb2.Row:
    """A stored row as of a seq."""
    values: dict[str, Any] = {
        name: value if convert is None else convert(value)
        for name, index, convert in _PLAIN
        if (value := row[index]) is not None
    }
    chips, unknown = encoder.chips(row[_SET] or 0, row[_KNOWN] or 0)
    cancelled = row[_CANCELLED]
    missing = row[_MISSING]
    return row_pb2.Row(
        id=row_id(row[_TS], row[_ID]),
        chips=chips,
        chips_unknown=unknown,
        missing_metrics=missing.split(",") if missing else (),
        condition_name=condition(row[_CONDITION]).name,
        cancelled=cancelled is not None and cancelled <= as_of,
        **values,
    )


def to_json(message: row_pb2.Row) -> dict[str, Any]:
    """A message as the JSON object of the REST API."""
    found = dict(_ABSENT)
    for field, value in message.ListFields():
        key, convert = _KEYS[field.number]
        found[key] = value if convert is None else convert(value)
    found["tradeTsEt"] = et_text(message.trade_ts_et, message.trade_ts_utc)
    for key in _LISTS:
        found[key] = found[key] or []  # each row its own
    return found


def _key(field: Any) -> tuple[str, Callable[[Any], Any] | None]:
    """Key and converter of a field of a message."""
    known = BY_NAME.get(field.name)
    if field.is_repeated:
        return known.json if known and known.json else field.json_name, list
    return (known.json, converter(field.name)) if known and known.json else (field.json_name, None)


def _absent(field: Any) -> Any:
    """What a field is in JSON where a message does not have it: a list is made for each."""
    if field.is_repeated or field.has_presence:
        return None
    _, convert = _key(field)
    return field.default_value if convert is None else convert(field.default_value)


_FIELDS: Final = row_pb2.Row.DESCRIPTOR.fields
_KEYS: Final = {field.number: _key(field) for field in _FIELDS}
_ABSENT: Final = {_key(field)[0]: _absent(field) for field in _FIELDS}
_LISTS: Final = tuple(_key(field)[0] for field in _FIELDS if field.is_repeated)
