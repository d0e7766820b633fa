"""What every command shares: its exit codes, the error that ends it with a sentence, how dates are written."""

from __future__ import annotations

import argparse
import sys
from typing import Final

__all__ = ["CLEAN", "FINDINGS", "UNUSABLE", "CommandError", "date_number", "date_text", "port", "refuse"]

CLEAN: Final = 0
"""It did what was asked and found nothing to report."""

FINDINGS: Final = 1
"""It ran, and found what it looks for: lint findings, differing files, failed checks."""

UNUSABLE: Final = 2
"""It could not run: wrong usage, bad settings, an unreadable file, a port in use."""


class CommandError(Exception):
    """Ends a command with one message for its user: what happened, where, what to do."""

    def __init__(self, message: str, code: int = UNUSABLE) -> None:
        super().__init__(message)
        self.code = code


def date_number(text: str) -> int:
    """``2026-11-20`` as 20261120; the ``type`` of an argument."""
    from datetime import date

    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a date such as 2026-11-20") from None
    return day.year * 10_000 + day.month * 100 + day.day


def date_text(day: int) -> str:
    """YYYYMMDD as people write it."""
    return f"{day // 10_000:04d}-{day // 100 % 100:02d}-{day % 100:02d}"


def port(text: str) -> int:
    """A port as a number; the ``type`` of an argument."""
    if text.isascii() and text.isdigit() and int(text) <= 65535:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no port: a whole number from 0 to 65535")


def refuse(message: str, code: int = UNUSABLE) -> int:
    """Say why nothing was done; returns the exit status."""
    for line in message.splitlines():
        # A message can quote a file or a peer, whose control characters must not steer the user's terminal.
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in line)
        print(f"phenix: {shown}", file=sys.stderr)
    return code
