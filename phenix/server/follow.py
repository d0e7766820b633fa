"""What a stream consists of, and how it goes on: the log without seam until it is closed."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import TypeAlias

from phenix.engine.flow import Row
from phenix.engine.log import Log
from phenix.engine.store.base import Problem, StoreError
from phenix.engine.watch import Batch, Event, Watch
from phenix.server.rulebook import Active
from phenix.server.rules import Rules

__all__ = ["Content", "Degraded", "Events", "Progress", "Reset", "RulesChanged", "Snapshot", "Start", "follow"]

_logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The latest matching rows, newest first, as of ``seq``."""

    seq: int
    rows: tuple[Row, ...]
    rules: Rules


@dataclass(frozen=True, slots=True)
class Events:
    """What a batch of the log means to one subscriber; never empty."""

    batch: Batch
    events: tuple[Event, ...]
    watch: Watch
    rules: Rules


@dataclass(frozen=True, slots=True)
class Progress:
    """Everything up to ``seq`` was sent."""

    seq: int
    replaying: bool = False
    closing: bool = False


@dataclass(frozen=True, slots=True)
class RulesChanged:
    """Rows after ``seq`` were tagged by these rules, and the filter is judged by them; those before by others.

    A filter that these rules do not know goes on as it was: ``kept``.
    """

    seq: int
    rules: Rules
    kept: bool


@dataclass(frozen=True, slots=True)
class Degraded:
    """Why what is sent lags behind the tape from here on; no reasons when it no longer does."""

    seq: int
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Reset:
    """What came after the last position was removed from the store: ``oldest`` is the first seq that is sent again."""

    seq: int
    oldest: int


Content: TypeAlias = Snapshot | Events | Progress | RulesChanged | Degraded | Reset


@dataclass(frozen=True, slots=True)
class Start:
    """Where a stream begins: with a snapshot, or after a seq; ``version`` tagged what came before.

    Who ``resumed`` is told the state once in any case: it may have been another one when the connection was cut.
    """

    watch: Watch
    rules: Rules
    begin: Snapshot | int
    version: str
    resumed: bool = False


async def follow(
    log: Log,
    start: Start,
    under: Callable[[str], Awaitable[tuple[Watch | None, Rules]]],
    removed: Callable[[], Awaitable[int]],
    degraded: Callable[[], tuple[str, ...]],
    active: Callable[[], Active],
    progress_s: float,
) -> AsyncIterator[Content]:
    """The contents of a stream.

    ``under`` gives the filter as a rule version understands it, None where it does not, and the rules; ``removed`` the
    last seq that retention removed; ``degraded`` the state now, ``active`` the rules now:
    the log's subscriptions are woken when one of these changes.
    """
    watch, rules, version = start.watch, start.rules, start.version
    position = start.begin if isinstance(start.begin, int) else start.begin.seq
    subscription = log.subscribe(position, watch, version)
    told: tuple[str, ...] | None = None if start.resumed else ()
    try:
        yield Progress(position) if isinstance(start.begin, int) else start.begin
        due = time.monotonic() + progress_s
        while True:
            if (state := degraded()) != told:
                told = state
                yield Degraded(subscription.position, told)
            now, batch = active(), None
            try:
                if now.seq == subscription.position and now.rules.bundle.version != version:
                    after, other = now.seq, now.rules.bundle.version  # no row says it yet
                else:
                    batch = await subscription.next(max(0.0, due - time.monotonic()))
                    if batch is None:
                        yield Progress(subscription.position, closing=True)
                        return
                    after, other = batch.after, batch.version or version
                if other != version:
                    version = other
                    changed, rules = await under(version)
                    watch = changed or watch
                    subscription.follow(watch, version)
                    yield RulesChanged(after, rules, kept=changed is None)
            except StoreError as error:
                if error.problem is not Problem.MISSING:
                    _logger.warning("a stream lost the store: %s", error.message)
                    return  # the client resumes after what it was sent
                subscription.jump(await removed())
                yield Reset(subscription.position, subscription.position + 1)
                continue
            if batch is None:
                continue
            if batch.replayed:
                yield Progress(batch.after, replaying=True)
            events = batch.events(watch)
            if events:
                yield Events(batch, events, watch, rules)
                subscription.sent(batch, len(events))
            elif time.monotonic() >= due:
                yield Progress(subscription.position)
            else:
                continue
            due = time.monotonic() + progress_s
    finally:
        subscription.close()
