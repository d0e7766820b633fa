"""P2: from the terminal's frame to a client, with terminal, ingest, serve and clients as processes of their own.

A metronome of a session plays 200 symbols at a steady rate through the stand-in: five frames a print, as the real
terminal sends them, and like it never waits for its reader. A print's delay runs, on the wall clock of this machine,
from the moment it was due to be sent until a client has the row in hand, read from its socket. Counting from when it
was due keeps a sender that is held up from hiding the delay; how late the sender itself was is told beside it.
The SSE client reads ``batch=1`` frames, the gRPC client is ``phenix.client``. Every print sent and not received
counts as lost.

``python bench/live.py [--rate 1000] [--seconds 20]`` prints the figures as JSON; with ``--store FILE`` the prints go on
a copy of that store, into its latest session, so that everything runs beside the rows it holds. One print comes ahead
of them: with it ingest builds the state of the session, which takes its time and is told for itself.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from phenix import app
from phenix.engine.enrich.clock import date_of_day, day_of_date, et_of, utc_of, wall_of
from phenix.ingest.terminal.events import (
    TRADE,
    UNDERLYING,
    OpenInterest,
    Print,
    Quote,
    TapeEvent,
    UnderlyingQuote,
)
from phenix.ingest.terminal.protocol import Contract

HOST = "127.0.0.1"
DATE = 20260105
OPEN_MS = 34_200_000
SYMBOLS = tuple(f"{a}{b}{c}" for a in "ABCDEFGH" for b in "KLMNP" for c in "VWXYZ")
STRIKES = 5


class Metronome:
    """Prints at a steady rate, each with its quote; an underlying quote a second for every symbol."""

    def __init__(self, rate: int, seconds: int, date: int = DATE, begin_ms: int = OPEN_MS) -> None:
        self.dates = (date,)
        self.open = wall_of(utc_of(date, begin_ms))
        self.expiration = date_of_day(day_of_date(date) + 11)
        self.rate = rate
        self.prints = rate * seconds
        self._contracts = [
            Contract("OPTION", symbol, self.expiration, (100 + 5 * k) * 10_000, "CALL" if k % 2 else "PUT")
            for symbol in SYMBOLS
            for k in range(STRIKES)
        ]

    def events(self, symbol: str | None = None) -> Iterator[TapeEvent]:
        """The session; ``sequence`` numbers the prints from 1. The one ahead of them has the number after the last."""
        if symbol in (None, self._contracts[0].root):
            yield Print(self.open - 1000, TRADE, self._contracts[0], self.prints + 1, 1, 18, 5, 2_0000, None)
        for number in range(self.prints):
            wall = self.open + number * 1000 // self.rate
            if number % self.rate == 0:
                for name in SYMBOLS:
                    if symbol in (None, name):
                        yield UnderlyingQuote(wall, UNDERLYING, name, 5, 1, 109_9500, 0, 5, 1, 110_0500, 0)
            contract = self._contracts[number * 7919 % len(self._contracts)]
            if symbol not in (None, contract.root):
                continue
            quote = Quote(wall - 1, 10, 5, 2_0000, 50, 10, 5, 2_1000, 50)
            yield Print(wall, TRADE, contract, number + 1, 1 + number % 50, 18, 5, 2_0000 + number % 12 * 100, quote)

    def contracts(self) -> list[Contract]:
        """Every contract."""
        return self._contracts

    def open_interest(self) -> Iterator[OpenInterest]:
        """A thousand of each."""
        return (OpenInterest(self.open - 3 * 3_600_000, contract, 1_000) for contract in self._contracts)

    def underlying_of(self, root: str) -> str:
        """Roots are their underlyings here."""
        return root


# -- the processes of the measurement; each writes wall-clock ns by sequence to a file


async def play(session: Metronome, out: Path) -> None:
    """The terminal: plays the first print and then the rest, each once its standard input says so.

    It notes of each print when it was due and when sent.
    """
    terminal = app.terminal(session, stocks="standard", wait_for_play=True, on_disconnect="continue")
    stamps: dict[int, tuple[int, int]] = {}
    anchor = 0
    apply = terminal.market.apply

    def stamped(event: TapeEvent) -> None:
        nonlocal anchor
        now = time.time_ns()
        if event.wall >= session.open:
            anchor = anchor or now
        if isinstance(event, Print) and event.wall >= session.open:
            stamps[event.sequence] = (anchor + (event.wall - session.open) * 1_000_000, now)
        apply(event)

    terminal.market.apply = stamped  # type: ignore[method-assign]
    async with terminal:
        print(json.dumps([terminal.base_url, terminal.stream_url]), flush=True)
        terminal.stream.playback.hold(session.open)
        await asyncio.to_thread(sys.stdin.readline)
        terminal.stream.play()
        await asyncio.to_thread(sys.stdin.readline)
        terminal.stream.playback.hold(None)
        await terminal.stream.finished.wait()
        out.write_text(json.dumps(stamps))
        print("finished", flush=True)
        await asyncio.to_thread(sys.stdin.readline)


def read_sse(port: int, after: int, expect: int, out: Path) -> None:
    """The SSE client: until it has ``expect`` rows or is told to end."""
    stamps: dict[int, int] = {}
    with written(stamps, out):
        connection = http.client.HTTPConnection(HOST, port)
        connection.request("GET", f"/api/flow/stream?watermark={after}&snapshot=0&batch=1")
        event = ""
        for line in connection.getresponse():
            if line.startswith(b"event: "):
                event = line[7:].strip().decode()
            elif event == "flow.updated" and line.startswith(b"data: "):
                now = time.time_ns()
                data = json.loads(line[6:])
                for update in data.get("events", (data,)):
                    stamps.setdefault(update["flow"]["sequence"], now)
                if len(stamps) >= expect:
                    return


async def read_grpc(port: int, after: int, expect: int, out: Path) -> None:
    """The gRPC client: until it has ``expect`` rows or is told to end."""
    from phenix.client import Client

    stamps: dict[int, int] = {}
    with written(stamps, out):
        async with Client(f"{HOST}:{port}") as client:
            async for row in client.subscribe(after_seq=after):
                stamps.setdefault(row.sequence, time.time_ns())
                if len(stamps) >= expect:
                    return


@contextlib.contextmanager
def written(stamps: dict[int, int], out: Path) -> Iterator[None]:
    """Write the stamps however this ends, SIGTERM included."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    try:
        yield
    finally:
        out.write_text(json.dumps(stamps))


