"""Ask a server what nobody should: no failure of its own, no growth, nothing changed, and an answer for everyone else.

A real ``phenix serve`` gets hostile requests over HTTP (injection, nesting, bytes that are no text, floods, broken
framing, bodies beyond every limit), every gRPC method gets random bytes and messages, and slow clients send a byte at a
time. Every refusal must be a problem of the error table with its status; 5xx only the 503 that is declared there. The
stored rows must be the same afterwards, and saved queries those whose creation was confirmed.

What the description of the API allows and forbids is asked by ``python -m drills schemathesis``.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import http.client
import io
import json
import random
import re
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import httpx

from drills._hostile import Hostile, Requests
from drills._hostile_calls import Call, call_all, codes
from drills._processes import Phenix
from drills._stores import record_tape, stored_rows
from drills._tapes import generated_tape
from phenix import app
from phenix.server.errors import ERRORS
from phenix.server.rest.protocol import REQUEST_S

__all__ = ["Figures", "attack", "main"]

_AT_ONCE: Final = 8
_ANSWER_S: Final = 15.0
_SILENCE_S: Final = 0.3
_GROWTH_MB: Final = 64.0
"""More than this after the first tenth of the requests is a leak."""
_PATIENT_S: Final = 2.0
"""A request of somebody else is answered within this meanwhile."""


@dataclass(slots=True)
class Figures:
    """What came of it; ``faults`` must be empty."""

    requests: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    kinds: Counter[str] = field(default_factory=Counter)
    calls: dict[str, int] = field(default_factory=dict)
    methods: int = 0
    slow: int = 0
    slow_cut: int = 0
    others_ms: list[float] = field(default_factory=list)
    memory_mb: list[float] = field(default_factory=list)
    saved: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


async def attack(folder: Path, *, requests: int, calls: int, slow: int, prints: int, seed: int) -> Figures:
    """Store a session, serve it, and ask."""
    began, figures, rng = time.monotonic(), Figures(), random.Random(seed)
    store = folder / "flow.sqlite"
    tape = generated_tape(folder, seed=seed, symbols=5, prints=prints, date=20261120)
    record_tape(store, tape)
    before = _digest(store)
    async with Phenix("serve", "--store", f"sqlite:{store}", "--port", "0", "--grpc-port", "0",
                      environ={"PHENIX_RATE_LIMIT": "0"}) as serve:  # fmt: skip
        said = await serve.heard("ready at")
        port, grpc_port = (int(found) for found in re.findall(r":(\d+)", said)[-2:])
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=_ANSWER_S) as client:
            document = (await client.get("/api/openapi.json")).raise_for_status().json()
            made = Requests(rng, document)
            slowly = [asyncio.create_task(_slow(port, number, figures)) for number in range(slow)]
            others = asyncio.create_task(_ask_as_others_do(client, figures))
            await _send_all(port, made, requests, figures, serve.pid)
            told = await asyncio.to_thread(
                lambda: list(call_all(f"127.0.0.1:{grpc_port}", calls, random.Random(seed), made.text))
            )
            _take(told, figures)
            await asyncio.gather(*slowly)
            others.cancel()
            figures.memory_mb.append(_memory_mb(serve.pid))
            answer = await client.get("/api/flow?limit=1")
            if answer.status_code != 200:
                figures.faults.append(f"the server does not answer any more: {answer.status_code}")
            figures.saved = await _saved(client)
        failed = [line for line in serve.said if "Traceback" in line or "Exception" in line]
        figures.faults += [f"its log says: {line}" for line in failed[:10]]
        if await serve.stop() != 0:
            figures.faults.append("it did not end as it was told to")
    if _digest(store) != before:
        figures.faults.append("stored rows changed")
    made_n = figures.statuses["201 made"] - figures.statuses["204 removed"]
    if figures.saved < made_n:
        figures.faults.append(f"{made_n} saved queries were confirmed, {figures.saved} are there")
    if figures.slow_cut < figures.slow:
        figures.faults.append(f"{figures.slow - figures.slow_cut} of {figures.slow} slow clients were not cut")
    if figures.memory_mb[-1] - figures.memory_mb[0] > _GROWTH_MB:
        figures.faults.append(f"memory grew: {figures.memory_mb}")
    figures.seconds = time.monotonic() - began
    return figures


async def _send_all(port: int, made: Requests, requests: int, figures: Figures, pid: int) -> None:
    """All requests, some at a time; memory is read after each tenth."""
    step = max(1, requests // 10)
    for start in range(0, requests, step):
        queue = [made.one() for _ in range(min(step, requests - start))]

        async def work(queue: list[Hostile] = queue) -> None:
            while queue:
                request = queue.pop()
                figures.requests += 1
                figures.kinds[request.kind] += 1
                _judge(request, await _send(port, request), figures)

        await asyncio.gather(*(work() for _ in range(_AT_ONCE)))
        figures.memory_mb.append(_memory_mb(pid))
        print(f"{figures.requests} requests, {len(figures.faults)} faults", file=sys.stderr)


async def _send(port: int, request: Hostile) -> bytes | None:
    """What came back: as much as is needed of what has no end; None when nothing came in time."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    held = bytearray()
    try:
        writer.write(request.data)
        async with asyncio.timeout(_SILENCE_S if request.silent else _ANSWER_S):
            while chunk := await reader.read(65_536):
                held += chunk
                if request.stream and b"text/event-stream" in held:  # the answer has no end
                    break
    except (TimeoutError, ConnectionError):
        if not held and not request.silent:
            return None
    finally:
        writer.close()
    return bytes(held)


class _Heard(io.BytesIO):
    def makefile(self, _mode: str) -> _Heard:
        return self


