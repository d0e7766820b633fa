"""Rows as messages: stored units under the names of the rule language, absent when unknown."""

from __future__ import annotations

from typing import Any, Final

from phenix.engine.encode import Encoder, et_text, json_value, row_id
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
    found: dict[str, Any] = {"id": message.id}
    for name, _, _ in _PLAIN:
        field = BY_NAME[name]
        absent = field.nullable and not message.HasField(name)
        found[field.json] = None if absent else json_value(name, getattr(message, name))
    found["tradeTsEt"] = et_text(message.trade_ts_et, message.trade_ts_utc)
    found["conditionName"] = message.condition_name
    found["missingMetrics"] = list(message.missing_metrics)
    found["chips"], found["chipsUnknown"] = list(message.chips), list(message.chips_unknown)
    found["cancelled"] = message.cancelled
    return found
