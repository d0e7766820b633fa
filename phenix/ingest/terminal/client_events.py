"""What the terminal's stream tells of itself beside its frames, and what is asked of it."""

from __future__ import annotations

from typing import NamedTuple

from phenix.ingest.terminal.protocol import BadFrame, Contract, Frame

__all__ = ["Batch", "Connected", "Disconnected", "Event", "Overflow", "Settled", "Silence", "Subscription"]


class Subscription(NamedTuple):
    """One stream: ``TRADE`` or ``QUOTE`` of a contract, or of everything where ``contract`` is None."""

    req_type: str
    contract: Contract | None
    sec_type: str = "OPTION"
    """Used for bulk streams only; a contract knows its own."""


class Connected(NamedTuple):
    """The socket is open (again); ``at`` is UTC milliseconds."""

    at: int
    attempt: int


class Disconnected(NamedTuple):
    """The socket closed, or could not be opened; a new attempt follows."""

    at: int
    reason: str
    heard_at: int | None
    """UTC milliseconds of the last message received, or of the first connection when none was; None before it."""


class Overflow(NamedTuple):
    """Messages that were dropped because the consumer did not keep up, between two times (UTC milliseconds)."""

    since: int
    at: int
    messages: int


class Silence(NamedTuple):
    """Nothing at all came between two times (UTC milliseconds), though the line held."""

    since: int
    at: int


class Settled(NamedTuple):
    """Every request sent so far was answered, or timed out; ``refused`` holds the terminal's word for each.

    Comes once a connection at least, and again whenever other streams are wanted.
    """

    at: int
    subscribed: int
    refused: tuple[tuple[Subscription, str], ...]


Event = Connected | Disconnected | Overflow | Settled | Silence


class Batch(NamedTuple):
    """What arrived since the last batch, in order of arrival."""

    received_at: int
    """UTC milliseconds when the first of it arrived."""
    upto: int
    """And when the last did."""
    items: list[Frame | BadFrame | Event]
