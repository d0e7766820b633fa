"""The contract of the command line: help, versions, exit codes, and where messages go."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from phenix import __version__
from phenix.cli.main import main, parser

ROOT = Path(__file__).parents[2]


def phenix(*argv: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "phenix", *argv],
        cwd=ROOT,
        env={**os.environ, **(env or {})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )


def every_command(top: argparse.ArgumentParser) -> Iterator[tuple[str, ...]]:
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, command in action.choices.items():
                yield (name,)
                yield from ((name, *rest) for rest in every_command(command))


COMMANDS = tuple(every_command(parser()))


def test_version_is_the_package_version() -> None:
    done = phenix("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"phenix {__version__}\n", "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert f"usage: phenix {' '.join(command)}" in capsys.readouterr().out


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_refuses_an_unknown_option(command: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([*command, "--no-such-option"])
    assert ended.value.code == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert "error:" in err


def test_every_command_says_what_it_is_for() -> None:
    for action in parser()._actions:
        if isinstance(action, argparse._SubParsersAction):
            assert {c.dest for c in action._choices_actions} == set(action.choices)
            assert all(command.description for command in action.choices.values())


@pytest.mark.parametrize("argv", [(), ("no-such-command",), ("--no-such-option",)])
def test_wrong_usage_exits_with_2(argv: tuple[str, ...]) -> None:
    done = phenix(*argv)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("usage: phenix ")


def test_bad_settings_stop_any_command() -> None:
    done = phenix("docs", "--check", env={"PHENIX_PORT": "x", "PHENIX_PROT": "1"})
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "phenix: PHENIX_PROT is not a setting; did you mean PHENIX_PORT?\n"
        "phenix: PHENIX_PORT is 'x'; expected a whole number from 0 to 65535\n"
    )


def test_what_a_message_quotes_does_not_steer_the_terminal(tmp_path: Path) -> None:
    done = phenix("lint", str(tmp_path / "a\x1b[2J\x07é"))
    assert done.returncode == 2
    assert done.stderr == f"phenix: {tmp_path}/a\\x1b[2J\\x07é: there is no such file or folder\n"


def test_a_crash_is_not_taken_for_findings() -> None:
    crash = (
        "import sys, phenix.cli.docs as d; d.run = lambda args: 1 / 0\n"
        "from phenix.cli.main import main; sys.exit(main(['docs', '--check']))"
    )
    done = subprocess.run([sys.executable, "-c", crash], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert "ZeroDivisionError" in done.stderr


def test_a_reader_that_leaves_is_no_error(tmp_path: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    stale = [sys.executable, "-m", "phenix", "docs", "--check", "--out", str(tmp_path)]
    with os.fdopen(write, "w") as pipe:
        done = subprocess.run(stale, cwd=ROOT, stdout=pipe, stderr=subprocess.PIPE, text=True, timeout=60)
    assert (done.returncode, done.stderr) == (0, "")


def test_starting_imports_nothing_heavy() -> None:
    heavy = ("lark", "apsw", "grpc", "google", "starlette", "uvicorn", "httpx", "websockets", "numpy", "rich", "orjson")
    probe = (
        f"import sys; from phenix.cli.main import parser; parser(); print([m for m in {heavy!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n"
