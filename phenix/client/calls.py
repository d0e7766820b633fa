"""How calls are made: the connection, the token, what is asked again, and what is refused."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from typing import Any, Final

import grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from phenix.server._pb import rules_pb2

__all__ = ["FIRST_S", "Finding", "RequestError", "ask", "connect", "error_of", "pause", "was_cut"]

_AGAIN: Final = frozenset(
    {grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.CANCELLED}
)
"""A call that ends so was cut, not refused; what a server that ends cannot finish, it cancels."""
FIRST_S: Final = 0.1
"""The longest first pause before a call is made again; each further one may be twice as long."""
_LAST_S: Final = 5.0
_ATTEMPTS: Final = 4
_OPTIONS: Final = (
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.max_receive_message_length", 64 * 1024 * 1024),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 5_000),
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with a request: the parameter, and a sentence.

    Where the server said more: the code of the diagnostic (docs/diagnostics has a page of each), and its place in the
    parameter's text, lines and columns from 1, the end behind the last; 0 where there is none.
    """

    field: str
    message: str
    code: str = ""
    line: int = 0
    column: int = 0
    end_column: int = 0


class RequestError(Exception):
    """The server refused or could not answer; ``reason`` is its error code in capitals."""

    def __init__(self, code: str, reason: str, message: str, findings: tuple[Finding, ...]) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.findings = findings


class _Token:
    """Sends a token with a call: over a plain connection, to this machine, as well."""

    def __init__(self, token: str) -> None:
        self._entry = ("authorization", f"Bearer {token}")

    def sent(self, details: Any) -> Any:
        """What a call is made with, the token in it."""
        return details._replace(metadata=grpc.aio.Metadata(*(details.metadata or ()), self._entry))


# Two classes: the library takes an interceptor for the first kind of call that it can be.
class _TokenOfCalls(_Token, grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc] # these packages ship no types
    async def intercept_unary_unary(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self.sent(details), request)


class _TokenOfStreams(_Token, grpc.aio.UnaryStreamClientInterceptor):  # type: ignore[misc] # as above
    async def intercept_unary_stream(self, continuation: Any, details: Any, request: Any) -> Any:
        return await continuation(self.sent(details), request)


def connect(target: str, token: str, *, tls: bool, authority: bytes | None) -> grpc.aio.Channel:
    """A channel, made within an event loop."""
    options = {
        "options": _OPTIONS,
        "interceptors": [_TokenOfCalls(token), _TokenOfStreams(token)] if token else None,
    }
    if tls or authority is not None:
        return grpc.aio.secure_channel(target, grpc.ssl_channel_credentials(authority), **options)
    return grpc.aio.insecure_channel(target, **options)


async def ask(method: Any, request: Any, timeout_s: float | None, *, again: bool = True) -> Any:
    """The answer. A call that was cut is made ``again``, where asking twice changes nothing. Raises RequestError."""
    delay = FIRST_S
    for attempt in range(_ATTEMPTS):
        try:
            return await method(request, timeout=timeout_s)
        except grpc.aio.AioRpcError as error:
            if not again or not was_cut(error) or attempt == _ATTEMPTS - 1:
                raise error_of(error) from None
        delay = await pause(delay)
    raise AssertionError


def was_cut(error: grpc.aio.AioRpcError) -> bool:
    """Whether a call ended without an answer, rather than with a refusal."""
    return error.code() in _AGAIN


async def pause(delay: float) -> float:
    """Wait up to so long before a call is made again; returns how long the next pause may be."""
    await asyncio.sleep(random.uniform(0, delay))  # noqa: S311 - full jitter, no secret
    return min(_LAST_S, delay * 2)


def error_of(error: grpc.aio.AioRpcError) -> RequestError:
    """A refusal as it is raised."""
    reason, findings, diagnostics = "", [], []
    status = rpc_status.from_call(error)
    for detail in status.details if status else ():
        info, request, diagnostic = (
            error_details_pb2.ErrorInfo(),
            error_details_pb2.BadRequest(),
            rules_pb2.Diagnostic(),
        )
        if detail.Unpack(info):
            reason = info.reason
        elif detail.Unpack(request):
            findings += [Finding(found.field, found.description) for found in request.field_violations]
        elif detail.Unpack(diagnostic):
            diagnostics.append(diagnostic)
    for at, (finding, more) in enumerate(
        zip(findings, diagnostics, strict=False)
    ):  # the same, as many as there was room
        findings[at] = replace(finding, code=more.code, line=more.line, column=more.column, end_column=more.end_column)
    return RequestError(error.code().name, reason, error.details() or error.code().name, tuple(findings))
