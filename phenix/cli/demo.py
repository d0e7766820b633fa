"""``phenix demo``: stand-in terminal, ingest and serve as three processes on a fresh store."""

from __future__ import annotations

import argparse
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from phenix.cli.command import CLEAN, CommandError

if TYPE_CHECKING:
    import http.client

__all__ = ["add"]

_HOST: Final = "127.0.0.1"
_START_S: Final = 60.0
_STOP_S: Final = 20.0
_NOT_ITS_OWN: Final = (
    "PHENIX_CONFIG", "PHENIX_API_TOKENS", "PHENIX_TLS_CERT", "PHENIX_TLS_KEY", "PHENIX_METRICS_PORT",
)  # fmt: skip
_DRAIN_S: Final = 20.0
_TICK_S: Final = 0.1


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``phenix demo``."""
    command = commands.add_parser(
        "demo",
        help="everything in one command: a generated session, live in the browser",
        description="Play a generated session through ingest and serve, three processes on a fresh temporary store; "
        "print the address of the page, and at the end how many prints were ingested, tagged and streamed.",
    )
    command.add_argument(
        "--seconds", type=_seconds, metavar="N", help="end by itself N seconds after the first row (runs until stopped)"
    )
    command.add_argument("--port", type=int, metavar="N", help="port of the page (PHENIX_PORT, or a free one if taken)")
    command.set_defaults(run=run)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds <= 86_400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0, at most 86400")
    return seconds


def run(args: argparse.Namespace) -> int:
    """Run the demo until it is stopped, its time is up, or one of its processes ends."""
    stopped = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: stopped.set())
    page = _port(args.port, strict=True) if args.port is not None else _port(args.settings.port)
    rest, stream, grpc = _port(25503), _port(25520), _port(args.settings.grpc_port)
    with tempfile.TemporaryDirectory(prefix="phenix-demo-") as folder:
        store = f"sqlite:{folder}/flow.sqlite"
        children = _Children(
            Path(folder),
            {
                **os.environ,
                # What guards an installation, or listens beside it, is not for a page of this machine alone.
                **dict.fromkeys(_NOT_ITS_OWN, ""),
                "PHENIX_STORE": store,
                "PHENIX_HOST": _HOST,
                "PHENIX_PORT": str(page),
                "PHENIX_GRPC_PORT": str(grpc),
                "THETADATA_BASE_URL": f"http://{_HOST}:{rest}",
                "THETADATA_STREAM_URL": f"ws://{_HOST}:{stream}/v1/events",
            },
        )
        try:
            # An account that streams stocks: with delayed quotes the first quarter of an hour has no spot.
            account = ("--stocks", "standard")
            terminal = children.start("terminal", "--port", str(rest), "--stream-port", str(stream), *account)
            children.wait(lambda: _listens(rest) and _listens(stream), "the stand-in terminal to listen")
            ingest = children.start("ingest")
            serve = children.start("serve", "--wait", "30")
            children.wait(lambda: _listens(page) and _listens(grpc), "the page to be served")
            rows = _Streamed(page)
            rows.start()
            print(f"Phenix is at http://{_HOST}:{page}/ (gRPC at {_HOST}:{grpc}).", flush=True)
            children.wait(lambda: rows.count > 0 or rows.failure != "" or stopped.is_set(), "the first tagged row")
            ends = f"It ends by itself after {args.seconds:g} seconds." if args.seconds else "Ctrl-C ends it."
            print(f"Rows are coming. {ends}", flush=True)
            until = time.monotonic() + (args.seconds or float("inf"))
            while not stopped.wait(_TICK_S) and time.monotonic() < until:
                children.check()
                rows.check()
            terminal.stop()
            ingest.stop()
            ingested, tagged, last = _counts(store)
            children.wait(lambda: rows.reached >= last, "the last rows to be streamed", _DRAIN_S)
            serve.stop()
            rows.join(_STOP_S)
        finally:
            children.kill()
    print(f"{ingested:,} prints ingested, {tagged:,} tagged, {rows.count:,} streamed.")
    return CLEAN


def _port(preferred: int, *, strict: bool = False) -> int:
    """``preferred`` where it can be bound, else a free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
            except (OSError, OverflowError):
                if strict:
                    raise CommandError(f"port {port} cannot be used; choose another with --port") from None
                continue
            return int(probe.getsockname()[1])
    raise CommandError("no free port on 127.0.0.1")


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((_HOST, port)) == 0


