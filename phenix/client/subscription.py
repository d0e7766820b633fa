"""A subscription: rows as they come, and what a subscriber has to know besides."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, TypeAlias

import grpc

from phenix.client.calls import FIRST_S, error_of, pause, was_cut
from phenix.server._pb import flow_pb2, row_pb2

__all__ = ["Degraded", "Notice", "Reset", "RulesChanged", "Subscription"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """Rows after ``seq`` were tagged by these rules; ``filter_kept`` where the filter names what they do not have."""

    seq: int
    version: str
    checksum: str
    filter_kept: bool


@dataclass(frozen=True, slots=True)
class Degraded:
    """Why what is sent lags behind the tape from ``seq`` on; no reasons when it no longer does."""

    seq: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reset:
    """Rows before ``oldest_seq`` were removed from the store before they were sent."""

    seq: int
    reason: str
    oldest_seq: int


Notice: TypeAlias = RulesChanged | Degraded | Reset


class Subscription:
    """An endless sequence of rows, resumed after ``watermark`` whenever the connection is cut.

    A print taken back comes again with ``cancelled`` set; ``events`` tells the two apart, ``items`` has the notices
    between them as well. ``degraded`` are the reasons of the last notice. A reset is also logged as a warning: rows are
    missing from what was received.
    """

    def __init__(self, stub: Any, wanted: flow_pb2.Filter, snapshot: int, after_seq: int | None) -> None:
        self.watermark = after_seq
        self.connections = 0
        self.degraded: tuple[str, ...] = ()
        self._stub = stub
        self._filter = wanted
        self._snapshot = snapshot

    async def __aiter__(self) -> AsyncIterator[row_pb2.Row]:
        async for event in self.events():
            yield event.row

    async def events(self) -> AsyncIterator[flow_pb2.Event]:
        """The same with what happened: snapshot rows (oldest first) are updates at their seq."""
        async for item in self.items():
            if isinstance(item, flow_pb2.Event):
                yield item

    async def items(self) -> AsyncIterator[flow_pb2.Event | Notice]:
        """The events, and the notices where they belong between them."""
        async for response in self.responses():
            match response.WhichOneof("content"):
                case "snapshot":
                    for row in reversed(response.snapshot.rows):
                        yield flow_pb2.Event(kind=flow_pb2.EVENT_KIND_UPDATED, sequence=row.seq, row=row)
                case "events":
                    for event in response.events.events:
                        yield event
                case "rules" | "degraded" | "reset":
                    yield _notice(response)

    async def responses(self) -> AsyncIterator[flow_pb2.SubscribeResponse]:
        """The messages themselves, progress included. Raises RequestError."""
        delay = FIRST_S
        while True:
            request = flow_pb2.SubscribeRequest(filter=self._filter, snapshot=self._snapshot, after_seq=self.watermark)
            self.connections += 1
            call = self._stub.Subscribe(request)
            try:
                async for response in call:
                    delay = FIRST_S
                    if response.HasField("degraded"):
                        self.degraded = tuple(response.degraded.reasons)
                    elif response.HasField("reset"):
                        oldest = response.reset.oldest_seq
                        _logger.warning("rows before seq %d were removed before they were sent", oldest)
                    yield response
                    self.watermark = response.watermark
            except grpc.aio.AioRpcError as error:
                if not was_cut(error):
                    raise error_of(error) from None
            finally:
                call.cancel()
            delay = await pause(delay)


def _notice(response: flow_pb2.SubscribeResponse) -> Notice:
    seq = response.watermark
    if response.HasField("rules"):
        rules = response.rules
        return RulesChanged(seq, rules.version, rules.checksum, rules.filter_kept)
    if response.HasField("degraded"):
        return Degraded(seq, tuple(response.degraded.reasons))
    return Reset(seq, response.reset.reason, response.reset.oldest_seq)
