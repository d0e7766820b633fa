"""What the store is, whatever database keeps it: records, protocols, errors, addresses.

The store is the log: one writer appends prints and gives each its ``seq``, any number of readers
follow by ``seq``. A row is a sequence in the order of :data:`phenix.engine.flow.STORED`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any, Final, Protocol, Self, runtime_checkable

from phenix.engine.feed import Feed
from phenix.engine.flow import Row
from phenix.engine.store.shadow import Candidate, Comparison
from phenix.engine.store.versions import Activation, RuleVersion, RuleWriter

__all__ = [
    "ENRICHED_STREAM",
    "RETENTION_STREAM",
    "SNIPPET_BYTES",
    "Appended",
    "Batch",
    "Cause",
    "Checkpoint",
    "DeadLetter",
    "Gap",
    "GapState",
    "OpenInterest",
    "Problem",
    "Reader",
    "RuleVersion",
    "Stoppable",
    "StoreError",
    "StoreTimeout",
    "UnderlyingQuote",
    "Writer",
    "sqlite_path",
]

ENRICHED_STREAM: Final = "enriched"
"""Name of the checkpoint that says up to which seq rows are enriched."""

RETENTION_STREAM: Final = "retention"
"""Name of the checkpoint that says up to which seq there are rows that were removed."""

SNIPPET_BYTES: Final = 4096
"""Most of a refused record that is kept."""


class Problem(StrEnum):
    """Why the store could not do what was asked."""

    ADDRESS = "address"
    MISSING = "missing"
    LOCKED = "locked"
    READ_ONLY = "read-only"
    FULL = "full"
    CORRUPT = "corrupt"
    FOREIGN = "foreign"
    NEWER = "newer"
    OLDER = "older"
    IO = "io"
    TIMEOUT = "timeout"


class StoreError(Exception):
    """The store is not usable; the message says what, where and what to do."""

    def __init__(self, problem: Problem, message: str) -> None:
        super().__init__(message)
        self.problem = problem
        self.message = message


class StoreTimeout(StoreError):  # noqa: N818 - the caller asks about the deadline
    """A statement passed its deadline, or nobody wants it any more, and was stopped."""

    def __init__(self, message: str) -> None:
        super().__init__(Problem.TIMEOUT, message)


@dataclass(frozen=True, slots=True)
class UnderlyingQuote:
    """A quote of an underlying as received, prices in ten-thousandths of a dollar."""

    symbol: str
    ts_utc: int
    bid: int
    ask: int
    source: str


@dataclass(frozen=True, slots=True)
class OpenInterest:
    """Open interest of a contract for a date, as of ``ts_utc``."""

    root: str
    expiration: int
    strike: int
    right: str
    date: int
    ts_utc: int
    open_interest: int


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A record that could not become a row.

    ``stream`` is where it came from (``import``, ``terminal``), ``place`` the position there (``file:line``; None
    where there is none), ``reason`` a short code, ``detail`` one sentence, ``snippet`` the first
    :data:`SNIPPET_BYTES` bytes of it. The same letter from the same place, or from none, is kept once.
    """

    stream: str
    place: str | None
    reason: str
    detail: str
    snippet: bytes
    at_utc: int


class Cause(StrEnum):
    """Why prints may have been missed."""

    DISCONNECTED = "disconnected"
    UPSTREAM = "upstream"
    SILENT = "silent"
    OVERFLOW = "overflow"
    RESTARTED = "restarted"


class GapState(StrEnum):
    """What became of a gap: not looked at yet, fetched from history, not in the subscription, or without history."""

    OPEN = "open"
    FILLED = "filled"
    REFUSED = "refused"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True)
