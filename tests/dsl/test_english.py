"""Plain English: every part of a condition is said, and what differs in meaning differs in words."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import product
from typing import Any

import pytest
from hypothesis import given, settings

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition, compile_program
from phenix.dsl.dump import dump
from phenix.dsl.passes import normalize
from phenix.dsl.program import Program
from phenix.dsl.source import Source
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle, read_rules
from phenix.engine.flow import BY_NAME, CATALOG, FIELDS
from phenix.engine.targets.english import LONGEST, say
from tests.dsl.corpus import CASES, Case, check, read
from tests.dsl.test_targets import filters

MORE = Source(
    "more.phx",
    """
set sweep_codes = {95, 126, 128}
let near = abs(otm_pct) <= 5%
let small = price
let pence = small
let half = value / 2
let twice = half * 4
field flag: bool = opening
chip odd "Odd, (and) so" = iso
chip plain = iso
""",
)


@pytest.fixture(scope="module")
def program() -> Program:
    program, found = compile_program([*read_rules(), MORE], CATALOG)
    assert not [d for d in found if d.severity == "error"], found
    return program


def sentence(text: str, program: Program) -> str:
    condition, found = compile_condition(Source("where", text), program.scope)
    assert condition is not None, (text, found)
    return say(condition.node, program.scope, {chip.id: chip.label for chip in program.chips})


def test_sentences(bundle: Bundle, program: Program, rewriting: bool) -> None:
    chips = {chip.id: chip.english for chip in bundle.chips}

    def answer(case: Case) -> str:
        return chips[case.input] if case.directive == "chip" else sentence(case.input, program)

    check("english.txt", answer, rewriting)
    assert {case.input for case in read("english.txt") if case.directive == "chip"} == set(chips)


def test_each_field_has_words_of_its_own() -> None:
    for what in ("label", "noun", "says"):
        assert len({getattr(f, what) for f in FIELDS}) == len(FIELDS), what
    for f in FIELDS:
        assert f.says.count("{}") == 1
        assert not re.search(r", |; | and | or |[()]", f.says), "a list of its own would be read apart"


def test_every_field_can_be_said(program: Program) -> None:
    samples = {
        Kind.BOOL: "true", Kind.SYMBOL: "SPY", Kind.DATE: "2026-01-16", Kind.TIME: "09:30 ET",
        Kind.TS: "2026-01-16T14:30:00Z", Kind.DURATION: "3s",
    }  # fmt: skip
    for f in FIELDS:
        if f.filterable:
            word = f.type.members[0] if f.type.members else samples.get(f.type.kind, "1")
            said = sentence(f"{f.name} = {word}", program)
            assert said.lower().startswith(f.says.partition(" {}")[0].lower()), said


# -- nothing that differs in meaning reads the same

ATOMS = (
    "iso", "not iso", "iso is unknown", "value > 5", "not (value > 5)", "value >= 5", "value > $5.0001", "dte > 5",
    "size > 5", "value > 5k", "side = AA", "side != AA", "side in {AA, ASK}", "side not in {AA, ASK}", "side is null",
    "symbol = AA", "root = AA", 'symbol like "AA*"', 'symbol like "*AA"', 'symbol like "*AA*"', 'symbol not like "AA*"',
    "@whales", "not @whales", "@whales is true", "@whales is not true", "@whales is false", "@whales is not false",
    "@whales is unknown", "@whales is not unknown", "dte in 3..7", "dte in 3..<7", "dte not in 3..<7", "dte in 3..",
    "dte in ..7", "dte in ..<7", "oi is null", "oi is not null", "opening is null", "opening is unknown",
    "price > bid + ask - spot", "price > bid + (ask - spot)", "price > bid - ask - spot", "price > bid - (ask - spot)",
    "price > bid - (ask + spot)", "price > 2 * (bid + ask)", "price > 2 * bid + ask", "price > max(bid, ask)",
    "price > min(bid, ask)", "price > max(bid, ask, spot)", "price > max(bid, ask + spot)",
    "price > max(bid, ask) + spot", "price > 5% * (bid + ask)", "price > 5% * bid + ask", "price > abs(bid)",
    "price > abs(bid - ask)", "price > abs(bid) - ask", "price > (bid ?? ask)", "price > (bid ?? ask) + spot",
    "price > (bid ?? (ask + spot))", "price > -bid + ask", "price > -(bid + ask)", "price / bid > 2", "price / 4 > 2",
    "bid < price < ask", "bid < price <= ask", "otm_pct > 5%", "abs(otm_pct) > 5%", "otm_pct > 0.5",
    "vol_oi_ratio > 5%", "clamp(vol_oi_ratio, 0, 1) > 0.3", "clamp(vol_oi_ratio, 0, 2) > 0.3",
    "tent(otm_pct, 0, 10, 30) > 0.3", "tent(otm_pct, 0, 10, 31) > 0.3", "spot_age_ms > 90s", "spot_age_ms > 90ms",
    "time_et > 09:30 ET", "time_et > 09:30:01 ET", "expiration > 2026-01-16", "trade_ts_utc > 2026-01-16T14:30:00Z",
    "true", "false", "side in {}", "cancelled", "adjusted",
)  # fmt: skip
SHAPES = (
    "{} and {} and {}", "{} or {} or {}", "({} and {}) or {}", "{} and ({} or {})", "({} or {}) and {}",
    "{} or ({} and {})", "not ({} and {}) and {}", "not ({} or {}) or {}", "not ({} and {} and {})",
    "(({} or {}) is unknown) and {}", "({} or {} or {}) is unknown",
)  # fmt: skip
PARTS = (
    "iso", "not iso", "side in {AA, ASK}", "side not in {BID, MID}", "price > max(bid, ask)", "bid < price < ask",
    "dte in 3..<7", "2 < dte <= 6", "iso is unknown",
)  # fmt: skip


def _without_params(node: c.Core, bundle: Bundle) -> c.Core:
    """The tree with the values of its params: a sentence says those, not their names."""
    if isinstance(node, c.Param):
        return c.Const(node.kind, bundle.params[node.name])
    changed: dict[str, Any] = {}
    for name in node.__dataclass_fields__:
        value = getattr(node, name)
        if isinstance(value, tuple) and any(hasattr(v, "__dataclass_fields__") for v in value):
            changed[name] = tuple(_without_params(v, bundle) for v in value)
        elif hasattr(value, "__dataclass_fields__"):
            changed[name] = _without_params(value, bundle)
    return replace(node, **changed) if changed else node


def _clashes(texts: list[str], program: Program, bundle: Bundle) -> list[tuple[str, str]]:
    """Texts that read the same and have different normal forms."""
    seen: dict[str, tuple[str, str]] = {}
    wrong = []
    for text in texts:
        condition, found = compile_condition(Source("where", text), program.scope)
        assert condition is not None, (text, found)
        form = dump(normalize(_without_params(condition.core, bundle)))
        said = say(condition.node, program.scope)
        other = seen.setdefault(said, (form, text))
        if other[0] != form:
            wrong.append((other[1], text))
    assert len(seen) > len(texts) // 2
    return wrong


def test_different_meanings_read_differently(program: Program, bundle: Bundle) -> None:
    assert _clashes(list(ATOMS), program, bundle) == []
    texts = [shape.format(*parts) for shape, parts in product(SHAPES, product(PARTS, repeat=3))]
    assert _clashes(texts[:: len(texts) // 1_000], program, bundle) == []


@settings(max_examples=150)
@given(a=filters(), b=filters())
def test_random_filters_read_differently(a: str, b: str, bundle: Bundle) -> None:
    told = []
    for text in (a, b):
        condition, _ = compile_condition(Source("where", text), bundle.scope)
        if condition is None:
            return
        form = dump(normalize(_without_params(condition.core, bundle)))
        told.append((form, say(condition.node, bundle.scope)))
        for name in c.reads(condition.core):
            f = BY_NAME[name]
            words = "out of the money" if name == "otm_pct" else f.noun.removeprefix("the ")
            words = f.says.partition("{}")[2] if f.type.kind is Kind.BOOL else words
            assert words in told[-1][1].lower(), (name, text)
    assert told[0][0] == told[1][0] or told[0][1] != told[1][1]


# -- hostile input

DOUBLING = "".join(f"let m{i + 1} = m{i} or m{i}\n" for i in range(9))
LONG = (
    " or ".join(["iso"] * 1_900),
    " and ".join(f"value > {i}" for i in range(600)),
    f"symbol in {{{', '.join(f'S{i}' for i in range(1_000))}}}",
    f'symbol = "{"x" * 5_000}"',
    "size > " + " + ".join(["size"] * 60),
    " or ".join(["m9"] * 500),
    "n200",
    "(sum9 + sum9) > 5 and @urgent and not @whales",
)


@pytest.mark.timeout(10)
@pytest.mark.parametrize("text", LONG, ids=range(len(LONG)))
def test_what_is_too_long_is_summed_up(text: str) -> None:
    deep = "let n0 = iso\n" + "".join(f"let n{i + 1} = not n{i}\n" for i in range(200))
    sums = "let sum0 = size\n" + "".join(f"let sum{i + 1} = sum{i} + sum{i}\n" for i in range(9))
    source = Source("lets.phx", "let m0 = iso\n" + DOUBLING + deep + sums)
    program, found = compile_program([*read_rules(), source], CATALOG)
    assert not [d for d in found if d.severity == "error"], found
    condition, found = compile_condition(Source("where", text), program.scope)
    assert condition is not None, found
    said = say(condition.node, program.scope)
    assert len(said) <= LONGEST + 1
    if text.startswith("size"):
        assert said.startswith("The size is above the size plus the size plus")
    else:
        assert said.startswith("It is too long to be said in one sentence; it looks at ")
        named = {"iso": "intermarket", "val": "premium", "sym": "symbol", "m9 ": "intermarket", "n20": "intermarket",
                 "(su": "the size and 2 chips"}  # fmt: skip
        assert named[text[:3]] in said


def test_the_corpus_is_covered(program: Program) -> None:
    """Each kind of node stands in a case."""
    said = " ".join(case.expected for case in read("english.txt"))
    for part in ("the chip", "it is not so that", "missing", "cannot be told", "from", "to below", "at least", "none",
                 "the larger of", "the largest of", "the smaller of", "absolute", "of (", "minus", "divided by", "plus",
                 "times", "kept from", "in a tent", "matches", "does not match", "$", "%", " ET", " UTC", "seconds",
                 "whether", "everything", "nothing"):  # fmt: skip
        assert part.lower() in said.lower(), part
    assert (CASES / "english.txt").exists()
