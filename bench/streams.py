"""P5: one ``phenix serve`` and its subscribers, each with a filter of its own.

A writer process commits enriched rows at a steady rate; beside it 1,000 SSE subscribers at 1,000 rows/s, then 50 gRPC
subscribers at 20,000 rows/s, each group in a process of its own, with one more that does not read at all. A delay runs
from the return of the commit until the client has the frame from its socket. What each subscriber must receive is
computed from its filter afterwards; a seq that is missing, double or out of order counts as dropped.

``python bench/streams.py [--seconds 10] [--sse 1000] [--grpc 50]`` prints the figures as JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from bisect import bisect_left
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from alerts import alerts
from chips import enriched
from live import HOST, answers, cpu_seconds, free_port, quantile, until

from phenix.engine.blocks import Block
from phenix.engine.bundle import load_bundle
from phenix.engine.flow import INDEX, RAW
from phenix.engine.many import Many
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.store.base import Batch, RuleVersion
from phenix.engine.store.sqlite import open_writer

COMMIT_S: Final = 0.02
FILLED: Final = 5_000
"""Rows of the session before the measurement, for the subscribers' filters to name its symbols."""
FRAME: Final = re.compile(rb"id: (\d+)\nevent: flow\.(?:updated|retracted)\n")


def tagged(rows: int) -> list[list[Any]]:
    """Enriched rows with chips, without cancels: each is one event for whom it matches."""
    bundle, _ = load_bundle()
    assert bundle is not None
    found = [row for row in enriched(rows + rows // 50) if not row[INDEX["cancel_record"]]][:rows]
    for number, row in enumerate(found):
        row[INDEX["seq"]], row[INDEX["cancelled_seq"]] = number + 1, None
    bundle.tag(found)
    return found


def filters(count: int, kind: str) -> list[str]:
    """Different filters: mostly as narrow as alerts are, one in ten a wide one."""
    bundle, _ = load_bundle()
    assert bundle is not None
    symbols = sorted({row[INDEX["symbol"]] for row in enriched(FILLED)})
    rng = random.Random(kind)
    found = alerts(bundle, symbols, count, seed=len(kind))
    for at in range(0, count, 10 if kind == "sse" else 2):
        found[at] = (
            f"value >= {rng.randint(1, 400)}00 and dte <= {rng.randint(3, 20)} or symbol = {rng.choice(symbols)}"
        )
    return found


# -- the processes; each writes what it saw to a file


def write(path: Path, rate: int, seconds: int, out: Path) -> None:
    """The writer: fills the store, then commits at the rate once its standard input says so."""
    bundle, _ = load_bundle()
    assert bundle is not None
    rows = tagged(FILLED + rate * seconds)
    for row in rows:
        row[INDEX["ingested_at_utc"]] = row[INDEX["trade_ts_utc"]]
    version = RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, 1, None, None)
    commits: list[tuple[int, int]] = []
    with open_writer(path) as writer:
        writer.put_rule_version(version, activate=True, now_utc=1)

        def put(some: list[list[Any]]) -> None:
            writer.append(Batch(rows=[row[: len(RAW)] for row in some]))
            writer.append_enriched([(*row[:2], *row[len(RAW) :]) for row in some], [])

        put(rows[:FILLED])
        print("filled", flush=True)
        sys.stdin.readline()
        begun = time.perf_counter()
        done = FILLED
        while done < len(rows):
            due = FILLED + int(rate * (time.perf_counter() - begun))
            if due > done:
                put(rows[done:due])
                done = min(due, len(rows))
                commits.append((done, time.time_ns()))
            time.sleep(COMMIT_S)
    out.write_text(json.dumps(commits))


class _Sse(asyncio.Protocol):
    """One subscriber: seqs as they come, each with the time."""

    def __init__(self, path: str, begun: asyncio.Event) -> None:
        self._path, self._begun, self._rest = path, begun, b""
        self.got: list[tuple[int, int]] = []

    def connection_made(self, transport: Any) -> None:
        """Ask."""
        transport.write(f"GET {self._path} HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())

    def data_received(self, data: bytes) -> None:
        """Take the ids of frames."""
        now = time.time_ns()
        self._begun.set()
        whole = self._rest + data
        self.got += [(int(seq), now) for seq in FRAME.findall(whole)]
        last = whole.rfind(b"\nevent: ")
        end = whole.find(b"\n", last + 1) if last >= 0 else -1
        self._rest = whole[max(end, len(whole) - 80) :] if end >= 0 else whole[-80:]


def _path(text: str) -> str:
    return f"/api/flow/stream?snapshot=0&where={quote(text)}"


async def read_sse(port: int, count: int, out: Path) -> None:
    """SSE subscribers, and one that never reads; until standard input says so."""
    loop = asyncio.get_running_loop()
    deaf = socket.socket()
    deaf.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf.connect((HOST, port))
    deaf.sendall(f"GET /api/flow/stream?snapshot=0 HTTP/1.1\r\nHost: {HOST}\r\n\r\n".encode())
    began = time.perf_counter()
    subscribers = []
    for text in filters(count, "sse"):
        begun = asyncio.Event()
        _, protocol = await loop.create_connection(lambda text=text, b=begun: _Sse(_path(text), b), HOST, port)
        subscribers.append((protocol, begun))
    await asyncio.gather(*(begun.wait() for _, begun in subscribers))
    print(time.perf_counter() - began, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(0.5)
    out.write_text(json.dumps([protocol.got for protocol, _ in subscribers]))
    deaf.close()


async def read_grpc(port: int, count: int, out: Path) -> None:
    """gRPC subscribers, and one that never reads; until standard input says so."""
    import grpc

    from phenix.server._pb import flow_pb2

    async def follow(text: str, got: list[tuple[int, int]], begun: asyncio.Event) -> None:
        async with grpc.aio.insecure_channel(f"{HOST}:{port}", options=(("grpc.use_local_subchannel_pool", 1),)) as own:
            call = own.unary_stream(
                "/phenix.v1.FlowService/Subscribe",
                request_serializer=flow_pb2.SubscribeRequest.SerializeToString,
                response_deserializer=flow_pb2.SubscribeResponse.FromString,
            )(flow_pb2.SubscribeRequest(filter=flow_pb2.Filter(where=text)))
            if not text:
                await call.read()
                await asyncio.Event().wait()
            async for answer in call:
                now = time.time_ns()
                begun.set()
                got += [(event.sequence, now) for event in answer.events.events]

    began = time.perf_counter()
    followers = [(follow(text, got := [], begun := asyncio.Event()), got, begun) for text in filters(count, "grpc")]
    tasks = [asyncio.create_task(run) for run, _, _ in followers] + [asyncio.create_task(follow("", [], begun))]
    await asyncio.gather(*(begun.wait() for _, _, begun in followers))
    print(time.perf_counter() - began, flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    await asyncio.sleep(0.5)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    out.write_text(json.dumps([got for _, got, _ in followers]))


# -- the measurement


def measure(kind: str, count: int, rate: int, seconds: int, folder: Path) -> list[dict[str, Any]]:
    """Run the processes, and compare what was committed with what came."""
    ports = {"sse": free_port(), "grpc": free_port()}
    settings = {"PHENIX_STORE": f"sqlite:{folder}/flow.sqlite", "PHENIX_PORT": str(ports["sse"]),
                "PHENIX_GRPC_PORT": str(ports["grpc"]), "PHENIX_STREAM_LIMIT": "0",
                "PHENIX_RATE_LIMIT": "0"}  # fmt: skip
    children: list[subprocess.Popen[str]] = []

    def start(*argv: str) -> subprocess.Popen[str]:
        child = subprocess.Popen([sys.executable, *argv], env={**os.environ, **settings}, text=True,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE)  # fmt: skip
        children.append(child)
        return child

    def heard(child: subprocess.Popen[str]) -> str:
        assert child.stdout is not None
        if not (line := child.stdout.readline()):
            raise RuntimeError("a process of the measurement ended early")
        return line

    def tell(child: subprocess.Popen[str]) -> None:
        assert child.stdin is not None
        child.stdin.write("\n")
        child.stdin.flush()

    commits_file, got_file = folder / "commits.json", folder / "got.json"
    mine = (__file__, "--seconds", str(seconds), "--rate", str(rate))
    try:
        writer = start(*mine, "--role", "write", "--out", str(commits_file), "--folder", str(folder))
        heard(writer)
        serve = start("-m", "phenix", "serve")
        until(lambda: answers(ports["sse"]), "serve to be ready", children)
        client = start(
            *mine, "--role", kind, "--port", str(ports[kind]), f"--{kind}", str(count), "--out", str(got_file)
        )
        joined = float(heard(client))
        before = _cpu(serve.pid)
        tell(writer)
        writer.wait()
        spent = _cpu(serve.pid) - before
        tell(client)
        client.wait()
        cpu_seconds(serve)
    finally:
        for child in children:
            if child.poll() is None:
                child.kill()
                child.wait()
    commits = json.loads(commits_file.read_text())
    got = json.loads(got_file.read_text())
    expected = _expected(filters(count, kind), tagged(FILLED + rate * seconds))
    ends = [seq for seq, _ in commits]
    delays = sorted((at - commits[bisect_left(ends, seq)][1]) / 1e6 for one in got for seq, at in one)
    dropped = sum(len(set(wanted) ^ set(seqs)) + (seqs != sorted(set(seqs)))
                  for wanted, seqs in zip(expected, ([seq for seq, _ in one] for one in got), strict=True))  # fmt: skip
    if not delays:
        raise RuntimeError("no row reached any subscriber")
    took = (commits[-1][1] - commits[0][1]) / 1e9
    name = {"sse": "SSE", "grpc": "gRPC"}[kind]
    detail = {"rate": round((ends[-1] - ends[0]) / took), "events": len(delays), "events_s": round(len(delays) / took),
              "p50_ms": round(quantile(delays, 0.5), 1), "p99_ms": round(quantile(delays, 0.99), 1),
              "max_ms": round(delays[-1], 1), "joined_s": round(joined, 2),
              "serve_cores": round(spent / took, 2)}  # fmt: skip
    what = f"commit to {count:,} {name} subscribers, p95 at {rate:,} rows/s"
    return [
        {"id": "P5", "what": what, "value": round(quantile(delays, 0.95), 1), "unit": "ms", "waits": True,
         "detail": detail},
        {"id": "P5", "what": f"events dropped, double or out of order, {name}", "value": dropped, "unit": "events"},
    ]  # fmt: skip


def _expected(texts: list[str], rows: list[list[Any]]) -> list[list[int]]:
    bundle, _ = load_bundle()
    assert bundle is not None
    many: Many[int] = Many(bundle.params, bundle.bits)
    for number, text in enumerate(texts):
        predicate = compile_predicate([("where", text)], bundle)
        assert isinstance(predicate, Predicate), text
        many.add(number, predicate.core)
    found: list[list[int]] = [[] for _ in texts]
    for start in range(FILLED, len(rows), 5_000):
        some = rows[start : start + 5_000]
        for number, hits in many.matches(Block.of_rows(some), 0).by_key().items():
            found[number] += [some[hit][INDEX["seq"]] for hit in hits]
    return found


def _cpu(pid: int) -> float:
    """CPU seconds of a process so far, user and system."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def main() -> None:
    """One role, or the whole measurement."""
    command = argparse.ArgumentParser(description="Many subscribers at once.")
    command.add_argument("--seconds", type=int, default=10)
    command.add_argument("--sse", type=int, default=1_000, help="SSE subscribers, 0 for none")
    command.add_argument("--grpc", type=int, default=50, help="gRPC subscribers, 0 for none")
    command.add_argument("--rate", type=int, default=0, help=argparse.SUPPRESS)
    command.add_argument("--role", choices=("write", "sse", "grpc"), help=argparse.SUPPRESS)
    command.add_argument("--port", type=int, default=0, help=argparse.SUPPRESS)
    command.add_argument("--out", type=Path, default=Path("out.json"), help=argparse.SUPPRESS)
    command.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = command.parse_args()
    if args.role == "write":
        write(args.folder / "flow.sqlite", args.rate, args.seconds, args.out)
    elif args.role == "sse":
        asyncio.run(read_sse(args.port, args.sse, args.out))
    elif args.role == "grpc":
        asyncio.run(read_grpc(args.port, args.grpc, args.out))
    else:
        figures: list[dict[str, Any]] = []
        for kind, count, rate in (("sse", args.sse, 1_000), ("grpc", args.grpc, 20_000)):
            if count:
                with tempfile.TemporaryDirectory(prefix="phenix-bench-") as folder:
                    figures += measure(kind, count, args.rate or rate, args.seconds, Path(folder))
        print(json.dumps(figures))


if __name__ == "__main__":
    main()
