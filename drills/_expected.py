"""What a store must hold of a stream: a simple model, of dicts and lists, moved by what the terminal did."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from drills._scripted import INTEREST_AT, interest_of
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.clock import DAY, et_of, utc_of
from phenix.engine.enrich.formulas import spot_mid
from phenix.engine.flow import INDEX, Row
from phenix.engine.store.base import Cause, Gap, GapState
from phenix.ingest.catchup import MARGIN_MS
from phenix.ingest.terminal.protocol import QuoteFrame, TradeFrame

__all__ = ["CALENDAR", "CANCELS", "UP", "Expected", "Identity", "identity", "stored_identity", "time_of"]

CALENDAR: Final = Calendar.packaged()
CANCELS: Final = (40, 41, 42, 43, 44)
UP: Final = "CONNECTED"
SYMBOLS: Final = {"XYZ": "XYZ", "SPXW": "SPX"}

Identity = tuple[Any, ...]
"""Root, expiration, strike, right, UTC time, price, size, condition, exchange, sequence."""
_at: Final = [INDEX[name] for name in (
    "root", "expiration", "strike", "right", "trade_ts_utc", "price", "size", "condition", "exchange", "sequence",
)]  # fmt: skip
_TS, _CONDITION = 4, 7
_TOGETHER_MS: Final = 10_000
"""So long prints wait at most to be read: with others that came before, which alone tell how late the feed is."""
_SEEN: Final = [INDEX[name] for name in ("bid", "ask", "quote_ts_utc", "spot", "session_date", "session")]
_SEQ, _OI, _CANCELLED = INDEX["seq"], INDEX["oi"], INDEX["cancelled_seq"]
_RECORD, _VOLUME = INDEX["cancel_record"], INDEX["day_volume"]


def time_of(frame: TradeFrame | QuoteFrame) -> int:
    """When it was, UTC milliseconds."""
    return utc_of(frame.date, frame.ms_of_day)


def identity(trade: TradeFrame) -> Identity:
    """What makes two prints the same one."""
    return (*trade.contract[1:], time_of(trade), trade.price, trade.size, trade.condition, trade.exchange,
            trade.sequence)  # fmt: skip


def stored_identity(row: Row) -> Identity:
    """The same of a stored row."""
    return tuple(row[i] for i in _at)


@dataclass(slots=True)
class _Loss:
    cause: Cause
    since: int
    messages: int = 0
    whole_at: int | None = None
    heard: bool = False


@dataclass(slots=True)
class Run:
    """What one worker was told: its figures must say so. ``doubtful`` are prints that it may not have received."""

    prints: int = 0
    doubtful: int = 0
    letters: int = 0
    dropped: int = 0
    gaps: int = 0
    connections: int = 0
    late: int = 0
    """How late the latest of its prints came, ms: they tell how late the feed is, and a gap begins so much earlier."""


@dataclass(slots=True)
class Expected:
    """Prints by what was said of them, letters by reason, gaps with their bounds, and where a restart begins."""

    views: dict[Identity, set[tuple[Any, ...]]] = field(default_factory=dict)
    """What a row of it may hold, by the stream's words or by history's."""
    due: dict[Identity, int] = field(default_factory=dict)
    """When each print of the market came, or would have come."""
    certain: dict[Identity, None] = field(default_factory=dict)
    """Those that are stored for certain, in the order of the stream."""
    doubt: list[Identity] = field(default_factory=list)
    """Those that were on the line as it broke, in order: the first few of them are stored."""
    letters: Counter[str] = field(default_factory=Counter)
    gaps: list[tuple[Cause, int, int, int, int]] = field(default_factory=list)
    """Cause, both ends, messages, and how much earlier it may begin."""
    checkpoints: set[int | None] = field(default_factory=lambda: {None})
    """Where the next restart may begin."""
    interest: set[int] = field(default_factory=set)
    """Dates whose open interest is known to the worker."""
    heard_at: int | None = None
    spots: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """Prices of underlyings that the running worker knows, by their time."""
    told_spots: dict[str, list[tuple[int, int]]] = field(default_factory=dict)
    """All that are stored: what one worker had no reason to read again the next one may have."""
    quotes: dict[Any, QuoteFrame] = field(default_factory=dict)
    """The last quote of each contract the running worker heard."""
    begun: int = 2**62
    """When all was answered for the first time: what was before nobody asks for."""
    loss: _Loss | None = None
    settled: bool = False
    word: str = ""
    down: bool = False
    run: Run = field(default_factory=Run)
    seqs: dict[Identity, int] = field(default_factory=dict)
    """Stored rows as they were found."""

    # -- prints

    def seen(self, key: Identity, quote: Sequence[int | None], *, history: bool = False) -> None:
        """A print is told after a quote (bid, ask, UTC time): a row of it may hold that, and what is known beside.

        Beside one of history all is known that is stored.
        """
        symbol, ts = SYMBOLS[key[0]], key[_TS]
        for spots in (self.spots, self.told_spots) if history else (self.spots,):
            spot = next((mid for at, mid in reversed(spots.get(symbol, [])) if at <= ts), None)
            self.views.setdefault(key, set()).add((*quote, spot, *CALENDAR.session(key[0], symbol, ts)))

    def comes(self, trade: TradeFrame, *, certain: bool = True) -> None:
        """A print is told by the stream."""
        key, at = identity(trade), time_of(trade)
        if key not in self.certain:
            quote = self.quotes.get(trade.contract)
            self.seen(key, (quote.bid, quote.ask, time_of(quote)) if quote else (None, None, None))
        if not certain:
            assert self.loss is None and key not in self.certain
            self.doubt.append(key)
            self.run.doubtful += 1
            self.checkpoints.add(at)
            return
        self.run.prints += 1
        self.certain.setdefault(key)
        if self.loss is not None:
            self.loss.heard = True
            if self.loss.whole_at is not None:
                self._noted(self.loss.whole_at)
        self.checkpoints.add(at if self.loss is None else min(at, self.loss.since))

    def spot(self, symbol: str, now: int, bid: int, ask: int) -> None:
        """A quote of an underlying is told."""
        mid = spot_mid(bid, ask)
        assert mid is not None
        for spots in (self.spots, self.told_spots):
            spots.setdefault(symbol, []).append((now, mid))

    def letter(self, reason: str) -> None:
        """Something is told that is no print."""
        self.letters[reason] += 1
        self.run.letters += 1

    # -- losses

    def lost(self, cause: Cause, since: int, messages: int = 0) -> None:
        """Prints may be missed from now on."""
        if self.loss is None:
            self.loss = _Loss(cause, since)
        self.loss.messages += messages
        self.loss.whole_at = None

    def resumed(self, now: int) -> None:
        """No more, if all subscriptions are answered and the terminal's own line is up."""
        if self.loss is not None and self.settled and not self.down:
            self.loss.whole_at = now

    def status(self, word: str, now: int) -> None:
        """The terminal says how its own line is; before a first request it has none."""
        before, self.word = self.word, word
        if word == UP:
            was, self.down = self.down, False
            if was:
                self.resumed(now)
        elif not self.down and (before == UP or self.settled):
            self.down = True
            self.lost(Cause.UPSTREAM, now)

    def answered(self, now: int) -> None:
        """Every request is answered: from now on prints come, if the terminal's own line is up."""
        self.settled = True
        if self.checkpoints == {None}:
            self.begun, self.checkpoints = now, {now}
        if self.word != UP and not self.down:
            self.down = True
            self.lost(Cause.UPSTREAM, now)
        self.resumed(now)

    def disconnected(self) -> None:
        """The connection is gone; since when nothing was heard."""
        assert self.heard_at is not None
        self.settled = False
        self.lost(Cause.DISCONNECTED, self.heard_at)

    def stopped(self, now: int) -> None:
        """The worker ends in order: a gap that is open is noted."""
        loss = self.loss
        if loss is not None and (loss.heard or loss.cause is not Cause.RESTARTED):
            self._noted(loss.whole_at or now)

    def started(self, since: int | None, latest: int | None) -> None:
        """Another worker begins; what happened since the checkpoint may be missed.

        ``latest`` is the time of the last print stored: it knows quotes of underlyings from the day before that on.
        """
        since_utc = 2**62 if latest is None else latest - DAY
        for symbol, quotes in self.told_spots.items():
            self.spots[symbol] = [quote for quote in quotes if quote[0] >= since_utc]
        self.begins(since)
        self.loss = None if since is None else _Loss(Cause.RESTARTED, since)
        self.settled = self.down = False
        self.word = ""
        self.heard_at = None
        self.quotes, self.run = {}, Run()

    def begins(self, checkpoint: int | None) -> None:
        """The next restart begins there."""
        known = any(
            it == checkpoint
            or (checkpoint is not None and it is not None and 0 <= it - checkpoint <= self.run.late + _TOGETHER_MS)
            for it in self.checkpoints
        )
        assert known, f"the checkpoint {checkpoint} is none of {self.checkpoints}"
        self.checkpoints = {checkpoint}

    def _noted(self, upto: int) -> None:
        loss, self.loss = self.loss, None
        assert loss is not None
        late = 0 if loss.cause is Cause.RESTARTED else self.run.late
        self.gaps.append((loss.cause, loss.since, max(loss.since, upto), loss.messages, late))
        self.run.gaps += 1

    # -- what a store holds

    def take(self, rows: Iterable[Row], by_history: set[Identity]) -> None:
        """Hold raw rows that are new in the store against what was told."""
        before = len(self.seqs)
        came: list[Identity] = []
        for row in rows:
            key, seq = stored_identity(row), row[_SEQ]
            assert key not in self.seqs, f"{key} is stored as {self.seqs[key]} and as {seq}"
            assert seq == len(self.seqs) + 1, f"seq {seq} follows {len(self.seqs)}"
            self.seqs[key] = seq
            assert tuple(row[i] for i in _SEEN) in self.views.get(key, ()), f"{row} was not told so: {self.views[key]}"
            assert row[_OI] in self._interests(row), f"{row} has another open interest"
            if key not in by_history:
                came.append(key)
        order = [*self.certain, *self.doubt]
        told = [key for key in order if self.seqs.get(key, 0) > before and key not in by_history]
        assert came == told, f"stored is {came}, told was {told}"
        missing = [key for key in self.certain if key not in self.seqs]
        assert not missing, f"{len(missing)} prints were told and are not stored: {missing[:3]}"

    def resolve(self, by_history: set[Identity]) -> None:
        """What was on the line as it broke is stored up to some print of it; the rest is lost."""
        stored = [key in self.seqs for key in self.doubt if key not in by_history]
        assert stored == sorted(stored, reverse=True), f"of what was on the line a middle part is stored: {stored}"
        self.certain |= dict.fromkeys(key for key in self.doubt if key in self.seqs)
        self.doubt.clear()

    def _interests(self, row: Row) -> tuple[int | None, ...]:
        date = row[INDEX["session_date"]]
        if row[INDEX["trade_ts_utc"]] < utc_of(date, INTEREST_AT):
            return (None,)
        count = interest_of(row[INDEX["strike"]], row[INDEX["right"]], date)
        return (count,) if date in self.interest else (None, count)

    def hold(self, rows: Sequence[Row], gaps: Sequence[Gap]) -> None:
        """Hold a whole store, enriched, against all that happened."""
        hidden = {*self.seqs} - {stored_identity(row) for row in rows}
        assert not hidden, f"{len(hidden)} stored prints were never enriched"
        assert [stored_identity(row) for row in rows] == list(self.seqs)
        noted = _joined(gaps)
        assert len(noted) == len(self.gaps) and all(map(_is, noted, self.gaps)), f"gaps are {noted}, not {self.gaps}"
        for key, due in self.due.items():
            if key not in self.seqs and due > self.begun:
                inside = [gap for gap in gaps if gap.from_utc <= due <= gap.upto_utc]
                assert inside, f"{key}, due at {due}, is in no row and in no gap of {self.gaps}"
                whole = [gap for gap in inside if gap.state is GapState.FILLED and _asked(gap, key[_TS])]
                assert not whole, f"{key} is not stored, and its gap is filled"
        open_: dict[Any, list[int]] = {}
        taken: dict[int, int] = {}
        volume: Counter[Any] = Counter()
        for row in rows:
            key, seq = stored_identity(row), row[_SEQ]
            day = (row[INDEX["session_date"]], *key[:4])
            size = row[INDEX["size"]]
            assert row[_RECORD] == (key[_CONDITION] in CANCELS)
            same = open_.setdefault((*day, row[INDEX["exchange"]], row[INDEX["price"]], size), [])
            if not row[_RECORD]:
                same.append(seq)
                volume[day] += size
                assert row[_VOLUME] == volume[day], f"{key} has day volume {row[_VOLUME]}, not {volume[day]}"
            elif same:
                taken[same.pop()] = seq
                volume[day] -= size
        assert {row[_SEQ]: row[_CANCELLED] for row in rows if row[_CANCELLED] is not None} == taken


