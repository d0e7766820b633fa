"""The columns target means what the reference means, whatever a block holds."""

from __future__ import annotations

import random
import struct
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.source import Source
from phenix.dsl.types import Kind, Type
from phenix.engine.blocks import DERIVED, Block, column_of
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, FIELDS, INDEX, Part
from phenix.engine.targets.arrays import Column, Words
from phenix.engine.targets.columns import Answer, Unit, compile_conditions, compile_filter, compile_value
from phenix.engine.targets.reference import evaluate
from tests.dsl.rows import random_rows, read
from tests.dsl.test_targets import AS_OF, filters, reference


class Sample:
    """Tagged rows; a class of its own for its short repr."""

    def __init__(self, rows: list[list[Any]]) -> None:
        self.rows, self.block = rows, Block.of_rows(rows)


@pytest.fixture(scope="module")
def sample(bundle: Bundle) -> Sample:
    rows = random_rows(bundle, 400, seed=12)
    rng = random.Random(6)
    bundle.tag(rows)
    for row in rows:
        if rng.random() < 0.2:
            row[INDEX["cancelled_seq"]] = rng.choice((AS_OF, AS_OF + 1))
    return Sample(rows)


@settings(max_examples=300, suppress_health_check=list(HealthCheck))
@given(text=filters())
def test_random_filters_agree(text: str, bundle: Bundle, sample: Sample) -> None:
    condition, _ = compile_condition(Source("where", text), bundle.scope)
    if condition is None:
        return
    expected = [reference(condition.core, row, bundle) for row in sample.rows]
    (answer,) = compile_conditions([condition.core], bundle.params, bundle.bits)(sample.block, AS_OF)
    assert three_valued(answer) == expected
    matches = compile_filter(condition.core, bundle.params, bundle.bits)(sample.block, AS_OF)
    assert matches.tolist() == [e is True for e in expected]


# -- core trees that no text gives, or that need a block of their own

INT, RATIO = Kind.INT, Kind.RATIO
OI, SIZE, DTE = c.Field("oi", INT, True), c.Field("size", INT, False), c.Field("dte", INT, False)
SCORE, OTM = c.Field("sig_score", RATIO, True), c.Field("otm_pct", Kind.PERCENT, True)
SYMBOL, ROOT = c.Field("symbol", Kind.SYMBOL, False), c.Field("root", Kind.SYMBOL, False)
SIDE, SOURCE = c.Field("side", Kind.ENUM, True), c.Field("spot_source", Kind.ENUM, True)
OPENING, MONTHLY = c.Field("opening", Kind.BOOL, True), c.Field("monthly", Kind.BOOL, False)
NEUTRAL = c.Param("packages_are_neutral", Kind.BOOL)
UNKNOWN = c.Const(Kind.BOOL, None)


def whole(value: int) -> c.Const:
    return c.Const(INT, value)


def word(value: str) -> c.Const:
    return c.Const(Kind.SYMBOL, value)


