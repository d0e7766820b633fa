"""Failures of preflight and bootstrap by name, and what was found last, kept beside the store for who serves it."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

__all__ = [
    "CONFIG",
    "DOWNLOAD_FAILED",
    "FAILURES",
    "HEALTH_TIMEOUT",
    "MISSING_CREDS",
    "PORT_IN_USE",
    "Failure",
    "failed_last",
    "forget_report",
    "keep_report",
]

MISSING_CREDS: Final = "MON86_ERR_MISSING_CREDS"
CONFIG: Final = "MON86_ERR_CONFIG"
PORT_IN_USE: Final = "MON86_ERR_PORT_IN_USE"
DOWNLOAD_FAILED: Final = "MON86_ERR_DOWNLOAD_FAILED"
HEALTH_TIMEOUT: Final = "MON86_ERR_HEALTH_TIMEOUT"


class Failure(NamedTuple):
    """A kind of failure: the exit status of a command that ends with it, and when that is."""

    exit: int
    when: str


FAILURES: Final[dict[str, Failure]] = {
    MISSING_CREDS: Failure(10, "The credentials file is not there, cannot be read, or is not an email and a password."),
    CONFIG: Failure(
        11, "A setting cannot be used: unknown, malformed, or naming what is not there (Java, the universe)."
    ),
    PORT_IN_USE: Failure(12, "The terminal's port is open, and what answers there is not a connected terminal."),
    DOWNLOAD_FAILED: Failure(13, "There is no terminal jar and no address to fetch one, or what came is no jar."),
    HEALTH_TIMEOUT: Failure(14, "The terminal ended, or was not connected in time."),
}
"""By code, in the order they are looked for; docs/preflight.md is generated from this table."""

_OTHER: Final = "other"


def keep_report(store: Path, report: Mapping[str, Any]) -> None:
    """Keep a report beside a store in place of the one before, whole at any instant. Raises OSError.

    Where not even the store's folder is, nobody serves it, and nothing is kept.
    """
    path = _beside(store)
    if not path.parent.is_dir():
        return
    part = path.with_name(f"{path.name}.{os.getpid()}")
    try:
        part.write_text(json.dumps(report), "utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def forget_report(store: Path) -> None:
    """Have no report there. Raises OSError."""
    _beside(store).unlink(missing_ok=True)


def failed_last(store: Path) -> dict[str, int]:
    """By code, 1 for what failed when it was looked last; ``other`` is a failure without a name, {} before any."""
    try:
        report = json.loads(_beside(store).read_bytes())
        failed = None if report["ok"] else report["code"] or _OTHER
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return {code: int(code == failed) for code in (*FAILURES, _OTHER)}


def _beside(store: Path) -> Path:
    return store.with_name(f"{store.stem}.preflight.json")
