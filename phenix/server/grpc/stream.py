"""Streams as messages, serialized: an event once, whoever receives it."""

from __future__ import annotations

from typing import Final

from phenix.engine.watch import Event, Kind
from phenix.server._pb import flow_pb2
from phenix.server.follow import Content, Degraded, Events, Progress, Reset, RulesChanged, Snapshot
from phenix.server.grpc.rows import to_message

__all__ = ["response"]

_KINDS: Final = {Kind.UPDATED: flow_pb2.EVENT_KIND_UPDATED, Kind.RETRACTED: flow_pb2.EVENT_KIND_RETRACTED}
_EVENTS: Final = flow_pb2.SubscribeResponse.DESCRIPTOR.fields_by_name["events"].number << 3 | 2
"""What stands before an event batch of a response: field and wire type, one byte."""


def response(content: Content) -> bytes:
    """A SubscribeResponse on the wire."""
    match content:
        case Snapshot(seq, rows, rules):
            snapshot = flow_pb2.Snapshot(rows=[to_message(row, seq, rules.encoder) for row in rows])
            return _sent(flow_pb2.SubscribeResponse(watermark=seq, snapshot=snapshot))
        case Progress(seq, replaying, closing):
            progress = flow_pb2.Progress(replaying=replaying, closing=closing)
            return _sent(flow_pb2.SubscribeResponse(watermark=seq, progress=progress))
        case RulesChanged(seq, rules, kept):
            bundle = rules.bundle
            changed = flow_pb2.RulesChanged(version=bundle.version, checksum=bundle.checksum, filter_kept=kept)
            return _sent(flow_pb2.SubscribeResponse(watermark=seq, rules=changed))
        case Degraded(seq, reasons):
            return _sent(flow_pb2.SubscribeResponse(watermark=seq, degraded=flow_pb2.Degraded(reasons=reasons)))
        case Reset(seq, oldest):
            reset = flow_pb2.Reset(reason="ROWS_REMOVED", oldest_seq=oldest)
            return _sent(flow_pb2.SubscribeResponse(watermark=seq, reset=reset))
        case Events(batch):
            key = ("grpc", content.watch.key)
            found = batch.encoded.get(key)
            if found is None:
                # A message with one event is that event's part of a message with many.
                events = b"".join([_event(content, event) for event in content.events])
                head = _sent(flow_pb2.SubscribeResponse(watermark=batch.upto))
                found = batch.encoded[key] = head + bytes((_EVENTS,)) + _varint(len(events)) + events
            return found


def _event(content: Events, event: Event) -> bytes:
    key = ("grpc", content.rules.bundle.version, event.key)
    found = content.batch.encoded.get(key)
    if found is None:
        encoder = content.rules.encoder
        message = flow_pb2.Event(
            kind=_KINDS[event.kind],
            sequence=event.seq,
            row=to_message(event.row, event.seq, encoder),
            record=to_message(event.record, event.seq, encoder) if event.record else None,
        )
        found = content.batch.encoded[key] = _sent(flow_pb2.EventBatch(events=[message]))
    return found


def _sent(message: flow_pb2.SubscribeResponse | flow_pb2.EventBatch) -> bytes:
    found: bytes = message.SerializeToString()
    return found


def _varint(number: int) -> bytes:
    """A length on the wire: seven bits a byte, the lowest first, the top bit set on all but the last."""
    found = bytearray()
    while number > 127:
        found.append(number & 127 | 128)
        number >>= 7
    found.append(number)
    return bytes(found)
