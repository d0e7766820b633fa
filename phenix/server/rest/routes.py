"""The REST gateway: requests to the service, its answers to JSON."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from phenix.engine.encode import date_text
from phenix.engine.query.request import FlowRequest, Refusal
from phenix.server.catalog import catalog
from phenix.server.errors import ERRORS, problem
from phenix.server.params import Asked, read_apart
from phenix.server.rest.page import pages
from phenix.server.rest.security import SecureHeaders
from phenix.server.service import LAG_THRESHOLD_S, Events, FlowService, Found, Rules
from phenix.server.stream import HEADERS, frames, payloads

__all__ = ["MAX_QUERY", "application"]

MAX_QUERY: Final = 256 * 1024
"""Longest query string that is read, in bytes; a rule text may have 64 kB, percent-encoded three times that."""

_JSON: Final = "application/json"
_PROBLEM: Final = "application/problem+json"
_PREFIXES: Final = ("/api", "/api/v1")


def application(service: FlowService) -> Starlette:
    """The ASGI application: the API under both prefixes, operations, and the page."""
    gateway = _Gateway(service)
    routes: list[BaseRoute] = [
        Route(prefix + path, endpoint, methods=["GET"])
        for prefix in _PREFIXES
        for path, endpoint in (
            ("/flow", gateway.flow),
            ("/flow/filters/catalog", gateway.catalog),
            ("/flow/stream", gateway.stream),
            ("/flow/{id}", gateway.row),
        )
    ]
    routes += [
        Route("/health", gateway.health, methods=["GET"]),
        Route("/ready", gateway.ready, methods=["GET"]),
        *pages(),
    ]
    app = Starlette(routes=routes, exception_handlers={HTTPException: _http_error, Exception: _crash})
    app.add_middleware(SecureHeaders)
    return app


def _json(content: Any, status: int = 200, media_type: str = _JSON, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(content), status, {"cache-control": "no-store", **(headers or {})}, media_type)


def _refused(refusal: Refusal, headers: dict[str, str] | None = None) -> Response:
    status = ERRORS[refusal.code].status
    if status in (429, 503):
        headers = {"retry-after": "1", **(headers or {})}
    return _json(problem(refusal), status, _PROBLEM, headers)


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    if error.status_code == 405:
        refusal = Refusal("method_not_allowed", f"{request.method} is not allowed here; use GET.")
        return _refused(refusal, {"allow": (error.headers or {}).get("Allow", "GET, HEAD")})
    shown = request.url.path if len(request.url.path) <= 80 else request.url.path[:80] + "…"
    return _refused(Refusal("not_found", f"There is nothing at {shown!r}."))


async def _crash(_request: Request, _error: Exception) -> Response:
    return _refused(Refusal("internal", "The request failed inside the server; its log says why."))


class _Gateway:
    """One endpoint a method."""

    def __init__(self, service: FlowService) -> None:
        self._service = service
        self._catalog: tuple[Rules | None, bytes] = (None, b"")

    async def flow(self, request: Request) -> Response:
        asked = await self._read(request)
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

    async def row(self, request: Request) -> Response:
        asked = await self._read(request)
        if isinstance(asked, Refusal):
            return _refused(asked)
        keys = asked.request.fields
        if replace(asked.request, fields=()) != FlowRequest():  # a filter that is not heeded would widen the answer
            return _refused(
                Refusal("invalid_query", "One row takes no parameter but `fields`; /api/flow filters rows.")
            )
        found = await self._service.get(request.path_params["id"])
        if isinstance(found, Refusal):
            return _refused(found)
        row = orjson.Fragment(found.rules.encoder.encode(found.page.rows[0], found.page.as_of, keys))
        return _json({"data": row, "meta": _meta(found)})

    async def catalog(self, _request: Request) -> Response:
        status = await self._service.status()  # also sees to it that the rules are the store's
        if isinstance(status, Refusal):
            return _refused(status)
        rules = await self._service.current_rules()
        if self._catalog[0] is not rules:
            self._catalog = (rules, orjson.dumps(catalog(rules)))
        return Response(self._catalog[1], headers={"cache-control": "no-cache"}, media_type=_JSON)

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
        return _json({"sequence": watermark, "watermark": watermark, "events": events})

    async def health(self, _request: Request) -> Response:
        return _json({"status": "ok"})

    async def ready(self, _request: Request) -> Response:
        status = await self._service.status()
        log = self._service.log
        checks: dict[str, Any] = {"store": {"ok": True}, "backlog": {"ok": True}, "log": {"ok": True}}
        if isinstance(status, Refusal):
            checks = {"store": {"ok": False, "reason": status.detail}}
        else:
            checks["backlog"] |= {"rows": status.backlog, "lagSeconds": round(status.lag_s, 3)}
            if status.degraded:
                reason = f"enrichment is {status.lag_s:.0f} s behind ({status.backlog} prints wait)"
                checks["backlog"] |= {"ok": False, "reason": reason}
            if log.failure:
                checks["log"] = {"ok": False, "reason": "the tail cannot read the store now"}
        reasons = [check["reason"] for check in checks.values() if not check["ok"]]
        if reasons:
            return _json({"status": "not_ready", "checks": checks, "reason": "; ".join(reasons)}, 503)
        return _json({"status": "ready", "checks": checks})

    async def _read(self, request: Request) -> Asked | Refusal:
        query: bytes = request.scope["query_string"]
        if len(query) > MAX_QUERY:
            detail = f"The query has {len(query):,} bytes; at most {MAX_QUERY:,} are read."
            return Refusal("too_complex", detail)
        try:
            pairs = parse_qsl(query.decode("ascii"), keep_blank_values=True, errors="strict")
        except UnicodeDecodeError:
            return Refusal("invalid_query", "The query is not UTF-8, percent-encoded.")
        last_id = request.headers.get("last-event-id", "").strip()
        if last_id:
            pairs = [pair for pair in pairs if pair[0] != "watermark"] + [("watermark", last_id)]
        return await read_apart(pairs, self._service.rules.bundle)


def _meta(found: Found) -> dict[str, Any]:
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
        "plan": "store",
    }
