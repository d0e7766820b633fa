"""What every command shares: its exit codes, and the error that ends it with a sentence."""

from __future__ import annotations

from typing import Final

__all__ = ["CLEAN", "FINDINGS", "UNUSABLE", "CommandError"]

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
