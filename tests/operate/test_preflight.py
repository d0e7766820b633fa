"""``phenix preflight`` against a terminal on real sockets: what is asked, what comes, what must be refused."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from phenix import app
from phenix.engine.preflight import FAILURES, failed_last
from tests.operate.stores import day, ingest, phenix
from tests.operate.test_bootstrap import web


def preflight(folder: Path, *options: str, played: bool = True, **terminal: Any) -> tuple[int, Any]:
    """Exit status and report of a run against a terminal that plays a day."""

    async def run() -> tuple[int, Any]:
        tape = app.tape(day(folder, "2024-11-04", 20).trades)
        async with app.terminal(tape, speed=0.0, settle_s=0.1, **terminal) as standin:
            if played:  # history goes as far as what was played
                await ingest(standin, folder / "flow.sqlite", INGEST_SYMBOLS="XYZ")
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "phenix", "preflight", *options,
                env={
                    **os.environ, "THETADATA_BASE_URL": standin.base_url, "THETADATA_STREAM_URL": standin.stream_url,
                    "INGEST_SYMBOLS": "XYZ", "THETADATA_CREDS_FILE": str(folder / "creds.txt"),
                    "PHENIX_STORE": f"sqlite:{folder / 'flow.sqlite'}",
                },
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate()
            assert process.returncode is not None
            report = json.loads(out)
            told = [json.loads(line) for line in err.splitlines()]
            assert [line["message"] for line in told] == [
                f"{check['name']}: {check['detail']}" for check in report["checks"] if not check["ok"]
            ]
            assert failed_last(folder / "flow.sqlite") == {
                code: int(not report["ok"] and code == (report["code"] or "other")) for code in (*FAILURES, "other")
            }
            return process.returncode, report

    return asyncio.run(run())


def test_the_matrix_is_what_was_observed(tmp_path: Path) -> None:
    code, report = preflight(tmp_path, "--date", "2024-11-04", "--report", str(tmp_path / "report.json"))
    assert (code, report["ok"]) == (0, True), report
    assert json.loads((tmp_path / "report.json").read_text()) == report
    seen = {endpoint["name"]: endpoint for endpoint in report["endpoints"]}
    assert {name: (e["status"], e["result"]) for name, e in seen.items()} == {
        "reachability": (200, "data"),
        "stock list": (200, "data"),
        "option list": (200, "data"),
        "entitled data": (200, "data"),
        "forbidden data": (471, "refused"),
        "ingest data": (200, "data"),
        "same-day data": (472, "no data"),
    }
    assert seen["stock list"]["columns"] == ["response", "symbol"]
    assert seen["ingest data"]["columns"][:4] == ["symbol", "expiration", "strike", "right"]
    assert seen["ingest data"]["url"].split("?")[0].endswith("/v3/option/history/trade_quote")
    assert seen["ingest data"]["url"].split("?")[1] == (
        "symbol=XYZ&expiration=20241108&strike=200.000&right=call&date=20241104&format=csv"
    )
    assert seen["ingest data"]["rows"] == 4
    assert "subscription" in seen["forbidden data"]["detail"]
    credentials = report["checks"][0]["detail"]
    assert credentials.startswith(f"{tmp_path / 'creds.txt'} is not there: ")
    assert credentials.endswith("; not needed now, for the terminal is up")


@pytest.mark.parametrize(
    ("options", "wrong"),
    [("pro", {"forbidden data": "data, refused expected"}),
     ("value", {"entitled data": "refused, data expected", "ingest data": "refused, data expected",
                "same-day data": "refused, data or no data expected"})],
)  # fmt: skip
def test_another_subscription_is_found(tmp_path: Path, options: str, wrong: dict[str, str]) -> None:
    code, report = preflight(tmp_path, "--date", "2024-11-04", options=options, played=options == "pro")
    failed = {check["name"]: check["detail"] for check in report["checks"] if not check["ok"]}
    if options == "pro":  # the stand-in has no such table: it is an error, not a refusal
        assert list(failed) == ["forbidden data"]
    else:
        assert {name: detail.split(": ")[1] for name, detail in failed.items()} == wrong
    assert (code, report["code"]) == (1, "")


def test_a_day_without_prints_is_named(tmp_path: Path) -> None:
    code, report = preflight(tmp_path, played=False)
    assert code == 1
    assert [check["name"] for check in report["checks"] if not check["ok"]] == ["contracts"]
    assert "name a day that did with --date" in report["checks"][-1]["detail"]
    code, report = preflight(tmp_path, "--no-smoke", played=False)
    assert (code, "endpoints" in report) == (0, False)


def test_what_ingest_needs_is_looked_at_in_order(tmp_path: Path) -> None:
    away = {
        "THETADATA_BASE_URL": "http://127.0.0.1:1",
        "THETADATA_CONNECT_TIMEOUT_MS": "50",
        "THETADATA_CREDS_FILE": str(tmp_path / "creds.txt"),
        "PHENIX_STORE": f"sqlite:{tmp_path / 'flow.sqlite'}",
    }
    done = phenix("preflight", **away)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (10, "MON86_ERR_MISSING_CREDS")
    (tmp_path / "creds.txt").write_text("trader@example.com\nsecret words\n")
    done = phenix("preflight", PHENIX_UNIVERSE=str(tmp_path / "none.txt"), **away)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (11, "MON86_ERR_CONFIG")
    done = phenix("preflight", **away)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (14, "MON86_ERR_HEALTH_TIMEOUT")
    assert "secret words" not in done.stdout + done.stderr
    (line,) = done.stderr.splitlines()
    assert json.loads(line)["code"] == "MON86_ERR_HEALTH_TIMEOUT"
    done = phenix("preflight", PHENIX_PORT="x")
    assert (done.returncode, json.loads(done.stdout)["code"]) == (11, "MON86_ERR_CONFIG")


def test_ingest_names_what_keeps_it_from_starting(tmp_path: Path) -> None:
    """By the exit status, in the sentence and in the log; a setting that cannot be used, too."""
    store = tmp_path / "flow.sqlite"
    away = {
        "THETADATA_BASE_URL": "http://127.0.0.1:1", "THETADATA_CONNECT_TIMEOUT_MS": "50",
        "PHENIX_STORE": f"sqlite:{store}",
    }  # fmt: skip
    assert failed_last(store) == {}
    for more, code, name in (
        ({}, 14, "MON86_ERR_HEALTH_TIMEOUT"),
        ({"PHENIX_UNIVERSE": str(tmp_path / "none.txt")}, 11, "MON86_ERR_CONFIG"),
    ):
        done = phenix("ingest", **away, **more)
        *logged, said = done.stderr.splitlines()
        assert (done.returncode, json.loads(logged[-1])["code"]) == (code, name)
        assert said.startswith(f"phenix: {name}: ")
        assert {found for found, failed in failed_last(store).items() if failed} == {name}
    done = phenix("ingest", PHENIX_PORT="x", **away)
    assert (done.returncode, done.stdout) == (11, "")
    logged, said = done.stderr.splitlines()
    assert json.loads(logged)["code"] == "MON86_ERR_CONFIG"
    assert said.startswith("phenix: MON86_ERR_CONFIG: PHENIX_PORT")
    # A run that does not look knows nothing of it any more.
    phenix("ingest", "--no-preflight", **away)
    assert failed_last(store) == {}
    (tmp_path / "flow.preflight.json").write_text('{"ok": false')
    assert failed_last(store) == {}


def test_another_program_at_the_terminals_address_is_named(tmp_path: Path) -> None:
    """Not waited for as a terminal that starts: its page is quoted on a line, by preflight and by ingest."""
    with web(b"<html>\n<p>A router's page</p>\n</html>", status=404) as url:
        base = url.rsplit("/", 1)[0]
        away = {
            "THETADATA_BASE_URL": base, "THETADATA_CONNECT_TIMEOUT_MS": "50",
            "THETADATA_CREDS_FILE": str(tmp_path / "creds.txt"), "PHENIX_STORE": f"sqlite:{tmp_path / 'flow.sqlite'}",
        }  # fmt: skip
        (tmp_path / "creds.txt").write_text("trader@example.com\nsecret words\n")
        done = phenix("preflight", **away)
        assert (done.returncode, json.loads(done.stdout)["code"]) == (12, "MON86_ERR_PORT_IN_USE")
        done = phenix("ingest", **away)
        assert (done.returncode, done.stderr.count("\n")) == (12, 2)
        assert "A router's page" in done.stderr
        # The address as the vendor writes it, with the version.
        assert "/v3/v3/" not in phenix("preflight", **{**away, "THETADATA_BASE_URL": f"{base}/v3"}).stdout
