"""What must be true before prints can be taken, what it is called when it is not, and the report of a run."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

from phenix.engine.preflight import CONFIG, FAILURES, HEALTH_TIMEOUT, MISSING_CREDS, PORT_IN_USE
from phenix.ingest.terminal.client import InvalidRequestError, Terminal, TerminalError, UnreachableError

__all__ = [
    "Check",
    "Endpoint",
    "Report",
    "check_credentials",
    "exit_of",
    "healthy",
    "of_settings",
    "preflight",
    "read_credentials",
    "wait_healthy",
]

_CONNECTED: Final = "CONNECTED"
_WORDS: Final = frozenset({_CONNECTED, "DISCONNECTED", "UNVERIFIED", "ERROR"})
_QUOTED: Final = 200
_LOOK_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; ``code`` names the failure, empty where it has no name of its own."""

    name: str
    ok: bool
    detail: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A request as it was made and answered: its URL, status, columns, and what the subscription says to it.

    ``result`` is ``data``, ``no data``, ``refused`` or ``error``; ``rows`` counts those looked at.
    """

    name: str
    url: str
    status: int
    result: str
    columns: tuple[str, ...]
    rows: int
    detail: str
    ms: float


@dataclass(slots=True)
class Report:
    """Every check of a run in order, and the endpoints asked."""

    checks: list[Check] = field(default_factory=list)
    endpoints: list[Endpoint] = field(default_factory=list)
    pid: int | None = None

    def add(self, check: Check) -> bool:
        """Take a check; whether it passed."""
        self.checks.append(check)
        return check.ok

    @property
    def ok(self) -> bool:
        """Whether every check passed."""
        return all(check.ok for check in self.checks)

    @property
    def failed(self) -> Check | None:
        """The first check that did not pass."""
        return next((check for check in self.checks if not check.ok), None)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        failed = self.failed
        report: dict[str, Any] = {
            "ok": self.ok,
            "code": failed.code if failed else "",
            "checks": [asdict(check) for check in self.checks],
        }
        if self.endpoints:
            report["endpoints"] = [asdict(endpoint) for endpoint in self.endpoints]
        return report | ({"pid": self.pid} if self.pid is not None else {})


def of_settings(problems: Sequence[str]) -> Report:
    """The report of settings that cannot be used, a sentence each."""
    return Report([Check("settings", False, problem, CONFIG) for problem in problems])


def exit_of(check: Check) -> int:
    """The exit status a failed check stands for: its own, or that of a command that could not run."""
    return FAILURES[check.code].exit if check.code else 2


def read_credentials(path: Path) -> tuple[str, str] | str:
    """Email and password of a file's first two lines, or what is wrong with it; never a word of what it holds."""
    try:
        lines = path.read_text("utf-8-sig").splitlines()
    except FileNotFoundError:
        return f"{path} is not there: write the account's email on its first line and the password on its second"
    except (OSError, UnicodeDecodeError) as error:
        return f"{path} cannot be read: {error.strerror if isinstance(error, OSError) else 'it is not UTF-8 text'}"
    email, password = (line.strip() for line in (*lines, "", "")[:2])
    if "@" not in email or not password:
        return f"{path} holds no credentials: the account's email belongs on its first line, the password on its second"
    return email, password


def check_credentials(path: Path) -> Check:
    """Whether the terminal can log in with the file, as far as can be seen without trying."""
    found = read_credentials(path)
    if isinstance(found, str):
        return Check("credentials", False, found, MISSING_CREDS)
    return Check("credentials", True, f"{path} holds an email and a password")


async def healthy(terminal: Terminal, path: str) -> str:
    """Empty when the terminal is connected, else the word it answers or why it does not."""
    return (await _asked(terminal, path))[0]


async def _asked(terminal: Terminal, path: str) -> tuple[str, bool]:
    """What :func:`healthy` says, and whether something answered that does not speak as a terminal does."""
    try:
        word = await terminal.status(path)
    except UnreachableError as error:
        return str(error), False
    except TerminalError as error:
        return " ".join(str(error).split())[:_QUOTED], isinstance(error, InvalidRequestError)
    return "" if word == _CONNECTED else f"it answers {word[:60]!a}", word not in _WORDS


async def wait_healthy(terminal: Terminal, path: str, timeout_s: float) -> Check:
    """Ask the terminal's health until it is connected or the time is over."""
    until = time.monotonic() + timeout_s
    while (asked := await _asked(terminal, path))[0]:
        if time.monotonic() + _LOOK_EVERY_S > until:
            word, other = asked
            if other:
                detail = (
                    f"what answers at the terminal's address is no terminal, or has no {path}: {word}; end it, or name"
                    " the terminal's address in THETADATA_BASE_URL and its path in THETADATA_HEALTH_PATH"
                )
                return Check("terminal", False, detail, PORT_IN_USE)
            detail = (
                f"the terminal is not connected after {timeout_s:g} s: {word};"
                " start it with `phenix bootstrap`, or a stand-in with `phenix terminal`"
            )
            return Check("terminal", False, detail, HEALTH_TIMEOUT)
        await asyncio.sleep(_LOOK_EVERY_S)
    return Check("terminal", True, "the terminal is connected")


async def preflight(terminal: Terminal, path: str, timeout_s: float, first: Sequence[Check] = ()) -> Report:
    """Look at what ``phenix ingest`` needs, ``first`` before all else; the first failure ends it."""
    report = Report([*first])
    if report.failed or not report.add(await wait_healthy(terminal, path, timeout_s)):
        return report
    try:
        roots = await terminal.option_symbols()
        report.add(Check("option lists", bool(roots), f"{len(roots)} option roots"))
    except TerminalError as error:
        report.add(Check("option lists", False, str(error)))
    return report
