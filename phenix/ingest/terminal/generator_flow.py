"""One generated underlying's day: its quotes and its option prints, in the order of time.

Orders arrive minute by minute and become prints: single ones, sweeps over several exchanges
within milliseconds, multi-leg groups with equal timestamps, runs of repeats, large blocks; some
prints are taken back by a cancel record, some are reported late. Everything is drawn from one
seeded generator, so a seed gives the same day. Money is ten-thousandths of a dollar.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import exp, sqrt
from typing import Final, NamedTuple

from phenix.ingest.terminal.events import TRADE, UNDERLYING, Print, Quote, TapeEvent, UnderlyingQuote
from phenix.ingest.terminal.generator_chain import Chain
from phenix.ingest.terminal.layouts import wall_at

__all__ = ["FIRST_MINUTE", "PRINTS_PER_ORDER", "Clockwork", "Flow", "Minute"]

PRINTS_PER_ORDER: Final = 1.28
"""Mean prints an order becomes, all kinds together; turns a number of prints into one of orders."""
MINUTE: Final = 60_000
FIRST_MINUTE: Final = 9 * 60 + 30
"""Minute of the New York day the regular session begins."""
_JUMP: Final = 9_000
"""Sequences grow by up to this from one print to the next."""
_WRAPPING: Final = 7
"""One underlying in so many has its sequence pass 2147483647 during the day."""
_TRADING_MINUTES_A_YEAR: Final = 252 * 390


def _table(weights: dict[int, float], size: int = 2_000) -> tuple[int, ...]:
    """A draw by weight as a table to index: a choice costs one multiplication."""
    whole = sum(weights.values())
    cells: list[int] = []
    for value, weight in weights.items():
        cells += [value] * max(1, round(size * weight / whole))
    return tuple(cells)


_EXCHANGES: Final = _table({
    5: 16.8, 7: 11.4, 9: 9.7, 65: 7.5, 6: 6.7, 4: 6.1, 11: 5.9, 43: 5.5, 46: 5.3, 1: 5.1, 60: 4.1, 73: 3.0, 69: 2.9,
    42: 2.4, 31: 2.2, 22: 2.1, 47: 1.7, 76: 1.5,
})  # fmt: skip
"""Exchanges by their share of volume."""
_SINGLE: Final = _table({
    18: 71, 125: 16, 0: 1.5, 126: 1.2, 127: 1.0, 128: 0.4, 129: 0.9, 134: 3, 136: 2, 137: 0.3, 138: 0.4, 135: 0.2,
    141: 0.2, 13: 0.4, 2: 0.15, 7: 0.05, 147: 0.05, 148: 0.05,
})  # fmt: skip
"""Conditions of a print that comes alone."""
_COMPLEX: Final = _table({130: 74, 131: 14, 132: 2, 133: 8, 144: 2})
_BLOCK: Final = _table({18: 30, 125: 20, 127: 20, 129: 30})
_CANCELS: Final = _table({40: 50, 41: 15, 42: 15, 43: 15, 44: 5})
_COUNTS: Final = (1, 1, 2, 3, 5, 7, 10, 12, 18, 25, 33, 47, 60, 84, 110, 150, 240, 400)

_BETAS: Final = {
    "TLT": 0.15,
    "HYG": 0.15,
    "LQD": 0.15,
    "GLD": 0.15,
    "VIX": -4.0,
    "UVXY": -4.0,
    "VXX": -4.0,
    "SQQQ": -1.0,
}
"""How an underlying moves with the market, where it is not in step."""
_AT_ASK, _AT_BID, _BETWEEN, _ABOVE = range(4)
_SIDES: Final = _table({_AT_ASK: 36, _AT_BID: 34, _BETWEEN: 26, _ABOVE: 4})
_LEG_SIDES: Final = _table({_AT_ASK: 18, _AT_BID: 18, _BETWEEN: 64})
_RUN_SIDES: Final = _table({_AT_ASK: 70, _AT_BID: 30})


class _Order(NamedTuple):
    """Marks a moment at which an order arrives."""


class _Tick(NamedTuple):
    """Marks a moment at which the underlying moves."""


class _Pending(NamedTuple):
    """A print to come: priced when its time is there, unless ``price`` is set."""

    place: int
    side: int
    size: int
    condition: int
    exchange: int
    price: int = -1


class Minute(NamedTuple):
    """A minute in which there is trading."""

    at: int
    """Minutes after the midnight that begins the session's date; negative the evening before."""
    share: float
    """Its part of the day's prints; these sum to 1 over the regular session."""
    market: float
    """Log return of the market, in units of a one-percent volatility."""


