"""A receiver of webhooks as bad as they come: it drops, refuses, dawdles, and takes a message without saying so."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import random
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

__all__ = ["Receiver", "Seen"]

_CALM: Final = {"taken": 1.0}
_FLAKY: Final = {
    "taken": 0.62, "slow": 0.08, "refused": 0.10, "busy": 0.05, "dropped": 0.05, "taken in silence": 0.06,
    "never answered": 0.04,
}  # fmt: skip
"""What it does with a request, and how often."""
_SLOW_S: Final = (0.05, 0.4)


@dataclass(slots=True)
class Seen:
    """What a path was sent: bodies by message id, and which of them it said that it took."""

    bodies: dict[str, Any] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    again: int = 0
    unlike: int = 0
    """Messages that came again under their id with another body."""
    forged: int = 0
    """Messages whose signature is not that of the path's secret."""


class Receiver:
    """Listens on a port of this machine inside ``async with``; paths are those of ``secrets``."""

    def __init__(self, seed: int, hold_s: float, *, flaky: bool = True) -> None:
        self._rng = random.Random(f"{seed} receiver")
        self._ways = _FLAKY if flaky else _CALM
        self._hold_s = hold_s
        self.secrets: dict[str, str] = {}
        self.seen: dict[str, Seen] = {}
        self.did: Counter[str] = Counter()
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, backlog=512)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        while self._tasks:  # one may have begun just now
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        try:
            while await self._one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # the other end left, or the drill is over
        finally:
            writer.transport.abort()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer a request; whether the connection stays."""
        way = self._rng.choices(list(self._ways), list(self._ways.values()))[0]
        if way == "dropped":
            await reader.readline()
            self.did[way] += 1
            return False
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
        exact = dict(line.split(": ", 1) for line in head[1:] if line)
        body = await reader.readexactly(int(headers["content-length"]))
        path = head[0].split()[1]
        self.did[way] += 1
        if way == "slow":
            await asyncio.sleep(self._rng.uniform(*_SLOW_S))
        kept = way in ("taken", "slow", "taken in silence", "never answered")
        if kept:
            self._keep(path, exact, body, told=way in ("taken", "slow"))
        if way == "taken in silence":
            return False
        if way == "never answered":
            await asyncio.sleep(self._hold_s)
            return False
        status = {"refused": "500 Internal Server Error", "busy": "429 Too Many Requests"}.get(way, "204 No Content")
        more = "retry-after: 0\r\n" if way == "busy" else ""
        writer.write(f"HTTP/1.1 {status}\r\ncontent-length: 0\r\n{more}\r\n".encode())
        await writer.drain()
        return True

    def _keep(self, path: str, headers: Mapping[str, str], body: bytes, *, told: bool) -> None:
        seen = self.seen.setdefault(path, Seen())
        named = {name.lower(): value for name, value in headers.items()}
        id_, at = named["webhook-id"], named["webhook-timestamp"]
        key = base64.b64decode(self.secrets[path].removeprefix("whsec_"))
        signed = hmac.new(key, f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
        seen.forged += named["webhook-signature"] != "v1," + base64.b64encode(signed).decode()
        found = json.loads(body)
        if id_ in seen.bodies:
            seen.again += 1
            seen.unlike += seen.bodies[id_] != found
        seen.bodies[id_] = found
        if told:
            seen.taken.add(id_)
