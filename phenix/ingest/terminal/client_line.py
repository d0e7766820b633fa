"""The WebSocket library's connection, with a short way for messages while nothing waits before them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Response

__all__ = ["Line"]

_TEXT: Final = Opcode.TEXT
_BINARY: Final = Opcode.BINARY


class Line(ClientConnection):
    """Hands each message to ``take`` where that accepts it; who receives is woken only for the others, in their order.

    Waking a task for each of tens of thousands of messages a second costs more than to read them.
    """

    take: Callable[[bytes], bool] | None = None
    """Whether it took a whole message; it is asked as long as nothing waits."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._waiting = 0

    async def receive(self) -> bytes:
        """The next message that was not taken; :meth:`passed` has to follow. Raises ConnectionClosed."""
        return await self.recv(decode=False)

    def passed(self) -> None:
        """What was received last is where those that come may follow."""
        self._waiting -= 1

    def process_event(self, event: Frame | Response) -> None:  # type: ignore[override] # the library's own alias
        """Called by the library with each frame."""
        if type(event) is Frame and (event.opcode is _TEXT or event.opcode is _BINARY):
            if event.fin and not self._waiting and self.take is not None and self.take(bytes(event.data)):
                return
            self._waiting += 1
        super().process_event(event)
