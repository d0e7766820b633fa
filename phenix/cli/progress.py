"""One line that says how far long work is, on standard error."""

from __future__ import annotations

import sys
import time

__all__ = ["Line", "pace"]


class Line:
    """A line that is rewritten on a terminal, and repeated every few seconds elsewhere."""

    def __init__(self) -> None:
        self._tty = sys.stderr.isatty()
        self._every = 0.2 if self._tty else 5.0
        self._next = time.monotonic() + self._every
        self._open = False

    def due(self) -> bool:
        """Whether it is time to show something new."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self._every
        return True

    def show(self, text: str) -> None:
        """Write the line."""
        self._open = self._tty
        print(f"\r{text:<100}" if self._tty else text, end="" if self._tty else "\n", file=sys.stderr, flush=True)

    def end(self) -> None:
        """Leave the line as it stands, so that what follows begins on its own."""
        if self._open:
            print(file=sys.stderr)
            self._open = False


def pace(done: int, total: int, what: str, fresh: int, seconds: float) -> str:
    """``12 of 100 rows ( 12%), 6 a second, 15 s left``; ``fresh`` of what is done took ``seconds``."""
    rate = fresh / seconds if seconds > 0 else 0.0
    left = f", {(total - done) / rate:,.0f} s left" if rate else ""
    return f"{done:,} of {total:,} {what} ({done / total:4.0%}), {rate:,.0f} a second{left}"
