"""Phenix as its user runs it: commands as processes, heard line by line."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

__all__ = ["DiedError", "Phenix", "free_port"]

_WAIT_S = 120.0
_HERE = Path(__file__).parents[1]


class DiedError(Exception):
    """A process ended that nobody had told to, or never said what was waited for; the message has its last words."""


class Phenix:
    """One ``phenix`` command. Enter it to start it; leaving kills it if it still runs.

    ``package`` is the folder in which the package lies that runs: this checkout where none is named.
    """

    def __init__(self, *argv: str, environ: Mapping[str, str] = {}, package: Path = _HERE) -> None:
        self._argv = argv
        self._environ = environ
        self._package = package
        self.said: list[str] = []
        """Lines of both its outputs."""
        self._came = asyncio.Condition()
        self._silent = False

    async def __aenter__(self) -> Self:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "phenix", *self._argv,
            env={**os.environ, **self._environ}, cwd=self._package,  # `-m` looks there first
            stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
        )  # fmt: skip
        self._listening = asyncio.create_task(self._listen())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.kill()

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    @property
    def ended(self) -> bool:
        """Whether it has ended."""
        return self._process.returncode is not None

    async def heard(self, *words: str) -> str:
        """The first line with one of these words in it, once it was said. Raises DiedError."""
        try:
            async with asyncio.timeout(_WAIT_S), self._came:
                while not (found := next((line for line in self.said if any(w in line for w in words)), "")):
                    if self._silent:
                        raise DiedError(self._last(f"ended before it said {words}"))
                    await self._came.wait()
                return found
        except TimeoutError:
            raise DiedError(self._last(f"did not say {words} within {_WAIT_S:.0f} s")) from None

    async def kill(self) -> bool:
        """End it at once (signal 9); False when it had ended before."""
        alive = not self.ended
        if alive:
            self._process.kill()
        await self.done()
        return alive

    async def stop(self) -> int:
        """Ask it to end (SIGTERM); its exit status."""
        if not self.ended:
            self._process.terminate()
        return await self.done()

    async def done(self) -> int:
        """Its exit status, once it has ended."""
        await self._process.wait()
        await self._listening
        return self._process.returncode or 0

    def fail(self) -> DiedError:
        """What to raise when it should not have ended."""
        return DiedError(self._last(f"ended by itself with exit status {self._process.returncode}"))

    async def _listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            async with self._came:
                self.said.append(line.decode("utf-8", "replace").rstrip())
                self._came.notify_all()
        async with self._came:
            self._silent = True
            self._came.notify_all()

    def _last(self, what: str) -> str:
        return "\n".join((f"phenix {' '.join(self._argv)} {what}", *self.said[-15:]))


def free_port() -> int:
    """A port nobody listens on, for a process that is to have the same one in each of its lives."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
