"""The door of the gRPC side: the same tokens, roles and limits as REST."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from phenix.engine.logs import HEADER, note, noted, take_request
from phenix.engine.query.request import Refusal
from phenix.engine.spans import Kind
from phenix.server._pb import flow_pb2
from phenix.server.auth import Access, Limits, role_of_call
from phenix.server.errors import ERRORS
from phenix.server.grpc.errors import abort
from phenix.server.served import NONE, Served, end_span

__all__ = ["Guard"]

_FLOW: Final = f"{flow_pb2.DESCRIPTOR.services_by_name['FlowService'].full_name}/"
_CODES: Final = {told: code.name for code in grpc.StatusCode if code.value[0] for told in (code, code.value[0])}
"""What a call tells of its end: by ``abort`` a number, by ``abort_with_status`` what it was given."""


_ENDED: Final = frozenset({"OK", "CANCELLED"})
_FAILED: Final = frozenset({"UNKNOWN", "INTERNAL", "UNAVAILABLE", "DEADLINE_EXCEEDED", "DATA_LOSS"})
_logger = logging.getLogger("phenix.server.grpc")


class Guard(grpc.aio.ServerInterceptor):  # type: ignore[misc] # these packages ship no types
    """Passes on what may pass."""

    def __init__(self, access: Access, served: Served) -> None:
        self._tokens = access.tokens
        self._limits = access.limits
        self._served = served

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler:
        """The method's handler, asked only when the caller may."""
        handler = await continuation(handler_call_details)
        role = role_of_call(handler_call_details.method)
        metadata = handler_call_details.invocation_metadata or ()
        take_request(_said(metadata, HEADER))
        if handler is None:
            _Calls(self._served, NONE, metadata).ended(grpc.StatusCode.UNIMPLEMENTED.name)
            return handler
        if role is None:
            return _read_here(handler)
        calls = _Calls(self._served, handler_call_details.method.removeprefix("/"), metadata)
        name = ""
        if self._tokens is not None:
            found = self._tokens.check(_secret(metadata), role)
            if isinstance(found, Refusal):
                calls.ended(ERRORS[found.code].grpc)
                return _instead(handler, found)
            name = found.name
        return _limited(handler, name, self._limits, calls)


class _Calls:
    """Tells of a call when it ends; ``kept`` for those that last, which are no requests for rows."""

    def __init__(self, served: Served, method: str, metadata: Iterable[tuple[Any, Any]]) -> None:
        self._served = served
        self._method = method
        self._span = served.spans.begin(Kind.SERVER, metadata)
        if self._span.trace_id:
            note(trace_id=self._span.trace_id)
        self._of_rows = method.startswith(_FLOW)

    @contextmanager
    def call(self, context: Any, *, kept: bool = False) -> Iterator[None]:
        """A call, inside ``with``."""
        begun, code = time.perf_counter(), "OK"
        context.set_trailing_metadata(((HEADER, noted()["request_id"]),))
        self._served.streams["grpc"] += kept
        try:
            yield
        except (asyncio.CancelledError, GeneratorExit):
            code = "CANCELLED"
            raise
        except BaseException:
            code = _CODES.get(context.code(), "UNKNOWN")  # of an abort, which is an exception, too
            raise
        finally:
            self._served.streams["grpc"] -= kept
            took = (time.perf_counter() - begun) * 1000
            self.ended(code, took, timed=not kept and code != "CANCELLED")

    def ended(self, code: str, took_ms: float = 0.0, *, timed: bool = False) -> None:
        """Count one that ended, and say so; ``timed`` where it is as long as the server took."""
        self._served.calls[self._method, code] += 1
        if self._of_rows:
            refused = "" if code in _ENDED else code
            self._served.read("grpc", self._method, took_ms if timed else None, refused)
        note(protocol="grpc", route=self._method, status=code, ms=round(took_ms, 3))
        _logger.log(logging.ERROR if code in _FAILED else logging.INFO, "%s %s", self._method, code)
        service, _, method = self._method.rpartition("/")
        said = {"rpc.system": "grpc", "rpc.service": service, "rpc.method": method,
                "rpc.grpc.status_code": grpc.StatusCode[code].value[0]}  # fmt: skip
        end_span(self._span, self._method, said, failed=code in _FAILED)


