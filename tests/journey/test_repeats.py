"""One burst through the whole product: terminal, ingest and serve as processes, REST, SSE and gRPC as clients.

Twenty prints of one contract and side within three minutes: the twentieth is Repeat Flow, the
nineteenth is not, and every door says so.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from phenix.client import Client

HEADER = (
    "symbol,expiration,strike,right,trade_timestamp,quote_timestamp,sequence,ext_condition1,ext_condition2,"
    "ext_condition3,ext_condition4,condition,size,exchange,price,bid_size,bid_exchange,bid,bid_condition,"
    "ask_size,ask_exchange,ask,ask_condition"
)


def _line(second: int, sequence: int, price: str) -> str:
    clock = f"2026-11-20T11:{30 + second // 60:02d}:{second % 60:02d}"
    return (
        f"AAPL,2026-11-20,275.000,CALL,{clock}.25,{clock},{sequence},255,255,255,255,18,3,5,{price},"
        "10,5,2.00,50,10,5,2.10,50"
    )


def _tape(path: Path) -> Path:
    """Prints at the ask every nine seconds (the twentieth 171 s after the first), two at the mid among them."""
    lines = [_line(9 * n, 1000 + n, "2.10") for n in range(20)]
    lines.insert(5, _line(41, 2000, "2.05"))
    lines.insert(12, _line(95, 2001, "2.05"))
    lines.append(_line(171 + 181, 3000, "2.10"))  # long after: alone again
    path.write_text("\r\n".join([HEADER, *lines]) + "\r\n")
    return path


@contextlib.contextmanager
def _phenix(*argv: str, env: dict[str, str], ready: str = "") -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """A command as a process; the groups of its ready line."""
    process = subprocess.Popen(
        [sys.executable, "-m", "phenix", *argv], env=env, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )
    assert process.stdout is not None
    try:
        found: list[str] = []
        if ready:
            line = process.stdout.readline()
            match = re.search(ready, line)
            assert match, line
            found = list(match.groups())
        yield process, found
    finally:
        process.terminate()
        process.wait(20)
        process.stdout.close()


def test_the_twentieth_repeat_is_repeat_flow_everywhere(tmp_path: Path) -> None:
    tape = _tape(tmp_path / "trade_quote.csv")
    env = {**os.environ, "PHENIX_STORE": f"sqlite:{tmp_path / 'flow.sqlite'}", "INGEST_SYMBOLS": "AAPL"}
    ports = ("--port", "0", "--stream-port", "0")
    with _phenix("terminal", "--tape", str(tape), "--speed", "0", *ports,
                 env=env, ready=r"(http://[\d.:]+).*?(ws://\S+)") as (_, (rest, stream)):  # fmt: skip
        env |= {"THETADATA_BASE_URL": rest, "THETADATA_STREAM_URL": stream.rstrip(",.")}
        with (
            _phenix("ingest", env=env),
            _phenix("serve", "--wait", "30", "--port", "0", "--grpc-port", "0", env=env,
                    ready=r"(http://[\d.:]+\d).*?([\d.]+:\d+)\D*$") as (_, (page, grpc)),
        ):  # fmt: skip
            asyncio.run(asyncio.wait_for(_watch(page, grpc), 60))


async def _watch(page: str, grpc: str) -> None:
    async with httpx.AsyncClient(base_url=page, timeout=30) as http, Client(grpc) as client:
        by_sse = asyncio.create_task(_sse(http))
        by_grpc = asyncio.create_task(_grpc(client))
        sse, rows = await by_sse, await by_grpc
        # The stream is told every row; the twentieth at the ask is the first with the chip, and the only one.
        repeats = [(flow["sequence"], flow["repeat3m"]) for flow in sse if flow["side"] == "ASK"]
        assert repeats == [(1000 + n, n + 1) for n in range(20)] + [(3000, 1)]
        assert [flow["sequence"] for flow in sse if "repeat_flow" in flow["chips"]] == [1019]
        assert [flow["sequence"] for flow in sse if "urgent" in flow["chips"]] == [1019]
        assert all("repeat_flow" not in flow["chipsUnknown"] for flow in sse)
        assert [(row.sequence, row.repeat3m) for row in rows] == [(1019, 20), (3000, 1)]
        answer = (await http.get("/api/flow", params={"chips": "Repeat Flow", "sortOrder": "asc"})).json()
        assert [(row["sequence"], row["repeat3m"]) for row in answer["data"]] == [(1019, 20)]
        nineteenth = (await http.get("/api/flow", params={"where": "repeat3m = 19", "notChips": "repeat"})).json()
        assert [row["sequence"] for row in nineteenth["data"]] == [1018]
        page_ = await client.query(chips=["repeat_flow"])
        assert [row.sequence for row in page_.rows] == [1019]


async def _sse(http: httpx.AsyncClient) -> list[dict[str, Any]]:
    seen: list[dict[str, Any]] = []
    async with http.stream("GET", "/api/flow/stream", params={"snapshot": 0, "watermark": 0}) as response:
        assert response.status_code == 200
        async for line in response.aiter_lines():
            if line.startswith("data: "):
                payload = json.loads(line[6:])
                if payload["eventType"] == "flow.updated":
                    seen.append(payload["flow"])
                    if payload["flow"]["sequence"] == 3000:
                        return seen
    raise AssertionError("the stream ended")


async def _grpc(client: Client) -> list[Any]:
    rows = []
    async for row in client.subscribe(where="@repeat_flow or sequence = 3000", after_seq=0):
        rows.append(row)
        if row.sequence == 3000:
            return rows
    raise AssertionError("the subscription ended")
