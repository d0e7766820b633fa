"""Prices of underlyings that are not streamed, asked for again and again at the endpoints the account may use.

Stock quotes come 15 minutes late below the Standard subscription. The option snapshots of implied volatility hold the
price they were computed with and its time; whether that is late, too, its time tells. The freshest at a print counts.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Iterable
from typing import Final

from phenix.engine.enrich.roots import underlying
from phenix.ingest.contract import Contract
from phenix.ingest.terminal.client import NotEntitledError, SessionLostError, StockQuote, Terminal, TerminalError

__all__ = ["DELAYED", "IV", "SpotPoll"]

log = logging.getLogger("phenix.ingest")

DELAYED: Final = "delayed"
"""Spot source of polled stock quotes."""
IV: Final = "iv"
"""Spot source of prices that implied volatilities were computed with."""
_SIDE_BY_SIDE: Final = 4
_LOST_S: Final = 60.0
"""How long nothing is asked of a terminal that lost its session: only a person can give it back."""


class SpotPoll:
    """Asks both sources; one that the account turns out not to include is not asked again."""

    def __init__(self, terminal: Terminal, clock: Callable[[], float] = time.monotonic) -> None:
        self._terminal = terminal
        self._clock = clock
        self._asks_from = float("-inf")
        self._refused: set[str] = set()
        self._chains: dict[str, tuple[int, str]] = {}
        self._slots = asyncio.Semaphore(_SIDE_BY_SIDE)

    def follow(self, contracts: Iterable[Contract]) -> None:
        """Choose the contracts: of each underlying those that expire first are asked for."""
        chains: dict[str, tuple[int, str]] = {}
        for contract in contracts:
            if contract.root.isalpha():  # what an adjusted contract delivers is not the stock alone
                symbol, chain = underlying(contract.root), (contract.expiration, contract.root)
                chains[symbol] = min(chain, chains.get(symbol, chain))
        self._chains = chains

    async def quotes(self, symbols: Collection[str]) -> list[tuple[str, StockQuote]]:
        """Source and quote of what the terminal has now, in no order of time."""
        chains = [(symbol, *self._chains[symbol]) for symbol in symbols if symbol in self._chains]
        asked = [self._ask(DELAYED, lambda: self._terminal.stock_quotes(symbols))]
        asked += [self._ask(IV, self._priced(*chain)) for chain in chains]
        return [(source, quote) for source, quotes in await asyncio.gather(*asked) for quote in quotes]

    def _priced(self, symbol: str, expiration: int, root: str) -> Callable[[], Awaitable[list[StockQuote]]]:
        async def ask() -> list[StockQuote]:
            return [quote._replace(symbol=symbol) for quote in await self._terminal.option_spots(root, expiration)]

        return ask

    async def _ask(self, source: str, ask: Callable[[], Awaitable[list[StockQuote]]]) -> tuple[str, list[StockQuote]]:
        async with self._slots:
            if source not in self._refused and self._clock() >= self._asks_from:
                try:
                    return source, await ask()
                except NotEntitledError as error:
                    log.warning("no underlying prices of source %s: %s", source, error)
                    self._refused.add(source)
                except SessionLostError as error:
                    log.warning("no underlying prices for %g s: %s", _LOST_S, error)
                    self._asks_from = self._clock() + _LOST_S
                except TerminalError as error:
                    log.warning("underlying prices of source %s: %s", source, error)
            return source, []
