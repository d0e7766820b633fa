"""Streams as Server-Sent Events: one frame an event, or one a commit.

Every payload carries ``sequence`` (where it happened) and ``watermark`` (where to resume); the
frame's id is that watermark. The text of a row is made once, whoever reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from itertools import groupby
from typing import Any, Final

import orjson

from phenix.engine.log import Event, Kind
from phenix.server.params import Asked
from phenix.server.service import Events, Progress, Snapshot

__all__ = ["HEADERS", "frames", "payloads"]

HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
_RETRY: Final = b"retry: 1000\n\n"


async def frames(contents: AsyncIterator[Snapshot | Events | Progress], asked: Asked) -> AsyncIterator[bytes]:
    """The body of an event stream, in chunks of whole frames."""
    yield _RETRY
    async for content in contents:
        yield b"".join(_frame(kind, seq, data, asked.named) for kind, seq, data in payloads(content, asked))


def _frame(kind: str, seq: int, data: bytes, named: bool) -> bytes:
    name = f"event: {kind}\n" if named else ""
    return b"".join((f"id: {seq}\n{name}data: ".encode(), data, b"\n\n"))


def payloads(content: Snapshot | Events | Progress, asked: Asked) -> Iterable[tuple[str, int, bytes]]:
    """Event name, id and JSON text of each frame."""
    match content:
        case Snapshot(seq, rows, rules):
            texts = [orjson.Fragment(rules.encoder.encode(row, seq, asked.request.fields)) for row in rows]
            return (("flow.snapshot", seq, _payload("flow.snapshot", seq, data=texts)),)
        case Progress(seq, replaying, closing):
            reason = {"reason": "slow_reader"} if replaying else {"reason": "closing"} if closing else {}
            return (("progress", seq, _payload("progress", seq, **reason)),)
        case Events():
            if asked.batch:
                return _batched(content, asked)
            return ((event.kind.value, event.seq, _text(content, event, asked)) for event in content.events)


def _batched(content: Events, asked: Asked) -> Iterable[tuple[str, int, bytes]]:
    """Runs of one kind, so that a frame's name says what it does."""
    for kind, run in groupby(content.events, key=lambda event: event.kind):
        events = list(run)
        seq = events[-1].seq
        texts = [orjson.Fragment(_text(content, event, asked)) for event in events]
        yield kind.value, seq, _payload(kind.value, seq, events=texts)


def _payload(kind: str, seq: int, **content: Any) -> bytes:
    return orjson.dumps({"sequence": seq, "watermark": seq, "eventType": kind, **content})


def _text(content: Events, event: Event, asked: Asked) -> bytes:
    """An event's payload; shared by all subscribers that see it the same way."""
    if event.record is not None or asked.request.fields:
        return _encode(content, event, asked.request.fields)
    key = (f"{content.rules.bundle.version} {event.kind}", event.seq)
    text = content.batch.encoded.get(key)
    if text is None:
        text = content.batch.encoded[key] = _encode(content, event, ())
    return text


def _encode(content: Events, event: Event, keys: tuple[str, ...]) -> bytes:
    encode = content.rules.encoder.encode
    flow = orjson.Fragment(encode(event.row, event.seq, keys))
    record = {"record": orjson.Fragment(encode(event.record, event.seq, keys))} if event.record else {}
    return _payload(Kind(event.kind).value, event.seq, flow=flow, **record)
