"""A stored session recomputed from its raw rows, and held against what is stored.

Each row is computed by the same enricher with the rule version it was stored with, so what comes out is what was
stored, to the last bit, or one of the two is wrong. Not compared are the times at which rows were computed, and the
figures of ``symbol_stats_intraday`` that depend on where a batch ended (all but ``vol_1m``).
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from phenix.engine.bundle import Bundle
from phenix.engine.encode import row_id
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.enrich.enricher import Enriched, Enricher
from phenix.engine.enrich.formulas import trade_id
from phenix.engine.flow import ENRICHED, INDEX, RAW, Row
from phenix.engine.store.base import Reader
from phenix.engine.tagging import Tagging

__all__ = ["SHOWN", "ChipChange", "Difference", "Replay", "Replayed"]

SHOWN: Final = 20
"""Differences, and rows of a changed chip, that are named; all are counted."""

_PAGE: Final = 5_000
_RAW_FIELDS: Final = len(RAW)
_ASIDE: Final = frozenset({"cancelled_seq", "enriched_at_utc"})
"""Set by a later row, and the clock's."""
_COMPARED: Final = tuple((i, f.name) for i, f in enumerate(ENRICHED) if f.name not in _ASIDE)
_compared: Final = itemgetter(*(i for i, _ in _COMPARED))
_identity: Final = itemgetter(*(INDEX[name] for name in (
    "root", "expiration", "strike", "right", "trade_ts_utc", "price", "size", "condition", "exchange", "sequence",
)))  # fmt: skip
"""What :func:`phenix.engine.enrich.formulas.trade_id` takes, in order."""
_SEQ, _TS, _ID = INDEX["seq"], INDEX["trade_ts_utc"], INDEX["trade_id"]
_VERSION, _CANCELLED = INDEX["rule_version"], INDEX["cancelled_seq"]
_CHIPS: Final = INDEX["chips_set"] - _RAW_FIELDS
_CONTRACT_FIGURES: Final = ("day_volume", "oi", "last_trade_ts")


@dataclass(frozen=True, slots=True)
class Difference:
    """A stored value that is not what its inputs give.

    ``row`` is the id of a row, or what a line of statistics is about; ``seq`` is 0 for statistics.
    """

    seq: int
    row: str
    field: str
    stored: Any
    recomputed: Any


@dataclass(slots=True)
class ChipChange:
    """What another rule version makes of one chip: hits before and after, and which rows come and go."""

    id: str
    before: int = 0
    after: int = 0
    added: int = 0
    removed: int = 0
    added_rows: list[str] = field(default_factory=list)
    removed_rows: list[str] = field(default_factory=list)


@dataclass(slots=True)
class Replayed:
    """What came of a replay; ``differences`` holds the first :data:`SHOWN` of ``total``, counted in ``by_field``.

    ``growing`` says that rows came meanwhile, for which reason statistics were not compared.
    """

    session_date: int
    expected: int = 0
    rows: int = 0
    versions: list[str] = field(default_factory=list)
    cancels: int = 0
    unmatched_cancels: int = 0
    hits: Counter[str] = field(default_factory=Counter)
    differences: list[Difference] = field(default_factory=list)
    by_field: Counter[str] = field(default_factory=Counter)
    growing: bool = False
    seconds: float = 0.0
    chips: dict[str, ChipChange] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """How many differences there are."""
        return sum(self.by_field.values())

    @property
    def rate(self) -> float:
        """Rows a second."""
        return self.rows / self.seconds if self.seconds else 0.0


