"""The document of the API says what is there and how it answers, and the page shows it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from starlette.routing import Route

from phenix.app import service
from phenix.engine.encode import ROW_KEYS
from phenix.server.auth import open_access
from phenix.server.errors import ERRORS
from phenix.server.params import PARAMETERS
from phenix.server.rest.routes import application
from tests.server.asking import Answer, ask
from tests.server.conftest import Server
from tests.server.rows import Store
from tests.server.schema import faults

SAVED = {"name": "mine", "payload": {"symbol": "SPY", "calls": True}}
TEXT = {"text": "value >= 5m or @whales"}
IMPORTED = b"query imported where @calls"


@pytest.fixture(scope="module")
def api(session: tuple[Store, Server]) -> tuple[Server, dict[str, Any]]:
    server = session[1]
    return server, server.get("/api/openapi.json")[1]


def _fits(document: dict[str, Any], path: str, method: str, answer: Answer) -> None:
    """An answer is one of those the document has for the operation."""
    found = document["paths"][path][method.lower()]["responses"][str(answer.status)]
    media = (answer.headers["content-type"] or "").partition(";")[0]
    if "content" not in found:
        assert answer.body == b""
        return
    schema = found["content"][media]["schema"]
    value = answer.json if media.endswith("json") else answer.body.decode()
    assert [*faults(value, schema, document)] == [], f"{method} {path}"


def test_the_document_and_the_application_have_the_same_routes(tmp_path: Path, api: tuple[Server, Any]) -> None:
    store = Store(tmp_path / "flow.sqlite")
    app = application(service(store.url), open_access("127.0.0.1", None, (None, None), (0, 0)))
    served: set[tuple[str, str]] = set()
    for route in app.routes:
        if isinstance(route, Route) and route.path != "/":
            methods = route.endpoint.methods if hasattr(route.endpoint, "methods") else route.methods
            served |= {(route.path, method) for method in methods if method != "HEAD"}
    described = {(path, method.upper()) for path, methods in api[1]["paths"].items() for method in methods}
    assert described == served
    for path, method in described:
        if path.startswith("/api/v1/"):
            assert (path.replace("/v1", "", 1), method) in described
    store.close()


def test_every_route_answers_as_the_document_says(api: tuple[Server, dict[str, Any]]) -> None:
    server, document = api
    row = server.get("/api/flow?limit=1")[1]["data"][0]["id"]
    for path, methods in document["paths"].items():
        kind = "alerts" if "/alerts" in path else "presets"
        for method in methods:
            id_ = ask(server, "POST", f"/api/flow/{kind}", SAVED).data["id"] if kind in path else row
            asked = path.replace("{id}", id_)
            query = "?transport=json" if path.endswith("/stream") else ""
            body = None if method == "get" else TEXT if "/dsl/" in path else SAVED
            _fits(document, path, method, ask(server, method.upper(), asked + query, body))
            if "{id}" in path or method != "get":
                _fits(document, path, method, ask(server, method.upper(), path.replace("{id}", "no"), b"{"))
            if PARAMETERS["fields"].name in str(methods[method].get("parameters")):
                refused = ask(server, method.upper(), asked + "?limt=x&where=" + quote("valu >"))
                assert refused.codes[:2] == ["400", "invalid_query"]
                _fits(document, path, method, refused)
    _fits(
        document,
        "/api/flow/presets",
        "POST",
        ask(server, "POST", "/api/flow/presets", IMPORTED, content_type="text/plain"),
    )
    for what in ("explain", "estimate", "format"):
        path = f"/api/dsl/{what}"
        answer = ask(server, "POST", path, {"text": "@urgent and value >= $whales_min and cancelled"})
        assert answer.status == 200
        _fits(document, path, "POST", answer)
    page = ask(server, "GET", f"/api/flow?fields=id,{ROW_KEYS[3]}")
    _fits(document, "/api/flow", "GET", page)


def test_nothing_of_the_tables_is_left_out(api: tuple[Server, dict[str, Any]]) -> None:
    document = api[1]
    shared = document["components"]["parameters"]
    assert {name: shared[name]["description"] for name in PARAMETERS} == {p.name: p.doc for p in PARAMETERS.values()}
    assert list(document["components"]["schemas"]["Row"]["properties"]) == list(ROW_KEYS)
    told = {status for methods in document["paths"].values() for one in methods.values() for status in one["responses"]}
    said = {error.status for code, error in ERRORS.items() if code != "method_not_allowed"}
    assert {int(status) for status in told} == said | {200, 201, 202, 204, 304}
    ids = [one["operationId"] for methods in document["paths"].values() for one in methods.values()]
    assert len(set(ids)) == len(ids)


def _listed(document: dict[str, Any], path: str) -> list[str]:
    """The parameters that a GET lists for its query."""
    shared = document["components"]["parameters"]
    found = [
        shared[p["$ref"].rpartition("/")[2]] if "$ref" in p else p
        for p in document["paths"][path]["get"].get("parameters", ())
    ]
    return [p["name"] for p in found if p["in"] == "query"]


def test_an_operation_takes_what_it_lists_and_refuses_every_other(api: tuple[Server, dict[str, Any]]) -> None:
    server, document = api
    row = server.get("/api/flow?limit=1")[1]["data"][0]["id"]
    for path in document["paths"]:
        if not path.startswith("/api/flow") or "get" not in document["paths"][path] or path.endswith("export"):
            continue
        if "/presets" in path or "/alerts" in path:
            continue
        listed = _listed(document, path)
        asked = path.replace("{id}", row)
        for name in PARAMETERS:
            more = "&transport=json" if path.endswith("/stream") and name != "transport" else ""
            value = "json" if name == "transport" else "1" if name == "batch" else ""
            status, body = server.get(f"{asked}?{name}={value}{more}")
            refused = [found["code"] for found in body.get("errors", ()) if found["source"] == name]
            assert (refused == ["PHX406"]) is (name not in listed), (path, name, body)
            assert status == 400 or name in listed, (path, name)
    every = list(PARAMETERS)
    streams = ["snapshot", "watermark", "batch", "named", "transport"]
    pages = ["sortBy", "sortOrder", "cursor", "total", "shadow", "rules"]
    assert _listed(document, "/api/flow") == [name for name in every if name not in streams]
    assert _listed(document, "/api/flow/historical") == _listed(document, "/api/flow")
    for path in ("/api/flow/summary", "/api/flow/facets"):
        assert _listed(document, path) == [name for name in every if name not in (*streams, *pages, "fields")]
    assert _listed(document, "/api/flow/stream") == [name for name in every if name not in (*pages, "limit")]
    assert _listed(document, "/api/flow/{id}") == ["fields"]
    assert _listed(document, "/api/flow/{id}/why") == []


def test_headers_that_are_listed_are_heeded(api: tuple[Server, dict[str, Any]]) -> None:
    server, document = api
    one = document["paths"]["/api/flow/presets/{id}"]

    def heard(method: str) -> set[str]:
        return {p["name"] for p in one[method]["parameters"] if p.get("in") == "header"}

    made = ask(server, "POST", "/api/flow/presets", SAVED)
    created = document["paths"]["/api/flow/presets"]["post"]["responses"]["201"]["headers"]
    assert set(created) == {"ETag", "Location"}
    assert all(made.headers[name] for name in created)
    path = f"/api/flow/presets/{made.data['id']}"
    assert heard("get") == {"If-None-Match"}
    assert set(one["get"]["responses"]["304"]["headers"]) == {"ETag"}
    unchanged = ask(server, "GET", path, If_None_Match=made.etag)
    assert (unchanged.status, unchanged.etag) == (304, made.etag)
    for method in ("put", "delete"):
        assert heard(method) == {"If-Match", "If-None-Match"}
        body = SAVED if method == "put" else None
        for headers in ({"If_Match": '"other"'}, {"If_None_Match": "*"}):
            assert ask(server, method.upper(), path, body, **headers).status == 412
    listed = document["paths"]["/api/flow/stream"]["get"]["parameters"]
    assert [p["name"] for p in listed if p.get("in") == "header"] == ["Last-Event-ID"]


def test_numbers_of_parameters_are_those_that_are_read(api: tuple[Server, dict[str, Any]]) -> None:
    server, document = api
    bounded = {
        p["name"]: p["schema"]["minimum"]
        for p in document["components"]["parameters"].values()
        if "minimum" in p["schema"]
    }
    assert {"limit": 1, "sessions": 1, "snapshot": 0}.items() <= bounded.items()
    for name, low in bounded.items():
        path = "/api/flow?" if name in _listed(document, "/api/flow") else "/api/flow/stream?transport=json&"
        assert server.get(f"{path}{name}={low}")[0] == 200, name
        status, body = server.get(f"{path}{name}={low - 1}")
        assert (status, body["errors"][0]["code"]) == (400, "PHX402"), name


def test_what_holds_nothing_fits_where_it_counts_for_nothing(api: tuple[Server, dict[str, Any]]) -> None:
    server, document = api
    schemas = {name: found["schema"] for name, found in document["components"]["parameters"].items()}
    lists = [name for name, schema in schemas.items() if schema.get("type") == "array"]
    assert lists == [parameter.name for parameter in PARAMETERS.values() if parameter.csv]
    for name in lists:
        for text in ("", " ", ",", " ,"):
            assert server.get(f"/api/flow?{name}={quote(text)}")[0] == 200, (name, text)
            assert [*faults(text.split(","), schemas[name], document)] == [], (name, text)
    assert server.get("/api/flow?symbol=%20-%20spy%20")[0] == 200
    assert [*faults([" - spy "], schemas["symbol"], document)] == []
    body = document["components"]["schemas"]["SavedBody"]
    for made, status in (
        ({"whatever": None}, 201), ({"whatever": "", "symbol": "SPY"}, 201), ({"payload": {"": []}}, 201),
        ({"payload": SAVED["payload"], "id": "x", "where": "", "createdAt": 1}, 201),
        ({"whatever": 0}, 422), ({"payload": {"": False}}, 422), ({"payload": {}, "whatever": None}, 422),
    ):  # fmt: skip
        assert ask(server, "POST", "/api/flow/presets", made).status == status, made
        assert (not [*faults(made, body, document)]) is (status == 201), made


def test_the_page_shows_every_operation_and_needs_nothing_from_elsewhere(api: tuple[Server, dict[str, Any]]) -> None:
    server, document = api
    answer = ask(server, "GET", "/docs")
    text = answer.body.decode()
    assert answer.headers["content-security-policy"].startswith("default-src 'self'")
    for path, methods in document["paths"].items():
        for method in methods:
            shown = f'id="{method}{path}"' in text
            assert shown is not path.startswith("/api/v1/"), path
    for name in PARAMETERS:
        assert f"<code>{name}</code>" in text
    anchors = set(re.findall(r'id="([^"]+)"', text))
    links = set(re.findall(r'(?:href|src)="([^"]+)"', text))
    assert {link[1:] for link in links if link.startswith("#")} <= anchors
    assert {link for link in links if not link.startswith("#")} == {"/docs.css", "/api/openapi.json"}
    assert "<code>page.nextCursor</code>" in text
    assert "`" not in text
    assert "<script" not in text
    assert "style=" not in text
    assert ask(server, "GET", "/docs.css").headers["content-type"].startswith("text/css")
