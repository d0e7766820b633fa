"""Which contracts to stream: those expected to print most, within what the account may stream at once.

What a contract is expected to print today is half what it printed last session and half its share of its symbol's
prints then, by nearness, days to expiry and open interest: new listings and moved underlyings have no past of their
own. A contract that has printed today stays, so that its figures of the day stay whole.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from phenix.engine.enrich.clock import day_of_date
from phenix.engine.enrich.roots import underlying
from phenix.ingest.terminal.protocol import Contract

__all__ = ["TRADE_STREAMS", "Activity", "Coverage", "Known", "Plan", "plan_contracts"]

TRADE_STREAMS: Final = 15_000
"""Contracts an Options Standard account may stream."""

_OWN_PAST: Final = 0.5
"""Weight of what the contract itself printed; the rest is its share of its symbol."""
_WIDTH: Final = (1.5, 0.6)
"""Per cent from the underlying within which a contract counts as near: at expiry, and more by the root of its days."""
_FADE: Final = 0.7
"""How fast activity falls with days to expiry, as a power of them."""


class Activity(NamedTuple):
    """A session of one contract: prints, contracts traded, and premium in ten-thousandths of a dollar."""

    prints: int
    volume: int
    premium: int


@dataclass(frozen=True, slots=True)
class Known:
    """What a plan is made from; whatever is not known is left out.

    ``spots`` are prices of underlyings in ten-thousandths; ``past`` is the session before, ``printed`` the contracts
    with prints today.
    """

    interest: Mapping[Contract, int]
    past: Mapping[Contract, Activity]
    spots: Mapping[str, int]
    printed: Collection[Contract] = ()


@dataclass(frozen=True, slots=True)
class Coverage:
    """How much of the session before lies inside a plan, of what has not expired since.

    ``missed`` names the symbols with most prints outside, most first: (symbol, prints outside, prints).
    """

    prints: int
    prints_inside: int
    premium: int
    premium_inside: int
    expired_prints: int
    missed: tuple[tuple[str, int, int], ...]

    @property
    def prints_share(self) -> float | None:
        """Share of prints; None when there was none."""
        return self.prints_inside / self.prints if self.prints else None

    @property
    def premium_share(self) -> float | None:
        """Share of premium; None when there was none."""
        return self.premium_inside / self.premium if self.premium else None


@dataclass(frozen=True, slots=True)
class Plan:
    """Contracts to stream, those expected to print most first, and what they would have covered."""

    contracts: tuple[Contract, ...]
    listed: int
    coverage: Coverage

    def __str__(self) -> str:
        """One line: how many of the contracts listed, and what share of the session before they hold."""
        share = self.coverage.prints_share
        before = "" if share is None else f", {share:.1%} of the prints of the session before"
        return f"{len(self.contracts)} of {self.listed} contracts{before}"


def plan_contracts(listed: Iterable[Contract], today: int, known: Known, budget: int = TRADE_STREAMS) -> Plan:
    """The plan for a day over the contracts listed; those that expired before it are left out."""
    live = sorted({contract for contract in listed if contract.expiration >= today} | set(known.printed))
    expected = _expected(live, today, known)
    printed = set(known.printed)
    ranked = sorted(live, key=lambda contract: (contract not in printed, -expected[contract], contract))
    chosen = tuple(ranked[:budget])
    return Plan(chosen, len(live), _coverage(set(chosen), today, known.past))


def _expected(live: Iterable[Contract], today: int, known: Known) -> dict[Contract, float]:
    """Prints expected of each contract today."""
    day = day_of_date(today)
    by_symbol: dict[str, list[Contract]] = {}
    for contract in live:
        by_symbol.setdefault(underlying(contract.root), []).append(contract)
    prints: dict[str, int] = {}
    for contract, activity in known.past.items():
        symbol = underlying(contract.root)
        prints[symbol] = prints.get(symbol, 0) + activity.prints
    expected: dict[Contract, float] = {}
    for symbol, contracts in by_symbol.items():
        spot = known.spots.get(symbol)
        weights = [_weight(contract, day, spot, known.interest.get(contract, 0)) for contract in contracts]
        # Without a past, open interest says how busy a symbol is: the plan of a first day ranks by it.
        total = prints.get(symbol) or sum(known.interest.get(contract, 0) for contract in contracts) ** 0.5
        scale = (total or 1.0) / sum(weights)
        for contract, weight in zip(contracts, weights, strict=True):
            own = known.past[contract].prints if contract in known.past else 0
            expected[contract] = _OWN_PAST * own + (1 - _OWN_PAST) * scale * weight
    return expected


def _weight(contract: Contract, day: int, spot: int | None, interest: int) -> float:
    days = max(0, day_of_date(contract.expiration) - day)
    weight = math.sqrt(1 + interest) / math.pow(1 + days, _FADE)
    if spot:
        away = abs(contract.strike / spot - 1) * 100
        weight /= 1 + (away / (_WIDTH[0] + _WIDTH[1] * math.sqrt(days))) ** 2
    return weight


def _coverage(chosen: Collection[Contract], today: int, past: Mapping[Contract, Activity]) -> Coverage:
    prints = inside = premium = premium_inside = expired = 0
    by_symbol: dict[str, list[int]] = {}
    for contract, activity in past.items():
        if contract.expiration < today:
            expired += activity.prints
            continue
        prints += activity.prints
        premium += activity.premium
        outside = by_symbol.setdefault(underlying(contract.root), [0, 0])
        outside[1] += activity.prints
        if contract in chosen:
            inside += activity.prints
            premium_inside += activity.premium
        else:
            outside[0] += activity.prints
    missed = [(symbol, missing, of) for symbol, (missing, of) in by_symbol.items() if missing]
    missed.sort(key=lambda line: (-line[1], line[0]))
    return Coverage(prints, inside, premium, premium_inside, expired, tuple(missed))
