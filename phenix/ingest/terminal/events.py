"""What the stand-in plays: prints with their quotes and underlying quotes, in the order of time.

Times are ``wall``: milliseconds since 1970 on the New York clock. Money is ten-thousandths of a
dollar. Events are tuples that sort by time, an underlying quote before a print of the same time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple, Protocol

from phenix.ingest.terminal.protocol import Contract

__all__ = ["TRADE", "UNDERLYING", "OpenInterest", "Print", "Quote", "Source", "TapeEvent", "UnderlyingQuote"]

UNDERLYING: Final = 0
TRADE: Final = 1


class Quote(NamedTuple):
    """A best bid and offer of a contract at ``wall``."""

    wall: int
    bid_size: int
    bid_exchange: int
    bid: int
    bid_condition: int
    ask_size: int
    ask_exchange: int
    ask: int
    ask_condition: int


class UnderlyingQuote(NamedTuple):
    """A best bid and offer of a stock or an index; sorts before a print of the same time."""

    wall: int
    kind: int
    """:data:`UNDERLYING`."""
    symbol: str
    bid_size: int
    bid_exchange: int
    bid: int
    bid_condition: int
    ask_size: int
    ask_exchange: int
    ask: int
    ask_condition: int


class Print(NamedTuple):
    """One trade with the quote that stood before it, None where the tape has none."""

    wall: int
    kind: int
    """:data:`TRADE`."""
    contract: Contract
    sequence: int
    size: int
    condition: int
    exchange: int
    price: int
    quote: Quote | None


TapeEvent = UnderlyingQuote | Print


class OpenInterest(NamedTuple):
    """Open interest of a contract, as told about 06:30 of the day."""

    wall: int
    contract: Contract
    open_interest: int


class Source(Protocol):
    """Anything the stand-in can play."""

    @property
    def dates(self) -> tuple[int, ...]:
        """Dates it covers, in order."""
        ...

    def events(self, symbol: str | None = None) -> Iterator[TapeEvent]:
        """Everything from the start, ordered by time; with ``symbol`` (a root or an underlying) only that."""
        ...

    def contracts(self) -> Iterable[Contract]:
        """Every contract it knows, in no order."""
        ...

    def open_interest(self) -> Iterable[OpenInterest]:
        """Open interest of the contracts that have some."""
        ...

    def underlying_of(self, root: str) -> str:
        """The symbol whose quotes stand beside this root's prints."""
        ...
