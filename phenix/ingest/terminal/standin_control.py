"""The stand-in's own endpoints under ``/control``, which the vendor's terminal does not have.

They steer playback, switch faults on and off, and tell what became of each print.
"""

from __future__ import annotations

from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from phenix.ingest.terminal.faults import FAULTS, Fault, FaultError, Span, read_fault
from phenix.ingest.terminal.faults_active import ActiveFaults
from phenix.ingest.terminal.layouts import wall_of_stamp
from phenix.ingest.terminal.standin_answers import text_answer
from phenix.ingest.terminal.standin_play import Playback

__all__ = ["ENDPOINTS", "control_routes"]

ENDPOINTS = (
    ("GET /control/faults", "The faults in force with their counts, and all there are."),
    ("POST /control/faults", 'Switch one on: `{"name": "silent_feed", "for": "5s"}`; answers with its `id`.'),
    ("DELETE /control/faults", "Switch all off; with `/NAME` or `/ID` those of a name, or one."),
    ("GET /control/ledger",
     "What became of each print: due, sent, sent again, broken, unwanted, waiting, and lost by cause."),
    ("GET /control/play", "Its speed, whether it holds at the time it was told, and whether it is over."),
    ("POST /control/play",
     'Begin playback, or with `{"speed": 10}` go on at another speed; `{"until": "2026-11-27T13:00:00"}` holds then.'),
)  # fmt: skip
"""Request and what it does."""


def control_routes(playback: Playback, faults: ActiveFaults) -> list[Route]:
    """Routes of :data:`ENDPOINTS`."""
    control = _Control(playback, faults)
    return [
        Route("/control/play", control.told, methods=["GET"]),
        Route("/control/play", control.play, methods=["POST"]),
        Route("/control/ledger", control.ledger, methods=["GET"]),
        Route("/control/faults", control.list, methods=["GET"]),
        Route("/control/faults", control.add, methods=["POST"]),
        Route("/control/faults", control.clear, methods=["DELETE"]),
        Route("/control/faults/{which}", control.clear, methods=["DELETE"]),
    ]


class _Control:
    def __init__(self, playback: Playback, faults: ActiveFaults) -> None:
        self._playback, self._faults = playback, faults

    async def told(self, _request: Request) -> Response:
        playback = self._playback
        states = {"held": playback.held.is_set(), "finished": playback.finished.is_set()}
        return _json({"speed": playback.speed, **states})

    async def play(self, request: Request) -> Response:
        try:
            asked = await _body(request)
        except FaultError as error:
            return text_answer(str(error), 400)
        speed, until = asked.get("speed"), asked.get("until")
        if asked.keys() - {"speed", "until"} or not (
            speed is None or (isinstance(speed, int | float) and not isinstance(speed, bool) and 0 <= speed < 1e9)
        ):
            return text_answer('the body is empty, or {"speed": N} with N from 0 up, "until" a time, or both', 400)
        try:
            self._playback.hold(None if until is None else wall_of_stamp(str(until)))
        except ValueError as error:
            return text_answer(str(error), 400)
        self._playback.play(speed)
        return text_answer("OK")

    async def ledger(self, _request: Request) -> Response:
        return _json(self._playback.ledger.told(self._playback.waiting))

    async def list(self, _request: Request) -> Response:
        return _json({"active": self._faults.told(), "available": [_available(fault) for fault in FAULTS.values()]})

    async def add(self, request: Request) -> Response:
        try:
            asked = await _body(request)
            active = self._faults.add(read_fault(asked.pop("name", None), asked))
        except FaultError as error:
            return text_answer(str(error), 400)
        return _json(active.told(), 201)

    async def clear(self, request: Request) -> Response:
        which = request.path_params.get("which", "")
        cleared = self._faults.clear(which)
        if which and not cleared:
            return text_answer(f"no fault {which!r} is in force", 404)
        return _json({"cleared": cleared})


async def _body(request: Request) -> dict[str, Any]:
    """The JSON object of a request; empty when it has no body. Raises FaultError."""
    raw = await request.body()
    try:
        asked = orjson.loads(raw) if raw else {}
    except orjson.JSONDecodeError as error:
        raise FaultError(f"the body is not JSON: {error}") from None
    if not isinstance(asked, dict):
        raise FaultError("the body is not a JSON object")
    return asked


def _available(fault: Fault) -> dict[str, Any]:
    params = [
        {
            "name": param.name,
            "default": str(param.default) if isinstance(param.default, Span) else param.default,
            "range": param.range,
            "doc": param.doc,
        }
        for param in fault.params
    ]
    return {"name": fault.name, "stage": fault.stage, "at": fault.at, "doc": fault.doc, "params": params}


def _json(value: Any, status: int = 200) -> Response:
    return Response(orjson.dumps(value), status, headers={"content-type": "application/json"})
