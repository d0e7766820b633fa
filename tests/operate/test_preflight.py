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
from tests.operate.stores import day, ingest, phenix


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
                },
                stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
            )  # fmt: skip
            out, err = await process.communicate()
            assert err == b""
            assert process.returncode is not None
            return process.returncode, json.loads(out)

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
    }
    done = phenix("preflight", **away)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (10, "MON86_ERR_MISSING_CREDS")
    (tmp_path / "creds.txt").write_text("trader@example.com\nsecret words\n")
    done = phenix("preflight", PHENIX_UNIVERSE=str(tmp_path / "none.txt"), **away)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (11, "MON86_ERR_CONFIG")
    done = phenix("preflight", **away)
    assert (done.returncode, json.loads(done.stdout)["code"]) == (14, "MON86_ERR_HEALTH_TIMEOUT")
    assert "secret words" not in done.stdout + done.stderr
    done = phenix("preflight", PHENIX_PORT="x")
    assert (done.returncode, json.loads(done.stdout)["code"]) == (11, "MON86_ERR_CONFIG")
