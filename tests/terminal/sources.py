"""Sources made for tests of the stand-in."""

from __future__ import annotations

from collections.abc import Iterator

from phenix.ingest.terminal.events import TRADE, OpenInterest, Print, Quote, TapeEvent
from phenix.ingest.terminal.layouts import wall_at
from phenix.ingest.terminal.protocol import Contract

CALL = Contract("OPTION", "AAPL", 20241108, 220_0000, "CALL")


class Many:
    """Numbered prints of one contract, one a second from 09:30."""

    def __init__(self, count: int) -> None:
        self._count = count
        self.dates = (20241104,)

    def events(self, symbol: str | None = None) -> Iterator[TapeEvent]:
        for n in range(self._count):
            wall = wall_at(20241104, 34_200_000 + n * 1000)
            yield Print(wall, TRADE, CALL, n, 1, 18, 5, 40000, Quote(wall, 1, 5, 39900, 50, 1, 5, 40100, 50))

    def contracts(self) -> list[Contract]:
        return [CALL]

    def open_interest(self) -> list[OpenInterest]:
        return []

    def underlying_of(self, root: str) -> str:
        return root
