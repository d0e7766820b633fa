"""What the terminal lists for a universe: its contracts, their open interest, and what they did in a session."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Final, TypeVar

from phenix.ingest.planner import Activity
from phenix.ingest.terminal.client import (
    NoDataError,
    NotEntitledError,
    OpenInterestRow,
    Terminal,
    TerminalError,
    UnreadableError,
)
from phenix.ingest.terminal.protocol import Contract, money

__all__ = ["list_activity", "list_chains", "list_contracts", "list_open_interest"]

log = logging.getLogger("phenix.ingest")

T = TypeVar("T")

_ROOTS_A_REQUEST: Final = 100
_SIDE_BY_SIDE: Final = 4


async def list_contracts(terminal: Terminal, roots: Sequence[str], dates: Iterable[int]) -> tuple[int, list[Contract]]:
    """The first of the dates with any trade, and the contracts of the roots that traded then; 0 and none without.

    Raises TerminalError when the terminal does not answer.
    """
    for date in dates:
        found: list[Contract] = []
        for start in range(0, len(roots), _ROOTS_A_REQUEST):
            found += await terminal.contracts(date, symbols=roots[start : start + _ROOTS_A_REQUEST])
        if found:
            log.info("contracts that traded on %s: %s", date, len(found))
            return date, found
    return 0, []


async def list_chains(terminal: Terminal, roots: Sequence[str]) -> list[Contract]:
    """Every strike of every expiration, calls and puts: what a terminal that plays another day can be asked for.

    Raises TerminalError when the terminal does not answer.
    """
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
        try:
            found = [money(float(line.rsplit(b",", 1)[-1]), "strike") for line in lines]
        except ValueError as error:
            raise UnreadableError(f"cannot read the strikes of {root}: {error}", 200) from None
        return [Contract("OPTION", root, expiration, k, right) for k in found for right in ("CALL", "PUT")]

    chains = await asyncio.gather(*(strikes(*pair) for pair in sorted(set(expirations))))
    return [contract for chain in chains for contract in chain]


async def list_open_interest(terminal: Terminal, roots: Sequence[str]) -> tuple[list[OpenInterestRow], set[str]]:
    """Today's open interest of the roots, and the roots whose request failed: those may be asked again."""
    return await _each_root("open interest", roots, terminal.open_interest)


async def list_activity(terminal: Terminal, roots: Sequence[str], date: int) -> dict[Contract, Activity]:
    """What each contract of the roots did in a past session; a root the terminal does not tell of is left out."""

    async def of(root: str) -> list[tuple[Contract, Activity]]:
        rows = await terminal.end_of_day(root, date)
        return [
            (row.contract, Activity(row.prints, row.volume, row.volume * row.close * 100)) for row in rows if row.prints
        ]

    return dict((await _each_root(f"end of day {date}", roots, of))[0])


async def _each_root(
    what: str, roots: Sequence[str], ask: Callable[[str], Awaitable[list[T]]]
) -> tuple[list[T], set[str]]:
    """Answers for each root, a few at a time, and the roots without any.

    Nothing more is asked once the account turns out not to include it; no root has failed for that.
    """
    slots = asyncio.Semaphore(_SIDE_BY_SIDE)
    refused, failed = False, set[str]()

    async def of(root: str) -> list[T]:
        nonlocal refused
        async with slots:
            if refused:
                return []
            try:
                return await ask(root)
            except NotEntitledError as error:
                refused = True
                log.warning("no %s: %s", what, error)
            except TerminalError as error:
                failed.add(root)
                log.warning("no %s of %s: %s", what, root, error)
            return []

    answers = await asyncio.gather(*(of(root) for root in roots))
    return [row for found in answers for row in found], failed
