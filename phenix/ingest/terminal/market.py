"""What a terminal knows at a moment of the playback: the clock, last quotes and trades, the day's bars."""

from __future__ import annotations

from collections import deque
from typing import Final

from phenix.ingest.terminal.events import Print, Quote, TapeEvent, UnderlyingQuote
from phenix.ingest.terminal.layouts import DAY_MS
from phenix.ingest.terminal.protocol import Contract

__all__ = ["DELAY_MS", "Market"]

DELAY_MS: Final = 15 * 60_000
"""How far stock quotes lag under a Value subscription."""


class Market:
    """Caches that start empty, fill from what was played and are cleared when a new day begins."""

    def __init__(self, wall: int = 0) -> None:
        self.wall = wall
        """The playing clock: wall time of the latest event."""
        self.quotes: dict[Contract, Quote] = {}
        self.trades: dict[Contract, Print] = {}
        self.bars: dict[Contract, list[int]] = {}
        """Session so far: open, high, low, close, volume, count."""
        self._underlying: dict[str, deque[UnderlyingQuote]] = {}

    def clear(self) -> None:
        """Forget everything, as at midnight."""
        self.quotes.clear()
        self.trades.clear()
        self.bars.clear()
        self._underlying.clear()

    def advance(self, wall: int) -> None:
        """Let the clock go on; at midnight everything is forgotten."""
        if wall // DAY_MS > self.wall // DAY_MS:
            self.clear()
        self.wall = max(self.wall, wall)

    def apply(self, event: TapeEvent) -> None:
        """Take in what is played next."""
        self.advance(event.wall)
        if isinstance(event, UnderlyingQuote):
            quotes = self._underlying.setdefault(event.symbol, deque())
            quotes.append(event)
            while len(quotes) > 1 and quotes[1].wall <= self.wall - DELAY_MS:
                quotes.popleft()
            return
        if event.quote is not None:
            self.quotes[event.contract] = event.quote
        self.trades[event.contract] = event
        bar = self.bars.get(event.contract)
        price = event.price
        if bar is None:
            self.bars[event.contract] = [price, price, price, price, event.size, 1]
            return
        if price > bar[1]:
            bar[1] = price
        if price < bar[2]:
            bar[2] = price
        bar[3] = price
        bar[4] += event.size
        bar[5] += 1

    def underlying(self, symbol: str, *, delayed: bool) -> UnderlyingQuote | None:
        """The latest quote of an underlying, or the latest that is 15 minutes old; None before there is one."""
        quotes = self._underlying.get(symbol)
        if not quotes:
            return None
        if not delayed:
            return quotes[-1]
        limit = self.wall - DELAY_MS
        return next((quote for quote in reversed(quotes) if quote.wall <= limit), None)

    def symbols(self) -> list[str]:
        """Underlyings with a quote, sorted."""
        return sorted(self._underlying)
