"""``phenix terminal`` as a process."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from phenix.ingest.terminal.faults import FAULTS
from phenix.ingest.terminal.tape import FileTape


def phenix(*args: object, **more: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "phenix", "terminal", *map(str, args)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **more)  # type: ignore[call-overload,no-any-return]


def test_it_prints_its_addresses_and_ends_on_a_signal(tape: FileTape, tmp_path: Path) -> None:
    process = phenix("--tape", tmp_path / "t.csv", "--port", 0, "--stream-port", 0)
    assert process.stdout is not None
    words = process.stdout.readline().split()
    assert words[:3] == ["terminal", "listening", "on"]
    assert words[4].startswith("ws://127.0.0.1:")
    with urllib.request.urlopen(f"{words[3]}/v3/terminal/mdds/status") as answer:
        assert answer.read() == b"CONNECTED"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out, err) == (0, "", "")


def test_shutdown_ends_it(tape: FileTape, tmp_path: Path) -> None:
    process = phenix("--symbols", 3, "--prints", 100, "--port", 0, "--stream-port", 0)
    assert process.stdout is not None
    address = process.stdout.readline().split()[3]
    with urllib.request.urlopen(f"{address}/v3/terminal/shutdown") as answer:
        assert answer.read() == b"OK"
    assert process.wait(timeout=30) == 0
    process.communicate()


def refused(*args: object) -> tuple[int, str]:
    process = phenix(*args)
    _, err = process.communicate(timeout=30)
    return process.returncode, err


def test_a_port_in_use_is_told() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        code, err = refused("--symbols", 1, "--prints", 1, "--port", port, "--stream-port", 0)
        assert code == 2
        assert err == (
            f"phenix: cannot listen on 127.0.0.1:{port}: Address already in use; "
            "choose another with --port, or 0 for a free port\n"
        )
        code, err = refused("--symbols", 1, "--prints", 1, "--port", 0, "--stream-port", port)
        assert code == 2
        assert "choose another with --stream-port" in err


def test_wrong_usage_is_told(tmp_path: Path) -> None:
    assert refused("--tape", tmp_path / "none.csv") == (
        2, f"phenix: cannot read {tmp_path / 'none.csv'}: No such file or directory\n",
    )  # fmt: skip
    assert refused("--date", "2026-11-22") == (2, "phenix: 2026-11-22 is not a trading day\n")
    assert refused("--underlying", "x.csv") == (
        2, "phenix: --open-interest and --underlying go with --tape; name the tape to play\n",
    )  # fmt: skip


def test_lines_that_are_not_played_are_told(tape: FileTape, tmp_path: Path) -> None:
    with (tmp_path / "t.csv").open("a") as file:
        file.write("broken\n" * 12)
    process = phenix("--tape", tmp_path / "t.csv", "--port", 0, "--stream-port", 0)
    assert process.stdout is not None
    process.stdout.readline()
    process.terminate()
    _, err = process.communicate(timeout=30)
    lines = err.splitlines()
    assert len(lines) == 11
    assert lines[0].startswith(f"phenix: not played: {tmp_path / 't.csv'}:8: ")
    assert lines[-1] == "phenix: 2 more lines are not played"


def test_a_tape_is_written(tmp_path: Path) -> None:
    process = phenix(
        "--symbols", 2, "--prints", 200, "--seed", 9, "--date", "2026-11-20", "--write-tape", tmp_path / "out"
    )
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    names = [line.split(":")[0] for line in out.splitlines()]
    assert names == [
        str(tmp_path / "out" / name) for name in ("trade_quote.csv", "open_interest.csv", "underlying_quote.csv")
    ]
    (tmp_path / "file").write_text("")
    assert refused("--symbols", 1, "--prints", 1, "--write-tape", tmp_path / "file" / "x")[0] == 2


def test_faults_are_listed_and_refused() -> None:
    process = phenix("--list-faults")
    out, err = process.communicate(timeout=60)
    assert (process.returncode, err) == (0, "")
    assert {line.split()[0] for line in out.splitlines() if line and line[0].isalpha()} == set(FAULTS)
    few = ("--symbols", 1, "--prints", 1, "--port", 0, "--stream-port", 0)
    assert refused(*few, "--fault", "silent_feed:for=soon") == (
        2, "phenix: --fault silent_feed: for 'soon' is not a number, or seconds such as 2.5s\n",
    )  # fmt: skip


def test_a_fault_is_in_force_from_the_start(tape: FileTape, tmp_path: Path) -> None:
    process = phenix(
        "--tape",
        tmp_path / "t.csv",
        "--port",
        0,
        "--stream-port",
        0,
        "--fault",
        "http_478",
        "--fault",
        "cancels:share=0.5",
    )
    assert process.stdout is not None
    address = process.stdout.readline().split()[3]
    with urllib.request.urlopen(f"{address}/control/faults") as answer:
        assert [fault["name"] for fault in json.load(answer)["active"]] == ["http_478", "cancels"]
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(f"{address}/v3/calendar/today")
    assert error.value.code == 478
    error.value.close()
    process.terminate()
    process.communicate(timeout=30)