class Gap:
    """A time of the stream in which prints may have been missed, both ends included.

    ``messages`` are those that were dropped and counted; ``recovered`` the prints found in the terminal's history
    since, ``detail`` a sentence. ``number`` is given when it is stored.
    """

    cause: Cause
    from_utc: int
    upto_utc: int
    messages: int = 0
    state: GapState = GapState.OPEN
    recovered: int = 0
    detail: str = ""
    number: int | None = None


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a stream has come; ``watermark`` is the stream's own words."""

    stream: str
    watermark: str
    updated_at: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one transaction stores: prints with the inputs they were stored with, and how far the stream came.

    ``rows`` are raw rows in the order they shall be numbered; their seq is None. ``payloads``, if given,
    are the received words of each. ``gaps`` are new; one with a number is what is
    known of it now, and the batch's new rows are recovered from it. ``redriven`` are numbers of dead letters that
    the rows were read from. An empty ``stream`` moves no checkpoint.
    """

    rows: Sequence[Row] = ()
    quotes: Sequence[UnderlyingQuote] = ()
    open_interest: Sequence[OpenInterest] = ()
    dead_letters: Sequence[DeadLetter] = ()
    stream: str = ""
    watermark: str = ""
    payloads: Sequence[str] = ()
    gaps: Sequence[Gap] = ()
    redriven: Sequence[int] = ()


@dataclass(frozen=True, slots=True)
class Appended:
    """What came of a batch: the new rows with their seq, and how many were already there."""

    rows: list[tuple[Any, ...]]
    duplicates: int
    dead_letters: int


@runtime_checkable
class Stoppable(Protocol):
    """What reads until nobody wants it any more: then as past its deadline (StoreTimeout)."""

    unwanted: Callable[[], bool]


class Reader(Protocol):
    """Reads, never writes, and stops at a deadline, or when it is ``unwanted`` (StoreTimeout)."""

    unwanted: Callable[[], bool]

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def execute(self, sql: str, params: Sequence[Any] = (), *, timeout_s: float | None = None) -> list[tuple[Any, ...]]:
        """All rows of one statement."""
        ...

    def watermark(self) -> int:
        """Largest enriched seq; 0 when there is none."""
        ...

    def raw_watermark(self) -> int:
        """Largest raw seq; 0 when there is none."""
        ...

    def removed_upto(self) -> int:
        """Largest seq of the rows that retention removed; 0 when it removed none."""
        ...

    def raw_rows(self, after_seq: int, limit: int) -> list[tuple[Any, ...]]:
        """Raw rows after a seq, in seq order."""
        ...

    def session_raw(self, session_date: int, before_seq: int, after_seq: int = 0) -> Iterator[tuple[Any, ...]]:
        """Raw rows of a session with after < seq < before, in seq order."""
        ...

    def session_stored(self, session_date: int, after_seq: int, upto_seq: int, limit: int) -> list[tuple[Any, ...]]:
        """Whole rows of a session with after < seq <= upto, and last the trade id its enriched part was stored with.

        Where that part is missing its values and the last are None.
        """
        ...

    def session_count(self, session_date: int, upto_seq: int, after_seq: int = 0) -> int:
        """How many raw rows of a session have a seq in (after, upto]."""
        ...

    def rows_after(self, seq: int, limit: int) -> list[tuple[Any, ...]]:
        """Whole rows after a seq, in seq order."""
        ...

    def rows_at(self, seqs: Sequence[int]) -> list[tuple[Any, ...]]:
        """Whole rows of some seqs, in the order given; those not stored are left out."""
        ...

    def row(self, trade_ts_utc: int, trade_id: int) -> tuple[Any, ...] | None:
        """The whole row of a print, or None."""
        ...

    def cancelled_between(self, after_seq: int, upto_seq: int) -> list[tuple[Any, ...]]:
        """Whole rows taken back by a cancel in (after_seq, upto_seq], by the cancel's seq."""
        ...

    def current_session(self) -> int | None:
        """Latest session date with rows."""
        ...

    def latest_trade(self) -> int | None:
        """Latest trade time of all rows, UTC ms."""
        ...

    def dead_letters(self, *, after_id: int = 0, limit: int = 1000) -> list[tuple[int, DeadLetter]]:
        """Dead letters with their number, oldest first, without those that became rows since."""
        ...

    def dead_letter_counts(self) -> dict[str, int]:
        """Dead letters by reason, without those that became rows since."""
        ...

    def gaps(self, state: GapState | None = None) -> list[Gap]:
        """Gaps of the stream, oldest first; of one state when named."""
        ...

    def checkpoint(self, stream: str) -> Checkpoint | None:
        """How far a stream has come."""
        ...

    def feed(self) -> Feed | None:
        """What ingest last told of the terminal's feed; None before it did."""
        ...

    def underlying_quotes(
        self, symbol: str, from_utc: int, upto_utc: int, latest: int | None = None
    ) -> list[UnderlyingQuote]:
        """Quotes of an underlying with from <= time <= upto, oldest first, those of one time as they came.

        Only the ``latest`` so many of them, if that is given.
        """
        ...

    def open_interest(self, from_date: int, upto_date: int, root: str | None = None) -> Iterator[OpenInterest]:
        """Open interest of the dates, oldest first; of one root when named."""
        ...

    def traded(self, session_date: int) -> list[tuple[str, int, int, str]]:
        """Contracts with rows of a session: root, expiration, strike, right."""
        ...

    def contract_stats(self, session_date: int) -> list[tuple[Any, ...]]:
        """Lines of ``contract_stats_intraday`` of a session."""
        ...

    def symbol_stats(self, from_bucket: int, upto_bucket: int) -> list[tuple[Any, ...]]:
        """Lines of ``symbol_stats_intraday`` with from <= minute <= upto (New York wall clock, ms)."""
        ...

    def interest_at(
        self, root: str, expiration: int, strike: int, right: str, date: int, ts_utc: int
    ) -> OpenInterest | None:
        """The latest open interest of a contract told for a date by a time."""
        ...

    def rule_version(self, version_id: str | None = None) -> RuleVersion | None:
        """The active rule version, or the one named."""
        ...

    def rule_versions(self) -> list[RuleVersion]:
        """Every stored rule version, oldest first."""
        ...

    def activations(self, *, waiting: bool = False) -> list[Activation]:
        """What was asked of the rules, oldest first; only what the writer has not looked at when ``waiting``."""
        ...

    def changed(self) -> bool:
        """Whether another connection committed since the last call (cheap)."""
        ...

    def close(self) -> None:
        """Release the connection; closing twice is fine."""
        ...


