"""The gRPC gateway: messages to the service, its answers to messages."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from phenix.engine.encode import Encoder
from phenix.engine.flow import Row
from phenix.engine.log import Kind
from phenix.engine.query.request import Refusal
from phenix.server._pb import catalog_pb2, catalog_pb2_grpc, flow_pb2, flow_pb2_grpc, row_pb2
from phenix.server.catalog import catalog
from phenix.server.grpc.errors import abort
from phenix.server.grpc.rows import to_message
from phenix.server.params import Asked, read_apart
from phenix.server.service import Events, FlowService, Found, Progress, Snapshot

__all__ = ["MAX_MESSAGE", "bind", "finish", "gateway"]

MAX_MESSAGE = 4 * 1024 * 1024
"""Largest request read, in bytes."""

_TOTALS = {
    flow_pb2.TOTAL_UNSPECIFIED: "none",
    flow_pb2.TOTAL_ESTIMATE: "estimate",
    flow_pb2.TOTAL_EXACT: "exact",
}
_KINDS = {Kind.UPDATED: flow_pb2.EVENT_KIND_UPDATED, Kind.RETRACTED: flow_pb2.EVENT_KIND_RETRACTED}
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server behind it
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.keepalive_permit_without_calls", 1),
)


def gateway(service: FlowService) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """A server with every service, not bound to a port yet, and its health."""
    server = grpc.aio.server(options=_OPTIONS)
    flow_pb2_grpc.add_FlowServiceServicer_to_server(_Flow(service), server)  # type: ignore[no-untyped-call] # generated
    catalog_pb2_grpc.add_CatalogServiceServicer_to_server(_Catalog(service), server)  # type: ignore[no-untyped-call] # generated
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    names = (
        flow_pb2.DESCRIPTOR.services_by_name["FlowService"].full_name,
        catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"].full_name,
        health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
        reflection.SERVICE_NAME,
    )
    reflection.enable_server_reflection(names, server)
    return server, healthy


def bind(server: grpc.aio.Server, host: str, port: int) -> int:
    """Bind to a port, 0 for a free one; returns it. Raises OSError when it is taken."""
    try:
        return int(server.add_insecure_port(f"[{host}]:{port}" if ":" in host else f"{host}:{port}"))
    except RuntimeError as error:
        raise OSError(f"gRPC cannot listen on {host}:{port}") from error


async def finish(server: grpc.aio.Server, healthy: health.aio.HealthServicer, grace_s: float) -> None:
    """Refuse new calls, let those under way end, and end them after ``grace_s``."""
    await healthy.enter_graceful_shutdown()
    await server.stop(grace_s)


def _pairs(wanted: flow_pb2.Filter) -> list[tuple[str, str]]:
    """A filter as the parameters of the REST API; a name given twice is refused there."""
    pairs = [("chips", chip) for chip in wanted.chips] + [("notChips", chip) for chip in wanted.not_chips]
    if wanted.where:
        pairs.append(("where", wanted.where))
    if wanted.include_cancelled:
        pairs.append(("includeCancelled", "1"))
    return pairs + sorted(wanted.parameters.items())


def _meta(found: Found) -> flow_pb2.Meta:
    page, bundle = found.page, found.rules.bundle
    return flow_pb2.Meta(
        where=page.where,
        rule_version=bundle.version,
        rule_checksum=bundle.checksum,
        scoring_model=bundle.score_label,
        as_of_seq=page.as_of,
        watermark=page.watermark,
        session_date=page.session or 0,
        elapsed_ms=page.elapsed_ms,
    )


def _messages(rows: Iterable[Row], as_of: int, encoder: Encoder) -> list[row_pb2.Row]:
    return [to_message(row, as_of, encoder) for row in rows]


async def _read(context: Any, pairs: list[tuple[str, str]], service: FlowService) -> Asked:
    asked = await read_apart(pairs, service.rules.bundle)
    return await abort(context, asked) if isinstance(asked, Refusal) else asked


class _Flow(flow_pb2_grpc.FlowServiceServicer):
    def __init__(self, service: FlowService) -> None:
        self._service = service

    async def Query(self, request: flow_pb2.QueryRequest, context: Any) -> flow_pb2.QueryResponse:  # noqa: N802
        pairs = _pairs(request.filter)
        order = request.order_by.split()
        if order:
            pairs.append(("sortBy", order[0]))
        if len(order) > 1:
            pairs.append(("sortOrder", " ".join(order[1:])))
        if request.page_size:
            pairs.append(("limit", str(request.page_size)))
        if request.page_token:
            pairs.append(("cursor", request.page_token))
        if request.total:
            pairs.append(("total", _TOTALS.get(request.total, str(request.total))))
        asked = await _read(context, pairs, self._service)
        found = await self._service.query(asked.request, timeout_s=context.time_remaining())
        if isinstance(found, Refusal):
            return await abort(context, found)
        page = found.page
        return flow_pb2.QueryResponse(
            rows=_messages(page.rows, page.as_of, found.rules.encoder),
            next_page_token=page.next_cursor or "",
            total_size=page.total,
            meta=_meta(found),
        )

    async def Get(self, request: flow_pb2.GetRequest, context: Any) -> flow_pb2.GetResponse:  # noqa: N802
        found = await self._service.get(request.id)
        if isinstance(found, Refusal):
            return await abort(context, found)
        (row,) = _messages(found.page.rows, found.page.as_of, found.rules.encoder)
        return flow_pb2.GetResponse(row=row, meta=_meta(found))

    async def Subscribe(  # noqa: N802
        self, request: flow_pb2.SubscribeRequest, context: Any
    ) -> AsyncIterator[flow_pb2.SubscribeResponse]:
        pairs = [*_pairs(request.filter), ("snapshot", str(request.snapshot))]
        if request.HasField("after_seq"):
            pairs.append(("watermark", str(request.after_seq)))
        asked = await _read(context, pairs, self._service)
        stream = await self._service.subscribe(asked)
        if isinstance(stream, Refusal):
            await abort(context, stream)
        else:
            async for content in stream:
                yield _content(content)


def _content(content: Snapshot | Events | Progress) -> flow_pb2.SubscribeResponse:
    match content:
        case Snapshot(seq, rows, rules):
            snapshot = flow_pb2.Snapshot(rows=_messages(rows, seq, rules.encoder))
            return flow_pb2.SubscribeResponse(watermark=seq, snapshot=snapshot)
        case Progress(seq, replaying, closing):
            progress = flow_pb2.Progress(replaying=replaying, closing=closing)
            return flow_pb2.SubscribeResponse(watermark=seq, progress=progress)
        case Events(batch, events, rules):
            sent = [
                flow_pb2.Event(
                    kind=_KINDS[event.kind],
                    sequence=event.seq,
                    row=to_message(event.row, event.seq, rules.encoder),
                    record=to_message(event.record, event.seq, rules.encoder) if event.record else None,
                )
                for event in events
            ]
            return flow_pb2.SubscribeResponse(watermark=batch.upto, events=flow_pb2.EventBatch(events=sent))


class _Catalog(catalog_pb2_grpc.CatalogServiceServicer):
    def __init__(self, service: FlowService) -> None:
        self._service = service

    async def GetCatalog(  # noqa: N802
        self, _request: catalog_pb2.GetCatalogRequest, context: Any
    ) -> catalog_pb2.GetCatalogResponse:
        status = await self._service.status()
        if isinstance(status, Refusal):
            return await abort(context, status)
        found = catalog(await self._service.current_rules())
        return catalog_pb2.GetCatalogResponse(
            rule_version=found["ruleVersion"],
            rule_checksum=found["ruleChecksum"],
            scoring_model=found["scoringModel"],
            chips=[_named(catalog_pb2.Chip, chip) for chip in found["chips"]],
            fields=[_named(catalog_pb2.Field, {**field, "members": field["enum"] or []}) for field in found["fields"]],
            parameters=[catalog_pb2.Parameter(**parameter) for parameter in found["parameters"]],
        )


def _named(message: Any, values: dict[str, Any]) -> Any:
    """A message from the entries that it has fields for."""
    return message(**{name: values[name] for name in message.DESCRIPTOR.fields_by_name})