def _judge(request: Hostile, answer: bytes | None, figures: Figures) -> None:
    shown = request.data[:300]
    if not answer:
        figures.statuses["none"] += 1
        if not request.silent:
            figures.faults.append(f"no answer to {shown!r}")
        return
    method = request.data.split(b" ", 1)[0].decode("latin-1")
    heard = http.client.HTTPResponse(_Heard(answer), method=method if method == "HEAD" else "GET")  # type: ignore[arg-type]
    try:
        heard.begin()
        body = b"" if heard.headers.get_content_type() == "text/event-stream" else heard.read()
    except (http.client.HTTPException, ValueError) as error:
        figures.faults.append(f"{error!r} in the answer to {shown!r}")
        return
    status = heard.status
    figures.statuses[str(status)] += 1
    if status == 201:
        data = json.loads(body)["data"]
        figures.statuses["201 made"] += 1 if isinstance(data, dict) else 0
    figures.statuses["204 removed"] += status == 204
    if status < 400 or method == "HEAD":
        if status >= 500:
            figures.faults.append(f"{status} to {shown!r}")
        return
    code = _code(heard, body, status)
    if code is None or (status >= 500 and status != 503):
        figures.faults.append(f"{status} {heard.headers.get('content-type')} {body[:200]!r} to {shown!r}")
    if b"Traceback" in body:
        figures.faults.append(f"its insides to {shown!r}")


def _code(heard: http.client.HTTPResponse, body: bytes, status: int) -> str | None:
    """The code of a problem of the table; None for what is none."""
    if heard.headers.get("content-type") != "application/problem+json":
        return None
    found: dict[str, Any] = json.loads(body)
    code = str(found.get("code"))
    fits = code in ERRORS and ERRORS[code].status == status == found["status"] and found["detail"]
    return code if fits else None


def _take(told: list[Call], figures: Figures) -> None:
    figures.calls = codes(told)
    figures.methods = len({call.method for call in told})
    figures.faults += [f"{call.method} {call.fault}" for call in told if call.fault]


async def _slow(port: int, number: int, figures: Figures) -> None:
    """A request byte by byte, its head or its body; it is cut when the connection ends by itself in time."""
    figures.slow += 1
    head = b"GET /api/flow HTTP/1.1\r\nhost: 127.0.0.1\r\nx-slow: "
    if number % 2:
        head = b"POST /api/flow/presets HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100000\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(head)
    until = time.monotonic() + REQUEST_S + 10
    try:
        while time.monotonic() < until:
            writer.write(b"x")
            try:
                async with asyncio.timeout(0.5):
                    if not await reader.read(65_536):
                        break
            except TimeoutError:
                continue
        else:
            return
    except ConnectionError:
        pass
    finally:
        writer.close()
    figures.slow_cut += 1


async def _ask_as_others_do(client: httpx.AsyncClient, figures: Figures) -> None:
    """A plain question again and again, while everything else goes on."""
    while True:
        began = time.monotonic()
        answer = await client.get("/api/flow?limit=5&chips=whales")
        figures.others_ms.append((time.monotonic() - began) * 1000)
        if answer.status_code != 200 or figures.others_ms[-1] > _PATIENT_S * 1000:
            figures.faults.append(f"somebody else got {answer.status_code} after {figures.others_ms[-1]:.0f} ms")
        await asyncio.sleep(0.1)


async def _saved(client: httpx.AsyncClient) -> int:
    totals = [(await client.get(f"/api/flow/{kind}?limit=1")).json()["page"]["total"] for kind in ("presets", "alerts")]
    return sum(totals)


def _digest(store: Path) -> str:
    """A hash of every stored row, and of the rule versions."""
    with app.open_reader(f"sqlite:{store}") as reader:
        versions = reader.execute("SELECT version_id, checksum, is_active FROM filter_rule_versions ORDER BY 1")
    return hashlib.sha256(repr((stored_rows(store), versions)).encode()).hexdigest()


def _memory_mb(pid: int) -> float:
    line = next(line for line in Path(f"/proc/{pid}/status").read_text().splitlines() if line.startswith("VmRSS"))
    return round(int(line.split()[1]) / 1024, 1)


def main(arguments: list[str]) -> int:
    """Attack; exit 1 when anything did not hold."""
    command = argparse.ArgumentParser(prog="python -m drills hostile", description=__doc__)
    command.add_argument("--requests", type=int, default=10_000)
    command.add_argument("--calls", type=int, default=2_000)
    command.add_argument("--slow", type=int, default=100)
    command.add_argument("--prints", type=int, default=20_000)
    command.add_argument("--seed", type=int, default=1)
    args = command.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="phenix-hostile-") as folder:
        found = asyncio.run(attack(Path(folder), requests=args.requests, calls=args.calls, slow=args.slow,
                                   prints=args.prints, seed=args.seed))  # fmt: skip
    waits = sorted(found.others_ms)
    print(f"{found.requests:,} requests {dict(found.kinds)}: {dict(found.statuses)}")
    print(f"{sum(found.calls.values()):,} calls of {found.methods} methods: {found.calls}")
    print(f"{found.slow_cut} of {found.slow} slow clients cut; {len(waits)} requests of others, the slowest "
          f"{waits[-1]:.0f} ms, half within {waits[len(waits) // 2]:.0f} ms")  # fmt: skip
    print(f"memory {found.memory_mb} MB; {found.saved} saved queries; {found.seconds:.0f} s; "
          f"{len(found.faults)} faults")  # fmt: skip
    for fault, often in Counter(found.faults).most_common(40):
        print(f"{often} times: {fault}")
    return 1 if found.faults else 0
