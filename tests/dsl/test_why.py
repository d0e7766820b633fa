"""Why: every answer is the tagger's, every tree adds up, every miss turns its chip on and no smaller one does."""

from __future__ import annotations

import json
import math
import os
import random
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from phenix.dsl import core as c
from phenix.dsl.source import Source, packaged
from phenix.dsl.types import REAL, TEXTUAL, Kind
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.certify.certificate import define
from phenix.engine.certify.rules import RandomRules
from phenix.engine.check import answer
from phenix.engine.flow import BY_NAME, FIELDS, INDEX
from phenix.engine.misses import Change, Misses
from phenix.engine.reading import Extents, Reading
from phenix.engine.tagger import BEFORE
from phenix.engine.why import Because, Part, Why, said
from tests.dsl import corpus
from tests.dsl.rows import plain, random_rows, read

SLOTS = {"time_et": "trade_ts_et", "cancelled": "cancelled_seq"}


def stored(row: list[Any], bit: int) -> bool | None:
    on, known = (row[INDEX[name]] >> bit & 1 for name in ("chips_set", "chips_known"))
    return bool(on) if known else None


def parts(part: Part) -> list[Part]:
    return [part, *(below for one in part.parts for below in parts(one))]


def adds_up(part: Part) -> bool:
    """Whether an answer is what its parts make it, by Kleene's tables."""
    answers = [one.answer for one in part.parts]
    match part.kind:
        case "and":
            return part.answer is (False if False in answers else None if None in answers else True)
        case "or":
            return part.answer is (True if True in answers else None if None in answers else False)
        case "not":
            return part.answer is (None if answers[0] is None else not answers[0])
        case "let":
            return part.answer is answers[0]
        case "is":
            words = part.text.split()
            return part.answer is ((said(answers[0]) == words[-1]) is not (words[-2] == "not"))
    return not part.parts


def changed(row: list[Any], miss: tuple[Change, ...], steps: dict[str, Any] | None = None) -> list[Any]:
    """The row with what a miss asks for."""
    out = list(row)
    for change in miss:
        value = (steps or {}).get(change.name, change.value)
        if change.name == "time_et":
            value += row[INDEX["trade_ts_et"]] // 86_400_000 * 86_400_000
        out[INDEX[SLOTS.get(change.name, change.name)]] = value
    return out


def on(bundle: Bundle, because: Because, row: list[Any]) -> bool:
    """Whether a chip is on: the tagger says, or the reference where the tagger would compute the score anew."""
    seen = {because.chip.id}
    while more := {x.id for id_ in seen for x in c.walk(core_of(bundle, id_)) if isinstance(x, c.Chip)} - seen:
        seen |= more
    if {"sig_score", "score_quality"} & {name for id_ in seen for name in c.reads(core_of(bundle, id_))}:
        fields = {f.name: read(row, f.name, BEFORE) for f in FIELDS}
        can = not row[INDEX["cancel_record"]] and not row[INDEX["compression"]]
        return can and answer(because.chip.core, fields, bundle.program) is True
    again = list(row)
    bundle.tag([again])
    return stored(again, because.chip.bit) is True


def core_of(bundle: Bundle, id_: str) -> c.Core:
    chip = bundle.chip(id_)
    assert chip is not None
    return chip.core


def nearer(change: Change) -> Any:
    """The number before the one asked for, on the way to it."""
    if BY_NAME[change.name].type.kind in REAL:
        return math.nextafter(change.value, change.was)  # type: ignore[arg-type]
    return change.value + (1 if change.was > change.value else -1)  # type: ignore[operator]


def holds(bundle: Bundle, why: Why, row: list[Any]) -> tuple[list[str], list[str]]:
    """Check every chip on a tagged row; the ids of those that are off, and of those that have a miss."""
    off, missed = [], []
    for because in why.of(row):
        chip = because.chip
        assert because.answer is stored(row, chip.bit), (chip.rule, row)
        for part in parts(because.tree):
            assert adds_up(part), (chip.rule, part)
        assert bool(because.undecided) <= (because.answer is None), chip.rule
        for name in because.undecided:
            assert row[INDEX[SLOTS.get(name, name)]] is None, (chip.rule, name)
        off += [chip.id] * (because.answer is False)
        if not because.miss:
            continue
        missed.append(chip.id)
        assert because.answer is False
        assert on(bundle, because, changed(row, because.miss)), (chip.rule, because.miss, row)
        for change in because.miss:
            number = BY_NAME[change.name].type.kind not in (*TEXTUAL, Kind.BOOL)
            fewer = tuple(other for other in because.miss if other is not change)
            assert not on(bundle, because, changed(row, fewer)), (chip.rule, because.miss, row)
            if number and change.was is not None and change.value is not None:
                less = changed(row, because.miss, {change.name: nearer(change)})
                assert not on(bundle, because, less), (chip.rule, because.miss, row)
    return off, missed


def test_packaged_chips_on_random_rows(bundle: Bundle) -> None:
    rows = random_rows(bundle, 200, 11)
    bundle.tag(rows)
    why = Why(bundle)
    found = [holds(bundle, why, row) for row in rows]
    assert all(off == missed for off, missed in found)  # each of them can be on
    assert sum(len(off) for off, _ in found) > 2_000


@pytest.mark.parametrize("seed", range(4))
def test_random_rules_on_random_rows(bundle: Bundle, seed: int) -> None:
    drawn = RandomRules(random.Random(seed), bundle.scope).statements(15)
    made, _ = define(bundle, drawn)
    rows = random_rows(made, 25, seed)
    made.tag(rows)
    why = Why(made)
    found = [holds(made, why, row) for row in rows]
    can = {chip.id for chip in made.chips if any(stored(row, chip.bit) for row in rows)}
    off, missed = ([id_ for one in found for id_ in one[i] if id_ in can] for i in (0, 1))
    assert len(missed) > 0.9 * len(off) > 250, (len(missed), len(off))


