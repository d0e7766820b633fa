"""A store, and a real ``phenix serve`` in front of it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import orjson
import pytest

from phenix.engine.bundle import Bundle
from tests.server.rows import Store, rules


def environment() -> dict[str, str]:
    """Ours without settings of whoever runs the tests."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PHENIX_", "THETADATA_"))}


def phenix(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "phenix", *arguments]


def run(*arguments: str, environ: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A command to its end."""
    ours = {**environment(), **(environ or {})}
    return subprocess.run(phenix(*arguments), capture_output=True, text=True, timeout=60, env=ours)


class Server:
    """A serving process; a second start takes the same ports. ``log`` is a file for its log lines, else ours."""

    def __init__(
        self, store: str, *options: str, environ: Mapping[str, str] | None = None, log: Path | None = None
    ) -> None:
        self.store = store
        self.options = options
        self.log = log
        self.environ = {**environment(), **(environ or {})}
        self.port = self.grpc_port = 0
        self.start()

    def start(self) -> None:
        ports = ("--port", str(self.port), "--grpc-port", str(self.grpc_port))
        with self.log.open("ab") if self.log else nullcontext() as log:
            self.process = subprocess.Popen(
                phenix("serve", "--store", self.store, *ports, *self.options),
                stdout=subprocess.PIPE, stderr=log, env=self.environ,
            )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline().decode()
        assert line.startswith("phenix serve: ready at http"), line
        http, grpc = (part.rpartition(":")[2] for part in line.split("/ and gRPC"))
        self.port, self.grpc_port = int(http), int(grpc)

    @property
    def target(self) -> str:
        return f"127.0.0.1:{self.grpc_port}"

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.port}{path}"

    def get(self, path: str) -> tuple[int, Any]:
        """Status and JSON of an answer, whatever the status."""
        request = urllib.request.Request(self.url(path))
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, orjson.loads(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, orjson.loads(error.read())

    def end(self, how: signal.Signals = signal.SIGKILL) -> int:
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(20)
        assert self.process.stdout is not None
        self.process.stdout.close()
        return code


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """An empty store, open for writing."""
    made = Store(tmp_path / "flow.sqlite")
    yield made
    made.close()


@pytest.fixture
def serve() -> Iterator[Callable[..., Server]]:
    """Start servers that end with the test."""
    started: list[Server] = []

    def start(url: str, *options: str) -> Server:
        started.append(Server(url, *options))
        return started[-1]

    yield start
    for server in started:
        server.end()


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Store, Server]]:
    """A store of 400 rows, some cancelled, that no test of the module writes to, and a server."""
    made = Store(tmp_path_factory.mktemp("session") / "flow.sqlite")
    rows = made.add(400)
    for row in rows[10:400:40]:
        made.cancel(row)
    server = Server(made.url)
    yield made, server
    server.end()
    made.close()


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    """The packaged rules."""
    return rules()


@pytest.fixture
def rewriting(request: pytest.FixtureRequest) -> bool:
    """Whether data files are to be written anew."""
    return bool(request.config.getoption("--rewrite", default=False))