# -- the measurement


class Beside(NamedTuple):
    """The store that is there when the prints come: its watermark, its session, and when of that day they come."""

    after: int = 0
    date: int = DATE
    begin_ms: int = OPEN_MS


def beside(store: Path) -> Beside:
    """Prints that come at the second of a store's last one."""
    with app.open_reader(f"sqlite:{store}") as reader:
        date, latest = reader.current_session(), reader.latest_trade()
        assert date is not None
        assert latest is not None
        return Beside(reader.watermark(), date, et_of(latest)[1] // 1000 * 1000)


def measure(rate: int, seconds: int, folder: Path, store: Path | None) -> list[dict[str, Any]]:
    """Run the processes, and compare what was sent with what came."""
    there = Beside()
    if store is not None:
        there = beside(store)
        shutil.copy(store, folder / "flow.sqlite")
        shutil.copytree(store.with_name(f"{store.name}.live"), folder / "flow.sqlite.live")
    me = [sys.executable, __file__]
    page, grpc = free_port(), free_port()
    settings = {
        "PHENIX_STORE": f"sqlite:{folder}/flow.sqlite",
        "PHENIX_PORT": str(page),
        "PHENIX_GRPC_PORT": str(grpc),
        "INGEST_SYMBOLS": ",".join(SYMBOLS),
    }
    expect = rate * seconds + 1
    children: list[subprocess.Popen[str]] = []

    def start(argv: list[str], **more: Any) -> subprocess.Popen[str]:
        log = (folder / f"{len(children)}.log").open("w")
        child = subprocess.Popen(
            argv, env={**os.environ, **settings}, stdout=more.pop("stdout", log), stderr=log, text=True, **more
        )
        children.append(child)
        return child

    try:
        sent_file = folder / "sent.json"
        terminal = start(
            [
                *me,
                "--role",
                "terminal",
                "--rate",
                str(rate),
                "--seconds",
                str(seconds),
                "--out",
                str(sent_file),
                "--date",
                str(there.date),
                "--begin-ms",
                str(there.begin_ms),
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert terminal.stdin is not None
        assert terminal.stdout is not None
        settings["THETADATA_BASE_URL"], settings["THETADATA_STREAM_URL"] = json.loads(terminal.stdout.readline())
        ingest = start([sys.executable, "-m", "phenix", "ingest"])
        serve = start([sys.executable, "-m", "phenix", "serve", "--wait", "30"])
        until(lambda: answers(page), "serve to be ready", children)
        files = {"SSE": folder / "sse.json", "gRPC": folder / "grpc.json"}
        clients = [
            start(
                [
                    *me,
                    "--role",
                    role,
                    "--port",
                    str(port),
                    "--after",
                    str(there.after),
                    "--expect",
                    str(expect),
                    "--out",
                    str(files[name]),
                ]
            )
            for name, role, port in (("SSE", "sse", page), ("gRPC", "grpc", grpc))
        ]
        log = folder / f"{children.index(ingest)}.log"
        until(lambda: "subscribed to" in log.read_text(), "ingest to subscribe", children)
        time.sleep(2)  # the clients' own start; they read from the store's first row, whenever they come
        terminal.stdin.write("play\n")
        terminal.stdin.flush()
        begun = time.monotonic()
        until(lambda: stored_upto(page) > there.after, "the first print", children, 300)
        ready = time.monotonic() - begun
        terminal.stdin.write("play\n")
        terminal.stdin.flush()
        if terminal.stdout.readline().strip() != "finished":
            raise RuntimeError(f"the terminal ended early; see {folder}")
        deadline = time.monotonic() + 15
        while any(client.poll() is None for client in clients) and time.monotonic() < deadline:
            time.sleep(0.1)
        for client in clients:
            client.terminate()
            client.wait()
        cpu = {"ingest": cpu_seconds(ingest), "serve": cpu_seconds(serve)}
        terminal.stdin.close()
        terminal.wait()
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    sent = json.loads(sent_file.read_text())
    late = sorted((at - due) / 1e6 for due, at in sent.values())
    figures = []
    for name, file in files.items():
        got = json.loads(file.read_text())
        delays = sorted((got[key] - due) / 1e6 for key, (due, _) in sent.items() if key in got)
        if not delays:
            logs = "\n".join(p.read_text()[-2000:] for p in sorted(folder.glob("*.log")))
            raise RuntimeError(f"no row reached the {name} client\n{logs}")
        detail = {
            "sent": len(sent),
            "received": len(delays),
            "lost": len(sent) - len(delays),
            "p50_ms": round(quantile(delays, 0.5), 1),
            "p99_ms": round(quantile(delays, 0.99), 1),
            "rows_before": there.after,
            "first_print_after_start_s": round(ready, 1),
            "max_ms": round(delays[-1], 1),
            "sender_late_p95_ms": round(quantile(late, 0.95), 1),
            "cpu_cores": {part: round(spent / seconds, 2) for part, spent in cpu.items()},
        }
        what = f"frame to {name} client, p95 at {rate:,} prints/s"
        figures.append(
            {"id": "P2", "what": what, "value": round(quantile(delays, 0.95), 1), "unit": "ms", "waits": True,
             "detail": detail}
        )  # fmt: skip
        figures.append(
            {"id": "P2", "what": f"prints lost on the way to {name}", "value": detail["lost"], "unit": "prints"}
        )
    for part, spent in cpu.items():
        figures.append({"id": "P2", "what": f"CPU of {part}, start included", "value": round(spent, 1), "unit": "s"})
    return figures


def quantile(ordered: list[float], share: float) -> float:
    """The value below which that share lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def cpu_seconds(process: subprocess.Popen[str]) -> float:
    """End a process gracefully; the CPU time it took, user and system."""
    process.send_signal(signal.SIGTERM)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return float(usage.ru_utime + usage.ru_stime)


def answers(port: int) -> bool:
    """Whether the server takes requests."""
    with contextlib.suppress(OSError):
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        connection.request("GET", "/health")
        return connection.getresponse().status == http.client.OK
    return False


def stored_upto(port: int) -> int:
    """The watermark of the server's store."""
    connection = http.client.HTTPConnection(HOST, port, timeout=60)
    connection.request("GET", "/api/flow?limit=1")
    return int(json.loads(connection.getresponse().read()).get("meta", {}).get("watermark", 0))


def until(done: Any, what: str, children: list[subprocess.Popen[str]], patience_s: float = 60) -> None:
    """Wait for something the processes bring about."""
    deadline = time.monotonic() + patience_s
    while not done():
        if time.monotonic() > deadline or any(child.poll() is not None for child in children):
            raise RuntimeError(f"waited in vain for {what}")
        time.sleep(0.1)


def free_port() -> int:
    """A port nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def main() -> None:
    """One role, or the whole measurement."""
    command = argparse.ArgumentParser(description="Frame to client, end to end.")
    command.add_argument("--rate", type=int, default=1000, help="prints a second")
    command.add_argument("--seconds", type=int, default=20)
    command.add_argument("--role", choices=("terminal", "sse", "grpc"))
    command.add_argument("--port", type=int, default=0)
    command.add_argument("--store", type=Path, help="measure beside the rows of a copy of it")
    command.add_argument("--date", type=int, default=DATE)
    command.add_argument("--begin-ms", type=int, default=OPEN_MS)
    command.add_argument("--after", type=int, default=0)
    command.add_argument("--expect", type=int, default=0)
    command.add_argument("--out", type=Path, default=Path("out.json"))
    args = command.parse_args()
    if args.role == "terminal":
        asyncio.run(play(Metronome(args.rate, args.seconds, args.date, args.begin_ms), args.out))
    elif args.role == "sse":
        read_sse(args.port, args.after, args.expect, args.out)
    elif args.role == "grpc":
        asyncio.run(read_grpc(args.port, args.after, args.expect, args.out))
    else:
        with tempfile.TemporaryDirectory(prefix="phenix-bench-") as folder:
            print(json.dumps(measure(args.rate, args.seconds, Path(folder), args.store)))


if __name__ == "__main__":
    main()