@dataclass(frozen=True, slots=True)
class Clockwork:
    """What all flows of a session share: its minutes, how busy each is, and how the market moves in each."""

    date: int
    minutes: Sequence[Minute]
    """In order of time, with gaps where nothing trades."""


class Flow:
    """The day of one chain; ``prints`` is the expected number, ``runs`` how many runs of repeats come early."""

    def __init__(self, chain: Chain, clockwork: Clockwork, prints: float, runs: int, seed: str) -> None:
        self._chain, self._clock, self._prints = chain, clockwork, prints
        self._runs = runs
        self._random = random.Random(seed)  # noqa: S311 -- a simulation
        it = chain.underlying
        self._exchanges = _EXCHANGES if it.kind != "index" else (5,)
        self._beta = _BETAS.get(it.symbol, 1.0)
        self._own = 0.1 if it.kind == "index" or it.symbol in {"SPY", "QQQ", "DIA", "IWM"} else 0.85
        self._step_ms = 5_000 if it.rank < 10 else 15_000 if it.rank < 60 else 60_000
        self._spot = it.price * exp(self._random.gauss(0, 0.004))
        self._sequence = self._random.randrange(-(2**31), 2**31)
        if it.rank % _WRAPPING == 1:
            self._sequence = 2**31 - 1 - self._sequence % max(1, int(prints) * _JUMP // 2)
        self._heap: list[tuple[int, int, _Order | _Tick | _Pending]] = []
        self._pushed = 0
        self._kinds: tuple[tuple[float, Callable[[int], None]], ...] = (
            (0.878, self._single),
            (0.035, self._sweep),
            (0.085, self._legs),
            (0.0014, self._block),
            (0.0006, self._run),
        )

    def __iter__(self) -> Iterator[TapeEvent]:
        clock = self._clock
        midnight = wall_at(clock.date, 0)
        opening = midnight + clock.minutes[0].at * MINUTE
        yield self._underlying_quote(opening - 1_000 - self._random.randrange(2_000))
        for at, share, market in clock.minutes:
            start = midnight + at * MINUTE
            self._plan(start, share, at - FIRST_MINUTE)
            while self._heap and self._heap[0][0] < start + MINUTE:
                wall, _, what = heapq.heappop(self._heap)
                if isinstance(what, _Pending):
                    yield self._print(wall, what, midnight)
                elif isinstance(what, _Order):
                    self._arrive(wall)
                else:
                    self._move(market)
                    yield self._underlying_quote(wall)
        while self._heap:
            wall, _, what = heapq.heappop(self._heap)
            if isinstance(what, _Pending):
                yield self._print(wall, what, midnight)

    def _push(self, wall: int, what: _Order | _Tick | _Pending) -> None:
        self._pushed += 1
        heapq.heappush(self._heap, (wall, self._pushed, what))

    def _plan(self, start: int, share: float, minute: int) -> None:
        rng = self._random
        for n in range(MINUTE // self._step_ms):
            self._push(start + n * self._step_ms + rng.randrange(self._step_ms), _Tick())
        for _ in range(_poisson(rng, self._prints * share / PRINTS_PER_ORDER)):
            self._push(start + rng.randrange(MINUTE), _Order())
        if self._runs and 0 <= minute < 12 and rng.random() < 0.25 + minute / 12:
            self._runs -= 1
            self._run(start + rng.randrange(MINUTE))

    # -- orders

    def _arrive(self, wall: int) -> None:
        luck = self._random.random()
        for share, make in self._kinds:
            luck -= share
            if luck < 0:
                make(wall)
                return
        self._single(wall)

    def _draw(self, table: tuple[int, ...]) -> int:
        return table[int(self._random.random() * len(table))]

    def _size(self) -> int:
        return max(1, min(5_000, int(exp(self._random.gauss(0.9, 1.25)))))

    def _single(self, wall: int) -> None:
        place = self._chain.pick(self._random)
        self._push(
            wall, _Pending(place, self._draw(_SIDES), self._size(), self._draw(_SINGLE), self._draw(self._exchanges))
        )

    def _sweep(self, wall: int) -> None:
        rng, place, side = self._random, self._chain.pick(self._random), self._draw(_RUN_SIDES)
        for _ in range(rng.randint(3, 8)):
            self._push(wall, _Pending(place, side, 1 + self._size(), 95, self._draw(self._exchanges)))
            wall += rng.randrange(9)

    def _legs(self, wall: int) -> None:
        rng, place = self._random, self._chain.pick(self._random)
        condition, exchange, size = self._draw(_COMPLEX), self._draw(self._exchanges), self._size()
        places = {place: None}
        for _ in range(rng.choice((1, 1, 1, 1, 2, 3))):
            places[self._chain.neighbour(rng, place)] = None
        for leg in places:
            self._push(wall, _Pending(leg, self._draw(_LEG_SIDES), size, condition, exchange))

    def _run(self, wall: int) -> None:
        """At least twenty prints of one contract and side within three minutes."""
        rng, place, side = self._random, self._chain.pick(self._random), self._draw(_RUN_SIDES)
        for _ in range(rng.randint(24, 44)):
            at = wall + rng.randrange(170_000)
            self._push(at, _Pending(place, side, self._size(), 18, self._draw(self._exchanges)))

    def _block(self, wall: int) -> None:
        """A premium between half a million and five million dollars."""
        place = self._chain.pick(self._random)
        bid, ask, _ = self._chain.quote(self._chain.listings[place], self._spot, 0.5)
        size = int(exp(self._random.uniform(13.2, 15.4)) / (max(bid + ask, 400) / 200))
        size = min(size, 5_000)
        self._push(
            wall, _Pending(place, self._draw(_SIDES), max(size, 1), self._draw(_BLOCK), self._draw(self._exchanges))
        )

    # -- prints and quotes

    def _print(self, wall: int, what: _Pending, midnight: int) -> Print:
        rng = self._random
        listing = self._chain.listings[what.place]
        day_left = max(0.0, (57_600_000 - (wall - midnight)) / 86_400_000)
        bid, ask, tick = self._chain.quote(listing, self._spot, day_left)
        price = what.price if what.price >= 0 else self._price(what.side, bid, ask, tick)
        self._sequence = (self._sequence + rng.randrange(1, _JUMP) + 2**31) % 2**32 - 2**31
        if what.price < 0 and rng.random() < 0.0006:
            cancel = what._replace(condition=self._draw(_CANCELS), price=price)
            self._push(wall + rng.randrange(500, 90_000), cancel)
        quote = Quote(
            wall - int(rng.random() ** 3 * 1_500),
            self._draw(_COUNTS) if bid else 0,
            self._draw(self._exchanges),
            bid,
            50,
            self._draw(_COUNTS),
            self._draw(self._exchanges),
            ask,
            50,
        )
        return Print(
            wall, TRADE, listing.contract, self._sequence, what.size, what.condition, what.exchange, price, quote
        )

    def _price(self, side: int, bid: int, ask: int, tick: int) -> int:
        if side == _AT_ASK:
            return ask
        if side == _AT_BID:
            return bid or tick
        if side == _ABOVE:
            return ask + max(tick, -(-(ask - bid) // 1000) * 100)
        ticks = (ask - bid) // tick
        if ticks >= 2:
            return bid + tick * self._random.randrange(1, ticks)
        return (bid + ask) // 200 * 100 or tick

    def _move(self, market: float) -> None:
        volatility = self._chain.underlying.volatility
        share = self._step_ms / MINUTE
        own = self._random.gauss(0, volatility * self._own * sqrt(share / _TRADING_MINUTES_A_YEAR))
        self._spot *= exp(self._beta * market * min(volatility, 0.6) * share + own)

    def _underlying_quote(self, wall: int) -> UnderlyingQuote:
        mid = int(self._spot * 10_000)
        half = 50 * max(1, mid // 2_000_000) + 50 * self._random.randrange(2)
        bid = (mid - half) // 100 * 100
        ask = bid + 2 * half // 100 * 100 + 100
        exchange = 5 if self._chain.underlying.kind == "index" else 1
        counts = self._draw(_COUNTS), self._draw(_COUNTS)
        return UnderlyingQuote(
            wall, UNDERLYING, self._chain.underlying.symbol, counts[0], exchange, bid, 0, counts[1], exchange, ask, 0
        )


def _poisson(rng: random.Random, mean: float) -> int:
    if mean > 40:
        return max(0, round(rng.gauss(mean, sqrt(mean))))
    limit, count, product = exp(-mean), 0, rng.random()
    while product > limit:
        count += 1
        product *= rng.random()
    return count
