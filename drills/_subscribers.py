"""Subscribers of a stream that leave, are slow or are cut, and resume after the last whole frame they have."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Final
from urllib.parse import urlencode

import orjson

from drills._processes import DiedError
from phenix.client import Client
from phenix.server._pb import flow_pb2

__all__ = ["SNAPSHOT", "Figures", "Grpc", "Proxy", "Sse", "Subscriber", "Told"]

SNAPSHOT: Final = 20
_KINDS: Final = {flow_pb2.EVENT_KIND_UPDATED: "flow.updated", flow_pb2.EVENT_KIND_RETRACTED: "flow.retracted"}
_GONE: Final = (OSError, asyncio.IncompleteReadError, ValueError)
"""What a connection that was cut ends with; a chunk's size cut short is no number."""

Told = tuple[int, str, int]
"""Seq of an event, its kind, and the seq of its row."""


@dataclass(slots=True)
class Figures:
    """What came of a run; from ``lost`` to ``rules_untold`` all must be 0."""

    clients: int = 0
    rows: int = 0
    cancels: int = 0
    restarts: int = 0
    kills: int = 0
    connections: int = 0
    left: int = 0
    cut_by_proxy: int = 0
    replayed: int = 0
    events: int = 0
    snapshots: int = 0
    lost: int = 0
    extra: int = 0
    disordered: int = 0
    snapshots_unlike: int = 0
    rules_untold: int = 0
    seconds: float = field(default=0.0, compare=False)

    @property
    def wrong(self) -> dict[str, int]:
        """What did not hold."""
        found = asdict(self)
        names = list(found)
        return {name: found[name] for name in names[names.index("lost") : names.index("seconds")] if found[name]}


class Subscriber:
    """One client: its filter, what it was told so far, and how it behaves."""

    def __init__(self, rng: random.Random, where: str, figures: Figures) -> None:
        self.rng, self.where, self.figures = rng, where, figures
        self.with_cancelled = rng.random() < 0.2
        self.slow = rng.random() < 0.1
        self.behind_proxy = rng.random() < 0.5
        self.fleeting = rng.random() < 0.6
        self.begun: int | None = None if rng.random() < 0.3 else 0
        """The seq it begins after; None until a snapshot has told it."""
        self.position = 0
        self.joined = False
        self.told: list[Told] = []
        self.snapshot: list[int] = []
        self.rules: set[tuple[int, str]] = set()

    def __str__(self) -> str:
        cancelled = " with cancelled rows" if self.with_cancelled else ""
        return f"{type(self).__name__} after {self.begun}{cancelled} where {self.where}"

    async def follow(self, ports: dict[str, int], upto: Callable[[], int | None]) -> None:
        """Until it has everything up to what ``upto`` says once that is known."""
        raise NotImplementedError

    async def pause(self) -> None:
        """After each thing that came, where it is slow."""
        if self.slow and self.rng.random() < 0.3:
            await asyncio.sleep(0.02)

    def lifetime(self, last: int | None) -> float:
        """How often its position moves on before it leaves; it stays once the last seq is known."""
        return self.rng.choice((1, 3, 10, 40)) if self.fleeting and last is None else float("inf")


