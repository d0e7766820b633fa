"""The SQL targets on real engines: trees nobody would write, values that are hard to hand over, pinned settings."""

from __future__ import annotations

import random
import struct
from collections.abc import Iterator
from typing import Any

import pytest

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.passes import normalize
from phenix.dsl.source import Source
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle
from phenix.engine.certify.engines import ClickHouseEngine, Engine, ReferenceEngine, SqliteEngine
from phenix.engine.certify.rules import RandomRules
from phenix.engine.flow import FIELDS, INDEX, STORED, Part
from phenix.engine.targets.clickhouse import SETTINGS, ClickHouseTarget, column_types, server_parameters
from phenix.engine.targets.sql import Lowered, Slot
from tests.dsl.rows import plain, random_rows

AS_OF = 150
REFERENCE, SQLITE, CLICKHOUSE = "reference", "sqlite", "clickhouse"


@pytest.fixture(scope="module")
def engines() -> Iterator[dict[str, Any]]:
    made: dict[str, Any] = {e.name: e for e in (ReferenceEngine(), SqliteEngine(), ClickHouseEngine())}
    yield made
    for engine in made.values():
        engine.close()


def agree(cores: list[c.Core], rows: list[Any], engines: dict[str, Engine], bundle: Bundle) -> list[list[Any]]:
    """Answers of the reference, which those of both engines have to be, on trees as they are."""
    for engine in engines.values():
        engine.load(rows, AS_OF, bundle)
    expected = engines[REFERENCE].answers(cores)
    for name in (SQLITE, CLICKHOUSE):
        for core, want, got in zip(cores, expected, engines[name].answers(cores), strict=True):
            assert got == want, (name, core)
        for core, want, kept in zip(cores, expected, engines[name].matches(cores), strict=True):
            assert kept == [answer is True for answer in want], (name, core)
    return expected


def test_random_rules_agree_raw_and_normal(bundle: Bundle, engines: dict[str, Any]) -> None:
    rng = random.Random(20_261_124)
    rules = RandomRules(rng, bundle.scope)
    cores: list[c.Core] = []
    while len(cores) < 200:
        condition, _ = compile_condition(Source("where", rules.rule()), bundle.scope)
        if condition is not None:
            cores += [condition.core, normalize(condition.core)]
    rows = random_rows(bundle, 200, seed=7)
    bundle.tag(rows)
    for row in rows:
        row[INDEX["cancelled_seq"]] = rng.choice((None, None, AS_OF, AS_OF + 1))
    expected = agree(cores, rows, engines, bundle)
    assert {answer for per_row in expected for answer in per_row} == {True, False, None}
    assert all(a == b for a, b in zip(expected[::2], expected[1::2], strict=True))


# -- trees no text becomes, but which the language has

OI, BID, SYMBOL = c.Field("oi", Kind.INT, True), c.Field("bid", Kind.MONEY, True), c.Field("symbol", Kind.SYMBOL, False)
RATIO, FLAG = c.Field("vol_oi_ratio", Kind.RATIO, True), c.Field("opening", Kind.BOOL, True)
NOTHING, ONE = c.Const(Kind.INT, None), c.Const(Kind.INT, 1)
UNKNOWN = c.Const(Kind.BOOL, None)
ODD: list[c.Core] = [
    c.And(()),
    c.Or(()),
    c.Not(c.And(())),
    c.And((FLAG,)),
    UNKNOWN,
    c.Not(UNKNOWN),
    c.And((UNKNOWN, FLAG)),
    c.Or((UNKNOWN, FLAG)),
    c.Is(UNKNOWN, None),
    c.Is(UNKNOWN, True, True),
    c.Compare("=", ONE, ONE),
    c.Compare("<", ONE, OI),
    c.Compare("=", NOTHING, OI),
    c.InSet(NOTHING, (1,)),
    c.InSet(NOTHING, ()),
    c.Not(c.InSet(NOTHING, (), True)),
    c.Compare(">", c.Arith("+", NOTHING, OI), ONE),
    c.Compare(">", c.Extreme("max", (NOTHING, OI)), ONE),
    c.Compare(">", c.Extreme("min", (OI, ONE, BID)), ONE),
    c.Compare(">", c.Coalesce(NOTHING, OI), ONE),
    c.IsNull(NOTHING),
    c.IsNull(ONE, True),
    c.IsNull(c.Arith("*", OI, OI)),
    c.Compare("=", c.Abs(c.Negate(OI)), c.Abs(OI)),
    c.Compare("<", c.Arith("-", c.Abs(OI), c.Abs(BID)), ONE),
    c.InSet(c.Abs(OI), (0, 5)),
    c.InSet(c.Coalesce(c.Abs(OI), c.Negate(BID)), (5,), True),
    c.InSet(c.Extreme("max", (RATIO, c.Const(Kind.RATIO, -0.0))), (0.0, 2.5)),
    c.InSet(c.Divide(RATIO, c.Const(Kind.RATIO, 0.0)), (1.0,), True),
    c.Compare(
        "=",
        c.Divide(c.Real(OI, 3), c.Real(BID, 0)),
        c.Divide(c.Real(OI, 0), c.Arith("*", c.Const(Kind.RATIO, 1e3), c.Real(BID, 0))),
    ),
    c.Coalesce(FLAG, c.Field("monthly", Kind.BOOL, False)),
    c.Not(c.Coalesce(FLAG, c.Field("iso", Kind.BOOL, False))),
    c.Param("packages_are_neutral", Kind.BOOL),
    c.Compare("=", FLAG, c.Param("packages_are_neutral", Kind.BOOL)),
    c.Compare("!=", FLAG, c.Const(Kind.BOOL, True)),
    c.Is(c.Not(c.Is(FLAG, None)), False),
    c.Is(c.Is(FLAG, False, True), True),
    c.Like(c.Coalesce(SYMBOL, SYMBOL), "prefix", ""),
    c.Not(c.Like(SYMBOL, "suffix", "")),
    c.Like(SYMBOL, "contains", ""),
]


