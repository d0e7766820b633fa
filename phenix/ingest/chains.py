"""What the terminal lists for a universe: its contracts, and their open interest."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from typing import Final

from phenix.ingest.terminal.client import NoDataError, OpenInterestRow, Terminal, TerminalError
from phenix.ingest.terminal.protocol import Contract

__all__ = ["list_contracts", "list_open_interest"]

log = logging.getLogger("phenix.ingest")

_ROOTS_A_REQUEST: Final = 100
_SIDE_BY_SIDE: Final = 4


async def list_contracts(terminal: Terminal, roots: Sequence[str], dates: Iterable[int]) -> list[Contract]:
    """Contracts of the roots that traded on the first of the dates with any, else every listed strike.

    Raises TerminalError when the terminal does not answer.
    """
    for date in dates:
        found: list[Contract] = []
        for start in range(0, len(roots), _ROOTS_A_REQUEST):
            found += await terminal.contracts(date, symbols=roots[start : start + _ROOTS_A_REQUEST])
        if found:
            log.info("contracts of %s: %s", date, len(found))
            return found
    return await _whole_chains(terminal, roots)


async def _whole_chains(terminal: Terminal, roots: Sequence[str]) -> list[Contract]:
    """Every strike of every expiration, calls and puts: what a terminal that plays another day can be asked for."""
    listed = set(await terminal.option_symbols())
    expirations = await terminal.expirations([root for root in roots if root in listed])
    slots = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def strikes(root: str, expiration: int) -> list[Contract]:
        async with slots:
            rows = terminal.lines("/v3/option/list/strikes", symbol=root, expiration=expiration)
            try:
                lines = [line async for line in rows][1:]
            except NoDataError:
                return []
        found = [round(float(line.rsplit(b",", 1)[-1]) * 1000) * 10 for line in lines]
        return [Contract("OPTION", root, expiration, k, right) for k in found for right in ("CALL", "PUT")]

    chains = await asyncio.gather(*(strikes(*pair) for pair in sorted(set(expirations))))
    return [contract for chain in chains for contract in chain]


async def list_open_interest(terminal: Terminal, roots: Sequence[str]) -> list[OpenInterestRow]:
    """Today's open interest of the roots; a root the terminal has none of is left out, and said."""
    slots = asyncio.Semaphore(_SIDE_BY_SIDE)

    async def of(root: str) -> list[OpenInterestRow]:
        async with slots:
            try:
                return await terminal.open_interest(root)
            except TerminalError as error:
                log.warning("no open interest of %s: %s", root, error)
                return []

    rows = await asyncio.gather(*(of(root) for root in roots))
    return [row for found in rows for row in found]
