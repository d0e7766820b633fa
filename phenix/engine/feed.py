"""What ingest last told of the terminal's feed. Facts only: what follows from them is judged by who reads them."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Feed"]


@dataclass(frozen=True, slots=True)
class Feed:
    """The feed at ``at_utc``; times are UTC milliseconds of the machine of ingest.

    ``stream_connected`` is ingest's own line to the terminal, ``terminal_connected`` what the terminal says of its.
    ``data_utc`` is when a print or quote last came, ``quote_utc`` a new quote of an underlying, both at first when
    ingest began. ``offset_ms`` is how far the market's time is ahead of the machine's, 0 unless the feed plays another
    day; ``closed`` says that the terminal told of the market's close, and nothing came since.
    """

    at_utc: int
    stream_connected: bool
    terminal_connected: bool
    data_utc: int
    quote_utc: int
    offset_ms: int
    closed: bool

    @property
    def whole(self) -> bool:
        """Whether both lines are up."""
        return self.stream_connected and self.terminal_connected