CONDITIONS: dict[str, c.Core] = {
    "unknown": UNKNOWN,
    "unknown or known": c.Or((UNKNOWN, MONTHLY)),
    "no parts": c.And((c.And(()), c.Not(c.Or(())))),
    "two texts": c.Compare("=", SYMBOL, ROOT),
    "two texts differ": c.Not(c.Compare("!=", ROOT, SYMBOL)),
    "two texts of one column": c.Compare("!=", SYMBOL, SYMBOL),
    "two texts, maybe null": c.Compare("=", c.Coalesce(SIDE, SOURCE), c.Coalesce(SOURCE, SIDE)),
    "text or another": c.InSet(c.Coalesce(SIDE, word("file")), ("file", "AA")),
    "text or a text never null": c.Compare("=", c.Coalesce(SYMBOL, ROOT), word("SPY")),
    "text or text or a word": c.Compare("=", c.Coalesce(c.Coalesce(SIDE, SOURCE), ROOT), word("SPY")),
    "text is null": c.IsNull(c.Coalesce(SIDE, SOURCE)),
    "text turned": c.Compare("=", word("SPY"), SYMBOL),
    "text against nothing": c.Compare("=", SYMBOL, c.Const(Kind.SYMBOL, None)),
    "text in nothing": c.InSet(SIDE, ()),
    "number in nothing": c.Not(c.InSet(OI, ())),
    "whole words": c.Like(SYMBOL, "whole", "SPY"),
    "bool by another way": c.Coalesce(OPENING, MONTHLY),
    "not bool by another way": c.Not(c.Coalesce(OPENING, MONTHLY)),
    "bool param": c.And((NEUTRAL, MONTHLY)),
    "not bool param": c.Or((c.Not(NEUTRAL), OPENING)),
    "two bools": c.Compare("=", MONTHLY, NEUTRAL),
    "bool against a bool": c.Compare("!=", OPENING, MONTHLY),
    "constants": c.Compare("<", c.Arith("+", whole(1), whole(2)), SIZE),
    "turned": c.Compare(">=", whole(500), SIZE),
    "divided by nothing": c.Compare(">", c.Divide(SCORE, c.Const(RATIO, 0.0)), c.Const(RATIO, 1.0)),
    "a divisor that is zero at times": c.Compare(
        ">", c.Divide(SCORE, c.Arith("-", c.Real(DTE, 0), c.Const(RATIO, 7.0))), c.Const(RATIO, 0.1)
    ),
    "a divisor that is null or zero at times": c.IsNull(c.Divide(SCORE, OTM)),
    "plus an unknown": c.Compare(">", c.Arith("+", SIZE, c.Const(INT, None)), whole(1)),
    "or an unknown": c.Compare(">", c.Coalesce(OI, c.Const(INT, None)), whole(1)),
    "an unknown or else": c.Compare(">", c.Coalesce(c.Const(INT, None), OI), whole(1)),
    "a constant or else": c.Compare(">", c.Coalesce(whole(5), OI), SIZE),
    "or another null": c.Compare(">", c.Coalesce(OI, c.Coalesce(c.Field("repeat3m", INT, True), SIZE)), whole(499)),
    "or maybe null": c.Compare(">", c.Coalesce(OI, c.Field("repeat3m", INT, True)), whole(19)),
    "never null or else": c.Compare(">", c.Coalesce(SIZE, OI), whole(499)),
    "unknown is unknown": c.Is(UNKNOWN, None),
    "unknown of parts": c.Is(
        c.Not(c.And((OPENING, c.Or((c.Chip("otm"), c.Is(c.Chip("aa"), None), c.Compare(">", OI, SIZE)))))), None
    ),
    "never unknown": c.Is(MONTHLY, None),
    "known is not unknown": c.Is(c.Compare("=", SIZE, whole(500)), None, negated=True),
    "many numbers": c.InSet(OI, (1, 10_000, 500, 7, 9, 11)),
    "not many numbers": c.InSet(OI, (1, 10_000, 500, 7, 9, 11), negated=True),
    "few doubles": c.InSet(SCORE, (0.5, 1.0)),
    "many doubles": c.InSet(SCORE, (0.0, 0.5, 1.0, 3.7, 2.0)),
    "least of three": c.Compare("<", c.Extreme("min", (SCORE, OTM, c.Const(RATIO, 0.25))), c.Const(RATIO, 0.2)),
    "most of whole numbers": c.Compare(">", c.Extreme("max", (SIZE, DTE, whole(40))), c.Abs(c.Negate(DTE))),
    "doubles of whole numbers": c.Compare(">", c.Real(SIZE, 2), c.Arith("*", c.Const(RATIO, 0.5), c.Real(OI, 0))),
    "a chip stored": c.Is(c.Chip("whales"), None, negated=True),
    "a param": c.Not(c.Compare("<", c.Field("value", Kind.MONEY, False), c.Param("whales_min", Kind.MONEY))),
}


@pytest.mark.parametrize("name", CONDITIONS)
def test_trees_agree(name: str, bundle: Bundle, sample: Sample) -> None:
    core = CONDITIONS[name]
    expected = [reference(core, row, bundle) for row in sample.rows]
    (answer,) = compile_conditions([core], bundle.params, bundle.bits)(sample.block, AS_OF)
    assert three_valued(answer) == expected
    (against,) = compile_conditions([c.Not(core)], bundle.params, bundle.bits)(sample.block, AS_OF)
    assert three_valued(against) == [None if e is None else not e for e in expected]


