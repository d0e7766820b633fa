"""Every kind of core node and every function on every target: it compiles there, or it is declared why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import get_args

import pytest

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.functions import FUNCTIONS
from phenix.dsl.program import Condition
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.saved import where_to_v2
from phenix.engine.targets import columns, english, payload, row
from phenix.engine.targets.clickhouse import ClickHouseTarget
from phenix.engine.targets.payload import Fidelity
from phenix.engine.targets.sqlite import SqliteTarget

KINDS = {
    "Const": "value >= 5", "Field": "iso", "Param": "value >= $whales_min", "Chip": "@whales",
    "Arith": "ask - bid > 1", "Divide": "vol_oi_ratio / 2.5 > 1", "Real": "size / 3 > 1", "Negate": "-otm_pct > 1%",
    "Abs": "abs(otm_pct) > 1%", "Extreme": "min(bid, ask) > 1", "Coalesce": "(oi ?? 0) > 1", "Compare": "size > 1",
    "InSet": "side in {AA, ASK}", "Like": 'symbol like "*SP*"', "IsNull": "oi is null", "Is": "(oi > 1) is unknown",
    "Not": "not @whales", "And": "iso and @whales", "Or": "iso or @whales",
}  # fmt: skip
"""Kind of core node -> a condition that has one, and as little else as there can be."""

CALLS = {
    "abs": "abs(otm_pct) > 1%", "min": "min(bid, ask) > 1", "max": "max(bid, ask) > 1",
    "clamp": "clamp(vol_oi_ratio, 0, 1) > 0.5", "tent": "tent(otm_pct, 0, 10, 30) > 0.5",
    "coalesce": "coalesce(oi, 0) > 1",
}  # fmt: skip
"""Function -> a condition that calls it."""


@dataclass(frozen=True)
class Target:
    """What a target declares, and whether it takes a condition."""

    unsupported: Mapping[str, str]
    takes: Callable[[Condition, Bundle], bool]


def generated(condition: Condition, bundle: Bundle) -> bool:
    names = row.Names(lambda name: name, lambda chip: chip, lambda chip: chip, bundle.params)
    rails = (row.true_rail(condition.core, names), row.false_rail(condition.core, names))
    return all(compile(text, "<rail>", "eval") for text in rails)


TARGETS = {
    "row": Target(row.UNSUPPORTED, generated),
    "columns": Target(
        columns.UNSUPPORTED, lambda x, bundle: bool(columns.compile_conditions([x.core], bundle.params, bundle.bits))
    ),
    "sqlite": Target(
        SqliteTarget.UNSUPPORTED, lambda x, bundle: bool(SqliteTarget(str, bundle.bits.__getitem__).where(x.core).text)
    ),
    "clickhouse": Target(
        ClickHouseTarget.UNSUPPORTED,
        lambda x, bundle: bool(ClickHouseTarget(str, bundle.bits.__getitem__).where(x.core).text),
    ),
    "english": Target(english.UNSUPPORTED, lambda x, bundle: english.say(x.node, bundle.scope).endswith(".")),
    "payload": Target(
        payload.UNSUPPORTED, lambda x, bundle: where_to_v2(x.text, bundle).fidelity is not Fidelity.UNSUPPORTED
    ),
}


def compiled(text: str, bundle: Bundle) -> Condition:
    condition, found = compile_condition(Source("where", text), bundle.scope)
    assert condition is not None, found
    return condition


def test_the_samples_are_of_every_kind_and_every_function(bundle: Bundle) -> None:
    assert list(KINDS) == [kind.__name__ for kind in get_args(c.Core)]
    assert set(CALLS) == set(FUNCTIONS)
    for kind, text in KINDS.items():
        assert kind in {type(node).__name__ for node in c.walk(compiled(text, bundle).core)}, kind


@pytest.mark.parametrize("name", TARGETS)
def test_a_target_compiles_or_declares_why_not(name: str, bundle: Bundle) -> None:
    target = TARGETS[name]
    samples = KINDS | CALLS
    assert set(target.unsupported) <= set(samples)
    for what, text in samples.items():
        reason = target.unsupported.get(what)
        assert target.takes(compiled(text, bundle), bundle) is (reason is None), (what, text)
        assert reason is None or len(reason.split()) > 3, what
