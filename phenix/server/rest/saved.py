"""Saved queries over REST: one table of routes for presets and alerts, under both prefixes."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from phenix.engine.encode import ts_text
from phenix.engine.query.request import DEFAULT_LIMIT, Refusal
from phenix.engine.store.saved import Entry, Kind
from phenix.server.params import read_settings
from phenix.server.reading import Parameter
from phenix.server.rest.answers import answered, refused
from phenix.server.rest.bodies import read_bytes
from phenix.server.rest.operations import JSON, Operation
from phenix.server.rest.query import read_pairs
from phenix.server.saved_body import OPTIONS, decode, read_body
from phenix.server.saved_view import View
from phenix.server.service import FlowService

__all__ = ["SAVED_ROUTES", "SavedRoute", "saved_routes"]

Table = Mapping[str, Parameter]


_KINDS: Final[tuple[Kind, ...]] = ("preset", "alert")
_TAG: Final = re.compile(r'(W/)?("[^"]*")')


class SavedRoute(NamedTuple):
    """A row of the table: a method of a path, the endpoint that answers it, its parameters, and what it does.

    The rest is as of an operation.
    """

    method: str
    path: str
    endpoint: str
    parameters: tuple[str, ...]
    doc: str
    answer: str = ""
    refuses: tuple[str, ...] = ()
    body: Mapping[str, str] = {}
    media: tuple[str, ...] = (JSON,)
    statuses: tuple[int, ...] = (200,)
    hears: tuple[str, ...] = ()
    tells: tuple[str, ...] = ()


_STATEMENTS: Final = "text/plain"
_VERSION: Final = ("payloadVersion",)
_CHANGED: Final = ("precondition_failed",)
_MATCHES: Final = ("If-Match", "If-None-Match")
_TAGGED: Final = ("ETag",)
SAVED_ROUTES: Final = (
    SavedRoute("GET", "", "page", tuple(OPTIONS), "A page of entries, in the order they were made.", "SavedPage",
               ("cursor_mismatch",)),
    SavedRoute("POST", "", "create", _VERSION, "Saves a filter (201, `Location`), or each statement of a text.",
               "SavedMade", body={JSON: "SavedBody", _STATEMENTS: ""}, statuses=(201,),
               tells=("ETag", "Location")),
    SavedRoute("GET", "/export", "export", (), "All entries as `.phx` text.", media=(_STATEMENTS,)),
    SavedRoute("GET", "/{id}", "get", _VERSION, "One entry with its `ETag`; 304 for an `If-None-Match` that names it.",
               "SavedOne", statuses=(200, 304), hears=("If-None-Match",), tells=_TAGGED),
    SavedRoute("PUT", "/{id}", "update", _VERSION, "Puts another there, 412 unless `If-Match`, if any, names it.",
               "SavedOne", _CHANGED, {JSON: "SavedBody"}, hears=_MATCHES, tells=_TAGGED),
    SavedRoute("DELETE", "/{id}", "remove", (), "Removes it (204), 412 unless `If-Match`, if any, names it.", "",
               _CHANGED, statuses=(204,), hears=_MATCHES),
    SavedRoute("GET", "/{id}/export", "export", (), "One entry as `.phx` text.", media=(_STATEMENTS,)),
)  # fmt: skip
"""Below `/flow/presets` and `/flow/alerts`."""


def saved_routes(service: FlowService, *, legacy: bool) -> list[Operation]:
    """What answers each row; with ``legacy`` a payload is read in the older form unless another is asked for."""
    found: list[Operation] = []
    for kind in _KINDS:
        gateway = _Saved(service, kind, legacy=legacy)
        for route in SAVED_ROUTES:
            takes = {name: OPTIONS[name] for name in route.parameters}
            found.append(
                Operation(
                    route.method,
                    f"/flow/{kind}s{route.path}",
                    partial(getattr(gateway, route.endpoint), takes),
                    route.doc,
                    route.answer,
                    takes,
                    (*route.refuses, "unavailable"),
                    route.body,
                    route.media,
                    route.statuses,
                    hears=route.hears,
                    tells=route.tells,
                )
            )
    return found


class _Saved:
    """One endpoint a method, for one kind."""

    def __init__(self, service: FlowService, kind: Kind, *, legacy: bool) -> None:
        self._service = service
        self._saved = service.saved
        self._kind: Kind = kind
        self._legacy = legacy

    async def page(self, table: Table, request: Request) -> Response:
        options = self._options(request, table)
        if isinstance(options, Refusal):
            return refused(options)
        limit = options.get("limit", DEFAULT_LIMIT)
        found = await self._saved.page(self._kind, limit, options.get("cursor", ""))
        if isinstance(found, Refusal):
            return refused(found)
        views = await self._saved.views(found.entries, self._service.rules.bundle, legacy=options["legacy"])
        about = {"limit": limit, "hasMore": found.next_cursor is not None, "nextCursor": found.next_cursor,
                "total": found.total}  # fmt: skip
        return answered({"data": [_shown(view) for view in views], "page": about})

    async def get(self, table: Table, request: Request) -> Response:
        options = self._options(request, table)
        found = options if isinstance(options, Refusal) else await self._saved.get(self._kind, _id(request))
        if isinstance(options, Refusal) or isinstance(found, Refusal):
            return refused(found)  # type: ignore[arg-type] # one of the two is a refusal
        if (known := _matcher(request, "if-none-match", weak=True)) is not None and known(found.etag):
            return Response(status_code=304, headers=_headers(found))
        return await self._answer(found, legacy=options["legacy"])

    async def create(self, table: Table, request: Request) -> Response:
        ready = await self._ready(request, table)
        if isinstance(ready, Refusal):
            return refused(ready)
        options, data, bundle = ready
        plain = request.headers.get("content-type", "").startswith(_STATEMENTS)
        if plain and not data.lstrip().startswith((b"{", b'"', b"[")):  # what a browser sends of a text that is JSON
            return await self._take_in(data, bundle, legacy=options.get("legacy", False))
        body = read_body(data)
        made = body if isinstance(body, Refusal) else await self._saved.create(self._kind, body, bundle)
        if isinstance(made, Refusal):
            return refused(made)
        place = {"location": f"{request.url.path.rstrip('/')}/{made.id}"}
        return await self._answer(made, legacy=options.get("legacy", False), status=201, headers=place)

    async def _take_in(self, data: bytes, bundle: Any, *, legacy: bool) -> Response:
        text = decode(data)
        made = text if isinstance(text, Refusal) else await self._saved.take_in(self._kind, text, bundle)
        if isinstance(made, Refusal):
            return refused(made)
        views = await self._saved.views(made, bundle, legacy=legacy)
        return answered({"data": [_shown(view) for view in views]}, 201)

    async def update(self, table: Table, request: Request) -> Response:
        ready = await self._ready(request, table)
        if isinstance(ready, Refusal):
            return refused(ready)
        options, data, bundle = ready
        body, matches = read_body(data), _precondition(request)
        made = (
            body
            if isinstance(body, Refusal)
            else await self._saved.update(self._kind, _id(request), body, bundle, matches)
        )
        if isinstance(made, Refusal):
            return refused(made)
        return await self._answer(made, legacy=options.get("legacy", False))

    async def remove(self, table: Table, request: Request) -> Response:
        refusal = self._own(request) or self._options(request, table)
        if isinstance(refusal, Refusal):
            return refused(refusal)
        gone = await self._saved.remove(self._kind, _id(request), _precondition(request))
        return refused(gone) if isinstance(gone, Refusal) else Response(status_code=204)

    async def export(self, table: Table, request: Request) -> Response:
        options = self._options(request, table)
        id_ = request.path_params.get("id")
        text = options if isinstance(options, Refusal) else await self._saved.export(self._kind, id_)
        if isinstance(text, Refusal):
            return refused(text)
        name = f"{id_ or self._kind + 's'}.phx"
        headers = {"content-disposition": f'attachment; filename="{name}"', "cache-control": "no-store"}
        return PlainTextResponse(text, headers=headers)

    async def _answer(
        self, entry: Entry, *, legacy: bool, status: int = 200, headers: Mapping[str, str] = {}
    ) -> Response:
        (view,) = await self._saved.views([entry], self._service.rules.bundle, legacy=legacy)
        return answered({"data": _shown(view)}, status, headers={**_headers(entry), **headers})

    def _options(self, request: Request, table: Table) -> dict[str, Any] | Refusal:
        """The settings that the parameters are, ``legacy`` as the prefix has it when nothing is said."""
        pairs = read_pairs(request)
        if isinstance(pairs, Refusal):
            return pairs
        options = read_settings(pairs, self._service.rules.bundle, table)
        if isinstance(options, Refusal) or request.method not in ("GET", "HEAD"):
            return options
        return {"legacy": self._legacy, **options}

    def _own(self, request: Request) -> Refusal | None:
        """A refusal of what a page of somebody else's makes a browser send."""
        if request.headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
            return None
        return Refusal("forbidden", "A page from elsewhere may not change what is saved here.")

    async def _ready(self, request: Request, table: Table) -> tuple[dict[str, Any], bytes, Any] | Refusal:
        """Settings, body and active rules of a change."""
        options = self._own(request) or self._options(request, table)
        if isinstance(options, Refusal):
            return options
        data = await read_bytes(request)
        if isinstance(data, Refusal):
            return data
        bundle = await self._service.active_bundle()
        return bundle if isinstance(bundle, Refusal) else (options, data, bundle)