def test_conditions_share_what_they_say_twice(bundle: Bundle, sample: Sample) -> None:
    unit = Unit(bundle.params, bundle.bits)
    names = [unit.mask(core, True) for core in CONDITIONS.values()]
    again = [unit.mask(core, True) for core in CONDITIONS.values()]
    assert names == again
    assert unit.source(names).count("block.column('oi', as_of)") == 1
    found = unit.function(names)(sample.block, AS_OF)
    for core, mask in zip(CONDITIONS.values(), found, strict=True):
        assert mask.tolist() == [reference(core, row, bundle) is True for row in sample.rows]


def test_not_costs_nothing_and_a_negation_besides_only_a_complement(bundle: Bundle) -> None:
    unit = Unit(bundle.params, bundle.bits)
    big = c.Compare(">=", SIZE, whole(500))
    assert "~" not in unit.source([unit.mask(c.Not(c.Or((big, MONTHLY))), False)])
    both = Unit(bundle.params, bundle.bits)
    text = both.source([both.mask(big, True), both.mask(c.Not(big), True)])
    assert text.count("500") == 1
    assert text.count("~") == 1


RIGHT = BY_NAME["right"].type.members
TIME, VALUE = c.Field("trade_ts_utc", Kind.TS, False), c.Field("value", Kind.MONEY, False)
PRODUCT = c.Arith("*", c.Real(TIME, 0), c.Real(VALUE, 0))
VALUES: dict[str, c.Core] = {
    "of zeros the first": c.Extreme("max", (c.Const(RATIO, 0.0), c.Negate(OTM))),
    "of two zeros the first": c.Extreme("min", (OTM, c.Negate(OTM))),
    "products of whole numbers as doubles": c.Arith("-", PRODUCT, c.Arith("*", c.Real(SIZE, 0), c.Real(SIZE, 0))),
    "a constant": c.Arith("*", c.Const(RATIO, 0.1), c.Const(RATIO, 3.0)),
    "an unknown": c.Divide(c.Const(RATIO, 1.0), c.Const(RATIO, 0.0)),
    "a quotient": c.Divide(c.Real(SIZE, 4), c.Arith("-", SCORE, OTM)),
    "a large whole number": c.Real(c.Arith("*", c.Field("trade_ts_utc", Kind.TS, False), whole(999_983)), 0),
}


@pytest.mark.parametrize("name", VALUES)
def test_values_agree_bit_for_bit(name: str, bundle: Bundle, sample: Sample) -> None:
    core = VALUES[name]
    values, known = compile_value(core, bundle.params, bundle.bits)(sample.block, AS_OF)
    assert len(values) == len(sample.rows)
    for i, row in enumerate(sample.rows):
        by_reference = evaluate(core, lambda field, r=row: read(r, field, AS_OF), bundle.params, lambda _: None)
        assert (known is None or bool(known[i])) is (by_reference is not None)
        if by_reference is not None:
            assert struct.pack("d", values[i]) == struct.pack("d", by_reference)


def test_a_condition_is_no_text_and_no_number(bundle: Bundle) -> None:
    both = c.And((MONTHLY, OPENING))
    with pytest.raises(TypeError, match="not a text"):
        compile_filter(c.InSet(c.Coalesce(SIDE, both), ("x",)), bundle.params, bundle.bits)
    with pytest.raises(TypeError, match="not a value"):
        compile_value(c.Abs(both), bundle.params, bundle.bits)


# -- blocks


def three_valued(answer: Answer) -> list[bool | None]:
    assert not (answer.true & answer.false).any()
    return [True if t else False if f else None for t, f in zip(answer.true, answer.false, strict=True)]


