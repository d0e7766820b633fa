"""Alerts at work over REST: below ``/flow/alerts/{id}`` their settings, events and tests, under both prefixes."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response

from phenix.engine.encode import ts_text
from phenix.engine.query.request import DEFAULT_LIMIT, Refusal
from phenix.engine.store.alerts import Sending
from phenix.server.alerts.desk import Told, read_position, write_position
from phenix.server.alerts.message import event_json
from phenix.server.params import read_settings
from phenix.server.reading import Parameter
from phenix.server.rest.answers import answered, refused
from phenix.server.rest.bodies import read_bytes
from phenix.server.rest.operations import JSON, Operation
from phenix.server.rest.query import read_pairs
from phenix.server.saved_body import OPTIONS, decode, read_value
from phenix.server.service import FlowService

__all__ = ["alert_routes"]

_PATH: Final = "/flow/alerts/{id}"
_PAGE: Final = {name: OPTIONS[name] for name in ("limit", "cursor")}


def alert_routes(service: FlowService) -> list[Operation]:
    """What answers each of them."""
    gateway = _Alerts(service)
    away = ("unavailable",)

    def operation(
        method: str, path: str, answer: str, summary: str, takes: Mapping[str, Parameter] = {}, **more: Any
    ) -> Operation:
        endpoint = getattr(gateway, f"{method.lower()}_{path}")
        refuses = (*more.pop("refuses", ()), *away)
        return Operation(method, f"{_PATH}/{path}", partial(endpoint, takes), summary, answer, takes, refuses, **more)

    return [
        operation("GET", "delivery", "AlertDelivery", "When the alert speaks, and to whom; no secrets."),
        operation("PUT", "delivery", "AlertDelivery", "Puts other settings there; they count from the next row on.",
                  body={JSON: "AlertSettings"}),
        operation("GET", "events", "AlertEvents", "What the alert raised, newest first, and how far its delivery is.",
                  _PAGE, refuses=("cursor_mismatch",)),
        operation("POST", "test", "AlertTest", "Sends a sample to every target, and answers once each was tried."),
        operation("POST", "retry", "AlertRetried", "Sends again what could not be delivered."),
    ]  # fmt: skip


class _Alerts:
    """One endpoint a method."""

    def __init__(self, service: FlowService) -> None:
        self._service = service
        self._alerts = service.alerts

    async def get_delivery(self, takes: Mapping[str, Parameter], request: Request) -> Response:
        options = self._options(request, takes)
        return _answer(options if isinstance(options, Refusal) else await self._alerts.settings(_id(request)))

    async def put_delivery(self, takes: Mapping[str, Parameter], request: Request) -> Response:
        refusal = self._foreign(request) or self._options(request, takes)
        if isinstance(refusal, Refusal):
            return refused(refusal)
        data = await read_bytes(request)
        text = data if isinstance(data, Refusal) else decode(data)
        value = text if isinstance(text, Refusal) else read_value(text, "The body")
        return _answer(value if isinstance(value, Refusal) else await self._alerts.set_settings(_id(request), value))

    async def get_events(self, takes: Mapping[str, Parameter], request: Request) -> Response:
        options = self._options(request, takes)
        if isinstance(options, Refusal):
            return refused(options)
        id_, limit, cursor = _id(request), options.get("limit", DEFAULT_LIMIT), options.get("cursor", "")
        before = read_position(cursor)
        if cursor and before is None:
            return refused(Refusal("cursor_mismatch", "`cursor` is not one that this list gave; start without it."))
        found = await self._alerts.events(id_, before, limit)
        if isinstance(found, Refusal):
            return refused(found)
        cursor = None if found.before is None else write_position(found.before)
        about = {"limit": limit, "hasMore": cursor is not None, "nextCursor": cursor, "total": found.total}
        return answered({"data": [_shown(told) for told in found.events], "page": about})

    async def post_test(self, takes: Mapping[str, Parameter], request: Request) -> Response:
        refusal = self._foreign(request) or self._options(request, takes)
        told = refusal if isinstance(refusal, Refusal) else await self._alerts.test(_id(request))
        return refused(told) if isinstance(told, Refusal) else answered({"data": _shown(told)})

    async def post_retry(self, takes: Mapping[str, Parameter], request: Request) -> Response:
        refusal = self._foreign(request) or self._options(request, takes)
        count = refusal if isinstance(refusal, Refusal) else await self._alerts.send_again(_id(request))
        return refused(count) if isinstance(count, Refusal) else answered({"data": {"messages": count}})

    def _options(self, request: Request, takes: Mapping[str, Parameter]) -> dict[str, Any] | Refusal:
        pairs = read_pairs(request)
        return pairs if isinstance(pairs, Refusal) else read_settings(pairs, self._service.rules.bundle, takes)

    def _foreign(self, request: Request) -> Refusal | None:
        """A refusal of what a page of somebody else's makes a browser send."""
        if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return None
        return Refusal("forbidden", "A page from elsewhere may not change what is saved here.")


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _answer(found: dict[str, Any] | Refusal) -> Response:
    if isinstance(found, Refusal):
        return refused(found)
    return answered({"data": found}, headers={"cache-control": "no-store"})


def _shown(told: Told) -> dict[str, Any]:
    return {**event_json(told.event), "deliveries": [_sending(one) for one in told.sendings]}


def _sending(one: Sending) -> dict[str, Any]:
    return {
        "targetId": one.target_id,
        "type": one.target_kind,
        "digest": one.digest,
        "state": one.state,
        "attempts": one.attempts,
        "problem": one.problem or None,
        "dueAt": ts_text(one.due_at) if one.state == "waiting" else None,
        "doneAt": None if one.done_at is None else ts_text(one.done_at),
    }
