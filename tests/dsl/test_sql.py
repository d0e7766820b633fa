"""The text of both SQL targets, verbatim, and that no value is ever part of it."""

from __future__ import annotations

import dataclasses
import random
import re
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.passes import normalize
from phenix.dsl.source import Source
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle
from phenix.engine.certify.rules import RandomRules
from phenix.engine.flow import BY_NAME
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.targets.clickhouse import ClickHouseTarget
from phenix.engine.targets.sql import AS_OF, Lowered, Slot, SqlTarget
from phenix.engine.targets.sqlite import SqliteTarget
from tests.dsl.corpus import Case, check


def targets(bundle: Bundle) -> dict[str, SqlTarget]:
    def wide(name: str) -> str:
        return re.sub(r"\be\.", "t.", BY_NAME[name].sql)

    return {
        "sqlite": SqliteTarget(lambda name: BY_NAME[name].sql, bundle.bits.__getitem__),
        "clickhouse": ClickHouseTarget(wide, bundle.bits.__getitem__),
    }


def core_of(text: str, bundle: Bundle) -> c.Core:
    condition, found = compile_condition(Source("where", text), bundle.scope)
    assert condition is not None, found
    return condition.core


def shown(slot: Slot) -> str:
    return f"${slot.name}".replace("$:", ":") if slot.name else repr(slot.value)


def test_texts(bundle: Bundle, rewriting: bool) -> None:
    def answer(case: Case) -> str:
        core = normalize(core_of(case.input, bundle))
        lines = []
        for name, target in targets(bundle).items():
            lowered = target.where(core) if case.directive == "where" else target.three_valued(core)
            lines += [f"{name:11}{lowered.text}", f"{'':11}{', '.join(map(shown, lowered.slots)) or 'no slot'}"]
        return "\n".join(lines)

    check("sql.txt", answer, rewriting)


def test_bound_values_are_stored_units_and_of_their_moment(bundle: Bundle) -> None:
    predicate = c.And((core_of("value >= $whales_min and not cancelled", bundle), core_of("@calls", bundle)))
    lowered = targets(bundle)["sqlite"].where(predicate)
    assert lowered.bind({"whales_min": 5}, 9) == (5, 9, 1 << bundle.bits["calls"])
    assert lowered.bind({"whales_min": 6}, 10) == (6, 10, 1 << bundle.bits["calls"])
    assert Lowered("", (Slot(True), Slot(name="flag"), Slot(name=AS_OF))).bind({"flag": False}, 3) == (1, 0, 3)


# -- a changed value changes no text

OTHER: dict[type, Callable[[random.Random, Any], Any]] = {
    bool: lambda rng, _: rng.random() < 0.5,
    int: lambda rng, _: rng.choice((0, 1, -1, 7, 10**12, -(2**62))),
    float: lambda rng, _: rng.choice((0.0, -0.0, 1.0, 0.1, -2.5, 1e300, 5e-324)),
    str: lambda rng, _: rng.choice(("", "SPY", "it's", "\\", "*", "?", "[a]", "%", "\0", "é\U0010ffff", "\U0010ffff")),
}


def changed(node: c.Core, rng: random.Random) -> c.Core:
    """The tree with every literal another of its kind."""

    def another(value: Any) -> Any:
        return OTHER[type(value)](rng, value)

    match node:
        case c.Const(kind=kind, value=value) if kind is not Kind.BOOL and value is not None:
            return c.Const(kind, another(value))
        case c.InSet(values=values):
            node = dataclasses.replace(node, values=tuple(map(another, values)))
        case c.Like(text=text):
            node = dataclasses.replace(node, text=another(text))
        case c.Real(scale=scale) if scale:
            node = dataclasses.replace(node, scale=rng.randrange(1, 13))
    return c.rebuild(node, lambda x: changed(x, rng))


@settings(max_examples=200, suppress_health_check=list(HealthCheck))
@given(rng=st.randoms(use_true_random=False))
def test_a_changed_literal_changes_no_text(rng: random.Random, bundle: Bundle) -> None:
    text = RandomRules(rng, bundle.scope).rule()
    condition, _ = compile_condition(Source("where", text), bundle.scope)
    if condition is None:
        return
    for core in (condition.core, normalize(condition.core)):
        other = changed(core, rng)
        for name, target in targets(bundle).items():
            for lower in (target.where, target.three_valued):
                before, after = lower(core), lower(other)
                assert before.text == after.text, (name, text)
                assert len(before.slots) == len(after.slots)
                bare = re.sub(r"\{p\d+:[^}]*\}|'\.'|[a-z]\w*|86400000", "", before.text)
                assert not re.search(r"'|\d\d", bare), (name, text, bare)


def test_a_changed_literal_is_another_parameter(bundle: Bundle) -> None:
    pairs = (
        ("value >= 250k", "value >= 300k"), ("symbol in {SPY, QQQ}", "symbol in {IWM, DIA}"),
        ('symbol like "A*"', 'symbol like "B*"'), ('symbol like "*A"', 'symbol like "*B"'),
        ('symbol like "*A*"', 'symbol like "*B*"'), ("vol_oi_ratio / 3 > 0.5", "vol_oi_ratio / 4 > 0.25"),
        ("max(bid, $1.50) > 0.30 * ask", "max(bid, $2.50) > 0.70 * ask"), ("(oi ?? 5) > 7", "(oi ?? 6) > 8"),
        ("otm_pct in {1%, 2%}", "otm_pct in {3%, 4%}"), ("time_et >= 09:30 ET", "time_et >= 10:00 ET"),
    )  # fmt: skip
    for a, b in pairs:
        for target in targets(bundle).values():
            before, after = target.where(core_of(a, bundle)), target.where(core_of(b, bundle))
            assert before.text == after.text
            assert before.bind(bundle.params, 1) != after.bind(bundle.params, 1)
        first, second = (compile_predicate([("where", text)], bundle) for text in (a, b))
        assert isinstance(first, Predicate)
        assert isinstance(second, Predicate)
        assert (first.sql(1)[0], first.sql(1)[1] == second.sql(1)[1]) == (second.sql(1)[0], False)


def test_a_scale_is_a_parameter_too(bundle: Bundle) -> None:
    for target in targets(bundle).values():
        two, five = (target.value(c.Real(c.Field("oi", Kind.INT, True), scale)) for scale in (2, 5))
        assert two.text == five.text
        assert (two.bind({}, 0), five.bind({}, 0)) == ((100.0,), (100_000.0,))


def test_a_predicate_is_lowered_once_and_from_its_shape(bundle: Bundle) -> None:
    predicate = compile_predicate([("where", "value >= 5"), ("minValue", "value >= 7 and not cancelled")], bundle)
    assert isinstance(predicate, Predicate)
    (text, bound), (again, later) = predicate.sql(9), predicate.sql(10)
    assert text is again
    assert text == "(e.value >= ? AND e.value >= ? AND (NOT (e.cancelled_seq IS NOT NULL AND e.cancelled_seq <= ?)))"
    assert (bound, later) == ((50_000, 70_000, 9), (50_000, 70_000, 10))


def test_what_is_no_value_is_refused(bundle: Bundle) -> None:
    for target in targets(bundle).values():
        with pytest.raises(TypeError, match="not a value"):
            target.value(c.And(()))
