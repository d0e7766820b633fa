"""The terminal as a client sees it: :class:`Terminal`, its REST side, and :class:`Stream`, its WebSocket."""

from __future__ import annotations

from phenix.ingest.terminal.client_errors import (
    BusyError,
    InvalidRequestError,
    NoDataError,
    NotEntitledError,
    ServerFaultError,
    SessionLostError,
    StartingError,
    TerminalError,
    TooLargeError,
    UnreachableError,
    UnreadableError,
    UpstreamDownError,
)
from phenix.ingest.terminal.client_events import (
    Batch,
    Connected,
    Disconnected,
    Event,
    Overflow,
    Settled,
    Silence,
    Subscription,
)
from phenix.ingest.terminal.client_rest import (
    CalendarDay,
    EndOfDay,
    Observed,
    OpenInterestRow,
    StockQuote,
    Terminal,
)
from phenix.ingest.terminal.client_stream import Stream

__all__ = [
    "Batch",
    "BusyError",
    "CalendarDay",
    "Connected",
    "Disconnected",
    "EndOfDay",
    "Event",
    "InvalidRequestError",
    "NoDataError",
    "NotEntitledError",
    "Observed",
    "OpenInterestRow",
    "Overflow",
    "ServerFaultError",
    "SessionLostError",
    "Settled",
    "Silence",
    "StartingError",
    "StockQuote",
    "Stream",
    "Subscription",
    "Terminal",
    "TerminalError",
    "TooLargeError",
    "UnreachableError",
    "UnreadableError",
    "UpstreamDownError",
]
