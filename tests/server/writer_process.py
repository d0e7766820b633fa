"""The writing process as a test drives it."""

from __future__ import annotations

import random
import subprocess
import sys
from pathlib import Path

from tests.server.conftest import environment


class Writer:
    """A process that writes a store when told to."""

    def __init__(self, path: Path, seed: int) -> None:
        self.rng = random.Random(seed)
        self.alive: list[int] = []
        self.newest = 0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.server.writer", str(path), str(seed)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment(), cwd=Path(__file__).parents[2],
        )  # fmt: skip
        assert self._answer() == "open"

    def _answer(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().decode().strip()

    def _tell(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())
        self.process.stdin.flush()
        self.newest = int(self._answer())

    def add(self, count: int) -> None:
        before = self.newest
        self._tell(f"add {count}")
        self.alive += range(before + 1, self.newest + 1)

    def step(self) -> None:
        """One random commit."""
        if self.alive and self.rng.random() < 0.2:
            self._tell(f"cancel {self.alive.pop(self.rng.randrange(len(self.alive)))}")
        else:
            self.add(self.rng.choice((1, 1, 2, 9, 40)))

    def end(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self.process.wait(20)
