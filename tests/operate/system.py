"""A whole system of real processes: the stand-in terminal with a generated session, ingest, serve."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.server.conftest import Server, environment, phenix

PATIENCE_S = 60


@dataclass(frozen=True)
class System:
    """Where they listen: ``serve``, the metrics of ingest, the terminal's REST."""

    serve: Server
    ingest_port: int
    terminal_url: str

    @property
    def ingest_url(self) -> str:
        return f"http://127.0.0.1:{self.ingest_port}"


def until(holds: Callable[[], bool], what: str) -> None:
    """Wait until something holds."""
    due = time.monotonic() + PATIENCE_S
    while not holds():
        assert time.monotonic() < due, what
        time.sleep(0.05)


@contextmanager
def running(folder: Path, *play: str) -> Iterator[System]:
    """Start all three; prints are streamed when it is given."""
    with ExitStack() as ends:

        def start(name: str, *arguments: str, **settings: str) -> Path:
            said = folder / f"{name}.txt"
            with said.open("wb") as out:
                process = subprocess.Popen(
                    phenix(name, *arguments), stdout=out, stderr=out, env={**environment(), **settings}
                )
            ends.callback(process.wait, PATIENCE_S)
            ends.callback(process.kill)
            return said

        said = start("terminal", "--port", "0", "--stream-port", "0", "--stocks", "standard", *play)
        until(lambda: "ws://" in said.read_text(), "the terminal listens")
        rest, stream = (re.search(rf"{scheme}://[^\s,]+", said.read_text()) for scheme in ("http", "ws"))
        assert rest is not None
        assert stream is not None
        store = f"sqlite:{folder / 'flow.sqlite'}"
        terminal = {"THETADATA_BASE_URL": rest[0], "THETADATA_STREAM_URL": stream[0]}
        ingest = start("ingest", "--store", store, "--metrics-port", "0", **terminal)
        until(lambda: "metrics at http" in ingest.read_text(), "ingest tells its metrics")
        lines = [json.loads(line)["message"] for line in ingest.read_text().splitlines()]
        port = next(int(line.split(":")[2].split("/")[0]) for line in lines if line.startswith("metrics at "))
        serve = Server(store, "--wait", "60", log=folder / "serve.txt")
        ends.callback(serve.end)
        until(lambda: serve.get("/api/flow?limit=1")[1].get("data", []) != [], "prints are streamed")
        yield System(serve, port, rest[0])
