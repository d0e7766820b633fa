"""A receiver of webhooks: a real HTTP server that answers as it is told to, and remembers what it was sent."""

from __future__ import annotations

import json
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

PATIENCE_S = 60.0


@dataclass
class Sent:
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Receiver:
    """Answers ``status`` with ``headers``, while ``answers`` is set (only paths ``late`` wait for it, where any are
    named); enter it to listen.

    With ``tls`` it is a proxy, too: to who connects through it, it is the host they ask for.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    tls: ssl.SSLContext | None = None
    hosts: list[str] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    answers: threading.Event = field(default_factory=threading.Event)
    late: set[str] = field(default_factory=set)

    def __enter__(self) -> Self:
        came = self._came = threading.Condition()
        self.answers.set()
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                with came:
                    receiver.sent.append(Sent(self.path, {k.lower(): v for k, v in self.headers.items()}, body))
                    status, headers = receiver.status, receiver.headers
                    came.notify_all()
                if not receiver.late or self.path in receiver.late:
                    receiver.answers.wait(PATIENCE_S)
                self.send_response(status)
                for name, value in {**headers, "content-length": "0"}.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_CONNECT(self) -> None:
                assert receiver.tls is not None
                receiver.hosts.append(self.path)
                self.send_response(200)
                self.end_headers()
                self.connection = receiver.tls.wrap_socket(self.connection, server_side=True)
                self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
                self.close_connection = False

            def finish(self) -> None:
                super().finish()
                self.connection.close()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.answers.set()
        self._server.shutdown()
        self._server.server_close()

    def until(self, count: int) -> list[Sent]:
        """What it was sent, once that is as much."""
        with self._came:
            assert self._came.wait_for(lambda: len(self.sent) >= count, PATIENCE_S), self.sent
            return list(self.sent)


def until(found: Callable[[], Any]) -> Any:
    """What is found, once it is something; for what tells nobody when it happens."""
    end = time.monotonic() + PATIENCE_S
    while not (value := found()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return value
