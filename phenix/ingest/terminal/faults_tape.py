"""Faults of the tape: prints changed, held back or added before they are played.

What is changed here is what the stream tells and the snapshots hold; history keeps the tape as it is.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from typing import Final

from phenix.ingest.terminal.events import Print, Quote, TapeEvent
from phenix.ingest.terminal.faults import Stage
from phenix.ingest.terminal.faults_active import ActiveFault, ActiveFaults

__all__ = ["altered"]

_NOWHERE: Final = 42
"""Exchange of an empty side in the vendor's own example."""


def _quote(event: Print, change: Callable[[Quote], Quote]) -> Print:
    return event if event.quote is None else event._replace(quote=change(event.quote))


def _one_sided(event: Print, active: ActiveFault) -> Print:
    side = active.text("side")
    if side == "any":
        side = active.random.choice(("bid", "ask", "both"))

    def empty(quote: Quote) -> Quote:
        if side != "ask":
            quote = quote._replace(bid_size=0, bid=0, bid_exchange=_NOWHERE)
        if side != "bid":
            quote = quote._replace(ask_size=0, ask=0, ask_exchange=_NOWHERE)
        return quote

    return _quote(event, empty)


def _crossed(event: Print, active: ActiveFault) -> Print:
    if active.text("by") == "locked":
        return _quote(event, lambda quote: quote._replace(bid=quote.ask, bid_size=max(1, quote.bid_size)))
    # a closed side has nothing to change places with: a tick above the ask crosses it as well
    return _quote(
        event,
        lambda q: q._replace(bid=q.ask, ask=q.bid) if q.bid else q._replace(bid=q.ask + 100, bid_size=1),
    )


_CHANGES: Final[dict[str, Callable[[Print, ActiveFault], Print]]] = {
    "one_sided_quotes": _one_sided,
    "crossed_quotes": _crossed,
    "unknown_conditions": lambda event, active: event._replace(condition=active.whole("code")),
    "unknown_exchanges": lambda event, active: event._replace(exchange=active.whole("code")),
}
"""How a print is changed, by the name of the fault."""


class _Held:
    """Prints that come when others have."""

    def __init__(self) -> None:
        self._heap: list[tuple[int, int, Print, bool]] = []
        self._number = 0

    def put(self, due: int, event: Print, *, on_time: bool) -> None:
        self._number += 1
        heapq.heappush(self._heap, (due, self._number, event, on_time))

    def take(self, upto: int | None, wall: int) -> Iterator[Print]:
        """Those due before print number ``upto``; ``on_time`` ones get the time ``wall``."""
        while self._heap and (upto is None or self._heap[0][0] < upto):
            _, _, event, on_time = heapq.heappop(self._heap)
            yield event._replace(wall=max(wall, event.wall)) if on_time else event


def altered(events: Iterator[TapeEvent], faults: ActiveFaults, added: Callable[[], None]) -> Iterator[TapeEvent]:
    """The tape with the faults that are switched on while it is read; ``added`` is called for each print put in.

    ``delay`` counts prints of the tape; what is still held at its end comes then.
    """
    held, number, last = _Held(), 0, 0
    wrapped: dict[str, int] = {}
    for event in events:
        if not isinstance(event, Print):
            yield event
            continue
        number, last = number + 1, event.wall
        yield from held.take(number, last)
        kept: Print | None = event
        for active in faults.at(Stage.TAPE):
            name = active.fault.name
            if not active.fires():
                continue
            if name in _CHANGES:
                event = _CHANGES[name](event, active)
            elif name == "sequence_wrap":
                event = _wrap(event, wrapped)
            elif name == "cancels":
                added()
                held.put(number + active.whole("delay"), event._replace(condition=active.whole("code")), on_time=True)
            else:
                if name == "late_prints":
                    event = event._replace(condition=active.whole("code"))
                held.put(number + active.whole("delay"), event, on_time=False)
                kept = None
                break
            kept = event
        if kept is not None:
            yield kept
    yield from held.take(None, last)


def _wrap(event: Print, wrapped: dict[str, int]) -> Print:
    """The sequence counted on from the largest there is, for each root from its first print here."""
    shift = wrapped.setdefault(event.contract.root, 2**31 - 1 - event.sequence)
    return event._replace(sequence=(event.sequence + shift + 2**31) % 2**32 - 2**31)
