"""Readers of a file on threads: a blocking read never holds up the event loop.

Each thread has a connection of its own, opened when it first reads and opened anew after the file
failed under it.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, Protocol, TypeVar

from phenix.engine.store.base import Stoppable, StoreError, StoreTimeout

__all__ = ["Readers"]

_T = TypeVar("_T")


class _Closing(Protocol):
    def close(self) -> None: ...


_R = TypeVar("_R", bound=_Closing)


class Readers(Generic[_R]):
    """A bounded number of reads side by side; further ones wait their turn."""

    def __init__(self, open_reader: Callable[[], _R], size: int) -> None:
        self._open_reader = open_reader
        self._local = threading.local()
        self._opened: list[_R] = []
        self._pool = ThreadPoolExecutor(size, "phenix-reader")

    async def run(self, read: Callable[[_R], _T]) -> _T:
        """Call ``read`` with a reader on another thread. Raises what it raises, and StoreError.

        Cancelled, it begins no read that waits for its turn, and stops the one under way where the reader can.
        """
        left = threading.Event()
        try:
            # In the context of who asks, so that what a read says to the log bears the request.
            run = contextvars.copy_context().run
            return await asyncio.get_running_loop().run_in_executor(self._pool, run, self._run, read, left)
        except asyncio.CancelledError:
            left.set()
            raise

    def _run(self, read: Callable[[_R], _T], left: threading.Event) -> _T:
        reader: _R | None = getattr(self._local, "reader", None)
        if reader is None:
            reader = self._local.reader = self._open_reader()
            self._opened.append(reader)
        held: object = reader
        if isinstance(held, Stoppable):
            held.unwanted = left.is_set
        try:
            return read(reader)
        except StoreTimeout:
            raise
        except StoreError:
            self._local.reader = None
            self._opened.remove(reader)
            reader.close()
            raise

    def close(self) -> None:
        """Wait for the reads under way, then close every connection."""
        self._pool.shutdown(cancel_futures=True)
        while self._opened:
            self._opened.pop().close()
