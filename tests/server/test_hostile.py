"""A seeded share of ``python -m drills hostile``; its judge sees faults; a request has so long to come."""

from __future__ import annotations

import asyncio
import http.client
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn

from drills import hostile
from drills._hostile import Hostile
from phenix.server.rest.protocol import Protocol


def test_what_nobody_should_send_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    found = asyncio.run(hostile.attack(tmp_path, requests=250, calls=40, slow=0, prints=300, seed=7))
    assert found.faults == []
    assert found.statuses["400"] > 50
    assert found.methods >= 15
    assert found.calls["INVALID_ARGUMENT"] > 5


PROBLEM = b"HTTP/1.1 400 x\r\ncontent-type: application/problem+json\r\n\r\n"


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 500 x\r\ncontent-type: application/problem+json\r\n\r\n{}",
        b"HTTP/1.1 404 x\r\ncontent-type: text/plain\r\n\r\nNot Found",
        PROBLEM + b'{"code":"oops","status":400,"detail":"x"}',
        PROBLEM + b'{"code":"not_found","status":400,"detail":"x"}',
    ],
)
def test_a_fault_is_seen(answer: bytes) -> None:
    figures = hostile.Figures()
    hostile._judge(Hostile("query", b"GET / HTTP/1.1\r\n\r\n"), answer, figures)
    assert len(figures.faults) == 1


class Hasty(Protocol):
    request_s = 0.5


async def _echo(scope: dict[str, Any], receive: Any, send: Any) -> None:
    while scope["type"] == "http" and (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


@pytest.fixture(scope="module")
def hasty() -> Iterator[int]:
    """A port where a request has half a second."""
    server = uvicorn.Server(uvicorn.Config(_echo, http=Hasty, ws="none", lifespan="off", log_config=None))  # type: ignore[arg-type]
    sock = socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=asyncio.run, args=(server.serve([sock]),))
    thread.start()
    yield sock.getsockname()[1]
    server.should_exit = True
    thread.join()
    sock.close()


@pytest.mark.parametrize(
    ("sent", "said"),
    [
        (b"GET / HTTP/1.1\r\nhost: x\r\nx: ", b" 408 "),
        (b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 9999\r\n\r\n", b""),
        (b"", b""),
        (b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HTTP/1.1\r\nx: ", b" 408 "),
    ],
    ids=["head", "body", "nothing", "second"],
)
def test_a_request_that_comes_byte_by_byte_is_cut(hasty: int, sent: bytes, said: bytes) -> None:
    with socket.create_connection(("127.0.0.1", hasty), timeout=10) as slow:
        slow.sendall(sent)
        slow.settimeout(0.1)
        began, held, ended = time.monotonic(), b"", False
        while not ended and time.monotonic() - began < 8:
            try:
                if sent:
                    slow.sendall(b"x")
                chunk = slow.recv(65_536)
                held, ended = held + chunk, not chunk
            except TimeoutError:
                continue
            except ConnectionError:
                ended = True
        assert ended
        assert said in held
        assert time.monotonic() - began >= 0.4


def test_a_connection_that_asks_again_and_again_is_kept(hasty: int) -> None:
    with socket.create_connection(("127.0.0.1", hasty), timeout=10) as client:
        began, answers = time.monotonic(), 0
        while time.monotonic() - began < 1.5:
            client.sendall(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}")
            answer = http.client.HTTPResponse(client)
            answer.begin()
            assert answer.read() == b"ok"
            answers += 1
        assert answers > 10
