"""The normal form: each pass by its cases, and no answer changed on any row."""

from __future__ import annotations

import random
from collections.abc import Callable
from itertools import product

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition, compile_program
from phenix.dsl.dump import dump
from phenix.dsl.intervals import EVERYTHING, NOTHING, Intervals, compared, one_of
from phenix.dsl.passes import PASSES, WIDEST, inline, normalize, shape
from phenix.dsl.source import Source
from phenix.dsl.types import Kind
from phenix.engine.bundle import read_rules
from phenix.engine.flow import CATALOG
from tests.dsl.corpus import CASES, Case, check
from tests.dsl.trees import OPS, ROWS, answers, condition

STEPS: dict[str, Callable[[c.Core], c.Core]] = {
    **{step.__name__: step for step in PASSES}, "shape": shape, "normalize": normalize,
}  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_pass(name: str, rewriting: bool) -> None:
    scope = compile_program(read_rules(), CATALOG)[0].scope

    def answer(case: Case) -> str:
        condition, found = compile_condition(Source("where", case.input), scope)
        assert condition is not None, found
        after = STEPS[name](condition.core)
        return dump(condition.core) + ("\n= the same" if after == condition.core else f"\n> {dump(after)}")

    check(f"passes/{name}.txt", answer, rewriting)


def test_every_pass_has_its_cases() -> None:
    assert {p.stem for p in (CASES / "passes").glob("*.txt")} == set(STEPS)


# -- no answer changed


@settings(max_examples=400, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_no_pass_changes_an_answer(seed: int) -> None:
    rng = random.Random(seed)
    core = condition(rng, 3)
    rows = rng.sample(ROWS, 60)
    expected = answers(core, rows)
    for name, step in STEPS.items():
        after = step(core)
        assert answers(after, rows) == expected, (name, dump(core), dump(after))
    whole = normalize(core)
    assert normalize(whole) == whole, dump(core)
    for node in c.walk(whole):
        assert not isinstance(node, c.Not) or isinstance(node.operand, c.Field | c.Chip)
        if isinstance(node, c.And | c.Or):
            assert 2 <= len(node.args) <= WIDEST


def test_chips_are_written_out_once_each() -> None:
    chips: dict[str, c.Core] = {"c0": c.Field("f", Kind.BOOL, False)}
    for i in range(1, 60):
        chips[f"c{i}"] = c.And((c.Chip(f"c{i - 1}"), c.Not(c.Chip(f"c{i - 1}"))))
    whole = inline(c.Chip("c59"), chips)  # written out each time it would have 2**60 leaves
    for _ in range(59):
        assert isinstance(whole, c.And)
        left, right = whole.args
        assert isinstance(right, c.Not) and right.operand is left
        whole = left
    assert whole == chips["c0"]
    assert inline(c.Or((c.Chip("c1"), c.Chip("gone"))), {"c1": c.TRUE}) == c.Or((c.TRUE, c.Chip("gone")))


# -- the algebra of sets that merging stands on

SETS = [
    NOTHING, EVERYTHING, *(compared(op, v) for op in OPS for v in (1, 2, 3)), one_of((1, 3)), one_of((2, 3), True),
    one_of(()), one_of((), True),
]  # fmt: skip
POINTS = (0, 1, 1.5, 2, 2.5, 3, 4)


def test_sets_hold_what_their_comparison_says() -> None:
    said = {"=": int.__eq__, "!=": int.__ne__, "<": int.__lt__, "<=": int.__le__, ">": int.__gt__, ">=": int.__ge__}
    for op, holds in said.items():
        assert [v in compared(op, 2) for v in (1, 2, 3)] == [holds(v, 2) for v in (1, 2, 3)], op


def test_sets_join_point_by_point() -> None:
    for a, b in product(SETS, SETS):
        for point in POINTS:
            assert (point in (a & b)) is (point in a and point in b)
            assert (point in (a | b)) is (point in a or point in b)
            assert (point in ~a) is (point not in a)


def test_sets_name_their_pieces() -> None:
    assert list((compared("<", 1) | compared(">=", 3)).pieces()) == [(None, (1, 0)), ((3, 0), None)]
    assert list(EVERYTHING.pieces()) == [(None, None)]
    assert list(NOTHING.pieces()) == []
    assert [s.points() for s in (one_of((3, 1)), NOTHING, EVERYTHING, compared(">", 1))] == [[1, 3], [], None, None]
    assert Intervals(False, ((1, 0), (2, 0))).points() is None