class Writer(RuleWriter, Protocol):
    """The one writer. Each method is one transaction: all of it is stored or none."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    @property
    def reads(self) -> Reader:
        """The writer's own view, including what it just stored."""
        ...

    def append(self, batch: Batch) -> Appended:
        """Store a batch; prints already stored are counted and left alone."""
        ...

    def append_enriched(
        self,
        rows: Sequence[Sequence[Any]],
        cancels: Sequence[tuple[int, int]] = (),
        contract_stats: Iterable[Sequence[Any]] = (),
        symbol_stats: Iterable[Sequence[Any]] = (),
    ) -> None:
        """Store enriched rows (seq, trade id, the enriched values), mark cancelled originals, move the checkpoint."""
        ...

    def put_feed(self, feed: Feed) -> None:
        """Keep what the feed is like now, in place of what it was."""
        ...

    def put_comparisons(self, candidate: Candidate, upto_seq: int, found: Sequence[Comparison]) -> bool:
        """Store what is compared up to a seq; false and nothing once another candidate was named, or this one anew."""
        ...

    def close(self) -> None:
        """Release the store; closing twice is fine."""
        ...


def sqlite_path(url: str) -> Path:
    """The file of a store address such as ``sqlite:data/phenixflow.sqlite``; raises StoreError for any other."""
    scheme, colon, rest = url.partition(":")
    if not colon or scheme.lower() != "sqlite":
        wish = "write sqlite:PATH, as in sqlite:data/flow.sqlite"
        raise StoreError(Problem.ADDRESS, f"store address {url!r} is not understood: {wish}")
    path = rest.removeprefix("//")
    if not path or "\0" in path:
        raise StoreError(Problem.ADDRESS, f"store address {url!r} names no file: write sqlite:PATH")
    return Path(path).expanduser()
