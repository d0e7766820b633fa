"""A client of Server-Sent Events over a plain socket, so that it can be cut anywhere."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

import orjson


@dataclass(frozen=True)
class Frame:
    event: str
    id: int
    data: Any


class Sse:
    """One connection; frames are read one by one, None at its end."""

    def __init__(self, port: int, query: str = "", last_id: int | None = None, *, receive: int = 0) -> None:
        self._socket = socket.socket()
        if receive:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
        self._socket.settimeout(30)
        self._socket.connect(("127.0.0.1", port))
        header = "" if last_id is None else f"Last-Event-ID: {last_id}\r\n"
        self._socket.sendall(f"GET /api/flow/stream?{query} HTTP/1.1\r\nHost: localhost\r\n{header}\r\n".encode())
        self._file = self._socket.makefile("rb")
        self.status = int(self._file.readline().split()[1])
        while self._file.readline() not in (b"\r\n", b""):
            pass
        self._buffer = b""

    def frame(self) -> Frame | None:
        """The next frame with data."""
        while True:
            head, found, rest = self._buffer.partition(b"\n\n")
            if not found:
                size = self._file.readline()  # of a chunk
                chunk = self._file.read(int(size, 16)) if size.strip() else b""
                if not chunk:
                    return None
                self._file.readline()
                self._buffer += chunk
                continue
            self._buffer = rest
            fields = dict(line.split(": ", 1) for line in head.decode().split("\n"))
            if "data" in fields:
                return Frame(fields.get("event", "message"), int(fields["id"]), orjson.loads(fields["data"]))

    def cut(self) -> None:
        """Leave without a word."""
        self._file.close()
        self._socket.close()