def test_odd_trees_agree(bundle: Bundle, engines: dict[str, Any]) -> None:
    rows = [
        plain(seq=i + 1, trade_id=i + 1, oi=oi, bid=bid, vol_oi_ratio=ratio, opening=flag)
        for i, (oi, bid, ratio, flag) in enumerate(
            (oi, bid, ratio, flag)
            for oi in (None, 0, 5)
            for bid in (None, 5, 0)
            for ratio in (None, 0.0, 2.5)
            for flag in (None, True, False)
        )
    ]
    agree(ODD, rows, engines, bundle)


WORDS = (
    "SPY",
    "spy",
    "SPYG",
    "it's",
    'a"b',
    "a\\b",
    "\\",
    "\\N",
    "%",
    "_",
    "*",
    "A*",
    "A?",
    "[A]",
    "?",
    "a\tb",
    "a\nb",
    "a\rb",
    "\0",
    "A\0B",
    "A\0C",
    "é",
    "É",
    "e\u0301",
    "\ud7ff",
    "\ue000",
    "\uffff",
    "\U0010ffff",
    "A\U0010ffff",
    "A\U0010ffffB",
    "{p0:Int64}",
    "?1",
    ":as_of",
    "",
    " ",
    "NULL",
    "null",
    "-- x",
    "/*",
    "'",
    "''",
    "$a$",
)


def test_words_of_any_letters_agree(bundle: Bundle, engines: dict[str, Any]) -> None:
    rows = [plain(seq=i + 1, trade_id=i + 1, symbol=word) for i, word in enumerate(WORDS)]
    cores: list[c.Core] = [c.InSet(SYMBOL, WORDS[i : i + 3], i % 2 == 0) for i in range(0, len(WORDS), 3)]
    for word in WORDS:
        cores += [c.Compare("=", SYMBOL, c.Const(Kind.SYMBOL, word)), c.Compare("!=", SYMBOL, c.Const(Kind.TEXT, word))]
        cores += [c.Like(SYMBOL, how, word) for how in ("prefix", "suffix", "contains", "whole")]  # type: ignore[arg-type]
        cores += [c.Like(SYMBOL, how, word[-1:], True) for how in ("prefix", "suffix", "contains")]  # type: ignore[arg-type]
    agree(cores, rows, engines, bundle)