@pytest.mark.parametrize("stem", ["spy_2024-06-14", "vix_2016-06-01_morning", "goog_2015-12-24"])
def test_rows_of_the_tapes(bundle: Bundle, stem: str, tmp_path: Path) -> None:
    folder = os.environ.get("PHENIX_TAPES")
    if not folder:
        pytest.skip("PHENIX_TAPES names no folder of tapes")
    from phenix.app import open_reader
    from phenix.cli.main import main

    prints = next(Path(folder).glob(f"{stem}*trade_quote.csv"))
    extra = []
    for option, kind in (("--open-interest", "open_interest"), ("--underlying", "underlying_quote")):
        extra += [x for path in Path(folder).glob(f"{stem}*{kind}.csv") for x in (option, str(path))]
    store = f"sqlite:{tmp_path}/flow.sqlite"
    assert main(["import", str(prints), *extra, "--store", store]) == 0
    with open_reader(store) as reader:
        rows = [list(row) for row in reader.rows_after(0, 1_000_000)]
    why = Why(bundle)
    step = max(1, len(rows) // 150)
    for row in rows[::step]:
        off, missed = holds(bundle, why, row)
        assert off == missed


def test_what_is_told(bundle: Bundle, rewriting: bool) -> None:
    def told(case: corpus.Case) -> str:
        statements = "\n".join(f'{one.strip()} doc "It."' for one in case.directive.split(" ; "))
        made, found = compile_bundle([*read_rules(), Source("case.phx", statements)])
        assert made is not None, found
        row = plain(**json.loads(case.input))
        made.tag([row])
        if "sig_score" in json.loads(case.input):
            row[INDEX["sig_score"]] = json.loads(case.input)["sig_score"]
        because = next(one for one in Why(made).of(row) if one.chip.id == "it")
        return "\n".join([*lines(because.tree, ""), *outcome(because)])

    corpus.check("why.txt", told, rewriting)


def lines(part: Part, indent: str) -> list[str]:
    read = ", ".join(f"{one.name} = {one.text}" for one in part.values)
    own = f"{indent}{said(part.answer)}: {part.kind} {part.text}" + (f"  [{read}]" if read else "")
    return [own, *(line for one in part.parts for line in lines(one, indent + "  "))]


def outcome(because: Because) -> list[str]:
    if because.undecided:
        return [f"undecided: {', '.join(because.undecided)}"]
    if because.answer is None:
        return ["undecided: no field"]
    told = because.to_dict()["nearestMiss"]
    return ["miss: " + (told["text"] if told else "none")] if because.answer is False else []


def test_a_tree_is_told_to_a_depth(bundle: Bundle) -> None:
    lets = "\n".join(f"let n{i} = not n{i + 1} or iso" for i in range(40)) + "\nlet n40 = floor"
    chip = f'chip deep = {"not (" * 30}n0{")" * 30} doc "Deep."'
    made, found = compile_bundle([*read_rules(), Source("deep.phx", f"{lets}\n{chip}")])
    assert made is not None, found
    row = plain()
    made.tag([row])
    holds(made, Why(made), row)


def test_a_chip_of_many_conditions_takes_a_moment(bundle: Bundle) -> None:
    parts_ = " and ".join(f"(abs(otm_pct) * {i} > 40 or vol_oi_ratio / {i} > bullish_ratio_15m)" for i in range(2, 80))
    made, found = compile_bundle([*read_rules(), Source("wide.phx", f'chip wide = {parts_} doc "Wide."')])
    assert made is not None, found
    row = plain(otm_pct=0.5, vol_oi_ratio=0.1, bullish_ratio_15m=0.9)
    made.tag([row])
    begun = time.process_time()
    holds(made, Why(made), row)
    assert time.process_time() - begun < 15


@pytest.mark.parametrize(
    ("bodies", "missed"),
    [
        (lambda i: f"(@c{i - 1} or dte >= {i + 30}) and (@c{i - 2} or dte = {i + 40})", True),
        (lambda i: f"@c{i - 1} and (size >= {i + 11} or oi >= {i} or (dte >= {i} and vol_oi_ratio >= {i}))", True),
        (lambda i: f"(@c{i - 1} or @c{i - 2}) and (@c{i - 1} or iso) and value < {i}", False),
    ],
)
def test_chips_that_name_each_other_take_a_moment(bodies: Callable[[int], str], missed: bool) -> None:
    chips = [*(f"chip c{i} = value >= {i + 1}M" for i in (0, 1)), *(f"chip c{i} = {bodies(i)}" for i in range(2, 60))]
    text = "\n".join(f'{chip} doc "It."' for chip in chips)
    made, found = compile_bundle([*read_rules([packaged("rules") / "params.phx"]), Source("chain.phx", text)])
    assert made is not None, found
    row = plain(value=20_000_000)
    made.tag([row])
    begun = time.process_time()
    last = Why(made).of(row)[-1]
    assert time.process_time() - begun < 6
    assert bool(last.miss) is missed
    holds(made, Why(made), row)


def test_a_search_without_work_left_finds_nothing(bundle: Bundle) -> None:
    row = plain(value=20_000_000)
    bundle.tag([row])
    chips = {chip.id: chip.core for chip in bundle.chips}
    reading = Reading(lambda name: read(row, name, BEFORE), bundle.params, Extents(chips))
    assert Misses(reading).nearest(chips["whales"])
    assert not Misses(reading, spent=10**9).nearest(chips["whales"])
