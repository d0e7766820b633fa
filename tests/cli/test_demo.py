"""The demo: three real processes, a page that answers, and sums that agree."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SUMS = re.compile(r"([\d,]+) prints ingested, ([\d,]+) tagged, ([\d,]+) streamed\.")


def start(*argv: str, **environ: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "phenix", "demo", *argv],
        cwd=ROOT,
        env={**os.environ, **environ},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.fixture
def running() -> Iterator[subprocess.Popen[str]]:
    demo = start()
    yield demo
    demo.kill()
    demo.communicate()


def test_it_ends_by_itself_and_the_sums_agree() -> None:
    # On a machine with an installation, whose door and metrics are not the demo's.
    installed = {"PHENIX_API_TOKENS": "/no/such/tokens.toml", "PHENIX_METRICS_PORT": "1", "PHENIX_TLS_CERT": "/no/such"}
    out, err = start("--seconds", "3", **installed).communicate(timeout=110)
    assert err == ""
    first, second, last = out.splitlines()
    assert re.fullmatch(r"Phenix is at http://127\.0\.0\.1:\d+/ \(gRPC at 127\.0\.0\.1:\d+\)\.", first)
    assert second == "Rows are coming. It ends by itself after 3 seconds."
    sums = SUMS.fullmatch(last)
    assert sums, last
    ingested, tagged, streamed = (int(text.replace(",", "")) for text in sums.groups())
    assert ingested == tagged == streamed > 0


def test_it_serves_rows_until_it_is_stopped(running: subprocess.Popen[str]) -> None:
    assert running.stdout is not None
    address = running.stdout.readline().split()[3]
    with urllib.request.urlopen(f"{address}api/flow/stream?snapshot=0", timeout=60) as stream:
        updates = (json.loads(line[6:]) for line in stream if line.startswith(b"data: "))
        row = next(update["flow"] for update in updates if "flow" in update)
    with urllib.request.urlopen(f"{address}api/flow/{row['id']}", timeout=60) as answer:
        assert json.load(answer)["data"]["seq"] == row["seq"]
    running.send_signal(signal.SIGINT)
    out, err = running.communicate(timeout=60)
    assert (running.returncode, err) == (0, "")
    assert SUMS.fullmatch(out.splitlines()[-1])


def test_a_taken_port_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        out, err = (demo := start("--seconds", "1", "--port", port)).communicate(timeout=60)
    assert (demo.returncode, out, err) == (2, "", f"phenix: port {port} cannot be used; choose another with --port\n")


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "x", "1e9"])
def test_a_wrong_time_is_refused(seconds: str) -> None:
    _, err = (demo := start("--seconds", seconds)).communicate(timeout=60)
    assert demo.returncode == 2
    assert f"argument --seconds: '{seconds}' is not a number of seconds above 0, at most 86400" in err


def test_a_process_that_fails_ends_the_demo_with_its_reason() -> None:
    # A universe that is not there stops ingest; the settings pass on to the processes.
    environment = {**os.environ, "PHENIX_UNIVERSE": "/no/such/universe.txt"}
    done = subprocess.run(
        [sys.executable, "-m", "phenix", "demo", "--seconds", "20"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=110,
    )
    assert done.returncode == 2
    assert "phenix: phenix ingest ended with exit code 11\n" in done.stderr
    assert "/no/such/universe.txt" in done.stderr
