"""The terminal as a client sees it: :class:`Stream`, its WebSocket."""

from __future__ import annotations

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

__all__ = ["Batch", "Connected", "Disconnected", "Event", "Overflow", "Settled", "Stream", "Subscription"]