def _counts(store: str) -> tuple[int, int, int]:
    """Prints stored, prints tagged, and the largest seq tagged."""
    from phenix import app

    reader = app.open_reader(store)
    ((ingested, tagged),) = reader.execute(
        "SELECT (SELECT count(*) FROM option_trades), (SELECT count(*) FROM option_trade_enriched)", ()
    )
    return ingested, tagged, reader.watermark()


@dataclass(slots=True)
class _Child:
    """A process of the demo; what it says is kept in a file."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> None:
        """End it gracefully; raises CommandError if it does not, or ends badly."""
        self.process.terminate()
        try:
            code = self.process.wait(_STOP_S)
        except subprocess.TimeoutExpired:
            raise CommandError(f"phenix {self.name} did not end within {_STOP_S:.0f} s") from None
        if code:
            raise self.failure()

    def failure(self) -> CommandError:
        """That it ended, with the last it said."""
        said = "\n".join(self.log.read_text("utf-8", "replace").splitlines()[-15:])
        return CommandError(f"phenix {self.name} ended with exit code {self.process.returncode}\n{said}")


class _Children:
    """The processes of the demo, none of which may end before it is told to."""

    def __init__(self, folder: Path, env: Mapping[str, str]) -> None:
        self._folder = folder
        self._env = env
        self._started: list[_Child] = []

    def start(self, name: str, *argv: str) -> _Child:
        """Start ``phenix NAME ARGV``, in a session of its own: Ctrl-C is for the demo, which ends them in order."""
        log = self._folder / f"{name}.log"
        with log.open("wb") as out:
            process = subprocess.Popen(  # noqa: S603 - our own command, without a shell
                [sys.executable, "-m", "phenix", name, *argv],
                env=self._env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        child = _Child(name, process, log)
        self._started.append(child)
        return child

    def check(self) -> None:
        """Raise CommandError if a process ended badly, or before its time."""
        for child in self._started:
            if child.process.returncode is None and child.process.poll() is not None:
                raise child.failure()

    def wait(self, done: Callable[[], bool], what: str, seconds: float = _START_S) -> None:
        """Wait until ``done()``; raises CommandError if a process ends or the time runs out first."""
        until = time.monotonic() + seconds
        while not done():
            self.check()
            if time.monotonic() > until:
                raise CommandError(f"waited {seconds:.0f} s for {what}")
            time.sleep(_TICK_S)

    def kill(self) -> None:
        """End what still runs."""
        for child in self._started:
            if child.process.poll() is None:
                child.process.kill()
                child.process.wait()


class _Streamed(threading.Thread):
    """A subscriber like the page: counts the rows the stream brings, from the store's first on."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.count = 0
        self.reached = 0
        self._port = port
        self.failure = ""

    def check(self) -> None:
        """Raise CommandError if the stream broke."""
        if self.failure:
            raise CommandError(f"the stream broke: {self.failure}")

    def run(self) -> None:
        """Read until the server ends the stream."""
        import http.client

        connection = http.client.HTTPConnection(_HOST, self._port, timeout=_START_S)
        try:
            connection.request("GET", "/api/flow/stream?watermark=0&batch=1&snapshot=0")
            response = connection.getresponse()
            if response.status != http.client.OK:
                self.failure = response.read(4096).decode("utf-8", "replace")
                return
            self._read(response)
        except (OSError, http.client.HTTPException) as error:
            self.failure = str(error) or type(error).__name__
        finally:
            connection.close()

    def _read(self, lines: http.client.HTTPResponse) -> None:
        frame: dict[str, str] = {}
        for line in lines:
            name, _, value = line.decode("utf-8").rstrip("\r\n").partition(": ")
            if name:
                frame[name] = value
                continue
            if frame.get("event") in ("flow.updated", "flow.retracted"):  # a cancel record is told as a retraction
                update = json.loads(frame["data"])
                self.count += len(update.get("events", (update,)))
            self.reached = max(self.reached, int(frame.get("id", 0)))
            frame = {}