def test_a_block_of_arrays_keeps_small_numbers_small(bundle: Bundle) -> None:
    size = np.array([1, 500, 2_000_000_000], np.int32)
    oi = Column(np.array([0, 7, 9], np.uint16), np.array([False, True, True]))
    block = Block({"size": Column(size), "oi": oi}, 3)
    core = c.Compare(">", c.Arith("*", SIZE, whole(3)), c.Arith("+", OI, whole(5_999_999_990)))
    (answer,) = compile_conditions([core], bundle.params, bundle.bits)(block, 0)
    assert three_valued(answer) == [None, False, True]
    far = c.And((c.Compare("<", SIZE, whole(10**12)), c.Compare("=", SIZE, whole(500)), c.InSet(OI, (7, 10**12))))
    (answer,) = compile_conditions([far], bundle.params, bundle.bits)(block[1:], 0)
    assert three_valued(answer) == [True, False]
    with pytest.raises(KeyError, match="holds no column dte"):
        block.stored("dte")


def test_words_may_grow_between_blocks(bundle: Bundle) -> None:
    known = ["SPY", "QQQ", *(f"X{n}" for n in range(300))]
    words = Words(known)
    codes = np.arange(302, dtype=np.uint16)
    run = compile_conditions(
        [c.InSet(SYMBOL, tuple(known[::2])), c.InSet(SYMBOL, ("SPY", "NEW")), c.Not(c.InSet(SYMBOL, ("SPY", "NEW"))),
         c.Like(SYMBOL, "contains", ""), c.Compare("=", SYMBOL, ROOT)],
        bundle.params, bundle.bits,
    )  # fmt: skip
    roots = Column(codes[::-1], None, Words(known[::-1]))
    for grown in (False, True):
        if grown:
            words.words.append("NEW")  # type: ignore[attr-defined]
            codes = np.where(codes == 2, 302, codes)
        block = Block({"symbol": Column(codes, None, words), "root": roots}, 302)
        half, new, others, every, same = (answer.true.tolist() for answer in run(block, 0))
        assert half == [n % 2 == 0 and not (grown and n == 2) for n in range(302)]
        assert new == [n == 0 or (grown and n == 2) for n in range(302)]
        assert others == [not x for x in new]
        assert every == [True] * 302
        assert same == [not (grown and n == 2) for n in range(302)]


def test_cells_of_every_kind_become_columns() -> None:
    for kind, cells, dtype in (
        (Kind.INT, [1, 2**62], np.int64), (Kind.INT, [None, 2**62 + 1], np.int64), (Kind.INT, [None, -5], np.int64),
        (Kind.BOOL, [True, False], np.bool_), (Kind.BOOL, [1, None, 0], np.bool_),
        (RATIO, [0.5, -0.0], np.float64), (RATIO, [None, 0.1], np.float64), (INT, [], np.int64),
    ):  # fmt: skip
        column = column_of(cells, Type(kind))
        known = [True] * len(cells) if column.known is None else column.known.tolist()
        assert column.values.dtype == dtype
        assert [v if k else None for v, k in zip(column.values.tolist(), known, strict=True)] == cells
    for cells, members in (
        (["PUT", "CALL"], RIGHT), (["PUT", None], RIGHT), (["?", "PUT"], RIGHT), ([], RIGHT), (["z"], ("z", "a")),
        ([None, None], ()), (["x", None, "y"], ()), ([f"w{n}" for n in range(300)], ()), ([], ()),
    ):  # fmt: skip
        column = column_of(cells, Type(Kind.ENUM if members else Kind.SYMBOL, members=members))
        known = [True] * len(cells) if column.known is None else column.known.tolist()
        assert column.words is not None
        shown = [column.words.words[v] if k else None for v, k in zip(column.values.tolist(), known, strict=True)]
        assert shown == cells


def test_derived_fields_are_those_of_the_catalog() -> None:
    assert set(DERIVED) == {f.name for f in FIELDS if f.part is Part.DERIVED}


class _Interrupted(list[str]):
    """Words that another thread asks for while the first is at them."""

    def __getitem__(self, at: Any) -> Any:
        found = super().__getitem__(at)
        return self._told(found) if isinstance(at, slice) else found

    def _told(self, words: list[str]) -> Any:
        for place, word in enumerate(words):
            if place == 2:
                assert self.asked.code("E") == 4
            yield word

    asked: Words


def test_words_have_their_codes_whoever_asks_meanwhile() -> None:
    names = _Interrupted("ABCDE")
    words = names.asked = Words(names)
    assert words.code("A") == 0
    assert [words.code(name) for name in "ABCDE"] == [0, 1, 2, 3, 4]
