"""Older clients: they reconnect with ``watermark``, drop what is not newer, and keep rows by their id."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.server.conftest import Server
from tests.server.sse import Sse
from tests.server.writer_process import Writer


class Reference:
    """The reference live client: it reads unnamed messages and looks at nothing but their payloads."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.watermark: int | None = None
        self.flows: dict[str, Any] = {}
        self.taken: list[int] = []
        self.dropped = 0

    def follow(self, server: Server, most: int, newest: Callable[[], int]) -> None:
        """Read so many messages of a connection, or until everything was received; then leave without a word."""
        resume = "" if self.watermark is None else f"&watermark={self.watermark}"
        stream = Sse(server.port, f"{self.query}&named=0{resume}")
        assert stream.status == 200
        for _ in range(most):
            frame = stream.frame()
            if frame is None:
                break
            assert frame.event == "message"
            self.take(frame.data)
            if (self.watermark or 0) >= newest():
                break
        stream.cut()

    def take(self, payload: Any) -> None:
        if self.watermark is not None and payload["watermark"] <= self.watermark:
            self.dropped += payload["eventType"].startswith("flow.")
            return
        self.watermark = payload["watermark"]
        for flow in payload.get("data", ()):
            self.flows[flow["id"]] = flow
        if "flow" in payload:
            self.taken.append(payload["sequence"])
            self.flows[payload["flow"]["id"]] = payload["flow"]


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    made = Writer(tmp_path / "flow.sqlite", 11)
    yield made
    made.end()


@pytest.mark.parametrize("snapshot", [0, 500])
@pytest.mark.parametrize("filter_", ["right=call", "where=not%20cancelled%20and%20right=call"])
def test_it_has_every_row_once_through_kills_and_cuts(
    writer: Writer, tmp_path: Path, serve: Callable[..., Server], snapshot: int, filter_: str
) -> None:
    writer.add(200)
    server = serve(f"sqlite:{tmp_path / 'flow.sqlite'}", "--heartbeat", "0.05")
    rng = random.Random(f"{snapshot} {filter_}")
    client = Reference(f"{filter_}&snapshot={snapshot}")
    if not snapshot:
        client.watermark = 0
    for turn in range(14):
        client.follow(server, rng.choice((1, 2, 5, 20, 80)), lambda: writer.newest)
        for _ in range(rng.randrange(4)):
            writer.step()
        if turn in (4, 9):
            server.end(signal.SIGKILL)
            writer.step()
            server.start()
    while (client.watermark or 0) < writer.newest:
        client.follow(server, 500, lambda: writer.newest)
    assert client.taken == sorted(set(client.taken))
    assert client.dropped == 0  # it may drop what is old; nothing that is was sent to it
    _, body = server.get("/api/flow?right=call&limit=1000&includeCancelled=1&total=exact")
    assert body["page"]["total"] == len(body["data"])
    expected = {row["id"]: row for row in body["data"] if not row["cancelRecord"]}
    found = {id_: row for id_, row in client.flows.items() if not row["cancelRecord"]}
    if snapshot:  # what was cancelled before the snapshot was never shown
        expected = {id_: row for id_, row in expected.items() if id_ in found or not row["cancelled"]}
    assert found == expected
    assert any(row["cancelled"] for row in found.values())
