"""The units: what they start exists, systemd finds nothing wrong or open, and serve tells it when it answers."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import socket
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest

from phenix.cli.main import parser
from phenix.config import load
from tests.server.conftest import Server
from tests.server.rows import Store

FOLDER = Path(__file__).parents[2] / "deploy" / "systemd"
UNITS = sorted(FOLDER.glob("*.service"))
TIMERS = sorted(FOLDER.glob("*.timer"))
PROGRAM = "/opt/phenix/bin/phenix"
needs = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")


def read(unit: Path) -> configparser.ConfigParser:
    found = configparser.ConfigParser(interpolation=None, strict=False)
    found.optionxform = str  # type: ignore[assignment,method-assign] # systemd's keys have capitals
    found.read(unit)
    return found


def command(unit: Path) -> list[str]:
    """What a unit runs, of a shell the command it becomes."""
    argv = shlex.split(read(unit)["Service"]["ExecStart"])
    if argv[:2] == ["/bin/sh", "-c"]:
        assert argv[2].startswith("exec ")
        argv = shlex.split(argv[2].removeprefix("exec "))
    return argv


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """The folder as systemd would have it, but for the program, which this machine does not have installed."""
    folder = tmp_path / "system"
    shutil.copytree(FOLDER, folder)
    for unit in folder.glob("*.service"):
        unit.write_text(unit.read_text().replace(PROGRAM, "/bin/true"))
    return folder


@pytest.mark.parametrize("unit", UNITS, ids=lambda p: p.name)
def test_units_start_commands_that_exist(unit: Path) -> None:
    program, *argv = command(unit)
    assert program == PROGRAM
    assert parser().parse_args(argv).command == unit.stem.removeprefix("phenix-")


def test_timers_start_units_and_all_are_of_the_drop_in() -> None:
    once = [unit.stem for unit in UNITS if read(unit)["Service"]["Type"] == "oneshot"]
    assert [timer.stem for timer in TIMERS] == once == ["phenix-backup", "phenix-retention"]
    assert all(unit.name.startswith("phenix-") for unit in UNITS)
    (drop_in,) = (FOLDER / "phenix-.service.d").iterdir()
    service = read(drop_in)["Service"]
    assert f"u {service['User']} " in (FOLDER / "phenix.sysusers").read_text()
    sample = load({"PHENIX_CONFIG": str(FOLDER.parent / "phenix.toml")})
    assert sample.store.startswith(f"sqlite:/var/lib/{service['StateDirectory']}/")
    assert str(sample.creds_file).startswith(str(Path(service["Environment"].split("=")[1]).parent))
    named = [getattr(sample, field.name) for field in fields(sample)]
    assert [path for path in named if isinstance(path, Path) and not path.is_absolute()] == []


@needs
def test_systemd_finds_nothing_wrong(installed: Path) -> None:
    units = [str(path) for path in installed.iterdir() if path.suffix in (".service", ".timer")]
    done = subprocess.run(["systemd-analyze", "verify", *units], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "phenix" in line]
    assert (len(units), done.returncode, said) == (6, 0, [])


@needs
def test_systemd_finds_little_that_is_open(installed: Path) -> None:
    for unit in installed.glob("*.service"):
        asked = ["systemd-analyze", "security", "--offline=true", "--threshold=15", f"./{unit.name}"]  # 15 is 1.5 of 10
        done = subprocess.run(asked, cwd=installed, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        assert re.search(r"Overall exposure level for phenix-\w+\.service: \d", done.stdout)


@pytest.mark.parametrize("abstract", [False, True])
def test_serve_tells_who_started_it_that_it_answers(store: Store, tmp_path: Path, abstract: bool) -> None:
    address = f"\0{tmp_path}/manager" if abstract else f"{tmp_path}/manager"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.settimeout(100)
        manager.bind(address)
        server = Server(store.url, environ={"NOTIFY_SOCKET": address.replace("\0", "@")})
        try:
            assert manager.recv(100) == b"READY=1"
            assert server.get("/health")[0] == 200
        finally:
            server.end()


def test_serve_starts_where_nobody_listens_any_more(store: Store, tmp_path: Path) -> None:
    server = Server(store.url, environ={"NOTIFY_SOCKET": f"{tmp_path}/gone"})
    try:
        assert server.get("/health")[0] == 200
    finally:
        server.end()