def _read(handler: Any, data: bytes) -> Any:
    """The message, or a Refusal; the library calls bytes that are none its own fault."""
    try:
        return handler.request_deserializer(data)
    except DecodeError:
        return Refusal("invalid_query", "The request is no message of this method.")


def _read_here(handler: Any) -> grpc.RpcMethodHandler:
    """The handler of the library's health, whose methods are coroutines, with messages read by us."""
    make = grpc.unary_unary_rpc_method_handler if handler.unary_unary else grpc.unary_stream_rpc_method_handler

    async def answer(data: bytes, context: Any) -> Any:
        request = _read(handler, data)
        if isinstance(request, Refusal):
            return await abort(context, request)
        try:
            return await (handler.unary_unary or handler.unary_stream)(request, context)
        except NotImplementedError:  # the library's way to say so of a method it only names
            return await abort(context, Refusal("method_not_allowed", "This server does not answer this method."))

    return make(answer, None, handler.response_serializer)


def _limited(handler: Any, name: str, limits: Limits, calls: _Calls) -> grpc.RpcMethodHandler:
    """The handler within limits."""

    def who_asks(context: Any) -> str:
        who = name or _host(context.peer())
        note(client=who)
        return who

    async def ask(data: bytes, context: Any) -> Any:
        with calls.call(context):
            refusal = limits.ask(who_asks(context))
            request = refusal or _read(handler, data)
            if isinstance(request, Refusal):
                return await abort(context, request)
            return await handler.unary_unary(request, context)

    async def follow(data: bytes, context: Any) -> AsyncIterator[Any]:
        who = who_asks(context)
        with calls.call(context, kept=True):
            request = limits.ask(who) or _read(handler, data)
            refusal = request if isinstance(request, Refusal) else limits.enter(who)
            if refusal is not None:
                await abort(context, refusal)
            try:
                async for answer in handler.unary_stream(request, context):
                    yield answer
            finally:
                limits.leave(who)

    async def converse(sent: AsyncIterator[bytes], context: Any) -> AsyncIterator[Any]:
        async def requests() -> AsyncIterator[Any]:
            async for data in sent:
                request = limits.ask(who_asks(context)) or _read(handler, data)
                if isinstance(request, Refusal):
                    await abort(context, request)
                yield request

        with calls.call(context):
            async for answer in handler.stream_stream(requests(), context):
                yield answer

    if handler.unary_unary:
        return grpc.unary_unary_rpc_method_handler(ask, None, handler.response_serializer)
    if handler.unary_stream:
        return grpc.unary_stream_rpc_method_handler(follow, None, handler.response_serializer)
    return grpc.stream_stream_rpc_method_handler(converse, None, handler.response_serializer)


def _instead(handler: Any, refusal: Refusal) -> grpc.RpcMethodHandler:
    async def refuse(_request: Any, context: Any) -> Any:
        await abort(context, refusal)

    async def refuse_stream(_request: Any, context: Any) -> AsyncIterator[Any]:
        await abort(context, refusal)
        yield  # type: ignore[unreachable] # what makes it a stream

    kinds = {
        (False, False): (grpc.unary_unary_rpc_method_handler, refuse),
        (False, True): (grpc.unary_stream_rpc_method_handler, refuse_stream),
        (True, False): (grpc.stream_unary_rpc_method_handler, refuse),
        (True, True): (grpc.stream_stream_rpc_method_handler, refuse_stream),
    }
    make, behave = kinds[bool(handler.request_streaming), bool(handler.response_streaming)]
    return make(behave, handler.request_deserializer, handler.response_serializer)


def _secret(metadata: Any) -> str:
    kind, _, secret = _said(metadata, "authorization").partition(" ")
    return secret.strip() if kind.lower() == "bearer" else ""


def _said(metadata: Any, name: str) -> str:
    """What a call says under a name first."""
    return next((str(value) for key, value in metadata if key == name), "")


def _host(peer: str) -> str:
    """``ipv4:127.0.0.1:51234`` without the port."""
    return peer.rpartition(":")[0]
