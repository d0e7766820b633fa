"""Bands at their edges, and the verdict over sessions."""

from __future__ import annotations

import dataclasses
from collections import Counter
from fractions import Fraction
from pathlib import Path

import pytest

from phenix.engine.enrich.clock import HOUR, MINUTE, utc_of
from phenix.engine.flow import INDEX
from phenix.engine.shadow.bands import Bands, Breach, Outcome, SessionVerdict, breaches, verdict
from phenix.engine.shadow.counts import ChipCounts, Counts, Scores, Taken
from phenix.engine.store.base import Batch, RuleVersion
from phenix.engine.store.shadow import LIVE, Comparison, candidate, comparisons
from phenix.engine.store.sqlite import open_reader, open_writer
from phenix.engine.store.sqlite_shadow import keep_comparisons, set_candidate
from tests.enrich.test_batches import morning

BANDS = Bands(Fraction(20), Fraction(5))
LATER = utc_of(20261201, 0)
FEWER = (
    "2 whole sessions are compared and 3 are needed: leave the version in shadow, or compare stored sessions with "
    "`phenix rules compare`"
)
MORE = "@x is on 30.00 % more often, 20 % may be"
DAYS = (20261123, 20261124, 20261125)


def counts(rows: int = 10_000, **chips: ChipCounts) -> Counts:
    return Counts(rows=rows, chips=chips)


def moved(old: int, added: int, removed: int) -> ChipCounts:
    return ChipCounts(old=old, new=old + added - removed, added=added, removed=removed)


EDGES = [
    ("a fifth more", moved(1_000, 200, 0), ()),
    ("one row beyond a fifth", moved(1_000, 201, 0), (Breach("x", "hits", 20.1, 20.0),)),
    ("a fifth fewer", moved(1_000, 0, 200), ()),
    ("one row beyond a fifth fewer", moved(1_000, 0, 201), (Breach("x", "hits", -20.1, 20.0),)),
    ("the same number on other rows, a twentieth of all", moved(1_000, 250, 250), ()),
    ("one row beyond a twentieth of all", moved(1_000, 251, 250), (Breach("x", "rows", 5.01, 5.0),)),
    ("few rows, whatever their share", moved(3, 10, 0), ()),
    ("one beyond few", moved(3, 11, 0), (Breach("x", "hits", 1100 / 3, 20.0),)),
    ("on nowhere before", moved(0, 11, 0), (Breach("x", "hits", None, 20.0),)),
    ("a chip of the candidate alone, on a twentieth", ChipCounts(has_old=False, new=500, added=500), ()),
    (
        "a chip of the candidate alone, on more",
        ChipCounts(has_old=False, new=501, added=501),
        (Breach("x", "rows", 5.01, 5.0),),
    ),
    (
        "a chip that the candidate lost",
        ChipCounts(has_new=False, old=100, removed=100),
        (Breach("x", "hits", -100.0, 20.0),),
    ),
]


@pytest.mark.parametrize(("chip", "expected"), [edge[1:] for edge in EDGES], ids=[edge[0] for edge in EDGES])
def test_bands_at_their_edges(chip: ChipCounts, expected: tuple[Breach, ...]) -> None:
    assert breaches(counts(x=chip), BANDS) == expected


def test_bands_are_exact_where_doubles_are_not() -> None:
    assert breaches(counts(rows=1_000_000, x=moved(1_000, 3, 0)), Bands(Fraction("0.3"), Fraction(5))) == ()
    assert breaches(counts(rows=1_000_000, x=moved(100_000, 300, 0)), Bands(Fraction("0.3"), Fraction(5))) == ()
    few = breaches(counts(rows=1_000_000, x=moved(100_000, 301, 0)), Bands(Fraction("0.3"), Fraction(5)))
    assert few == (Breach("x", "hits", 0.301, 0.3),)


def comparison(day: int, found: Counts, *, active: str = "a", candidate: str = "c", missed: int = 0) -> Comparison:
    return Comparison(day, active, candidate, found.rows, found.rows, missed, LIVE, found.to_json(), day, day)


@pytest.fixture
def store(tmp_path: Path) -> Path:
    path = tmp_path / "flow.sqlite"
    with open_writer(path) as writer:
        for name, active in (("a", True), ("c", False), ("d", False)):
            writer.put_rule_version(RuleVersion(name, "{}", name, False, 1, None, None), activate=active, now_utc=2)
    return path


