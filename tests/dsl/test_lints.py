"""Semantic lints and assertions: what they say, what they leave alone, what every chip can reach."""

from __future__ import annotations

import re

import pytest

from phenix.dsl import core as c
from phenix.dsl.analysis import Analysis
from phenix.dsl.cells import names_in
from phenix.dsl.codes import CODES
from phenix.dsl.compiler import compile_program
from phenix.dsl.lints import LINTS, Subject, redundant_part, substitute
from phenix.dsl.render import render_text
from phenix.dsl.source import Source
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle
from phenix.engine.check import Checks, UnfinishedError, check_rules, run_assertions, run_cases
from phenix.engine.flow import CATALOG
from phenix.engine.targets.reference import evaluate
from phenix.engine.witness import SAMPLES
from tests.dsl.corpus import CASES, HOSTILE, Case, check


def test_lints(rewriting: bool) -> None:
    def answer(case: Case) -> str:
        return "\n".join(map(render_text, check_rules([Source("a.phx", case.input)]))) or "nothing found"

    check("lints.txt", answer, rewriting)


def test_assertions(rewriting: bool) -> None:
    def answer(case: Case) -> str:
        sources = [Source("a.phx", case.input)]
        failing, asked, rates = run_assertions(sources)
        shown = map(render_text, (*run_cases(sources)[0], *failing))
        return "\n".join([*shown, f"{asked} asked, {len(failing)} not proven, {rates} not run"])

    check("assertions.txt", answer, rewriting)


def test_every_lint_fires_on_its_sample() -> None:
    found = check_rules([Source("every_lint.phx", (CASES / "every_lint.phx").read_text("utf-8"))])
    fired = [d.code for d in found]
    assert sorted(fired) == sorted(code for code in CODES if re.fullmatch("PHX21[0-6]", code))
    assert len(fired) == len(LINTS)
    assert all(one.__doc__ for one in LINTS)


@pytest.mark.parametrize("count", [60])
def test_chips_of_one_field_do_not_cost_each_pair(count: int) -> None:
    # Thresholds of one field are told apart by a few rows, not by a proof of each pair.
    text = "\n".join(f'chip c{i} = value >= {i + 1}k doc "C."' for i in range(count))
    assert check_rules([Source("a.phx", text)]) == ()


EDITED = (
    'param p: money = $20k in $10k..$1M doc "P."',
    "set near = {1, 2, 3}",
    "let big = value >= 10k",
    'chip base = size > 10 doc "B."',
    'chip a = value >= $p or big doc "A."',
    'chip c = value >= $p and value < 15k doc "C."',
    'chip b = dte in near and dte <= 5 doc "B."',
    'chip d = @base and size > 20 doc "D."',
    'chip e = size > 20 doc "E."',
    'query q "Q" where @base and size < 5',
)
EDITS = (
    {},
    {0: 'param p: money = $20k in $0..$1M doc "P."'},
    {0: 'param p: money = $5k in $0..$1M doc "P."'},
    {1: "set near = {1, 2, 9}"},
    {2: "let big = value >= 2M"},
    {3: 'chip base = size < 15 doc "B."'},
    {3: 'chip base = size < 15 doc "B."', 9: 'query q "Q" where size < 5'},
    {8: 'chip e = size > 30 doc "E."'},
    {},
)


def test_what_is_remembered_changes_no_finding() -> None:
    # A definition and what it changes stand in different files: only one of them is read again.
    earlier = Checks()
    definitions, rules = range(4), range(4, len(EDITED))
    kept: dict[str, Source] = {}
    shown = []
    for edit in EDITS:
        lines = [edit.get(i, line) for i, line in enumerate(EDITED)]
        texts = {"a.phx": "\n".join(lines[i] for i in definitions), "b.phx": "\n".join(lines[i] for i in rules)}
        for name, text in texts.items():
            if name not in kept or kept[name].text != text:
                kept[name] = Source(name, text)
        shown.append(check_rules(list(kept.values()), earlier))
        assert shown[-1] == check_rules([Source(name, text) for name, text in texts.items()]), edit
    assert len(set(shown)) == len(EDITS) - 1  # each edit counts, and the last takes all back
    assert {d.code for found in shown for d in found} >= {"PHX212", "PHX213", "PHX216"}
    answers = len(earlier.answers.found), len(earlier.answers.normal)
    assert check_rules(list(kept.values()), earlier) == shown[-1]
    assert answers == (len(earlier.answers.found), len(earlier.answers.normal))


