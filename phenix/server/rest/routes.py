"""The REST gateway: requests to the service, its answers to JSON."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from phenix.engine.encode import ROW_ID, date_text
from phenix.engine.logs import HEADER
from phenix.engine.query.request import MAX_LIMIT, Refusal
from phenix.engine.store.saved import Entry
from phenix.server import sums
from phenix.server.auth import Access
from phenix.server.catalog import catalog
from phenix.server.follow import Events
from phenix.server.metrics import ServeMetrics, readiness
from phenix.server.params import MAX_SESSIONS, Asked, read_apart, taken
from phenix.server.rest.alerts import alert_routes
from phenix.server.rest.answers import answered as _json
from phenix.server.rest.answers import refused as _refused
from phenix.server.rest.counted import Counted
from phenix.server.rest.docs import Documents
from phenix.server.rest.editor import editor_routes
from phenix.server.rest.guard import Guard
from phenix.server.rest.operations import JSON, Operation, routes, under
from phenix.server.rest.page import pages
from phenix.server.rest.query import read_pairs, refuse_any
from phenix.server.rest.rules import rule_routes
from phenix.server.rest.saved import saved_routes
from phenix.server.rest.security import SecureHeaders
from phenix.server.rules import Rules
from phenix.server.service import FlowService, Found, Summed
from phenix.server.shadow import shadow_json
from phenix.server.status import LAG_THRESHOLD_S
from phenix.server.stream import HEADERS, frames, payloads
from phenix.server.uses import Use

__all__ = ["application"]

_PREFIXES: Final = {"/api": False, "/api/v1": True}
"""Each prefix, and whether saved payloads are legacy ones there when nothing is said."""


def application(service: FlowService, access: Access) -> Starlette:
    """The ASGI application: the API under both prefixes, operations, and the page, behind its door."""
    table: list[Operation] = []
    documents = Documents(service, table, secured=access.tokens is not None)
    for prefix, legacy in _PREFIXES.items():
        table += under(prefix, _operations(service, documents, legacy=legacy))
    table += _Gateway(service).operations() + documents.operations()
    app = Starlette(
        routes=[*routes(table), *pages()], exception_handlers={HTTPException: _http_error, Exception: _crash}
    )
    app.add_middleware(Guard, access=access)
    app.add_middleware(SecureHeaders)
    app.add_middleware(Counted, served=service.served)
    return app


def _operations(service: FlowService, documents: Documents, *, legacy: bool) -> list[Operation]:
    """The table of routes under a prefix."""
    gateway = _Gateway(service)
    page, sum_up, stream = map(taken, (Use.PAGE, Use.SUMS, Use.STREAM))
    cursors = ("cursor_mismatch", "cursor_expired")
    slow = ("query_timeout", "unavailable")
    return [
        Operation("GET", "/flow", gateway.flow, "Rows that match, sorted, in pages.", "FlowPage", page,
                  (*cursors, *slow)),
        Operation("GET", "/flow/historical", gateway.historical, "The same over every stored session.", "FlowPage",
                  page, (*cursors, *slow)),
        Operation("GET", "/flow/summary", gateway.summary, "Totals, ratios and the most traded of the rows that match.",
                  "FlowSummary", sum_up, slow),
        Operation("GET", "/flow/facets", gateway.facets, "Rows that match, counted by what people filter by.",
                  "FlowFacets", sum_up, slow),
        Operation("GET", "/flow/filters/catalog", gateway.catalog, "Chips, fields and parameters of the active rules.",
                  "Catalog", refuses=slow),
        Operation("GET", "/flow/stream", gateway.stream, "Rows that match, as they are stored.", "Events", stream,
                  ("resume_expired", *slow), media=(JSON, "text/event-stream"), hears=("Last-Event-ID",)),
        *saved_routes(service, legacy=legacy),
        *alert_routes(service),
        *editor_routes(service),
        *rule_routes(service),
        Operation("GET", "/flow/{id}", gateway.row, "One row.", "FlowRow", taken(Use.ROW), slow,
                  id_pattern=ROW_ID.pattern),
        Operation("GET", "/flow/{id}/why", gateway.why, "Why a row has its chips.", "FlowWhy", refuses=slow,
                  id_pattern=ROW_ID.pattern),
        Operation("GET", "/openapi.json", documents.openapi, "This document.", "Document", refuses=slow),
    ]  # fmt: skip


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        allowed = (error.headers or {}).get("Allow", "GET, HEAD")
        refusal = Refusal("method_not_allowed", f"{request.method[:20]} is not allowed here; use {allowed}.")
        return _refused(refusal, {"allow": allowed})
    shown = request.url.path if len(request.url.path) <= 80 else request.url.path[:80] + "…"
    return _refused(Refusal("not_found", f"There is nothing at {shown!r}."))


async def _crash(request: Request, _error: Exception) -> Response:
    refusal = Refusal("internal", "The request failed inside the server; its log says why.")
    return _refused(refusal, {HEADER: request.scope[HEADER]})


class _Gateway:
    """One endpoint a method."""

    def __init__(self, service: FlowService) -> None:
        self._service = service
        self._catalog: tuple[Rules | None, dict[str, Any]] = (None, {})
        self._metrics = ServeMetrics(service)

    def operations(self) -> list[Operation]:
        """Those outside of the API's prefixes."""
        return [
            Operation("GET", "/health", self.health, "Whether the process is alive.", "Health"),
            Operation("GET", "/ready", self.ready, "Whether it can answer, and what keeps it from it.", "Ready",
                      statuses=(200, 503)),
            Operation("GET", "/metrics", self.metrics, "What it counts and measures, for Prometheus.", "",
                      media=("text/plain", "application/openmetrics-text")),
        ]  # fmt: skip

    async def flow(self, request: Request) -> Response:
        return await self._page(await self._read(request))

    async def historical(self, request: Request) -> Response:
        asked = await self._read(request)
        if isinstance(asked, Asked) and not asked.request.sessions:
            asked = replace(asked, request=replace(asked.request, sessions=MAX_SESSIONS))
        return await self._page(asked)

    async def _page(self, asked: Asked | Refusal) -> Response:
        found = asked if isinstance(asked, Refusal) else await self._service.query(asked.request)
        if isinstance(asked, Refusal) or isinstance(found, Refusal):
            return _refused(found if isinstance(found, Refusal) else asked)  # type: ignore[arg-type]
        page, keys = found.page, asked.request.fields
        encode = found.rules.encoder.encode
        return _json({
            "data": [orjson.Fragment(encode(row, page.as_of, keys)) for row in page.rows],
            "page": {
                "limit": page.limit,
                "hasMore": page.has_more,
                "nextCursor": page.next_cursor,
                "sortBy": asked.request.sort.json or asked.request.sort.name,
                "sortOrder": "desc" if asked.request.descending else "asc",
                "total": page.total,
            },
            "meta": _meta(found),
        })  # fmt: skip

    async def summary(self, request: Request) -> Response:
        return await self._sums(request, lambda found, limit: sums.summary(found.page, limit))

    async def facets(self, request: Request) -> Response:
        return await self._sums(request, lambda found, limit: sums.facets(found.page, found.rules.bundle, limit))

    async def _sums(self, request: Request, shape: Callable[[Summed, int], dict[str, Any]]) -> Response:
        asked = await self._read(request)
        found = asked if isinstance(asked, Refusal) else await self._service.summarize(asked.request)
        if isinstance(asked, Refusal) or isinstance(found, Refusal):
            return _refused(found if isinstance(found, Refusal) else asked)  # type: ignore[arg-type]
        data = await asyncio.to_thread(lambda: sums.dollars(shape(found, asked.most)))
        return _json({"data": data, "meta": _meta(found)})

    async def row(self, request: Request) -> Response:
        asked = await self._read(request)
        if isinstance(asked, Refusal):
            return _refused(asked)
        keys = asked.request.fields
        found = await self._service.get(request.path_params["id"])
        if isinstance(found, Refusal):
            return _refused(found)
        row = orjson.Fragment(found.rules.encoder.encode(found.page.rows[0], found.page.as_of, keys))
        return _json({"data": row, "meta": _meta(found)})

    async def why(self, request: Request) -> Response:
        refusal = refuse_any(request, self._service.rules.bundle)
        found = refusal or await self._service.why(request.path_params["id"])
        if isinstance(found, Refusal):
            return _refused(found)
        return _json({"data": found[1].to_dict(), "meta": _meta(found[0])})

    async def catalog(self, request: Request) -> Response:
        refusal = refuse_any(request, self._service.rules.bundle)
        status = refusal or await self._service.status()  # also sees to it that the rules are the store's
        if isinstance(status, Refusal):
            return _refused(status)
        rules = await self._service.current_rules()
        if self._catalog[0] is not rules:
            self._catalog = (rules, catalog(rules))
        found = await self._service.saved.page("preset", MAX_LIMIT)
        # Null where they cannot be read: everything else still can.
        named = None if isinstance(found, Refusal) else [_named(entry) for entry in found.entries]
        shadow = await self._service.desk.shadow()
        beside = {"presets": named, "shadow": None if isinstance(shadow, Refusal) else shadow}
        content = orjson.dumps({**self._catalog[1], **beside})
        return Response(content, headers={"cache-control": "no-cache"}, media_type=JSON)

    async def stream(self, request: Request) -> Response:
        asked = await self._read(request)
        if isinstance(asked, Refusal):
            return _refused(asked)
        if asked.json:
            return await self._poll(asked)
        stream = await self._service.subscribe(asked)
        if isinstance(stream, Refusal):
            return _refused(stream)
        return StreamingResponse(frames(stream, asked), headers=HEADERS, media_type="text/event-stream")

    async def _poll(self, asked: Asked) -> Response:
        content = await self._service.now(asked)
        if isinstance(content, Refusal):
            return _refused(content)
        events = [orjson.Fragment(data) for _, _, data in payloads(content, asked)]
        watermark = content.batch.upto if isinstance(content, Events) else content.seq
        reasons = self._service.degraded
        state = {"degraded": bool(reasons), "degradedReason": reasons}
        return _json({"sequence": watermark, "watermark": watermark, **state, "events": events})

    async def health(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        checks = readiness(await self._service.status(), self._service.log.failure)
        reasons = [check["reason"] for check in checks.values() if not check["ok"]]
        if reasons:
            return _json({"status": "not_ready", "checks": checks, "reason": "; ".join(reasons)}, 503)
        return _json({"status": "ready", "checks": checks})

    async def metrics(self, request: Request) -> Response:
        body, kind = await self._metrics.text(request.headers.get("accept", ""))
        return Response(body, headers={"cache-control": "no-store", "content-type": kind})

    async def _read(self, request: Request) -> Asked | Refusal:
        pairs, takes = read_pairs(request), request.scope["takes"]
        if isinstance(pairs, Refusal):
            return pairs
        last_id = request.headers.get("last-event-id", "").strip()
        if last_id and "watermark" in takes:
            pairs = [pair for pair in pairs if pair[0] != "watermark"] + [("watermark", last_id)]
        presets, bundle = await self._service.saved.wheres(pairs), await self._service.read_by(pairs)
        return bundle if isinstance(bundle, Refusal) else await read_apart(pairs, bundle, presets, takes)


def _named(entry: Entry) -> dict[str, str]:
    return {"id": entry.id, "name": entry.name, "where": entry.where}


def _meta(found: Found | Summed) -> dict[str, Any]:
    page, bundle, status = found.page, found.rules.bundle, found.status
    return {
        "where": page.where,
        "ruleVersion": bundle.version,
        "ruleChecksum": bundle.checksum,
        "scoringModel": bundle.score_label,
        "asOfSeq": page.as_of,
        "watermark": page.watermark,
        "sessionDate": date_text(page.session) if page.session else None,
        "degraded": bool(status.degraded),
        "degradedReason": list(status.degraded),
        "lagSeconds": round(status.lag_s, 3),
        "lagThresholdSeconds": LAG_THRESHOLD_S,
        "elapsedMs": round(page.elapsed_ms, 3),
        "plan": page.plan,
        **({"shadow": shadow_json(found.shadow)} if isinstance(found, Found) and found.shadow else {}),
    }