def test_three_whole_sessions_within_their_bands_are_a_verdict(store: Path) -> None:
    good, bad = counts(x=moved(1_000, 200, 0)), counts(x=moved(1_000, 300, 0))
    with open_reader(store) as reader:

        def outcome(now_utc: int = LATER) -> tuple[Outcome, str]:
            found = verdict(reader, "a", "c", now_utc=now_utc, bands=BANDS)
            return found.outcome, found.reason

        assert outcome()[0] is Outcome.INSUFFICIENT
        keep_comparisons(store, [comparison(day, good) for day in DAYS[:2]])
        keep_comparisons(store, [comparison(day, good, active="b") for day in DAYS])  # of another active version
        keep_comparisons(store, [comparison(day, good, candidate="d") for day in DAYS])
        assert outcome() == (
            Outcome.INSUFFICIENT,
            FEWER,
        )
        keep_comparisons(store, [comparison(DAYS[2], good, missed=1)])
        assert outcome()[0] is Outcome.INSUFFICIENT
        keep_comparisons(store, [comparison(DAYS[2], good)])
        over = utc_of(DAYS[2], 17 * HOUR + 15 * MINUTE)
        assert outcome(over - 1)[0] is Outcome.INSUFFICIENT
        assert outcome(over) == (Outcome.WITHIN, "3 sessions are within the bands")
        keep_comparisons(store, [comparison(DAYS[1], bad)])
        assert outcome() == (
            Outcome.OUTSIDE,
            f"1 of 3 sessions are outside the bands; the latest, 2026-11-24: {MORE}",
        )
        found = verdict(reader, "a", "c", now_utc=LATER, bands=BANDS)
        assert found.sessions[1] == SessionVerdict(
            DAYS[1], Outcome.OUTSIDE, 10_000, True, LIVE, (Breach("x", "hits", 30.0, 20.0),),
            MORE,
        )  # fmt: skip


def test_a_session_with_rows_that_are_not_compared_yet_says_nothing(store: Path) -> None:
    raws = [row for row in morning(60, 3) if row[INDEX["session_date"]] == 20260817]
    with open_writer(store) as writer:
        writer.append(Batch(rows=raws))
        one = comparison(20260817, counts())
        keep_comparisons(store, [dataclasses.replace(one, upto_seq=len(raws) - 2)])
        found = verdict(writer.reads, "a", "c", now_utc=LATER)
        assert [(one.whole, one.reason) for one in found.sessions] == [
            (False, "2 rows of the session are not compared yet")
        ]
        keep_comparisons(store, [dataclasses.replace(one, upto_seq=len(raws))])
        assert [one.whole for one in verdict(writer.reads, "a", "c", now_utc=LATER).sessions] == [True]


def test_a_comparison_that_cannot_be_read_says_so_and_counts_for_nothing(store: Path) -> None:
    keep_comparisons(store, [dataclasses.replace(comparison(day, counts()), counts='{"rows": 1}') for day in DAYS])
    with open_reader(store) as reader:
        found = verdict(reader, "a", "c", now_utc=LATER)
    assert found.outcome is Outcome.INSUFFICIENT
    assert {one.reason for one in found.sessions} == {
        "the stored counts of a comparison cannot be read: KeyError('chips'): compare the session again"
    }


def test_counts_are_read_as_they_were_written() -> None:
    whole = Counts(
        rows=7, changed=2, symbols={"SPY": [5, 2]}, times={34_200_000: [7, 2]}, scores=Scores(3, 2, 1_500, 900),
        taken=Taken(7, 100, 200),
        chips={"x": ChipCounts(True, False, 4, 0, 1, 2, 0, 4, [], ["a", "b"], Counter(SPY=4))},
    )  # fmt: skip
    assert Counts.from_json(whole.to_json()) == whole


def test_a_candidate_is_a_stored_version_that_is_not_active(store: Path) -> None:
    with open_reader(store) as reader:
        assert set_candidate(store, "c") is None
        first = candidate(reader)
        assert first is not None and (first.version_id, first.after_seq, first.counted_seq) == ("c", 0, 0)
        assert set_candidate(store, "d") == first
        with pytest.raises(LookupError, match="the store holds no rule version e"):
            set_candidate(store, "e")
        with pytest.raises(LookupError, match="rule version a is the active one: there is nothing to compare"):
            set_candidate(store, "a")
        now = candidate(reader)
        assert now is not None and now.version_id == "d"
        assert set_candidate(store, None) == now
        assert candidate(reader) is None
        assert set_candidate(store, None) is None


def test_what_was_counted_for_another_candidate_is_not_kept(store: Path) -> None:
    set_candidate(store, "c")
    with open_writer(store) as writer:
        named = candidate(writer.reads)
        assert named is not None
        assert writer.put_comparisons(named, 10, [comparison(DAYS[0], counts())])
        kept = candidate(writer.reads)
        assert kept is not None and kept.counted_seq == 10
        set_candidate(store, "d")
        assert not writer.put_comparisons(named, 20, [comparison(DAYS[1], counts())])
        kept = candidate(writer.reads)
        assert kept is not None and (kept.version_id, kept.counted_seq) == ("d", 0)
        assert [one.session_date for one in comparisons(writer.reads)] == [DAYS[0]]
