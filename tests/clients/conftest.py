"""A store that grows, a real server that dies, and programs that follow it."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.page.conftest import browser
from tests.server.conftest import environment, serve, store

__all__ = ["EXAMPLES", "Program", "browser", "program", "serve", "store"]

EXAMPLES = Path(__file__).parents[2] / "examples"


class Program:
    """A program that prints a line for each event."""

    def __init__(self, command: Sequence[str], cwd: Path | None = None) -> None:
        self.process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment(), cwd=cwd, start_new_session=True
        )

    def line(self) -> str:
        """The next line."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        if not line and self.process.stderr is not None:
            raise AssertionError(self.process.stderr.read().decode())
        return line.strip()

    def event(self) -> Any:
        """The next event that is no sign of life."""
        while True:
            found = orjson.loads(self.line())
            if found["eventType"] not in ("progress", "degraded"):
                return found

    def end(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGTERM)  # what it started, too
        self.process.wait(20)
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()


@pytest.fixture(scope="module")
def program() -> Iterator[Callable[..., Program]]:
    """Start programs that end with the module."""
    started: list[Program] = []

    def start(*command: str, cwd: Path | None = None) -> Program:
        started.append(Program(command, cwd))
        return started[-1]

    yield start
    for one in started:
        one.end()
