"""The gRPC gateway: messages to the service, its answers to messages."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from typing import Any

import grpc
from google.protobuf.json_format import ParseDict
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from phenix.engine.encode import Encoder
from phenix.engine.flow import Row
from phenix.engine.query.request import Refusal
from phenix.engine.query.shadow import ShadowDiff
from phenix.server import sums
from phenix.server._pb import (
    catalog_pb2,
    catalog_pb2_grpc,
    flow_pb2,
    flow_pb2_grpc,
    row_pb2,
    rules_pb2,
    rules_pb2_grpc,
    saved_pb2,
)
from phenix.server.auth import Access, Tls
from phenix.server.catalog import catalog
from phenix.server.grpc.errors import abort
from phenix.server.grpc.guard import Guard
from phenix.server.grpc.rows import to_message
from phenix.server.grpc.rules import RuleGateway
from phenix.server.grpc.saved import add_saved
from phenix.server.grpc.stream import response
from phenix.server.params import Asked, read_apart, taken
from phenix.server.rules import Rules
from phenix.server.service import FlowService, Found, Summed
from phenix.server.uses import Use

__all__ = ["MAX_MESSAGE", "begin", "bind", "finish", "gateway"]

MAX_MESSAGE = 4 * 1024 * 1024
"""Largest request read, in bytes."""

_TOTALS = {
    flow_pb2.TOTAL_UNSPECIFIED: "none",
    flow_pb2.TOTAL_ESTIMATE: "estimate",
    flow_pb2.TOTAL_EXACT: "exact",
}
_NAMES = (
    flow_pb2.DESCRIPTOR.services_by_name["FlowService"].full_name,
    catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"].full_name,
    saved_pb2.DESCRIPTOR.services_by_name["SavedQueryService"].full_name,
    rules_pb2.DESCRIPTOR.services_by_name["RuleService"].full_name,
    health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
    reflection.SERVICE_NAME,
)
"""The services, for reflection and health."""
_OPTIONS = (
    ("grpc.so_reuseport", 0),  # a port in use is an error, not a second server behind it
    ("grpc.max_receive_message_length", MAX_MESSAGE),
    ("grpc.keepalive_permit_without_calls", 1),
)


def gateway(service: FlowService, access: Access) -> tuple[grpc.aio.Server, health.aio.HealthServicer]:
    """A server with every service behind its door, not bound to a port yet, and its health."""
    server = grpc.aio.server(options=_OPTIONS, interceptors=[Guard(access, service.served)])
    flow = _Flow(service)
    flow_pb2_grpc.add_FlowServiceServicer_to_server(flow, server)  # type: ignore[no-untyped-call] # generated
    # The generated handler serializes each message anew; what many receive is serialized once.
    followed = grpc.unary_stream_rpc_method_handler(
        flow.Subscribe, flow_pb2.SubscribeRequest.FromString, lambda message: message
    )
    server.add_registered_method_handlers(_NAMES[0], {"Subscribe": followed})
    catalog_pb2_grpc.add_CatalogServiceServicer_to_server(_Catalog(service), server)  # type: ignore[no-untyped-call] # generated
    add_saved(service, server)
    rules_pb2_grpc.add_RuleServiceServicer_to_server(RuleGateway(service), server)  # type: ignore[no-untyped-call] # generated
    healthy = health.aio.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(healthy, server)
    reflection.enable_server_reflection(_NAMES, server)
    return server, healthy


def bind(server: grpc.aio.Server, host: str, port: int, tls: Tls | None) -> int:
    """Bind to a port, 0 for a free one; returns it. Raises OSError when it is taken."""
    address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    try:
        if tls is None:
            return int(server.add_insecure_port(address))
        pair = (tls.key.read_bytes(), tls.certificate.read_bytes())
        return int(server.add_secure_port(address, grpc.ssl_server_credentials([pair])))
    except RuntimeError as error:
        raise OSError(f"gRPC cannot listen on {host}:{port}") from error


async def begin(server: grpc.aio.Server, healthy: health.aio.HealthServicer) -> None:
    """Answer on the port, each service telling that it does."""
    for name in _NAMES:
        await healthy.set(name, health_pb2.HealthCheckResponse.SERVING)
    await server.start()


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


def _meta(found: Found | Summed) -> flow_pb2.Meta:
    page = found.page
    meta = _made_from(found.rules, page.where, page.as_of, page.watermark, page.session, page.elapsed_ms)
    meta.degraded_reasons.extend(found.status.degraded)
    meta.lag_seconds = found.status.lag_s
    meta.plan = page.plan
    if isinstance(found, Found) and found.shadow:
        meta.shadow.CopyFrom(_shadow(found.shadow))
    return meta


def _shadow(diff: ShadowDiff) -> flow_pb2.ShadowDiff:
    return flow_pb2.ShadowDiff(
        active_version=diff.active,
        shadow_version=diff.candidate,
        active_count=diff.active_count,
        shadow_count=diff.shadow_count,
        added_count=diff.added_count,
        removed_count=diff.removed_count,
        added_by_shadow=diff.added,
        removed_by_shadow=diff.removed,
    )


def _made_from(
    rules: Rules, where: str, as_of: int, watermark: int, session: int | None, elapsed_ms: float = 0.0
) -> flow_pb2.Meta:
    bundle = rules.bundle
    return flow_pb2.Meta(
        where=where,
        rule_version=bundle.version,
        rule_checksum=bundle.checksum,
        scoring_model=bundle.score_label,
        as_of_seq=as_of,
        watermark=watermark,
        session_date=session or 0,
        elapsed_ms=elapsed_ms,
    )


def _messages(rows: Iterable[Row], as_of: int, encoder: Encoder) -> list[row_pb2.Row]:
    return [to_message(row, as_of, encoder) for row in rows]


async def _read(context: Any, pairs: list[tuple[str, str]], service: FlowService, use: Use) -> Asked:
    bundle = await service.read_by(pairs)
    if isinstance(bundle, Refusal):
        return await abort(context, bundle)
    asked = await read_apart(pairs, bundle, await service.saved.wheres(pairs), taken(use))
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
        asked = await _read(context, pairs, self._service, Use.QUERY)
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

    async def Why(self, request: flow_pb2.WhyRequest, context: Any) -> flow_pb2.WhyResponse:  # noqa: N802
        found = await self._service.why(request.id)
        if isinstance(found, Refusal):
            return await abort(context, found)
        answer = flow_pb2.WhyResponse(meta=_meta(found[0]))
        ParseDict(found[1].to_dict(), answer)
        return answer

    async def Summarize(  # noqa: N802
        self, request: flow_pb2.SummarizeRequest, context: Any
    ) -> flow_pb2.SummarizeResponse:
        found, limit = await self._summed(request, context)
        answer = flow_pb2.SummarizeResponse(meta=_meta(found))
        ParseDict(await asyncio.to_thread(sums.summary, found.page, limit), answer)
        return answer

    async def Facets(self, request: flow_pb2.FacetsRequest, context: Any) -> flow_pb2.FacetsResponse:  # noqa: N802
        found, limit = await self._summed(request, context)
        answer = flow_pb2.FacetsResponse(meta=_meta(found))
        ParseDict(await asyncio.to_thread(sums.facets, found.page, found.rules.bundle, limit), answer)
        return answer

    async def _summed(
        self, request: flow_pb2.SummarizeRequest | flow_pb2.FacetsRequest, context: Any
    ) -> tuple[Summed, int]:
        limit = [("limit", str(request.limit))] if request.limit else []
        asked = await _read(context, [*_pairs(request.filter), *limit], self._service, Use.SUMS)
        found = await self._service.summarize(asked.request, timeout_s=context.time_remaining())
        return (await abort(context, found) if isinstance(found, Refusal) else found), asked.most

    async def Export(  # noqa: N802
        self, request: flow_pb2.ExportRequest, context: Any
    ) -> AsyncIterator[flow_pb2.ExportResponse]:
        pairs = _pairs(request.filter)
        if request.page_token:
            pairs.append(("cursor", request.page_token))
        asked = await _read(context, pairs, self._service, Use.EXPORT)
        async for part in self._service.export(asked.request, context.time_remaining):
            if isinstance(part, Refusal):
                await abort(context, part)
            else:
                export, where = part.export, part.export.predicate.text
                as_of, session = export.scope.as_of, export.scope.session or export.scope.since
                yield flow_pb2.ExportResponse(
                    rows=await asyncio.to_thread(_messages, part.rows, as_of, part.rules.encoder),
                    next_page_token=export.cursor,
                    meta=_made_from(part.rules, where, as_of, export.watermark, session),
                )

    async def Subscribe(  # noqa: N802
        self, request: flow_pb2.SubscribeRequest, context: Any
    ) -> AsyncIterator[bytes]:
        pairs = [*_pairs(request.filter), ("snapshot", str(request.snapshot))]
        if request.HasField("after_seq"):
            pairs.append(("watermark", str(request.after_seq)))
        asked = await _read(context, pairs, self._service, Use.SUBSCRIBE)
        stream = await self._service.subscribe(asked)
        if isinstance(stream, Refusal):
            await abort(context, stream)
        else:
            async for content in stream:
                yield response(content)


class _Catalog(catalog_pb2_grpc.CatalogServiceServicer):
    def __init__(self, service: FlowService) -> None:
        self._service = service

    async def GetCatalog(  # noqa: N802
        self, _request: catalog_pb2.GetCatalogRequest, context: Any
    ) -> catalog_pb2.GetCatalogResponse:
        found, shadow = await self._found(context), await self._service.desk.shadow()
        if isinstance(shadow, Refusal) or shadow is None:
            candidate = None
        else:
            candidate = _named(catalog_pb2.Candidate, {**shadow, "sessions_required": shadow["sessionsRequired"]})
        return catalog_pb2.GetCatalogResponse(
            rule_version=found["ruleVersion"],
            rule_checksum=found["ruleChecksum"],
            scoring_model=found["scoringModel"],
            chips=_chips(found),
            fields=_fields(found),
            parameters=[catalog_pb2.Parameter(**parameter) for parameter in found["parameters"]],
            shadow=candidate,
        )

    async def ListFields(  # noqa: N802
        self, _request: catalog_pb2.ListFieldsRequest, context: Any
    ) -> catalog_pb2.ListFieldsResponse:
        return catalog_pb2.ListFieldsResponse(fields=_fields(await self._found(context)))

    async def ListChips(  # noqa: N802
        self, _request: catalog_pb2.ListChipsRequest, context: Any
    ) -> catalog_pb2.ListChipsResponse:
        found = await self._found(context)
        return catalog_pb2.ListChipsResponse(
            rule_version=found["ruleVersion"], rule_checksum=found["ruleChecksum"], chips=_chips(found)
        )

    async def _found(self, context: Any) -> dict[str, Any]:
        status = await self._service.status()
        if isinstance(status, Refusal):
            return await abort(context, status)
        return catalog(await self._service.current_rules())


def _chips(found: dict[str, Any]) -> list[catalog_pb2.Chip]:
    return [_named(catalog_pb2.Chip, chip) for chip in found["chips"]]


def _fields(found: dict[str, Any]) -> list[catalog_pb2.Field]:
    return [_named(catalog_pb2.Field, {**field, "members": field["enum"] or []}) for field in found["fields"]]


def _named(message: Any, values: dict[str, Any]) -> Any:
    """A message from the entries that it has fields for."""
    return message(**{name: values[name] for name in message.DESCRIPTOR.fields_by_name})
