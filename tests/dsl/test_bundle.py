"""Bundles: the chips of the definition, their inline tests, hashes, names."""

from __future__ import annotations

import hashlib
import json
import re
from collections import defaultdict
from dataclasses import replace
from typing import Any

import pytest

from phenix.dsl import core as c
from phenix.dsl.source import Source
from phenix.dsl.types import Kind, Type
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.check import check_rules, run_cases
from phenix.engine.flow import FIELDS, meaning

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


def test_layout_and_comments_make_no_other_version(bundle: Bundle) -> None:
    def laid_out(text: str) -> str:
        words = re.sub(r"^#.*", "", text, flags=re.MULTILINE).split('"')
        words[::2] = [
            word.replace(" and ", "\n      and  # so\n      ").replace(" => ", "\n=>\n") for word in words[::2]
        ]
        return "# Another head.\n\n\n" + '"'.join(words) + "\n\n# The end."

    spread, found = compile_bundle([Source(s.name, laid_out(s.text)) for s in read_rules()])
    assert spread is not None, found
    assert spread.checksum == bundle.checksum
    stricter, _ = compile_bundle([Source(s.name, s.text.replace("dte <= 14", "dte <= 13")) for s in read_rules()])
    assert stricter is not None
    assert stricter.checksum != bundle.checksum


@pytest.mark.parametrize(
    "change",
    [{"type": Type(Kind.TIME, 0, 3_600_000)}, {"nullable": True}, {"column": "t.trade_ts_et"}, {"name": "at"}],
)
def test_fields_of_another_meaning_make_another_version(bundle: Bundle, change: dict[str, Any]) -> None:
    assert json.loads(bundle.config_json)["catalog"] == meaning()
    changed = [replace(f, **change) if f.name == "time_et" else f for f in FIELDS]
    assert meaning(changed) != meaning()
    assert meaning([replace(f, doc="other words") for f in FIELDS]) == meaning()


def test_a_stored_version_keeps_its_checksum(bundle: Bundle) -> None:
    """Its config may be of an older Phenix, which wrote it in other words."""
    config = json.loads(bundle.config_json)
    config["sources"] = {source.name: source.text for source in read_rules()}
    text = json.dumps(config)
    checksum = hashlib.sha256(text.encode()).hexdigest()
    older = Bundle.from_config(text, checksum)
    assert (older.config_json, older.checksum, older.version) == (text, checksum, checksum[:12])
    assert [chip.core for chip in older.chips] == [chip.core for chip in bundle.chips]


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
