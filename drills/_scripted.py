"""A terminal that says what it is told to say, and a loop whose time is told, too.

Both its sides are real sockets, served by the loop the listening worker runs in. Nothing passes by itself: frames are
sent one by one, and the clock stands until it is moved, so that what a test does and what must follow are exact.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Final, Self
from urllib.parse import parse_qsl

import orjson
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

from phenix.engine.enrich.clock import et_of, wall_of
from phenix.ingest.terminal.encoder import Encoder
from phenix.ingest.terminal.events import OpenInterest, Print
from phenix.ingest.terminal.layouts import (
    CONTRACT_COLUMNS,
    DAY_MS,
    OPEN_INTEREST_COLUMNS,
    TRADE_QUOTE_COLUMNS,
    contract_text,
    date_of,
    open_interest_line,
    trade_quote_line,
    wall_at,
)
from phenix.ingest.terminal.protocol import Contract, ReqResponse, StatusFrame

__all__ = ["HISTORY", "INTEREST_AT", "ScriptedTerminal", "ToldLoop", "interest_of"]

INTEREST_AT: Final = 6 * 3_600_000 + 30 * 60_000 + 4_000
"""Millisecond of the day at which a date's open interest is there."""
_NO_DATA: Final = (472, b"No data found for your request")

Answer = tuple[int, bytes]


def _cut(table: bytes) -> Answer:
    return 200, table[:-9]


HISTORY: Final[dict[str, Callable[[bytes], Answer]]] = {
    "available": lambda table: (200, table),
    "none": lambda _: _NO_DATA,
    "refused": lambda _: (471, b"This request needs a higher subscription"),
    "refused in words": lambda _: (200, b"You do not have the subscription for this request"),
    "down": lambda _: (474, b"Disconnected from the server"),
    "cut": _cut,
}
"""How historical prints are answered."""


