"""What must be true before prints can be taken: the terminal answers, is connected, and lists options."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict, dataclass
from typing import Any, Final

from phenix.ingest.terminal.client import Terminal, TerminalError

__all__ = ["HEALTH_TIMEOUT", "Check", "Report", "preflight", "wait_healthy"]

HEALTH_TIMEOUT: Final = "MON86_ERR_HEALTH_TIMEOUT"
_CONNECTED: Final = "CONNECTED"
_LOOK_EVERY_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at; ``code`` names the failure, empty when there is none."""

    name: str
    ok: bool
    detail: str
    code: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """Every check of a run, in order; the first failure ends it."""

    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        """Whether prints can be taken."""
        return all(check.ok for check in self.checks)

    def to_dict(self) -> dict[str, Any]:
        """As a JSON object."""
        return {"ok": self.ok, "checks": [asdict(check) for check in self.checks]}


async def wait_healthy(terminal: Terminal, path: str, timeout_s: float) -> Check:
    """Ask the terminal's health until it is connected or the time is over."""
    until = time.monotonic() + timeout_s
    while True:
        try:
            word = await terminal.status(path)
        except TerminalError as error:
            word = str(error)
        if word == _CONNECTED:
            return Check("terminal", True, "the terminal is connected")
        if time.monotonic() + _LOOK_EVERY_S > until:
            detail = f"the terminal is not connected after {timeout_s:g} s: {word}; start it, or `phenix terminal`"
            return Check("terminal", False, detail, HEALTH_TIMEOUT)
        await asyncio.sleep(_LOOK_EVERY_S)


async def preflight(terminal: Terminal, path: str, timeout_s: float) -> Report:
    """Look at everything ``phenix ingest`` needs of the terminal."""
    checks = [await wait_healthy(terminal, path, timeout_s)]
    if checks[0].ok:
        try:
            roots = await terminal.option_symbols()
            checks.append(Check("option lists", bool(roots), f"{len(roots)} option roots"))
        except TerminalError as error:
            checks.append(Check("option lists", False, str(error)))
    return Report(tuple(checks))