class Sse(Subscriber):
    """Over SSE, on a plain socket."""

    async def follow(self, ports: dict[str, int], upto: Callable[[], int | None]) -> None:
        """Until it has everything up to what ``upto`` says once that is known."""
        batch = str(self.rng.randrange(2))
        while (last := upto()) is None or self.position < last:
            with contextlib.suppress(*_GONE):
                await self._connection(ports["proxy" if self.behind_proxy else "serve"], batch, upto)
            await asyncio.sleep(self.rng.uniform(0.02, 0.3))

    async def _connection(self, port: int, batch: str, upto: Callable[[], int | None]) -> None:
        sock = socket.socket()
        if self.slow:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        sock.setblocking(False)
        try:
            await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        except BaseException:
            sock.close()
            raise
        reader, writer = await asyncio.open_connection(sock=sock)
        try:
            query = {"where": self.where, "batch": batch, "snapshot": SNAPSHOT,
                     "includeCancelled": int(self.with_cancelled)}  # fmt: skip
            resume = "" if self.begun is None else f"Last-Event-ID: {self.position}\r\n"
            path = f"/api/flow/stream?{urlencode(query)}"
            writer.write(f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{resume}\r\n".encode())
            head = await reader.readuntil(b"\r\n\r\n")
            if b" 200 " not in head:
                raise DiedError(f"serve refused {path}: {head.decode()}")
            self.figures.connections += 1
            self.joined = True
            left, whole = self.lifetime(upto()), b""
            while left > 0:
                size = int(await reader.readline(), 16)
                whole += (await reader.readexactly(size + 2))[:-2]
                *frames, whole = whole.split(b"\n\n")
                for frame in frames:
                    before = self.position
                    self._take(frame)
                    left -= self.position > before
                    if left <= 0:
                        break
                last = upto()
                if last is not None and self.position >= last:
                    return
                await self.pause()
            self.figures.left += 1
        finally:
            writer.transport.abort()

    def _take(self, frame: bytes) -> None:
        lines = dict(line.split(b": ", 1) for line in frame.split(b"\n"))
        if b"data" not in lines:
            return
        data, kind = orjson.loads(lines[b"data"]), lines[b"event"].decode()
        self.position = int(lines[b"id"])
        match kind:
            case "flow.snapshot":
                self.begun, self.snapshot = self.position, [row["seq"] for row in data["data"]]
            case "rules":
                self.rules.add((self.position, data["ruleVersion"]))
            case "progress":
                self.figures.replayed += data.get("reason") == "slow_reader"
            case "flow.updated" | "flow.retracted":
                for event in data.get("events", [data]):
                    self.told.append((event["sequence"], event["eventType"], event["flow"]["seq"]))


class Grpc(Subscriber):
    """Over gRPC, by the client of the package."""

    async def follow(self, ports: dict[str, int], upto: Callable[[], int | None]) -> None:
        """As over SSE; the client of the package resumes by itself until this one leaves."""
        while (last := upto()) is None or self.position < last:
            async with Client(f"127.0.0.1:{ports['grpc']}") as client:
                self.figures.connections += 1
                left = self.lifetime(upto())
                subscription = client.subscribe(
                    self.where, include_cancelled=self.with_cancelled, snapshot=SNAPSHOT,
                    after_seq=None if self.begun is None else self.position,
                )  # fmt: skip
                async for response in subscription.responses():
                    self.joined = True
                    before = self.position
                    self._take(response)
                    left -= self.position > before
                    last = upto()
                    if left <= 0 or (last is not None and self.position >= last):
                        break
                    await self.pause()
                self.figures.left += left <= 0

    def _take(self, response: flow_pb2.SubscribeResponse) -> None:
        self.position = response.watermark
        match response.WhichOneof("content"):
            case "snapshot":
                self.begun, self.snapshot = self.position, [row.seq for row in response.snapshot.rows]
            case "rules":
                self.rules.add((self.position, response.rules.version))
            case "progress":
                self.figures.replayed += response.progress.replaying
            case "events":
                self.told += [(event.sequence, _KINDS[event.kind], event.row.seq) for event in response.events.events]


class Proxy:
    """Passes bytes both ways, and cuts each connection after some of them."""

    def __init__(self, rng: random.Random, port: int, figures: Figures) -> None:
        self._rng, self._port, self._figures = rng, port, figures
        self._connections: set[asyncio.Task[None]] = set()

    async def listen(self) -> int:
        """Begin; returns the port."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        return int(self._server.sockets[0].getsockname()[1])

    async def close(self) -> None:
        """Cut every connection."""
        self._server.close()
        for task in self._connections:
            task.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            inner, outer = await asyncio.open_connection("127.0.0.1", self._port)
        except OSError:
            writer.transport.abort()
            return
        left = int(self._rng.expovariate(1 / 600_000)) + 1
        asking = asyncio.create_task(_pass_on(reader, outer))
        try:
            while left > 0 and (data := await inner.read(min(left, 4096))):
                left -= len(data)
                writer.write(data)
                await writer.drain()
            self._figures.cut_by_proxy += left <= 0
        except OSError:
            pass
        finally:
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)
            for one in (writer, outer):
                one.transport.abort()


async def _pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(4096):
            writer.write(data)
        writer.transport.abort()  # who asked is gone
