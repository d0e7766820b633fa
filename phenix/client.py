"""A typed client of the gRPC API: pages, single rows, and a subscription that resumes by itself.

    async with Client("127.0.0.1:8601") as client:
        async for row in client.subscribe(where="@whales and symbol in {SPY, QQQ}"):
            ...

Rows are messages of ``proto/phenix/v1/row.proto``: money in ten-thousandths of a dollar, times in
UTC milliseconds; a field that is absent (``HasField``) is unknown.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from phenix.server._pb import flow_pb2, flow_pb2_grpc, row_pb2

__all__ = ["Client", "Finding", "RequestError", "Subscription"]

_AGAIN: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN})
"""A call that ends so was cut, not refused."""
_FIRST_S: Final = 0.1
_LAST_S: Final = 5.0
_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a request: the parameter, and a sentence."""

    field: str
    message: str


class RequestError(Exception):
    """The server refused or could not answer; ``reason`` is its error code in capitals."""

    def __init__(self, code: str, reason: str, message: str, findings: tuple[Finding, ...]) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.findings = findings


class Client:
    """A connection to a server's gRPC address, such as ``127.0.0.1:8601``; made within an event loop.

    Every call raises RequestError.
    """

    def __init__(self, target: str) -> None:
        self._channel = grpc.aio.insecure_channel(target, options=_OPTIONS)
        self._stub = flow_pb2_grpc.FlowServiceStub(self._channel)  # type: ignore[no-untyped-call] # generated

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """End every call and the connection."""
        await self._channel.close()

    async def query(
        self,
        where: str = "",
        *,
        chips: Sequence[str] = (),
        not_chips: Sequence[str] = (),
        parameters: Mapping[str, str] | None = None,
        include_cancelled: bool = False,
        order_by: str = "",
        page_size: int = 0,
        page_token: str = "",
        timeout_s: float | None = None,
    ) -> flow_pb2.QueryResponse:
        """One page of rows; pass ``next_page_token`` with the same filter for the next.

        ``parameters`` are filter parameters of ``GET /api/flow`` by name.
        """
        request = flow_pb2.QueryRequest(
            filter=_filter(where, chips, not_chips, parameters, include_cancelled),
            order_by=order_by,
            page_size=page_size,
            page_token=page_token,
        )
        try:
            page: flow_pb2.QueryResponse = await self._stub.Query(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _error(error) from None
        return page

    async def get(self, row_id: str, *, timeout_s: float | None = None) -> row_pb2.Row:
        """One row by its id."""
        try:
            found: flow_pb2.GetResponse = await self._stub.Get(flow_pb2.GetRequest(id=row_id), timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            raise _error(error) from None
        return found.row

    def subscribe(
        self,
        where: str = "",
        *,
        chips: Sequence[str] = (),
        not_chips: Sequence[str] = (),
        parameters: Mapping[str, str] | None = None,
        include_cancelled: bool = False,
        snapshot: int = 0,
        after_seq: int | None = None,
    ) -> Subscription:
        """Rows as they come: the latest ``snapshot`` first, or everything after a seq."""
        wanted = _filter(where, chips, not_chips, parameters, include_cancelled)
        return Subscription(self._stub, wanted, snapshot, after_seq)


class Subscription:
    """An endless sequence of rows, resumed after ``watermark`` whenever the connection is cut.

    A print taken back comes again with ``cancelled`` set; ``events`` tells the two apart.
    """

    def __init__(self, stub: Any, wanted: flow_pb2.Filter, snapshot: int, after_seq: int | None) -> None:
        self.watermark = after_seq
        self.connections = 0
        self._stub = stub
        self._filter = wanted
        self._snapshot = snapshot

    async def __aiter__(self) -> AsyncIterator[row_pb2.Row]:
        async for event in self.events():
            yield event.row

    async def events(self) -> AsyncIterator[flow_pb2.Event]:
        """The same with what happened: snapshot rows (oldest first) are updates at their seq."""
        async for response in self.responses():
            match response.WhichOneof("content"):
                case "snapshot":
                    for row in reversed(response.snapshot.rows):
                        yield flow_pb2.Event(kind=flow_pb2.EVENT_KIND_UPDATED, sequence=row.seq, row=row)
                case "events":
                    for event in response.events.events:
                        yield event

    async def responses(self) -> AsyncIterator[flow_pb2.SubscribeResponse]:
        """The messages themselves, progress included."""
        delay = _FIRST_S
        while True:
            request = flow_pb2.SubscribeRequest(filter=self._filter, snapshot=self._snapshot, after_seq=self.watermark)
            self.connections += 1
            call = self._stub.Subscribe(request)
            try:
                async for response in call:
                    delay = _FIRST_S
                    yield response
                    self.watermark = response.watermark
            except grpc.aio.AioRpcError as error:
                if error.code() not in _AGAIN:
                    raise _error(error) from None
            finally:
                call.cancel()
            await asyncio.sleep(random.uniform(0, delay))  # noqa: S311 - full jitter, no secret
            delay = min(_LAST_S, delay * 2)


def _filter(
    where: str,
    chips: Sequence[str],
    not_chips: Sequence[str],
    parameters: Mapping[str, str] | None,
    include_cancelled: bool,
) -> flow_pb2.Filter:
    return flow_pb2.Filter(
        where=where,
        chips=chips,
        not_chips=not_chips,
        parameters=dict(parameters or {}),
        include_cancelled=include_cancelled,
    )


def _error(error: grpc.aio.AioRpcError) -> RequestError:
    reason, findings = "", []
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info, request = error_details_pb2.ErrorInfo(), error_details_pb2.BadRequest()
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(request):
            findings += [Finding(found.field, found.description) for found in request.field_violations]
    return RequestError(error.code().name, reason, error.details() or error.code().name, tuple(findings))
