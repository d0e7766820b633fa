"""Many conditions together match what each matches alone."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.passes import normalize
from phenix.dsl.source import Source
from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle
from phenix.engine.flow import INDEX
from phenix.engine.many import Many
from tests.dsl.rows import random_rows
from tests.dsl.test_columns import CONDITIONS
from tests.dsl.test_targets import AS_OF, filters, reference

TEXTS = (
    "true", "false", "not false", "@whales", "not @whales", "@whales is unknown", "@otm is not unknown",
    "(@bid or @ask) is true", "not ((@bid or @ask) is true)", "(otm_pct > 5 and iso) is false",
    "not ((otm_pct > 5 or iso) is false)", "symbol = spy", "symbol != spy", "symbol in {SPY, QQQ, AAPL}",
    "symbol not in {SPY, QQQ}", "symbol in {}", 'root like "S*"', 'root not like "*P*"', 'root like "*Y"',
    "side = aa", "side != aa", "side not in {AA, BID}", "not side in {AA}", "side is null", "oi is not null",
    "oi in {1, 500, 10000}", "oi not in {500}", "dte <= 14", "not dte <= 14", "dte = 7", "dte != 7",
    "spot_age_ms <= 3m", "sig_score >= 0.5", "not sig_score >= 0.5", "sig_score < 0.5",
    "value >= $whales_min and dte in 7..180",
    "day_volume >= 2 * oi", "price >= ask + max(0.05, 20% * (ask - bid))", "value / spot >= 2", "cancelled",
    "not cancelled", "time_et in 09:30 ET..<10:30 ET", "opening or not monthly", "(opening and monthly) is unknown",
    "((opening is unknown) or side = aa) is not true", "(oi ?? 5) > 4", "spot_source = file or not spot_source = file",
)  # fmt: skip


class Sample:
    """Tagged rows; a class of its own for its short repr."""

    def __init__(self, rows: list[list[Any]]) -> None:
        self.rows, self.block = rows, Block.of_rows(rows)


@pytest.fixture(scope="module")
def sample(bundle: Bundle) -> Sample:
    rows = random_rows(bundle, 333, seed=21)
    rng = random.Random(7)
    bundle.tag(rows)
    for row in rows:
        if rng.random() < 0.2:
            row[INDEX["cancelled_seq"]] = rng.choice((AS_OF, AS_OF + 1))
    return Sample(rows)


def core_of(text: str, bundle: Bundle) -> c.Core | None:
    condition, _ = compile_condition(Source("where", text), bundle.scope)
    return condition.core if condition else None


def alone(core: c.Core, rows: list[list[Any]], bundle: Bundle) -> list[int]:
    return [i for i, row in enumerate(rows) if reference(core, row, bundle) is True]


def agree(many: Many[Any], cores: dict[Any, c.Core], rows: list[list[Any]], bundle: Bundle) -> None:
    found = many.matches(Block.of_rows(rows), AS_OF)
    pairs = list(zip(found.conditions.tolist(), found.rows.tolist(), strict=True))
    assert pairs == sorted(pairs)
    expected = {key: hits for key, core in cores.items() if (hits := alone(core, rows, bundle))}
    assert found.by_key() == expected


@pytest.mark.parametrize("normal", [False, True])
def test_every_shape_matches_what_it_matches_alone(normal: bool, bundle: Bundle, sample: Sample) -> None:
    many: Many[str] = Many(bundle.params, bundle.bits)
    cores: dict[str, c.Core] = {}
    for text in TEXTS:
        core = core_of(text, bundle)
        assert core is not None, text
        cores[text] = normalize(core) if normal else core
        many.add(text, cores[text])
    assert len(many) == len(TEXTS)
    agree(many, cores, sample.rows, bundle)


def test_trees_in_no_normal_form(bundle: Bundle, sample: Sample) -> None:
    cores = {(want, name): core if want else c.Not(core) for name, core in CONDITIONS.items() for want in (True, False)}
    many: Many[tuple[bool, str]] = Many(bundle.params, bundle.bits)
    for key, core in cores.items():
        many.add(key, core)
    agree(many, cores, sample.rows[:130], bundle)


@settings(max_examples=12, suppress_health_check=list(HealthCheck))
@given(
    texts=st.lists(filters(), min_size=20, max_size=40),
    start=st.integers(0, 200),
    count=st.sampled_from((1, 63, 64, 65)),
)
def test_random_conditions_match_what_they_match_alone(
    texts: list[str], start: int, count: int, bundle: Bundle, sample: Sample
) -> None:
    many: Many[int] = Many(bundle.params, bundle.bits)
    cores = {n: core for n, text in enumerate(texts) if (core := core_of(text, bundle)) is not None}
    for n, core in cores.items():
        many.add(n, core)
    agree(many, cores, sample.rows[start : start + count], bundle)


def test_conditions_come_and_go(bundle: Bundle, sample: Sample) -> None:
    rng = random.Random(4)
    cores = {text: core for text in TEXTS if (core := core_of(text, bundle)) is not None}
    many: Many[str] = Many(bundle.params, bundle.bits)
    there: dict[str, c.Core] = {}
    for _ in range(12):
        for text in rng.sample(TEXTS, 8):
            if text in there:
                many.remove(text)
                del there[text]
            else:
                many.add(text, cores[text])
                there[text] = cores[text]
        agree(many, there, sample.rows[:70], bundle)
    for text in list(there):  # nothing of what is gone is kept
        many.remove(text)
    many.add("one", cores["dte <= 14"])
    agree(many, {"one": cores["dte <= 14"]}, sample.rows[:70], bundle)
    with pytest.raises(KeyError):
        many.remove("iso")


def test_a_condition_put_in_place_of_another(bundle: Bundle, sample: Sample) -> None:
    many: Many[str] = Many(bundle.params, bundle.bits)
    first, second = core_of("dte <= 14", bundle), core_of("dte > 14", bundle)
    assert first is not None
    assert second is not None
    many.add("it", first)
    many.add("it", second)
    agree(many, {"it": second}, sample.rows, bundle)


@pytest.mark.parametrize("memory", [20_000, 1])
def test_words_are_asked_again_only_when_they_are_new(
    memory: int, bundle: Bundle, sample: Sample, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("phenix.engine.many._MEMORY", memory)
    core = core_of("symbol not in {SPY}", bundle)
    assert core is not None
    many: Many[str] = Many(bundle.params, bundle.bits)
    many.add("it", core)
    for word in ("SPY", "NEW", "SPY", "NEWER"):
        rows = [list(row) for row in sample.rows[:3]]
        for row in rows:
            row[INDEX["symbol"]] = word
        agree(many, {"it": core}, rows, bundle)


def test_nothing_asked_and_nobody_to_ask(bundle: Bundle, sample: Sample) -> None:
    many: Many[str] = Many(bundle.params, bundle.bits)
    assert many.matches(sample.block, AS_OF).by_key() == {}
    many.add("all", c.TRUE)
    assert many.matches(Block.of_rows([]), AS_OF).by_key() == {}
    assert many.matches(sample.block, AS_OF).by_key() == {"all": list(range(333))}
