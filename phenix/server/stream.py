"""Streams as Server-Sent Events: one frame an event, or one a commit.

Every payload carries ``sequence`` (where it happened) and ``watermark`` (where to resume); the
frame's id is that watermark. The text of a row is made once, whoever reads it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Hashable, Iterable
from itertools import groupby
from typing import Any, Final

import orjson

from phenix.engine.watch import Event, Kind
from phenix.server.follow import Content, Degraded, Events, Progress, Reset, RulesChanged, Snapshot
from phenix.server.params import Asked

__all__ = ["HEADERS", "frames", "payloads"]

HEADERS: Final = {"cache-control": "no-store", "x-accel-buffering": "no"}
_RETRY: Final = b"retry: 1000\n\n"


async def frames(contents: AsyncIterator[Content], asked: Asked) -> AsyncIterator[bytes]:
    """The body of an event stream, in chunks of whole frames."""
    yield _RETRY
    async for content in contents:
        if isinstance(content, Events) and not asked.request.fields:
            shape = (content.watch.key, asked.batch, asked.named)
            yield _made(content, shape, lambda content=content: _framed(content, asked))  # type: ignore[misc] # mypy infers no lambda with defaults
        else:
            yield _framed(content, asked)


def _framed(content: Content, asked: Asked) -> bytes:
    return b"".join([_frame(kind, seq, data, asked.named) for kind, seq, data in payloads(content, asked)])


def _frame(kind: str, seq: int, data: bytes, named: bool) -> bytes:
    name = f"event: {kind}\n" if named else ""
    return b"".join((f"id: {seq}\n{name}data: ".encode(), data, b"\n\n"))


def payloads(content: Content, asked: Asked) -> Iterable[tuple[str, int, bytes]]:
    """Event name, id and JSON text of each frame."""
    match content:
        case Snapshot(seq, rows, rules):
            texts = [orjson.Fragment(rules.encoder.encode(row, seq, asked.request.fields)) for row in rows]
            return (("flow.snapshot", seq, _payload("flow.snapshot", seq, data=texts)),)
        case Progress(seq, replaying, closing):
            reason = {"reason": "slow_reader"} if replaying else {"reason": "closing"} if closing else {}
            return (("progress", seq, _payload("progress", seq, **reason)),)
        case RulesChanged(seq, rules, kept):
            names = {"ruleVersion": rules.bundle.version, "ruleChecksum": rules.bundle.checksum, "filterKept": kept}
            return (("rules", seq, _payload("rules", seq, **names)),)
        case Degraded(seq, reasons):
            state = {"degraded": bool(reasons), "degradedReason": reasons}
            return (("degraded", seq, _payload("degraded", seq, **state)),)
        case Reset(seq, oldest):
            return (("reset", seq, _payload("reset", seq, reason="rows_removed", oldestSeq=oldest)),)
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
    keys = asked.request.fields
    key = (content.rules.bundle.version, event.key, keys)
    return _made(content, key, lambda: _encode(content, event, keys))


def _made(content: Events, key: Hashable, make: Callable[[], bytes]) -> bytes:
    """What is made once for all who read a batch the same way."""
    found = content.batch.encoded.get(key)
    if found is None:
        found = content.batch.encoded[key] = make()
    return found


def _encode(content: Events, event: Event, keys: tuple[str, ...]) -> bytes:
    encode = content.rules.encoder.encode
    flow = orjson.Fragment(encode(event.row, event.seq, keys))
    record = {"record": orjson.Fragment(encode(event.record, event.seq, keys))} if event.record else {}
    return _payload(Kind(event.kind).value, event.seq, flow=flow, **record)
