"""Saved queries over gRPC: the same calls as REST, their answers as messages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterable
from typing import Any, Final

import grpc

from phenix.engine.bundle import Bundle
from phenix.engine.query.request import DEFAULT_LIMIT, Refusal
from phenix.engine.saved import Form, bare, convert, form_of
from phenix.engine.store.alerts import AlertEvent, Sending
from phenix.engine.store.saved import Entry, Kind
from phenix.server._pb import saved_pb2 as pb
from phenix.server._pb import saved_pb2_grpc
from phenix.server.alerts.desk import read_position, write_position
from phenix.server.grpc.errors import abort
from phenix.server.params import read_settings
from phenix.server.saved import Matches
from phenix.server.saved_body import MAX_BODY, OPTIONS, Body, invalid, read_name, read_value
from phenix.server.saved_view import View
from phenix.server.service import FlowService

__all__ = ["add_saved"]

_KINDS: Final[dict[int, Kind]] = {pb.SAVED_KIND_PRESET: "preset", pb.SAVED_KIND_ALERT: "alert"}
_KIND_NUMBERS: Final[dict[Kind, Any]] = {kind: number for number, kind in _KINDS.items()}
_FIDELITIES: Final = {name.removeprefix("FIDELITY_").lower(): number for name, number in pb.Fidelity.items() if number}
_FORMS: Final[dict[int, Form]] = {
    pb.FILTER_FORM_WHERE: "where",
    pb.FILTER_FORM_V2: "v2",
    pb.FILTER_FORM_LEGACY: "legacy",
}


def add_saved(service: FlowService, server: grpc.aio.Server) -> None:
    """Let a server answer SavedQueryService."""
    saved_pb2_grpc.add_SavedQueryServiceServicer_to_server(_Saved(service), server)  # type: ignore[no-untyped-call] # generated


class _Saved(saved_pb2_grpc.SavedQueryServiceServicer):
    def __init__(self, service: FlowService) -> None:
        self._service = service
        self._saved = service.saved

    async def Create(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = await _kind(context, request.kind)
        body = await _held(context, _body(request, request.name))
        bundle = await _held(context, await self._service.active_bundle())
        entry = await _held(context, await self._saved.create(kind, body, bundle))
        return pb.SavedQueryServiceCreateResponse(saved_query=await self._shown(entry))

    async def Get(self, request: Any, context: Any) -> Any:  # noqa: N802
        entry = await _held(context, await self._saved.get(_kind_of(request.id), request.id))
        return pb.SavedQueryServiceGetResponse(saved_query=await self._shown(entry, request.payload_version))

    async def List(self, request: Any, context: Any) -> Any:  # noqa: N802
        kind = await _kind(context, request.kind)
        pairs = [("limit", str(request.page_size))] if request.page_size else []
        options = await _held(context, read_settings(pairs, self._service.rules.bundle, OPTIONS))
        limit = options.get("limit", DEFAULT_LIMIT)
        found = await _held(context, await self._saved.page(kind, limit, request.page_token))
        return pb.SavedQueryServiceListResponse(
            saved_queries=await self._views(found.entries, request.payload_version),
            next_page_token=found.next_cursor or "",
            total_size=found.total,
        )

    async def Update(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = await _held(context, _body(request, request.name if request.HasField("name") else None))
        bundle = await _held(context, await self._service.active_bundle())
        kind, matches = _kind_of(request.id), _matches(request.etag)
        entry = await _held(context, await self._saved.update(kind, request.id, body, bundle, matches))
        return pb.SavedQueryServiceUpdateResponse(saved_query=await self._shown(entry))

    async def Delete(self, request: Any, context: Any) -> Any:  # noqa: N802
        matches = _matches(request.etag)
        await _held(context, await self._saved.remove(_kind_of(request.id), request.id, matches))
        return pb.SavedQueryServiceDeleteResponse()

    async def Convert(self, request: Any, context: Any) -> Any:  # noqa: N802
        body = await _held(context, _body(request, None))
        bundle = await _held(context, await self._service.active_bundle())
        payload = bare(body.payload)
        to = _FORMS.get(request.to, "v2" if form_of(payload) == "where" else "where")
        return await _held(context, await asyncio.to_thread(_converted, payload, to, bundle))

    async def ListAlertEvents(self, request: Any, context: Any) -> Any:  # noqa: N802
        pairs = [("limit", str(request.page_size))] if request.page_size else []
        options = await _held(context, read_settings(pairs, self._service.rules.bundle, OPTIONS))
        before = read_position(request.page_token)
        if request.page_token and before is None:
            told = "`page_token` is not one that this list gave; start without it."
            return await abort(context, Refusal("cursor_mismatch", told))
        limit = options.get("limit", DEFAULT_LIMIT)
        found = await _held(context, await self._service.alerts.events(request.alert_id, before, limit))
        return pb.ListAlertEventsResponse(
            events=[_event(told.event, told.sendings) for told in found.events],
            next_page_token="" if found.before is None else write_position(found.before),
            total_size=found.total,
        )

    async def WatchAlerts(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        after = request.after_number if request.HasField("after_number") else None
        watched = await _held(context, await self._service.alerts.watch(after, request.alert_id))
        async for number, events in watched:
            yield pb.WatchAlertsResponse(number=number, events=[_event(event) for event in events])

    async def _shown(self, entry: Entry, version: int = pb.PAYLOAD_VERSION_V2) -> Any:
        (message,) = await self._views((entry,), version)
        return message

    async def _views(self, entries: tuple[Entry, ...], version: int) -> list[Any]:
        legacy = version == pb.PAYLOAD_VERSION_LEGACY
        views = await self._saved.views(entries, self._service.rules.bundle, legacy=legacy)
        return [_message(view) for view in views]


async def _held(context: Any, found: Any) -> Any:
    """What was found; a refusal ends the call."""
    return await abort(context, found) if isinstance(found, Refusal) else found


async def _kind(context: Any, number: int) -> Kind:
    kind = _KINDS.get(number)
    if kind is None:
        return await abort(context, Refusal("invalid_query", "Name a kind: SAVED_KIND_PRESET or SAVED_KIND_ALERT."))
    return kind


def _kind_of(id_: str) -> Kind:
    """The kind an id begins with."""
    return "alert" if id_.startswith("alert_") else "preset"


def _matches(etag: str) -> Matches | None:
    return (lambda known: known == etag) if etag else None


def _body(request: Any, name: str | None) -> Body | Refusal:
    """Name and filter of a request."""
    read = None if name is None else read_name(name)
    if read is not None and not isinstance(read, str):
        return invalid((read,))
    which = request.WhichOneof("filter")
    if which is None:
        return Body(read, {}, given=False)
    text = getattr(request, which)
    if len(text) > MAX_BODY:
        return Refusal("too_large", f"The filter has more than {MAX_BODY:,} characters, which is what is read.")
    payload = text if which == "where" else read_value(text, "`payload_json`")
    return payload if isinstance(payload, Refusal) else Body(read, payload)


def _converted(payload: object, to: Form, bundle: Bundle) -> Any:
    """The answer to Convert, or the refusal of a filter that has errors."""
    done = convert(payload, to, bundle)
    errors = tuple(finding for finding in done.findings if finding.severity == "error")
    if errors:
        return invalid(errors)
    answer = pb.SavedQueryServiceConvertResponse(fidelity=_FIDELITIES[done.fidelity], reasons=done.reasons)
    if done.result is None:
        return answer
    if to == "where":
        answer.where = done.result
    else:
        answer.payload_json = json.dumps(done.result, ensure_ascii=False, separators=(",", ":"))
    return answer


def _event(event: AlertEvent, sendings: Iterable[Sending] = ()) -> Any:
    return pb.AlertEvent(
        id=event.id,
        kind=f"ALERT_EVENT_KIND_{event.kind.upper()}",
        number=event.number,
        alert_id=event.alert_id,
        alert_name=event.name,
        revision=event.revision,
        severity=event.severity,
        seq=event.seq,
        session_date=event.session_date,
        created_at=event.at,
        row_json=event.row_json,
        deliveries=[
            pb.AlertDelivery(
                target_id=one.target_id,
                target_type=one.target_kind,
                digest=one.digest,
                state=f"ALERT_DELIVERY_STATE_{one.state.upper()}",
                attempts=one.attempts,
                problem=one.problem,
                due_at=one.due_at if one.state == "waiting" else None,
                done_at=one.done_at,
            )
            for one in sendings
        ],
    )


def _message(view: View) -> Any:
    entry = view.entry
    return pb.SavedQuery(
        id=entry.id,
        kind=_KIND_NUMBERS[entry.kind],
        name=entry.name,
        where=entry.where,
        payload_version=pb.PAYLOAD_VERSION_LEGACY if view.legacy else pb.PAYLOAD_VERSION_V2,
        payload_json=view.payload,
        fidelity=_FIDELITIES[view.fidelity],
        reasons=view.reasons,
        rule_version=entry.rule_version,
        created_at=entry.created_at,
        updated_at=entry.updated_at,
        etag=entry.etag,
    )