class Replay:
    """Recomputes one session date.

    ``bundle_of(version)`` is a stored rule version, None when there is none of that id; ``other`` are rules to
    evaluate beside. ``found`` fills as :meth:`run` goes on.
    """

    def __init__(
        self,
        reader: Reader,
        session_date: int,
        calendar: Calendar,
        bundle_of: Callable[[str], Bundle | None],
        *,
        verify: bool = False,
        other: Bundle | None = None,
    ) -> None:
        self.found = Replayed(session_date)
        self._reader = reader
        self._calendar = calendar
        self._bundle_of = bundle_of
        self._verify = verify
        self._bundle: Bundle | None = None
        self._enricher: Enricher | None = None
        self._other = other
        self._beside = self._enricher_of(other) if other else None
        self._contracts: dict[Any, Sequence[Any]] = {}
        self._minutes: dict[Any, int] = {}
        self._cancels: dict[int, int] = {}
        self._taken_back: dict[int, tuple[str, int]] = {}
        self._changes: dict[tuple[str, int, int], tuple[list[str], list[str]]] = {}
        self._masks: Counter[tuple[str, int]] = Counter()
        self._masks_beside: Counter[int] = Counter()

    def run(self) -> Iterator[Replayed]:
        """Recompute, a page at a time; raises StoreError and what ``bundle_of`` raises.

        Only rows enriched when it began count: the session may still be growing.
        """
        begun = time.perf_counter()
        found, reader, date = self.found, self._reader, self.found.session_date
        upto = reader.watermark()
        found.expected = reader.session_count(date, upto)
        after = 0
        while page := reader.session_stored(date, after, upto, _PAGE):
            after = page[-1][_SEQ]
            for version, rows in groupby(page, key=itemgetter(_VERSION)):
                self._rows(version, list(rows), upto)
            found.rows += len(page)
            found.seconds = time.perf_counter() - begun
            yield found
        self._count()
        if self._verify:
            self._compare_cancels(upto)
            self._compare_statistics()
        found.seconds = time.perf_counter() - begun
        yield found

    def _enricher_of(self, bundle: Bundle) -> Enricher:
        return Enricher(self._calendar, Tagging(bundle), self._reader.session_raw, lambda: 0)

    def _activate(self, version: str | None) -> tuple[Bundle, Enricher]:
        """The rules of a row; of one whose version is not there those of the row before, else the active ones."""
        if self._bundle is None or (version is not None and version != self._bundle.version):
            bundle = self._bundle_of(version) if version else None
            if bundle is None and self._bundle is None:
                active = self._reader.rule_version()
                bundle = self._bundle_of(active.version_id) if active else None
                if bundle is None:
                    raise LookupError("the store holds no rule version to compute with")
            if bundle is not None:
                self._bundle = bundle
                self.found.versions += [bundle.version] if bundle.version not in self.found.versions else []
                if self._enricher is None:
                    self._enricher = self._enricher_of(bundle)
                else:
                    self._enricher.activate(Tagging(bundle))
        assert self._bundle is not None
        assert self._enricher is not None
        return self._bundle, self._enricher

    def _rows(self, version: str | None, rows: list[tuple[Any, ...]], upto: int) -> None:
        bundle, enricher = self._activate(version)
        raws: list[Row] = [row[:_RAW_FIELDS] for row in rows]
        computed = enricher.enrich(raws)
        recomputed = computed.rows
        self._note(computed)
        self._masks.update((bundle.version, row[_CHIPS]) for row in recomputed)
        if self._verify:
            for stored, values in zip(rows, recomputed, strict=True):
                self._compare(stored, values, upto)
        if self._beside is not None:
            beside = self._beside.enrich(raws).columns[_CHIPS]
            self._masks_beside.update(beside)
            for raw, values, mask in zip(raws, recomputed, beside, strict=True):
                if values[_CHIPS] or mask:
                    self._compare_chips(bundle, raw, values[_CHIPS], mask)

    def _note(self, computed: Enriched) -> None:
        self._cancels.update(computed.cancels)
        self.found.cancels += len(computed.cancels)
        self.found.unmatched_cancels += computed.unmatched
        for line in computed.contract_stats:
            self._contracts[line[1:5]] = line
        for minute in computed.symbol_stats:
            self._minutes[minute[:2]] = minute.vol_1m

    # -- stored against recomputed

    def _differ(self, seq: int, row: str, name: str, stored: Any, recomputed: Any) -> None:
        self.found.by_field[name] += 1
        if len(self.found.differences) < SHOWN:
            self.found.differences.append(Difference(seq, row, name, stored, recomputed))

    def _compare(self, stored: Sequence[Any], values: Sequence[Any], upto: int) -> None:
        seq, kept_id = stored[_SEQ], stored[-1]
        enriched = stored[_RAW_FIELDS:-1]
        if kept_id is None:
            self._differ(seq, row_id(stored[_TS], stored[_ID]), "row", None, "enriched values")
            return
        identity = trade_id(*_identity(stored))
        for kept in {stored[_ID], kept_id} - {identity}:
            self._differ(seq, row_id(stored[_TS], stored[_ID]), "trade_id", kept, identity)
        if _compared(enriched) != _compared(values):
            for i, name in _COMPARED:
                if enriched[i] != values[i]:
                    shown = self._chips if name in ("chips_set", "chips_known") else lambda value: value
                    old, new = shown(enriched[i]), shown(values[i])
                    if old == new:  # bits of no chip
                        old, new = enriched[i], values[i]
                    self._differ(seq, row_id(stored[_TS], stored[_ID]), name, old, new)
        cancelled = stored[_CANCELLED]
        if cancelled is not None and cancelled <= upto:
            self._taken_back[seq] = row_id(stored[_TS], stored[_ID]), cancelled

    def _chips(self, mask: int) -> list[str]:
        assert self._bundle is not None
        return self._bundle.ids(mask)

    def _compare_cancels(self, upto: int) -> None:
        for seq in sorted({*self._taken_back, *self._cancels}):
            row, stored = self._taken_back.get(seq, ("", None))
            if stored != self._cancels.get(seq):
                self._differ(seq, row or self._name(seq, upto), "cancelled_seq", stored, self._cancels.get(seq))

    def _name(self, seq: int, upto: int) -> str:
        (row,) = self._reader.session_stored(self.found.session_date, seq - 1, upto, 1)
        return row_id(row[_TS], row[_ID])

    def _compare_statistics(self) -> None:
        date, reader = self.found.session_date, self._reader
        contracts = {line[1:5]: line for line in reader.contract_stats(date)}
        buckets = [bucket for _, bucket in self._minutes]
        lines = reader.symbol_stats(min(buckets), max(buckets)) if buckets else []
        minutes = {line[:2]: line[2] for line in lines}
        self.found.growing = reader.session_count(date, 2**62) != self.found.expected
        if self.found.growing:
            return
        for contract in sorted({*contracts, *self._contracts}):
            stored, recomputed = contracts.get(contract), self._contracts.get(contract)
            for i, name in enumerate(_CONTRACT_FIGURES, 6):
                old, new = stored[i] if stored else None, recomputed[i] if recomputed else None
                if old != new:
                    root, expiration, strike, right = contract
                    row = f"{root} {expiration} {strike / 10_000:g} {right}"
                    self._differ(0, row, f"contract_stats_intraday.{name}", old, new)
        for minute in sorted({*minutes, *self._minutes}):
            if minutes.get(minute) != self._minutes.get(minute):
                row = f"{minute[0]} minute {minute[1]}"
                self._differ(0, row, "symbol_stats_intraday.vol_1m", minutes.get(minute), self._minutes.get(minute))

    # -- one rule version against another

    def _change(self, id_: str) -> ChipChange:
        return self.found.chips.setdefault(id_, ChipChange(id_))

    def _compare_chips(self, bundle: Bundle, raw: Row, mask: int, beside: int) -> None:
        assert self._other is not None
        key = bundle.version, mask, beside
        change = self._changes.get(key)
        if change is None:
            old, new = set(bundle.ids(mask)), set(self._other.ids(beside))
            change = self._changes[key] = sorted(new - old), sorted(old - new)
        for id_ in change[0]:
            chip = self._change(id_)
            chip.added += 1
            if len(chip.added_rows) < SHOWN:
                chip.added_rows.append(row_id(raw[_TS], raw[_ID]))
        for id_ in change[1]:
            chip = self._change(id_)
            chip.removed += 1
            if len(chip.removed_rows) < SHOWN:
                chip.removed_rows.append(row_id(raw[_TS], raw[_ID]))

    def _count(self) -> None:
        hits = self.found.hits
        for (version, mask), count in self._masks.items():
            bundle = self._bundle_of(version)
            assert bundle is not None
            hits.update(dict.fromkeys(bundle.ids(mask), count))
        if self._other is None:
            return
        after: Counter[str] = Counter()
        for mask, count in self._masks_beside.items():
            after.update(dict.fromkeys(self._other.ids(mask), count))
        for id_ in sorted({*hits, *after, *(chip.id for chip in self._other.chips)}):
            change = self._change(id_)
            change.before, change.after = hits[id_], after[id_]
