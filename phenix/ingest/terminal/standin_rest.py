"""The stand-in's REST side: paths, entitlements, concurrency, errors and the answer formats.

Every request passes one place, :meth:`_Rest.answer`; :attr:`RestOptions.fault` stands at its head,
so that any answer can be replaced.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from phenix.engine.enrich.calendar import Calendar
from phenix.ingest.terminal.entitlements import ENDPOINT_TIERS, Entitlements
from phenix.ingest.terminal.events import Source
from phenix.ingest.terminal.layouts import price_text, strike_text
from phenix.ingest.terminal.market import Market
from phenix.ingest.terminal.standin_params import Refusal
from phenix.ingest.terminal.standin_stream import StreamServer
from phenix.ingest.terminal.standin_tables import TABLES, SameDay, Table, World

__all__ = ["RestOptions", "rest_app"]

DEPRECATED: Final = {
    "root": "symbol", "exp": "expiration", "ivl": "interval", "use_csv": "format", "rate": "rate_type",
    "annual_div": "annual_dividend", "under_price": "stock_price", "sec": "*path parameter*", "rth": "*unnecessary*",
    "pretty_time": "*unnecessary*", "perf_boost": "*unnecessary*",
}  # fmt: skip
"""Parameters of the version before, and what they are called now."""

_UPGRADED: Final = "We have upgraded to API v3. Please use API v3 query parameters instead. \n"
_CONSULT: Final = "Consult API v3 documentation for more information: https://docs.thetadata.us/"
_ROWS_A_CHUNK: Final = 2_000
_CONTRACT: Final = ("symbol", "strike", "right", "expiration")


@dataclass(frozen=True, slots=True)
class RestOptions:
    """Switches of the REST side.

    ``permission_text`` is the body of a 471, which is not published. ``queue`` requests may wait
    beyond the account's concurrency. ``fault`` sees path and parameters first and may answer instead.
    """

    same_day: SameDay = SameDay.AVAILABLE
    permission_text: str = "Your subscription does not include this request"
    permission_code: int = 471
    queue: int = 16
    fault: Callable[[str, Mapping[str, str]], Refusal | None] = lambda _path, _params: None


def rest_app(
    source: Source,
    market: Market,
    stream: StreamServer,
    calendar: Calendar,
    entitlements: Entitlements,
    options: RestOptions,
    gate: asyncio.Semaphore,
    shutdown: asyncio.Event,
) -> Starlette:
    """The application over what is played.

    ``gate`` holds the account's concurrent requests; ``/v3/terminal/shutdown`` sets ``shutdown``.
    """
    rest = _Rest(World(source, market, calendar, entitlements, options.same_day), stream, options, gate, shutdown)
    return Starlette(
        routes=[
            Route("/control/play", rest.play, methods=["POST"]),
            Route("/v3/terminal/mdds/status", rest.mdds_status),
            Route("/v3/terminal/fpss/status", rest.fpss_status),
            Route("/v3/terminal/shutdown", rest.end),
            Route("/v3/{path:path}", rest.answer),
            Route("/v2/{path:path}", rest.upgraded),
            Route("/{path:path}", rest.unknown),
        ]
    )


class _Rest:
    def __init__(
        self,
        world: World,
        stream: StreamServer,
        options: RestOptions,
        gate: asyncio.Semaphore,
        shutdown: asyncio.Event,
    ) -> None:
        self._world, self._stream, self._options, self._shutdown = world, stream, options, shutdown
        self._busy = gate
        self._waiting = 0

    async def play(self, _request: Request) -> Response:
        self._stream.play()
        return _text("OK")

    async def mdds_status(self, _request: Request) -> Response:
        return _text("CONNECTED")

    async def fpss_status(self, _request: Request) -> Response:
        return _text(self._stream.status)

    async def end(self, _request: Request) -> Response:
        self._shutdown.set()
        return _text("OK")

    async def upgraded(self, request: Request) -> Response:
        return _refuse(_deprecated(request.query_params) or Refusal(410, _UPGRADED + _CONSULT))

    async def unknown(self, request: Request) -> Response:
        return _refuse(Refusal(404, f"No implementation for {request.url.path}"))

    async def answer(self, request: Request) -> Response:
        path, params = "/" + request.path_params["path"], request.query_params
        refusal = self._options.fault(path, params) or _deprecated(params) or self._entitled(path)
        if refusal is not None:
            return _refuse(refusal)
        form = params.get("format", "csv")
        if form not in _FORMATS:
            return _refuse(Refusal(473, f"Invalid value for format: {form}"))
        if "/snapshot/" in path:
            return await self._respond(path, params, form)
        if self._busy.locked() and self._waiting >= self._options.queue:
            return _refuse(Refusal(429, "Too many requests: the request queue is full"))
        self._waiting += 1
        try:
            await self._busy.acquire()
        finally:
            self._waiting -= 1
        try:
            return await self._respond(path, params, form)
        finally:
            self._busy.release()

    def _entitled(self, path: str) -> Refusal | None:
        if path not in ENDPOINT_TIERS:
            return Refusal(404, f"No implementation for /v3{path}")
        if not self._world.entitlements.allows(path):
            return Refusal(self._options.permission_code, self._options.permission_text)
        if path not in TABLES:
            return Refusal(404, f"The stand-in has no /v3{path}")
        return None

    async def _respond(self, path: str, params: Mapping[str, str], form: str) -> Response:
        if "/history/" in path:
            # a day of a busy symbol takes seconds to draw: the stream's STATUS must not wait for it
            table = await asyncio.to_thread(TABLES[path], self._world, params)
        else:
            table = TABLES[path](self._world, params)
        if isinstance(table, Refusal):
            return _refuse(table)
        media_type, write = _FORMATS[form]
        return StreamingResponse(_paced(write(table)), headers={"content-type": media_type})


async def _paced(chunks: Iterator[bytes]) -> Any:
    for chunk in chunks:
        yield chunk
        await asyncio.sleep(0)  # the stream's playback gets its turn


def _text(text: str, status: int = 200) -> Response:
    return Response(text, status, headers={"content-type": "text/plain"})


def _refuse(refusal: Refusal) -> Response:
    return _text(refusal.text, refusal.code)


def _deprecated(params: Mapping[str, str]) -> Refusal | None:
    names = [name for name in params if name in DEPRECATED]
    if not names:
        return None
    lines = "".join(f"\t{name} -> {DEPRECATED[name]}\n" for name in names)
    return Refusal(410, f"{_UPGRADED}Deprecated query parameters:\n{lines}{_CONSULT}")


# -- formats


def _texts(table: Table) -> Iterator[list[str]]:
    kinds = [strike_text if name == "strike" else price_text if name in table.money else str for name in table.columns]
    for row in table.rows:
        yield [kind(value) for kind, value in zip(kinds, row, strict=True)]


def _csv(table: Table) -> Iterator[bytes]:
    lines = [",".join(table.columns)]
    for row in _texts(table):
        lines.append(",".join(row))
        if len(lines) >= _ROWS_A_CHUNK:
            yield ("\r\n".join(lines) + "\r\n").encode()
            lines.clear()
    if lines:
        yield ("\r\n".join(lines) + "\r\n").encode()


def _objects(table: Table) -> Iterator[dict[str, Any]]:
    columns = table.columns
    money = [i for i, name in enumerate(columns) if name in table.money]
    for row in table.rows:
        values: list[Any] = [None if value == "" else value for value in row]
        for i in money:
            values[i] /= 10_000
        yield dict(zip(columns, values, strict=True))


def _ndjson(table: Table) -> Iterator[bytes]:
    for item in _objects(table):
        yield orjson.dumps(item) + b"\n"


def _json(table: Table) -> Iterator[bytes]:
    items: list[dict[str, Any]] = []
    if table.grouped:
        groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        for item in _objects(table):
            groups.setdefault(tuple(item.pop(name) for name in _CONTRACT), []).append(item)
        items = [
            {"contract": dict(zip(_CONTRACT, contract, strict=True)), "data": data} for contract, data in groups.items()
        ]
    else:
        items = list(_objects(table))
    yield orjson.dumps({"response": items})


def _html(table: Table) -> Iterator[bytes]:
    yield b"<table>\n<tr>" + "".join(f"<th>{name}</th>" for name in table.columns).encode() + b"</tr>\n"
    for row in _texts(table):
        yield ("<tr>" + "".join(f"<td>{value}</td>" for value in row) + "</tr>\n").encode()
    yield b"</table>\n"


_FORMATS: Final[dict[str, tuple[str, Callable[[Table], Iterator[bytes]]]]] = {
    "csv": ("text/csv", _csv),
    "json": ("application/json", _json),
    "ndjson": ("application/x-ndjson", _ndjson),
    "html": ("text/html", _html),
}
