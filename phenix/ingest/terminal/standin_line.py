"""The terminal's own line to the vendor: up, down as STATUS says, or silent."""

from __future__ import annotations

import time
from typing import Final

from phenix.ingest.terminal.faults import FAULTS, Stage
from phenix.ingest.terminal.faults_active import ActiveFault, ActiveFaults

__all__ = ["Line"]

_LASTING: Final = frozenset({"status_flapping", "silent_feed"})
assert FAULTS.keys() >= _LASTING


class Line:
    """State of the line; begins ``DISCONNECTED`` until :attr:`used`."""

    def __init__(self, faults: ActiveFaults) -> None:
        self._faults = faults
        self._down: ActiveFault | None = None
        self._prints_left: int | None = None
        """Prints it is still down for; None where it is down for a time."""
        self._until = 0.0
        self.used = False
        """A client has asked for something."""

    def _current(self) -> ActiveFault | None:
        down = self._down
        if down is not None and (
            down not in self._faults or (self._prints_left is None and time.monotonic() >= self._until)
        ):
            down = self._down = None
        return down

    @property
    def status(self) -> str:
        """The word in every header."""
        down = self._current() if self._down is not None else None
        if down is not None and down.fault.name == "status_flapping":
            return down.text("word")
        return "CONNECTED" if self.used else "DISCONNECTED"

    @property
    def silent(self) -> bool:
        """Nothing at all may be sent."""
        down = self._current()
        return down is not None and down.fault.name == "silent_feed"

    @property
    def steady(self) -> bool:
        """It is up and no fault is waiting to change that."""
        return self._down is None and not self._faults.at(Stage.LINE)

    @property
    def down(self) -> str:
        """Name of the fault events are lost to; empty while the line is up."""
        current = self._current()
        return current.fault.name if current else ""

    def print_due(self) -> str:
        """Count a print that is due; the name of the fault it is lost to, or empty."""
        if self._prints_left == 0:
            self.restore()
        current = self._current()
        if current is None:
            current = next((it for it in self._faults.at(Stage.LINE) if it.fault.name in _LASTING and it.fires()), None)
            if current is None:
                return ""
            lasts = current.span("for")
            self._down = current
            self._prints_left = lasts.opportunities or None
            self._until = time.monotonic() + lasts.seconds if lasts.seconds else float("inf")
        if self._prints_left:
            self._prints_left -= 1
        return current.fault.name

    def restore(self) -> None:
        """End an outage that is counted in prints: they are through, or none come any more."""
        if self._prints_left is not None:
            self._down = self._prints_left = None
