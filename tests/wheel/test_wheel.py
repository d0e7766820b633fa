"""The built wheel, installed with the locked dependencies in an environment of its own, far from the checkout."""

from __future__ import annotations

import json
import re
import shutil
import sys
import zipfile
from pathlib import Path

import pytest

from phenix import __version__
from tests.wheel.building import ROOT, run

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]

HEAD = (
    "symbol,expiration,strike,right,trade_timestamp,quote_timestamp,sequence,ext_condition1,ext_condition2,"
    "ext_condition3,ext_condition4,condition,size,exchange,price,bid_size,bid_exchange,bid,bid_condition,"
    "ask_size,ask_exchange,ask,ask_condition\n"
)
PRINT = (
    "AAPL,2026-06-18,250.000,CALL,2026-06-15T10:00:{second:02d}.000,2026-06-15T09:59:59.000,{second},255,255,255,255,"
    "{condition},1500,5,2.11,10,5,2.00,50,10,5,2.10,50\n"
)


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


@pytest.fixture(scope="module")
def store(phenix: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The store the installed command made of twenty prints."""
    folder = tmp_path_factory.mktemp("store")
    (folder / "prints.csv").write_text(HEAD + "".join(PRINT.format(second=n, condition=95) for n in range(20)))
    run(phenix, "import", "prints.csv", "--store", "sqlite:flow.sqlite", cwd=folder)
    return f"sqlite:{folder / 'flow.sqlite'}"


def test_the_installed_command_works_outside_the_checkout(phenix: Path, store: str, tmp_path: Path) -> None:
    assert run(phenix, "--version", cwd=tmp_path) == f"phenix {__version__}\n"
    run(phenix, "lint", cwd=tmp_path)
    exported = run(phenix, "export", "--format", "ndjson", "--store", store, cwd=tmp_path)
    rows = [json.loads(line) for line in exported.splitlines()]
    assert [row["repeat3m"] for row in rows] == list(range(1, 21))
    assert {row["side"] for row in rows} == {"AA"}
    assert ["repeat_flow" in row["chips"] for row in rows] == [False] * 19 + [True]


def test_every_command_explains_itself_and_the_demo_plays(phenix: Path, tmp_path: Path) -> None:
    (named,) = re.findall(r"^commands:\n(.*?)^Exit", run(phenix, "--help", cwd=tmp_path), re.MULTILINE | re.DOTALL)
    commands = re.findall(r"^    (\w+) ", named, re.MULTILINE)
    assert {"demo", "ingest", "serve", "backup", "restore"} <= set(commands)
    told = run(phenix, "demo", "--seconds", "2", cwd=tmp_path)
    found = re.search(r"([\d,]+) prints ingested, ([\d,]+) tagged, ([\d,]+) streamed\.", told)
    assert found is not None
    assert int(found[1].replace(",", "")) > 0
    assert found[1] == found[2] == found[3]


def test_extras_are_said_where_they_lack_and_resolve_to_what_is_locked(
    phenix: Path, wheel: Path, store: str, tmp_path: Path
) -> None:
    refused = run(phenix, "query", "--format", "parquet", "--store", store, cwd=tmp_path, exits=2)
    assert "pip install 'phenix[arrow]'" in refused
    locked = (ROOT / "requirements-dev.lock").read_text()
    uv = (sys.executable, "-m", "uv", "pip", "install", "--dry-run", "--python", phenix.with_name("python"))
    wanted = f"phenix[arrow,polars] @ {wheel.as_uri()}"
    told = run(*uv, "--constraint", ROOT / "requirements-dev.lock", wanted, cwd=tmp_path, errors=True)
    for name in ("pyarrow", "polars"):
        (version,) = re.findall(rf"^{name}==(\S+)", locked, re.MULTILINE)
        assert f" + {name}=={version}\n" in told


def test_the_image_is_built_from_what_its_build_is_sent(wheel: Path, tmp_path: Path) -> None:
    sent = (ROOT / "deploy/Containerfile.dockerignore").read_text().split()
    for name in (line[1:] for line in sent if line.startswith("!")):
        source = ROOT / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, tmp_path / name)
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", tmp_path / "dist", cwd=tmp_path)
    built = zipfile.ZipFile(tmp_path / "dist" / wheel.name).namelist()
    assert sorted(built) == sorted(zipfile.ZipFile(wheel).namelist())
