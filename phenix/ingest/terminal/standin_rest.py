"""The stand-in's REST side: paths, entitlements, concurrency, errors.

Every request for data passes one place, :meth:`_Rest.answer`, where faults come first.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from phenix.ingest.terminal.entitlements import ENDPOINT_TIERS
from phenix.ingest.terminal.errors import ERRORS
from phenix.ingest.terminal.faults import Stage
from phenix.ingest.terminal.faults_active import ActiveFault, ActiveFaults
from phenix.ingest.terminal.standin_answers import FORMATS, refused, shaped, table_answer, text_answer
from phenix.ingest.terminal.standin_control import control_routes
from phenix.ingest.terminal.standin_params import Refusal
from phenix.ingest.terminal.standin_stream import StreamServer
from phenix.ingest.terminal.standin_tables import TABLES
from phenix.ingest.terminal.standin_world import SameDay, World

__all__ = ["RestOptions", "rest_app"]

DEPRECATED: Final = {
    "root": "symbol", "exp": "expiration", "ivl": "interval", "use_csv": "format", "rate": "rate_type",
    "annual_div": "annual_dividend", "under_price": "stock_price", "sec": "*path parameter*", "rth": "*unnecessary*",
    "pretty_time": "*unnecessary*", "perf_boost": "*unnecessary*",
}  # fmt: skip
"""Parameters of the version before, and what they are called now."""

_UPGRADED: Final = "We have upgraded to API v3. Please use API v3 query parameters instead. \n"
_CONSULT: Final = "Consult API v3 documentation for more information: https://docs.thetadata.us/"
_DRAWN: Final = frozenset({"/stock/snapshot/ohlc", "/index/snapshot/ohlc"})
"""Snapshots that are made of a day's events."""
_SHAPES: Final = frozenset({"slow_body", "truncated_body"})


@dataclass(frozen=True, slots=True)
class RestOptions:
    """Switches of the REST side.

    ``permission_text`` is the body of a 471, which is not published. ``queue`` requests may wait
    beyond the account's concurrency. ``legacy_json`` is the JSON of older accounts. ``star_snapshots``
    lets snapshots take ``expiration=*`` below Pro: what the vendor does is not known.
    """

    same_day: SameDay = SameDay.AVAILABLE
    permission_text: str = ERRORS[471].text
    permission_code: int = 471
    queue: int = 16
    legacy_json: bool = False
    star_snapshots: bool = True


def rest_app(
    world: World,
    stream: StreamServer,
    options: RestOptions,
    faults: ActiveFaults,
    gate: asyncio.Semaphore,
    shutdown: asyncio.Event,
) -> Starlette:
    """The application over what is played.

    ``gate`` holds the account's concurrent requests; ``/v3/terminal/shutdown`` sets ``shutdown``. The server puts
    ``break_off``, which ends the connection, into the state of each request.
    """
    rest = _Rest(world, stream, options, faults, gate, shutdown)
    return Starlette(
        routes=[
            *control_routes(stream.playback, faults),
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
        faults: ActiveFaults,
        gate: asyncio.Semaphore,
        shutdown: asyncio.Event,
    ) -> None:
        self._world, self._stream, self._options, self._shutdown = world, stream, options, shutdown
        self._faults = faults
        self._busy = gate
        self._waiting = 0

    async def mdds_status(self, _request: Request) -> Response:
        return text_answer("DISCONNECTED" if self._faults.named("http_474") else "CONNECTED")

    async def fpss_status(self, _request: Request) -> Response:
        return text_answer(self._stream.status)

    async def end(self, _request: Request) -> Response:
        self._shutdown.set()
        return text_answer("OK")

    async def upgraded(self, request: Request) -> Response:
        return refused(_deprecated(request.query_params) or Refusal(410, _UPGRADED + _CONSULT))

    async def unknown(self, request: Request) -> Response:
        return refused(Refusal(404, f"No implementation for {request.url.path}"))

    async def answer(self, request: Request) -> Response:
        path, params = "/" + request.path_params["path"], request.query_params
        shapes: list[ActiveFault] = []
        refusal: Refusal | None = None
        for active in self._faults.at(Stage.REST):
            shape = active.fault.name in _SHAPES
            if active.text("path") in path and (shape or refusal is None) and active.fires():
                if shape:
                    shapes.append(active)
                else:
                    refusal = _refusal(active)
        answer = refused(refusal) if refusal else await self._answer(path, params)
        self._stream.playback.ledger.answers[answer.status_code] += 1
        return await shaped(answer, shapes, request.state.break_off)

    async def _answer(self, path: str, params: Mapping[str, str]) -> Response:
        refusal = _deprecated(params) or self._entitled(path)
        if refusal is not None:
            return refused(refusal)
        form = params.get("format", "csv")
        if form not in FORMATS:
            return refused(Refusal(473, f"Invalid value for format: {form}"))
        if "/snapshot/" in path:
            return await self._respond(path, params, form)
        if self._busy.locked() and self._waiting >= self._options.queue:
            return refused(Refusal(429, ERRORS[429].text))
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
        if "/history/" in path or "/at_time/" in path or path in _DRAWN:
            # a day of a busy symbol takes seconds to draw: the stream's STATUS must not wait for it
            table = await asyncio.to_thread(TABLES[path], self._world, params)
        else:
            table = TABLES[path](self._world, params)
        if isinstance(table, Refusal):
            return refused(table)
        return table_answer(table, form, legacy=self._options.legacy_json)


def _refusal(active: ActiveFault) -> Refusal:
    """What a fault answers: its name says the status, or a parameter does."""
    name = active.fault.name
    code = 200 if name == "permission_text" else active.whole("code") or int(name.removeprefix("http_"))
    return Refusal(code, active.text("text"))


def _deprecated(params: Mapping[str, str]) -> Refusal | None:
    names = [name for name in params if name in DEPRECATED]
    if not names:
        return None
    lines = "".join(f"\t{name} -> {DEPRECATED[name]}\n" for name in names)
    return Refusal(410, f"{_UPGRADED}Deprecated query parameters:\n{lines}{_CONSULT}")