def _joined(gaps: Sequence[Gap]) -> list[Gap]:
    """Gaps as they were noted: those that were parted at midnight, as one date was filled and another not, as one."""
    joined: list[Gap] = []
    for gap in sorted(gaps, key=lambda gap: gap.from_utc):
        parts = [n for n, it in enumerate(joined) if it.cause is gap.cause and it.upto_utc + 1 == gap.from_utc]
        if parts and not gap.messages and not et_of(gap.from_utc)[1]:
            joined[parts[0]] = replace(joined[parts[0]], upto_utc=gap.upto_utc)
        else:
            joined.append(gap)
    return sorted(joined, key=lambda gap: gap.number or 0)


def _is(noted: Gap, told: tuple[Cause, int, int, int, int]) -> bool:
    cause, since, upto, messages, late = told
    earlier, later = since - noted.from_utc, noted.upto_utc - upto
    known = noted.cause is cause and noted.messages == messages
    return known and 0 <= earlier <= late + _TOGETHER_MS and 0 <= later <= _TOGETHER_MS


def _asked(gap: Gap, ts_utc: int) -> bool:
    """Whether history was asked for that time: a late print can be due in a gap and be of before it."""
    return gap.from_utc - MARGIN_MS <= ts_utc <= gap.upto_utc + MARGIN_MS
