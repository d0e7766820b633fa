"""The built wheel, installed with the locked dependencies in an environment of its own, far from the checkout."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from phenix import __version__

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(300)]

ROOT = Path(__file__).parents[2]
CLEAN = {k: v for k, v in os.environ.items() if not k.startswith(("PHENIX_", "PYTHON", "COV", "VIRTUAL_ENV"))}
HEAD = (
    "symbol,expiration,strike,right,trade_timestamp,quote_timestamp,sequence,ext_condition1,ext_condition2,"
    "ext_condition3,ext_condition4,condition,size,exchange,price,bid_size,bid_exchange,bid,bid_condition,"
    "ask_size,ask_exchange,ask,ask_condition\n"
)
PRINT = (
    "AAPL,2026-06-18,250.000,CALL,2026-06-15T10:00:{second:02d}.000,2026-06-15T09:59:59.000,{second},255,255,255,255,"
    "{condition},1500,5,2.11,10,5,2.00,50,10,5,2.10,50\n"
)


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=CLEAN, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, f"{command} exited with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", out, cwd=ROOT)
    (file,) = out.glob("*.whl")
    return file


@pytest.fixture(scope="module")
def phenix(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The installed command."""
    home = tmp_path_factory.mktemp("installed")
    uv = (sys.executable, "-m", "uv", "--quiet")
    run(*uv, "venv", "--python", sys.executable, home / "venv", cwd=home)
    python = home / "venv" / "bin" / "python"
    lock = ROOT / "requirements.lock"
    run(*uv, "pip", "install", "--python", python, "--require-hashes", "--requirement", lock, cwd=home)
    run(*uv, "pip", "install", "--python", python, "--no-deps", wheel, cwd=home)
    return home / "venv" / "bin" / "phenix"


def test_it_carries_what_it_needs_and_nothing_else(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    assert wheel.name == f"phenix-{__version__}-py3-none-any.whl"
    assert {name.split("/")[0] for name in names} == {"phenix", f"phenix-{__version__}.dist-info"}
    assert "phenix/grammar/phenix.lark" in names
    assert "phenix/server/static/index.html" in names
    rules = {str(p.relative_to(ROOT)) for p in (ROOT / "rules").rglob("*") if p.is_file()}
    assert {name.removeprefix("phenix/") for name in names if name.startswith("phenix/rules/")} == rules


def test_the_installed_command_works_outside_the_checkout(phenix: Path, tmp_path: Path) -> None:
    assert run(phenix, "--version", cwd=tmp_path) == f"phenix {__version__}\n"
    run(phenix, "lint", cwd=tmp_path)
    tape = tmp_path / "prints.csv"
    tape.write_text(HEAD + "".join(PRINT.format(second=second, condition=95) for second in range(20)))
    run(phenix, "import", tape, "--store", f"sqlite:{tmp_path / 'flow.sqlite'}", cwd=tmp_path)
    exported = run(
        phenix, "export", "--format", "ndjson", "--store", f"sqlite:{tmp_path / 'flow.sqlite'}", cwd=tmp_path
    )
    rows = [json.loads(line) for line in exported.splitlines()]
    assert [row["repeat3m"] for row in rows] == list(range(1, 21))
    assert {row["side"] for row in rows} == {"AA"}
    assert ["repeat_flow" in row["chips"] for row in rows] == [False] * 19 + [True]
