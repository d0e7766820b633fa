"""Properties of any rule: what is printed means the same, and what is bound never is part of the text."""

from __future__ import annotations

import dataclasses
import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenix.dsl.compiler import compile_condition
from phenix.dsl.printer import print_expression
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, compile_bundle
from phenix.engine.certify.rules import REFUSALS, RandomRules
from phenix.engine.flow import BY_NAME
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.targets.clickhouse import ClickHouseTarget
from phenix.engine.targets.sqlite import SqliteTarget
from tests.dsl.others import Others

drawn = settings(max_examples=150, suppress_health_check=list(HealthCheck))


@drawn
@given(rng=st.randoms(use_true_random=False))
def test_print_and_parse(rng: random.Random, bundle: Bundle) -> None:
    text = RandomRules(rng, bundle.scope).rule()
    condition, found = compile_condition(Source("rule", text), bundle.scope)
    if condition is None:
        assert {d.code for d in found if d.severity == "error"} <= REFUSALS, (text, found)
        return
    again, found = compile_condition(Source("rule", condition.text), bundle.scope)
    assert again is not None, (condition.text, found)
    assert again.core == condition.core, (text, condition.text)
    assert print_expression(again.node) == condition.text


PAIRS = (
    ("value >= 250k", "value >= 300k"),
    ("dte <= 14.5", "dte <= 20.5"),
    ("symbol in {SPY, QQQ}", "symbol in {IWM, DIA}"),
    ("side = AA", "side = bid"),
    ('root like "SPX*"', 'root like "AA*"'),
    ('root like "*W"', 'root like "*Weekly"'),
    ("time_et in 09:30 ET..<10:30 ET", "time_et in 10:00 ET..<16:00 ET"),
    ("price > ask + max(0.01, 20% * (ask - bid))", "price > ask + max(0.02, 30% * (ask - bid))"),
    ("otm_pct <= 15%", "otm_pct <= -5%"),
    ("expiration > 2024-06-14", "expiration > 2026-01-16"),
    ("(oi ?? 5) * 2 > size - 1", "(oi ?? 7) * 3 > size - 9"),
    ("vol_oi_ratio / 5 > 0.5", "vol_oi_ratio / 4 > 0.25"),
    ("tent(otm_pct, 1, 10, 30) > 0.5", "tent(otm_pct, 2, 11, 31) > 0.75"),
    ("spot_age_ms <= 3m", "spot_age_ms <= 90s"),
    ("dte <= 20", "dte <= 999999999"),
    ("dte = 14", "dte = 14.5"),
    ("dte in {14, 15}", "dte in {14, 14.5}"),
    ("value * 2 > ask", "value * 1 > ask"),
    ("dte > 5 and dte > 7", "dte > 5 and dte > 5"),
    ("dte > 5 and (dte > 7 or iso)", "dte > 5 and (dte > 5 or iso)"),
    ("value >= 250k and value < 1M", "value >= 1M and value < 250k"),
    ("1 < 2 and iso", "2 < 1 and iso"),
    ("trade_id < 5", "trade_id < 9223372036854775808"),
)
"""Filters that differ in a literal."""


@pytest.mark.parametrize("pair", PAIRS, ids=[a for a, _ in PAIRS])
def test_a_changed_literal_changes_parameters_only(pair: tuple[str, str], bundle: Bundle) -> None:
    for make in (SqliteTarget, ClickHouseTarget):
        target = make(lambda name: BY_NAME[name].sql, bundle.bits.__getitem__)
        texts, bound = [], []
        for text in pair:
            condition, found = compile_condition(Source("rule", text), bundle.scope)
            assert condition is not None, found
            for lowered in (target.where(condition.core), target.three_valued(condition.core)):
                texts.append(lowered.text)
                bound.append(lowered.bind(bundle.params, 1))
        assert texts[:2] == texts[2:]
        assert bound[:2] != bound[2:]


def test_other_literals_change_parameters_only(bundle: Bundle) -> None:
    """Any rule with any other literals of their types, where both compile: one text in each dialect and form."""
    compared = other = 0
    targets = [
        make(lambda name: BY_NAME[name].sql, bundle.bits.__getitem__) for make in (SqliteTarget, ClickHouseTarget)
    ]

    @settings(max_examples=300, suppress_health_check=list(HealthCheck))
    @given(rng=st.randoms(use_true_random=False))
    def same(rng: random.Random) -> None:
        nonlocal compared, other
        text = RandomRules(rng, bundle.scope).rule()
        if rng.random() < 0.2:  # parts that are alike, until their literals are others
            text = f"({text}) and (({text}) or iso)"
        first, _ = compile_condition(Source("rule", text), bundle.scope)
        if first is None:
            return
        changed = Others(rng, bundle.scope).rule(text)
        second, found = compile_condition(Source("rule", changed), bundle.scope)
        if second is None:
            assert {d.code for d in found if d.severity == "error"} <= {*REFUSALS, "PHX109", "PHX005"}, (text, found)
            return
        for target in targets:
            for lower in (target.where, target.three_valued):
                one, two = lower(first.core), lower(second.core)
                assert one.text == two.text, (text, changed)
                compared += 1
                other += one.bind(bundle.params, 1) != two.bind(bundle.params, 1)

    same()
    assert compared > 600
    assert other > compared / 3


def test_a_changed_param_changes_no_text(bundle: Bundle) -> None:
    sources = [
        dataclasses.replace(s, text=s.text.replace("urgent_value: money = 250k", "urgent_value: money = 300k"))
        for s in bundle.program.sources
    ]
    changed, found = compile_bundle(sources, bundle.bits)
    assert changed is not None, found
    assert changed.params["urgent_value"] == 3_000_000_000
    assert changed.checksum != bundle.checksum
    for make in (SqliteTarget, ClickHouseTarget):
        targets = [make(lambda name: BY_NAME[name].sql, b.bits.__getitem__) for b in (bundle, changed)]
        for before, after in zip(bundle.chips, changed.chips, strict=True):
            assert before.core == after.core
            assert targets[0].where(before.core) == targets[1].where(after.core)
        urgent = targets[0].where(next(chip.core for chip in bundle.chips if chip.id == "urgent"))
        assert urgent.bind(bundle.params, 1) != urgent.bind(changed.params, 1)


def test_a_filter_over_a_changed_param_binds_anew(bundle: Bundle) -> None:
    predicate = compile_predicate([("where", "value >= $urgent_value and not @whales")], bundle)
    assert isinstance(predicate, Predicate)
    text, bound = predicate.sql(7)
    assert "2500000000" not in text
    assert bundle.params["urgent_value"] in bound