def _id(request: Request) -> str:
    return str(request.path_params["id"])


def _precondition(request: Request) -> Callable[[str], bool] | None:
    """Whether a tag is the one that is to be changed; what is there is never put there for the first time."""
    if request.headers.get("if-none-match", "").strip() == "*":
        return lambda _: False
    return _matcher(request, "if-match")


def _matcher(request: Request, header: str, *, weak: bool = False) -> Callable[[str], bool] | None:
    """Whether a tag is among those a header names; None without the header."""
    values = request.headers.getlist(header)
    if not values:
        return None
    text = ",".join(values).strip()
    if text == "*":
        return lambda _: True
    tags = {match[2] for match in _TAG.finditer(text) if weak or not match[1]}
    return lambda etag: etag in tags


def _headers(entry: Entry) -> dict[str, str]:
    return {"etag": entry.etag, "cache-control": "no-cache"}


def _shown(view: View) -> dict[str, Any]:
    entry = view.entry
    return {
        "id": entry.id,
        "name": entry.name,
        "payloadVersion": "legacy" if view.legacy else "v2",
        "payload": orjson.Fragment(view.payload),
        "queryDslV2": orjson.Fragment(entry.v2_json),
        "where": entry.where,
        "fidelity": view.fidelity,
        "reasons": view.reasons,
        "ruleVersion": entry.rule_version,
        "createdAt": ts_text(entry.created_at),
        "updatedAt": ts_text(entry.updated_at),
    }
