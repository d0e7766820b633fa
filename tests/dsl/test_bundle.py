"""Bundles: the chips of the definition, their inline tests, hashes, names."""

from __future__ import annotations

import json
from collections import defaultdict

import pytest

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.check import check_rules, run_cases
from phenix.engine.targets.english import say

DEFINED = {
    "calls", "puts", "bid", "ask", "aa", "sweeps", "premium_100k", "sizable", "whales", "large_size", "otm", "leaps",
    "weeklies", "vol_oi", "repeat_flow", "rising_vol", "am_spike", "high_sig", "unusual", "urgent", "bullflow",
    "position_builders", "grenade", "opening", "multi_leg", "blocks", "floor",
}  # fmt: skip


def test_every_chip_of_the_definition_is_there(bundle: Bundle) -> None:
    assert {chip.id for chip in bundle.chips} == DEFINED
    assert bundle.score_label == "v1_baseline"
    assert check_rules(read_rules()) == ()


def test_inline_tests_pass_and_show_every_answer(bundle: Bundle) -> None:
    failing, count = run_cases(read_rules())
    assert failing == ()
    shown = defaultdict(set)
    for case in bundle.program.cases:
        if isinstance(case.target, c.Chip):
            shown[case.target.id].add(case.expected)
    for chip in bundle.chips:
        assert shown[chip.id] == {True, False, None}, chip.id
    assert count == len(bundle.program.cases) > 90


@pytest.mark.parametrize(
    ("name", "chip"),
    [
        ("Call", "calls"), ("c", "calls"), ("P", "puts"), ("100k", "premium_100k"), ("100K+", "premium_100k"),
        ("large-size", "large_size"), ("LARGESIZE", "large_size"),
        ("repeat-flow", "repeat_flow"), ("Repeat", "repeat_flow"),
        ("vol>oi", "vol_oi"), ("voloi", "vol_oi"), ("vol/oi", "vol_oi"), ("rising-vol", "rising_vol"),
        ("am-spike", "am_spike"), ("high-sig", "high_sig"), ("position-builders", "position_builders"),
        ("weekly", "weeklies"), ("sweep", "sweeps"), ("Vol>OI", "vol_oi"), ("Position Builders", "position_builders"),
    ],
)  # fmt: skip
def test_aliases(name: str, chip: str, bundle: Bundle) -> None:
    found = bundle.chip(name)
    assert found is not None
    assert found.id == chip


def test_unknown_chips_are_suggested(bundle: Bundle) -> None:
    assert bundle.chip("wales") is None
    assert bundle.suggest_chip("wales") == "whales"
    assert bundle.suggest_chip("qqqqqq") is None


def test_a_bundle_survives_its_config(bundle: Bundle) -> None:
    again = Bundle.from_config(bundle.config_json, bundle.checksum)
    assert again.checksum == bundle.checksum
    assert again.bits == bundle.bits
    with pytest.raises(ValueError, match="does not match its checksum"):
        Bundle.from_config(bundle.config_json.replace("500k", "600k"), bundle.checksum)
    broken = json.loads(bundle.config_json)
    broken["sources"]["context.phx"] += '\nchip bad = nope doc "x"'
    with pytest.raises(ValueError, match="no longer compiles: PHX101"):
        Bundle.from_config(json.dumps(broken))


def test_chips_keep_their_bits_when_others_come_and_go(bundle: Bundle) -> None:
    sources = [s for s in read_rules() if s.name != "advanced.phx"]
    fewer, found = compile_bundle(sources, bundle.bits)
    assert fewer is not None, found
    assert {chip.id: chip.bit for chip in fewer.chips}.items() <= bundle.bits.items()
    assert fewer.checksum != bundle.checksum


def test_a_bundle_needs_what_the_enricher_reads() -> None:
    sources = [s for s in read_rules() if s.name != "params.phx"]
    broken, found = compile_bundle(sources)
    assert broken is None
    assert {"aa_floor", "aa_spread", "packages_are_neutral"} == {
        d.message.split("`")[1] for d in found if d.code == "PHX103"
    }


def test_plain_english_names_values(bundle: Bundle) -> None:
    said = {chip.id: chip.english for chip in bundle.chips}
    assert said["whales"] == "Value is at least $500,000."
    assert said["grenade"] == "Dte is at most 7 and otm pct is at least 5% and value is at least $100,000."
    assert said["weeklies"] == "It is not monthly."
    assert all(text.endswith(".") for text in said.values())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not (iso or value > 5)", "It is not so that (it is iso or value is above $5)."),
        ("(iso and cross) or @whales", "(it is iso and it is cross) or the chip whales is on."),
        ("3 < dte <= 7", "3 is below dte and is at most 7."),
        ("dte in 21.. and dte not in ..<30", "Dte is 21 or more and dte is not below 30."),
        ("symbol in {SPY, QQQ} or symbol in {}", "Symbol is one of SPY, QQQ or symbol is one of nothing."),
        ('root not like "A*"', "Root does not read like A*."),
        ("oi is null or side is not null", "Oi is missing or side is not missing."),
        ("(@urgent) is unknown", "(the chip urgent is on) is undecided."),
        ("(oi ?? 5) * 2 > size - 1", "Oi (or 5 where missing) times 2 is above size minus 1."),
        ("value >= $urgent_value and otm_pct > 50bp", "Value is at least $250,000 and otm pct is above 0.5%."),
        ("max(price, bid) > $2.5", "The max of price, bid is above $2.5."),
        ("time_et in 09:30 ET..16:00 ET", "Time et is from 09:30 ET to 16:00 ET."),
        ("true", "Always."),
        (
            "sig_score >= $high_sig_min and otm_pct <= $aa_spread",
            "Sig score is at least 0.9 and otm pct is at most 10%.",
        ),
    ],
)
def test_plain_english(text: str, said: str, bundle: Bundle) -> None:
    condition, found = compile_condition(Source("where", text), bundle.scope)
    assert condition is not None, found
    assert say(condition.node, bundle.scope) == said