def test_lints_end_when_nobody_wants_them() -> None:
    files = [Source("a.phx", "\n".join(EDITED))]
    whole, asked = check_rules(files), 0
    compiled = compile_program(files, CATALOG)[1]
    assert set(compiled) < set(whole)

    def wanted() -> bool:
        nonlocal asked
        asked += 1
        return asked <= most

    most = 10**9
    check_rules(files, wanted=wanted)
    steps, earlier = asked, Checks()
    assert steps > 100
    for most in (0, 1, 2, 3, 5, 10, *range(20, steps, max(1, steps // 40)), steps - 1):
        asked = 0
        with pytest.raises(UnfinishedError) as ended:
            check_rules(files, earlier if most % 2 else Checks(), wanted)
        assert asked == most + 1, "it goes on after that"
        assert ended.value.found == compiled
        if len(earlier.answers.found) > 5:
            earlier = Checks()
    assert check_rules(files, earlier) == whole  # what was remembered of lints that were ended is as good as any


def test_a_search_ends_in_the_midst_of_its_cells() -> None:
    asked = 0

    def wanted() -> bool:
        nonlocal asked
        asked += 1
        return asked < 20_000

    with pytest.raises(UnfinishedError):
        check_rules([Source("a.phx", HOSTILE)], wanted=wanted)
    assert asked == 20_000


# -- every chip is reachable throughout the window it declares: the lesson of a score whose ceiling was 0.84

CLOCK = c.Field("time_et", Kind.TIME, False)
OPEN, CLOSE = 570, 975
"""Minutes of the day of the regular session, its late close included."""


def at(minute: int, core: c.Core) -> c.Core:
    """A condition in one minute of the regular session, with what is unknown in the first."""
    inside = (
        c.Compare("=", c.Field("session", Kind.ENUM, False), c.Const(Kind.ENUM, "regular")),
        c.Compare(">=", CLOCK, c.Const(Kind.TIME, minute * 60_000)),
        c.Compare("<", CLOCK, c.Const(Kind.TIME, (minute + 1) * 60_000)),
    )
    first = ("open_window_baseline",) if minute == OPEN else ()
    unknown = tuple(c.IsNull(c.Field(name, Kind.RATIO, True)) for name in first)
    return c.And((*inside, *unknown, core))


def test_every_chip_is_reachable_throughout_its_window(bundle: Bundle) -> None:
    assert bundle.score is not None
    chips = {chip.id: substitute(chip.core, {"sig_score": bundle.score.core}) for chip in bundle.chips}
    analysis = Analysis(bundle.scope, chips, evaluate, SAMPLES)
    for chip, core in chips.items():
        # A rule that names no clock claims every minute alike, the first included, where the baseline is unknown.
        timed = bool(names_in(core) & {"time_et", "open_window_baseline"})
        claimed = range(OPEN, CLOSE) if timed else (OPEN, CLOSE - 1)
        on = [minute for minute in claimed if analysis.can_be(at(minute, core), True).witness is not None]
        off = [minute for minute in claimed if analysis.never(at(minute, core)).proven]
        assert len(on) + len(off) == len(claimed), chip
        if chip == "am_spike":
            # Its window is 09:30 to 10:30; in the first minute there is no pace to compare with, and it says so.
            assert on == list(range(OPEN + 1, OPEN + 60))
            assert analysis.can_be(at(OPEN, core), None).witness is not None
        else:
            assert on == list(claimed), chip


def test_the_ceiling_of_the_score_is_within_reach(bundle: Bundle) -> None:
    assert bundle.score is not None
    for least, reached in ((0.9, True), (0.999, True), (1.001, False)):
        core = c.Compare(">=", bundle.score.core, c.Const(Kind.RATIO, least))
        assert Analysis(bundle.scope, {}, evaluate, SAMPLES).never(core).proven is not reached


def test_the_parts_of_a_body_are_looked_at_for_so_long(monkeypatch: pytest.MonkeyPatch) -> None:
    text = 'chip a = value >= 100k and value >= 50k doc "A."\nchip b = size >= 10 and size >= 5 doc "B."'
    files, earlier = [Source("a.phx", text)], Checks()
    both = check_rules(files, earlier)
    assert [d.code for d in both] == ["PHX213", "PHX213"]
    spent = []
    for effort in (0, 100, 200, 400, 800, 10_000):
        monkeypatch.setattr("phenix.dsl.lints._EFFORT", effort)
        found = check_rules(files)
        # What an earlier check remembers makes it faster, and no richer.
        assert check_rules(files, earlier) == found
        spent.append(len(found))
    assert spent == sorted(spent)
    assert spent[-1] == 2


def test_a_body_of_many_parts_ends() -> None:
    terms = " or ".join(f"(symbol = S{i} and dte = {i} and size >= {i + 5})" for i in range(1, 80))
    program, found = compile_program([Source("a.phx", f'chip w = {terms} doc "W."')], CATALOG)
    subject = Subject(program, evaluate, lambda core: core, frozenset(), found)
    assert list(redundant_part(subject)) == []
    assert 400_000 < subject.ever.spent < 800_000


def test_the_packaged_rules_are_looked_at_as_a_whole(bundle: Bundle) -> None:
    subject = Subject(bundle.program, evaluate, lambda core: core, frozenset(), ())
    assert list(redundant_part(subject)) == []
    assert subject.ever.spent < 400_000  # of all of them
