"""What ingest tells of itself while a real terminal's protocol feeds it: each metric moves with its cause."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phenix import app
from phenix.engine.metrics import METRICS, Process
from tests.ingest.files import day_sources
from tests.scrape import Series, at, scrape

PRINTS = 1_000
FAULTS = ["broken_frames:after=100,count=3", "abrupt_close:after=300,count=1"]


async def _ingesting(folder: Path, done: Callable[[Series], bool], *faults: str) -> tuple[Series, str, list[Any]]:
    """What a process tells once ``done`` of it, its /health, and its log lines."""
    sources = day_sources(folder, PRINTS)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)
    play: dict[str, Any] = {"speed": 0.0, "stocks": "standard", "settle_s": 0.1, "faults": faults}
    async with app.terminal(tape, **play) as terminal:
        environment = {
            **os.environ, "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
            "INGEST_SYMBOLS": "XYZ", "PHENIX_STORE": f"sqlite:{folder / 'live.sqlite'}", "PHENIX_METRICS_PORT": "0",
        }  # fmt: skip
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "phenix", "ingest", env=environment, stderr=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stderr is not None
        url, lines = "", []
        while not url:
            lines.append(json.loads(await process.stderr.readline()))
            said = lines[-1]["message"]
            url = said.removeprefix("metrics at ") if said.startswith("metrics at ") else ""
        reading = asyncio.create_task(process.stderr.read())  # or it would wait for room in the pipe
        async with asyncio.timeout(90):
            while not done(found := await asyncio.to_thread(scrape, url)):  # noqa: ASYNC110 - it is another process
                await asyncio.sleep(0.05)
        health = await asyncio.to_thread(_get, url.replace("/metrics", "/health"))
        process.send_signal(signal.SIGINT)
        await process.wait()
        lines += [json.loads(line) for line in (await reading).splitlines()]
    assert process.returncode == 0
    with pytest.raises(urllib.error.URLError):
        scrape(url)
    return found, health, lines


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return str(answer.read().decode())


def test_each_metric_moves_with_its_cause(tmp_path: Path) -> None:
    def done(it: Series) -> bool:
        recovered = at(it, "ingest_prints_total", outcome="recovered") or 0
        return (at(it, "ingest_prints_total", outcome="stored") or 0) + recovered >= PRINTS - 3

    found, health, lines = asyncio.run(_ingesting(tmp_path, done, *FAULTS))
    assert json.loads(health) == {"status": "ok"}
    with app.open_reader(f"sqlite:{tmp_path / 'live.sqlite'}") as reader:
        stored = reader.watermark()
        letters = reader.dead_letter_counts()
        calls = reader.execute("SELECT count(*) FROM option_trades WHERE right = 'CALL'")[0][0]
        gaps = len(reader.gaps())
    streamed = at(found, "ingest_prints_total", outcome="stored")
    assert streamed is not None
    assert streamed + (at(found, "ingest_prints_total", outcome="recovered") or 0) == stored
    # The same frame refused twice is one letter of the store, and was refused twice all the same.
    assert (at(found, "ingest_parse_failures_total", reason="frame"), letters) == (3, {"frame": 3})
    assert at(found, "ingest_events_total", kind="unreadable") == 3
    assert (at(found, "ingest_events_total", kind="trade") or 0) >= streamed
    assert (at(found, "ingest_events_total", kind="quote") or 0) > 0
    assert at(found, "ingest_connections_total") == 2
    assert at(found, "ingest_disconnections_total") == 1
    assert [at(found, "feed_connected", line=line) for line in ("stream", "terminal")] == [1, 1]
    assert at(found, "ingest_gaps_total", cause="disconnected") == gaps == 1
    assert at(found, "ingest_dropped_total", reason="overflow") == 0
    assert (at(found, "ingest_streams", answer="subscribed") or 0) > 0
    assert at(found, "ingest_batch_rows_sum") == streamed
    assert at(found, "enrichment_latency_ms_count") == streamed
    assert at(found, "print_latency_ms_count", step="received_to_stored") == streamed
    assert at(found, "print_latency_ms_count", step="exchange_to_received") == 0  # it plays another day
    assert at(found, "filter_hits_total", chip="calls") == calls > 0
    assert at(found, "filter_hits_total", chip="puts") == 0
    assert (at(found, "ingest_cpu_seconds_total", stage="enrich") or 0) > 0
    assert 0 <= (at(found, "ingest_lag_seconds") or 0) < 60
    assert {line["rule_version"] for line in lines} == {app.packaged_bundle().version}
    watermarks = [line["watermark"] for line in lines]
    assert watermarks == sorted(watermarks)
    assert (watermarks[0], watermarks[-1]) == (0, stored)
    names = {m.name for m in METRICS if Process.INGEST in m.told_by}
    assert {name.removesuffix("_count") for name, _ in found if name.removesuffix("_count") in names} == names


def test_it_starts_on_no_port_that_is_taken(tmp_path: Path) -> None:
    import socket

    from tests.server.conftest import run

    sources = day_sources(tmp_path, 5)
    tape = app.tape(sources.trades, sources.open_interest, sources.underlying)

    async def refused(port: int) -> tuple[int, str]:
        async with app.terminal(tape, speed=0.0, settle_s=0.1, wait_for_play=True) as terminal:
            environment = {
                "THETADATA_BASE_URL": terminal.base_url, "THETADATA_STREAM_URL": terminal.stream_url,
                "INGEST_SYMBOLS": "XYZ", "PHENIX_STORE": f"sqlite:{tmp_path / 'live.sqlite'}",
            }  # fmt: skip
            ended = await asyncio.to_thread(run, "ingest", "--metrics-port", str(port), environ=environment)
            return ended.returncode, ended.stderr

    with socket.create_server(("127.0.0.1", 0)) as taken:
        code, said = asyncio.run(refused(taken.getsockname()[1]))
    assert code == 2
    assert "choose another port with --metrics-port" in said