def test_doubles_are_handed_over_to_the_last_bit(bundle: Bundle, engines: dict[str, Any]) -> None:
    rng = random.Random(3)
    doubles = [0.1, 5e-324, 1.7976931348623157e308, -0.0, 1 / 3, 2.0**53 + 1, 1e22, 0.30000000000000004]
    while len(doubles) < 150:
        (drawn,) = struct.unpack("d", struct.pack("Q", rng.getrandbits(64)))
        if drawn == drawn and abs(drawn) != float("inf"):
            doubles.append(drawn)
    bits = [struct.unpack("q", struct.pack("d", d))[0] for d in doubles]
    lowered = Lowered("", (*(Slot(d) for d in doubles), Slot(tuple(doubles))))
    bound = server_parameters(lowered, {}, 0)
    single = ", ".join(f"reinterpretAsInt64({{p{i}:Float64}})" for i in range(len(doubles)))
    (found,) = engines[CLICKHOUSE]._ask(f"SELECT {single}", bound)
    assert list(map(int, found)) == bits
    ((listed,),) = engines[CLICKHOUSE]._ask(
        f"SELECT arrayMap(x -> reinterpretAsInt64(x), {{p{len(doubles)}:Array(Float64)}})", bound
    )
    assert listed == str(bits).replace(" ", "")


# -- size


def test_wide_and_deep_trees_agree_and_stay_small(bundle: Bundle, engines: dict[str, Any]) -> None:
    wide = tuple(c.Compare("=", OI, c.Const(Kind.INT, i)) for i in range(1_500))
    high: c.Core = OI
    for i in range(60):
        high = c.Extreme("max" if i % 2 else "min", (high, c.Coalesce(BID, high) if i < 3 else c.Const(Kind.INT, i)))
    deep: c.Core = FLAG
    for i in range(60):
        deep = c.Not(c.Is(c.And((deep, FLAG)), (True, False, None)[i % 3], i % 2 == 0))
    cores = [c.Or(wide), c.Not(c.And(tuple(c.Not(x) for x in wide))), c.Compare(">", high, ONE), deep]
    rows = [
        plain(seq=i + 1, trade_id=i + 1, oi=oi, bid=7, opening=flag)
        for i, (oi, flag) in enumerate(((None, None), (3, True), (2_000, False)))
    ]
    assert agree(cores, rows, engines, bundle)[:2] == [[None, True, False]] * 2
    for target in (engines[SQLITE]._target, engines[CLICKHOUSE]._target):
        assert len(target.three_valued(c.Compare(">", high, ONE)).text) < 8_000
        assert len(target.three_valued(deep).text) < 8_000


# -- the table, the session


def test_columns_of_a_table() -> None:
    types = column_types(STORED)
    assert list(types) == [f.column or f.name for f in FIELDS if f.part is not Part.DERIVED]
    some = {
        "seq": "Int64", "condition_code": "Int64", "symbol": "String", "side": "Nullable(String)", "price": "Int64",
        "bid": "Nullable(Int64)", "otm_pct": "Nullable(Float64)", "opening": "Nullable(Bool)", "iso": "Bool",
    }  # fmt: skip
    assert {name: types[name] for name in some} == some


def test_parameters_are_typed_by_what_fills_them() -> None:
    target = ClickHouseTarget(lambda name: f"t.{name}", lambda _: 3)
    cores: list[c.Core] = [
        c.Compare("=", c.Param(kind.value, kind), c.Const(kind, value))
        for kind, value in ((Kind.MONEY, 5), (Kind.RATIO, 0.5), (Kind.SYMBOL, "A"), (Kind.BOOL, True))
    ]
    lowered = target.select([*cores, c.InSet(SYMBOL, ("it's", "\\")), c.Chip("x")])
    assert lowered.text == (
        "{p0:Int64} = {p1:Int64}, {p2:Float64} = {p3:Float64}, {p4:String} = {p5:String}, {p6:Bool} = {p7:Int64}, "
        "t.symbol IN {p8:Array(String)}, (CASE WHEN bitAnd(t.chips_known, {p9:Int64}) != 0 "
        "THEN bitAnd(t.chips_set, {p10:Int64}) != 0 END)"
    )
    known = {"money": 9, "ratio": 1.0, "symbol": "x\ty", "bool": False}
    assert list(server_parameters(lowered, known, 1).values()) == [
        "9", "5", "1.0", "0.5", "x\\ty", "A", "0", "1", "['it\\'s','\\\\']", "8", "8",
    ]  # fmt: skip


def test_settings_are_of_this_version_and_in_force(engines: dict[str, Any]) -> None:
    for name, value in SETTINGS.items():
        ((found,),) = engines[CLICKHOUSE]._ask(f"SELECT toInt64(value) FROM system.settings WHERE name = '{name}'")
        assert int(found) == value, name
    with pytest.raises(Exception, match="NO_COMMON_TYPE"):
        engines[CLICKHOUSE]._ask("SELECT if(1, 1, 'a')")
