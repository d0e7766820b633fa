"""The terminal as a client sees it: :class:`Terminal`, its REST side, and :class:`Stream`, its WebSocket."""

from __future__ import annotations

from phenix.ingest.terminal.client_rest import (
    BusyError,
    CalendarDay,
    InvalidRequestError,
    NoDataError,
    NotEntitledError,
    OpenInterestRow,
    ServerFaultError,
    SessionLostError,
    StartingError,
    StockQuote,
    Terminal,
    TerminalError,
    TooLargeError,
    UnreachableError,
    UnreadableError,
    UpstreamDownError,
)
from phenix.ingest.terminal.client_stream import (
    Batch,
    Connected,
    Disconnected,
    Event,
    Overflow,
    Settled,
    Stream,
    Subscription,
)

__all__ = [
    "Batch",
    "BusyError",
    "CalendarDay",
    "Connected",
    "Disconnected",
    "Event",
    "InvalidRequestError",
    "NoDataError",
    "NotEntitledError",
    "OpenInterestRow",
    "Overflow",
    "ServerFaultError",
    "SessionLostError",
    "Settled",
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