def interest_of(strike: int, right: str, date: int) -> int:
    """Open interest of a contract on a date."""
    return (strike // 10_000 + len(right) + date) % 1_000


class ToldLoop(asyncio.SelectorEventLoop):
    """Its time stands still until ``now`` (UTC milliseconds) is moved; sockets and threads go on."""

    def __init__(self, now: int) -> None:
        self._begun = self.now = now
        super().__init__()

    def time(self) -> float:
        """Seconds since it was made, as told."""
        return (self.now - self._begun) / 1000


class ScriptedTerminal:
    """A terminal of some contracts; enter it to listen. ``now`` is its clock.

    It takes a client while ``up``, answers its requests while ``answering``, and else says what it is given to say.
    """

    def __init__(self, contracts: Iterable[Contract], requests: int, now: Callable[[], int]) -> None:
        self._contracts = tuple(contracts)
        self._requests = requests
        self._now = now
        self._encoder = Encoder()
        self._held: list[int] = []
        self._asked = 0
        self._server: Server | None = None
        self.up, self.answering = False, True
        self.word = "CONNECTED"
        """What it says of its own line."""
        self.history = "available"
        """One of :data:`HISTORY`."""
        self.happened: list[Print] = []
        """Every print of the market, sent or not, as history has it."""
        self.told: set[Print] = set()
        """Those of them that history told."""
        self.socket: ServerConnection | None = None

    async def __aenter__(self) -> Self:
        self._server = await serve(
            self._serve, "127.0.0.1", 0, process_request=self._knock, ping_interval=None, compression=None
        )
        self._rest = await asyncio.start_server(self._answer, "127.0.0.1", 0)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        for server in (self._server, self._rest):
            server.close()
            await server.wait_closed()

    @property
    def environ(self) -> dict[str, str]:
        """Its addresses as settings."""
        assert self._server is not None
        stream, rest = (next(iter(server.sockets)).getsockname()[1] for server in (self._server, self._rest))
        return {
            "THETADATA_BASE_URL": f"http://127.0.0.1:{rest}",
            "THETADATA_STREAM_URL": f"ws://127.0.0.1:{stream}/v1/events",
        }

    # -- the stream

    @property
    def subscribed(self) -> bool:
        """Whether a client is here and has asked for everything it will."""
        return self.socket is not None and self._asked == self._requests

    async def say(self, *texts: str) -> None:
        """Send messages, one after the other."""
        assert self.socket is not None
        for text in texts:
            await self.socket.send(text)

    async def status(self) -> None:
        """Say how its own line is."""
        await self.say(self._encoder.status(StatusFrame(self.word)))

    async def heard(self) -> None:
        """Wait until the client has everything that was sent: what answers a ping has read what came before."""
        assert self.socket is not None
        await (await self.socket.ping())

    async def answer_held(self) -> None:
        """Answer what was asked while it did not."""
        self.answering = True
        for number in self._held:
            await self._grant(number)
        self._held.clear()

    async def lose(self, *, abrupt: bool) -> None:
        """End the connection: with a Close frame, or as a line that breaks; and take no other."""
        self.up = False
        assert self.socket is not None
        if abrupt:
            self.socket.transport.abort()
        else:
            await self.socket.close()
        await self.gone()

    async def gone(self) -> None:
        """Wait until the connection is no more."""
        if self.socket is not None:
            await self.socket.wait_closed()
            self.socket = None

    def _knock(self, connection: ServerConnection, _request: Request) -> Response | None:
        return None if self.up else connection.respond(503, "not now")

    async def _serve(self, socket: ServerConnection) -> None:
        self.socket, self._asked = socket, 0
        self._held.clear()
        try:
            async for request in socket:
                number = orjson.loads(request)["id"]
                if self.answering:
                    await self._grant(number)
                else:
                    self._held.append(number)
                self._asked += 1
        except ConnectionClosed:
            pass

    async def _grant(self, number: int) -> None:
        await self.say(self._encoder.req_response(ReqResponse(self.word, "SUBSCRIBED", number)))

    # -- REST

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target = (await reader.readuntil(b"\r\n\r\n")).split(b" ", 2)[1].decode()
            path, _, query = target.partition("?")
            code, body = self._table(path, dict(parse_qsl(query)))
            writer.write(b"HTTP/1.1 %d .\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % (code, len(body)) + body)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    def _table(self, path: str, asked: dict[str, str]) -> Answer:
        match path:
            case "/v3/option/list/contracts/trade":
                told = int(asked["date"]) <= et_of(self._now())[0]
                return _csv(CONTRACT_COLUMNS, map(contract_text, self._contracts)) if told else _NO_DATA
            case "/v3/option/snapshot/open_interest":
                date, ms = et_of(self._now())
                rows = [OpenInterest(wall_at(date, INTEREST_AT), one, interest_of(one.strike, one.right, date))
                        for one in self._contracts if one.root == asked["symbol"] and ms >= INTEREST_AT]  # fmt: skip
                return _csv(OPEN_INTEREST_COLUMNS, map(open_interest_line, rows))
            case "/v3/option/history/trade_quote":
                return self._prints(asked)
        return _NO_DATA

    def _prints(self, asked: dict[str, str]) -> Answer:
        date, first, last = int(asked["date"]), _ms(asked["start_time"]), _ms(asked["end_time"])
        found = [one for one in self.happened if one.contract.root == asked["symbol"] and date_of(one.wall) == date
                 and first <= one.wall % DAY_MS <= last and one.wall <= wall_of(self._now())]  # fmt: skip
        if found and self.history == "available":
            self.told.update(found)
        code, table = _csv(TRADE_QUOTE_COLUMNS, map(trade_quote_line, sorted(found, key=lambda one: one.contract)))
        return HISTORY[self.history](table) if code == 200 else (code, table)


def _csv(columns: Iterable[str], lines: Iterable[str]) -> Answer:
    lines = list(lines)
    return (200, "".join(f"{line}\r\n" for line in (",".join(columns), *lines)).encode()) if lines else _NO_DATA


def _ms(time: str) -> int:
    hours, minutes, seconds = time.split(":")
    return (int(hours) * 60 + int(minutes)) * 60_000 + round(float(seconds) * 1000)
