"""One client of the stand-in's stream: its socket, what it subscribed, and what it has confirmed."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Awaitable, Iterable
from dataclasses import dataclass, field
from typing import Any

from websockets.asyncio.server import ServerConnection

from phenix.ingest.terminal.entitlements import Entitlements
from phenix.ingest.terminal.events import TapeEvent
from phenix.ingest.terminal.protocol import Contract
from phenix.ingest.terminal.standin_requests import integer, parse_contract

__all__ = ["Client", "Message", "StreamConnection", "adds"]

Message = str | list[str]
"""A WebSocket message, whole or as its fragments."""


class StreamConnection(ServerConnection):
    """A connection that hands many messages to the socket in one call."""

    async def send_all(self, messages: Iterable[Message]) -> None:
        """Send messages in order, each one its own. Raises ConnectionClosed."""
        async with self.send_context():
            for message in messages:
                if isinstance(message, str):
                    self.protocol.send_text(message.encode())
                    continue
                first, *rest = message
                self.protocol.send_text(first.encode(), fin=not rest)
                for place, part in enumerate(rest, 1):
                    self.protocol.send_continuation(part.encode(), fin=place == len(rest))

    def send_data(self) -> None:
        """Write everything that is due at once: a call to the socket costs more than building ten frames."""
        due = self.protocol.writes
        if len(due) > 1 and all(due):  # an empty one means the end of the stream
            self.protocol.writes = [b"".join(due)]
        super().send_data()

    def reset(self) -> None:
        """End the connection as a broken network does: no closing handshake, and a reset instead of an end."""
        raw = self.transport.get_extra_info("socket")
        if raw is not None:
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()


@dataclass(slots=True, eq=False)
class Client:
    """State of a connection."""

    ws: StreamConnection
    asked_at: float = 0.0
    """Monotonic time of its latest request, or of its arrival."""
    begun: bool = False
    """It is played to."""
    welcomed: bool = False
    """Its first requests have settled, and what comes first after a reconnect has been sent."""
    told_stop: bool = False
    streams: dict[tuple[str, str], set[Contract]] = field(default_factory=dict)
    """Contracts by (security type, request type)."""
    bulk: bool = False
    unconfirmed: deque[tuple[TapeEvent, str]] = field(default_factory=deque)
    """Events sent, each with the ledger's entry it was counted under; empty for quotes."""
    pings: deque[tuple[Awaitable[float], int]] = field(default_factory=deque)
    """Pongs awaited, each with the number of events it confirms."""
    since_ping: int = 0
    outbox: list[str] = field(default_factory=list)
    sending: bool = False
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def subscribed(self) -> bool:
        """Whether anything is subscribed."""
        return self.bulk or any(self.streams.values())

    def wants(self, security_type: str, req_type: str, contract: Contract) -> bool:
        """Whether a stream of a contract is open; the stream of all trades apart."""
        return contract in self.streams.get((security_type, req_type), ())

    def answer(self, asked: dict[str, Any], entitlements: Entitlements) -> str:
        """Do what a request asks; the word of its REQ_RESPONSE."""
        kind = str(asked.get("msg_type", "")).upper()
        req_type = str(asked.get("req_type", "")).upper()
        sec_type = str(asked.get("sec_type", "")).upper()
        if kind == "STOP":
            self.streams.clear()
            self.bulk = False
            return "SUBSCRIBED"
        if integer(asked.get("id")) is None:
            return "ERROR"
        if "BULK" in kind:
            if req_type != "TRADE" or sec_type != "OPTION":
                return "ERROR"
            if adds(asked) and not entitlements.bulk_trades:
                return "INVALID_PERMS"
            self.bulk = adds(asked)
            return "SUBSCRIBED"
        contract = parse_contract(sec_type, asked.get("contract"))
        if kind != "STREAM" or req_type not in {"TRADE", "QUOTE", "MARKET_VALUE"} or contract is None:
            return "ERROR"
        open_streams = self.streams.setdefault((sec_type, req_type), set())
        if not adds(asked):
            open_streams.discard(contract)
            return "SUBSCRIBED"
        allowed = entitlements.streams(sec_type, req_type)
        if not allowed:
            return "INVALID_PERMS"
        if contract not in open_streams and len(open_streams) >= allowed:
            return "MAX_STREAMS_REACHED"
        open_streams.add(contract)
        return "SUBSCRIBED"

    def confirm(self) -> None:
        """Forget what a pong has confirmed."""
        while self.pings:
            pong, events = self.pings[0]
            # websockets types its pong waiters as awaitables; they are futures
            if not isinstance(pong, asyncio.Future) or not pong.done() or pong.cancelled() or pong.exception():
                return
            self.pings.popleft()
            for _ in range(events):
                self.unconfirmed.popleft()


def adds(asked: dict[str, Any]) -> bool:
    """Whether a request opens a stream."""
    return str(asked.get("add", True)).lower() != "false"
