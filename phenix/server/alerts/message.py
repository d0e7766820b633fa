"""Events of alerts as messages: JSON for webhooks, a few words for people. The same events give the same bytes."""

from __future__ import annotations

from typing import Any

import orjson

from phenix.engine.encode import date_text, ts_text
from phenix.engine.store.alerts import AlertEvent, Message

__all__ = ["event_json", "message_body", "message_id", "message_text"]


def event_json(event: AlertEvent) -> dict[str, Any]:
    """An event as every API shows it."""
    return {
        "id": event.id,
        "kind": event.kind,
        "number": event.number,
        "alertId": event.alert_id,
        "alertName": event.name,
        "revision": event.revision,
        "severity": event.severity or None,
        "seq": event.seq,
        "sessionDate": date_text(event.session_date) if event.session_date else None,
        "createdAt": ts_text(event.at),
        "flow": orjson.Fragment(event.row_json),
    }


def message_id(message: Message) -> str:
    """The id under which a message is sent, each time it is: a match's own, and another for its taking back."""
    first = message.events[0]
    if message.digest:
        return f"{first.id}:digest:{message.number}"
    return first.id if first.kind != "retracted" else f"{first.id}:retracted"


def message_body(message: Message) -> bytes:
    """What a webhook is sent."""
    events = [event_json(event) for event in message.events]
    if not message.digest:
        return orjson.dumps(events[0])
    first = message.events[0]
    return orjson.dumps({
        "id": message_id(message), "kind": "digest", "alertId": first.alert_id, "alertName": first.name,
        "severity": first.severity or None, "matched": message.matched, "retracted": message.retracted,
        "events": events,
    })  # fmt: skip


def message_text(message: Message) -> tuple[str, str]:
    """A title and a text for people."""
    first = message.events[0]
    name = f"[{first.severity}] {first.name}" if first.severity else first.name
    if message.digest:
        back = f", {message.retracted} taken back" if message.retracted else ""
        lines = [_line(event) for event in message.events]
        more = message.matched + message.retracted - len(lines)
        return f"{name}: {message.matched} matches{back}", "\n".join(lines + ([f"and {more} more"] if more else []))
    word = {"matched": "", "retracted": " (taken back)", "test": " (test)"}[first.kind]
    return f"{name}{word}", _line(first)


def _line(event: AlertEvent) -> str:
    row: dict[str, Any] = orjson.loads(event.row_json)
    if not row:
        return "A test without a row: nothing is stored yet."
    back = "Taken back: " if event.kind == "retracted" else ""
    side = f" ({row['side']})" if row.get("side") else ""
    chips = f" — {', '.join(row['chips'])}" if row.get("chips") else ""
    return (
        f"{back}{row['symbol']} {row['expiration']} {row['strike']:g} {row['right']}: {row['size']:,} at"
        f" {row['price']:g}"
        f" = ${row['value'] or 0:,.0f}{side}, {row['tradeTsEt']}{chips}"
    )
