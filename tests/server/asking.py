"""Requests of saved queries to a running server, as a client of any language would send them."""

from __future__ import annotations

import http.client
from collections.abc import Iterator
from dataclasses import dataclass
from email.message import Message
from pathlib import Path
from typing import Any

import orjson

from tests.server.conftest import Server
from tests.server.rows import Store

PRESETS, ALERTS = "/api/flow/presets", "/api/flow/alerts"
SPY = {"symbol": "SPY", "whales": True}


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    body: bytes

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def data(self) -> Any:
        assert self.status in (200, 201), (self.status, self.body)
        return self.json["data"]

    @property
    def etag(self) -> str:
        return str(self.headers["etag"])

    @property
    def codes(self) -> list[str]:
        """Status, code and the codes of its findings, of a refusal."""
        found = self.json
        assert self.headers["content-type"] == "application/problem+json"
        assert found["status"] == self.status
        assert found["error"] == {"code": found["code"], "message": found["detail"], "details": found["errors"]}
        return [str(self.status), found["code"], *(finding["code"] for finding in found["errors"])]


def ask(server: Server, method: str, path: str, body: Any = None, **headers: str) -> Answer:
    """One request; a body that is no bytes is sent as JSON, header names have ``_`` for ``-``."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    try:
        data = body if isinstance(body, bytes | None) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, data, {"content-type": "application/json", **named})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    finally:
        connection.close()


def text(server: Server, path: str, statements: str) -> Answer:
    """An import."""
    return ask(server, "POST", path, statements.encode(), content_type="text/plain; charset=utf-8")


def saved_file(store: Store) -> Path:
    return store.path.with_name("flow.saved.sqlite")


def total(server: Server, path: str = PRESETS) -> int:
    return int(ask(server, "GET", f"{path}?limit=1").json["page"]["total"])


def walk(server: Server, path: str, limit: int) -> Iterator[list[dict[str, Any]]]:
    """The pages of a list."""
    cursor = ""
    while True:
        body = ask(server, "GET", f"{path}?limit={limit}{cursor}").json
        yield body["data"]
        if not body["page"]["hasMore"]:
            assert body["page"]["nextCursor"] is None
            return
        cursor = f"&cursor={body['page']['nextCursor']}"
