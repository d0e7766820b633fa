"""The files of ``deploy/`` are read by what they are for."""

from __future__ import annotations

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from phenix.cli.main import parser
from phenix.config import load

DEPLOY = Path(__file__).parents[2] / "deploy"
UNITS = sorted((DEPLOY / "systemd").glob("*.service"))


def test_the_sample_settings_are_settings() -> None:
    settings = load({"PHENIX_CONFIG": str(DEPLOY / "phenix.toml")})
    assert settings.store == "sqlite:/var/lib/phenix/phenixflow.sqlite"
    assert (settings.host, settings.port, settings.grpc_port) == ("127.0.0.1", 8600, 8601)


@pytest.mark.parametrize("unit", UNITS, ids=lambda p: p.name)
def test_units_start_commands_that_exist(unit: Path) -> None:
    read = configparser.ConfigParser(interpolation=None, strict=False)
    read.optionxform = str  # type: ignore[assignment,method-assign] # systemd's keys have capitals
    read.read(unit)
    program, *argv = read["Service"]["ExecStart"].split()
    assert program.endswith("/phenix")
    assert parser().parse_args(argv).command == unit.stem.removeprefix("phenix-")


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
@pytest.mark.parametrize("unit", UNITS, ids=lambda p: p.name)
def test_systemd_finds_nothing_wrong(unit: Path, tmp_path: Path) -> None:
    # The program is not installed on this machine; everything else is checked as it stands.
    copy = tmp_path / unit.name
    copy.write_text(unit.read_text().replace("/opt/phenix/bin/phenix", "/bin/true"))
    done = subprocess.run(["systemd-analyze", "verify", str(copy)], capture_output=True, text=True)
    assert (done.returncode, [x for x in done.stderr.splitlines() if unit.name in x]) == (0, [])
