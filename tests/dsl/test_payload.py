"""Saved filters: every conversion shown in the data files, and what must hold of all of them."""

from __future__ import annotations

import json
import math
import re
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.render import render_text
from phenix.dsl.source import Source
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle, compile_bundle, load_bundle, read_rules
from phenix.engine.clauses import BY_KEY, OTHERS
from phenix.engine.encode import row_id
from phenix.engine.flow import BY_NAME, FIELDS, INDEX
from phenix.engine.legacy import KEYS, thresholds
from phenix.engine.saved import (
    MOST_CLAUSES,
    Converted,
    SavedPayload,
    is_v2,
    legacy_to_v2,
    legacy_to_where,
    save,
    v2_to_legacy,
    v2_to_where,
    where_to_v2,
)
from phenix.engine.targets.payload import OPERATORS, Fidelity, combine
from tests.dsl.corpus import CASES, Case, check, read
from tests.dsl.rows import random_rows
from tests.dsl.test_targets import filters, reference

FILES = tuple(sorted(path.name for path in CASES.glob("payload*.txt")))


@cache
def version(changes: str) -> Bundle:
    """The packaged rules with other values of some params: ``whales_min=600k``."""
    sources = list(read_rules())
    for name, value in re.findall(r"(\w+)=(\S+)", changes):
        sources = [Source(s.name, re.sub(rf"(param {name}: \w+ = )\S+", rf"\g<1>{value}", s.text)) for s in sources]
    bundle, found = compile_bundle(sources)
    assert bundle is not None, found
    return bundle


def told(name: str, converted: Converted) -> list[str]:
    shown = converted.result
    shown = shown if isinstance(shown, str) else json.dumps(shown, ensure_ascii=False)
    lines = [f"{name} ({converted.fidelity}): {shown}".rstrip()]
    lines += [f"  {reason}" for reason in converted.reasons]
    return lines + [line for d in converted.findings for line in render_text(d).splitlines()]


def conversions(payload: Any, kind: str, bundle: Bundle) -> list[str]:
    """The other two writings, and the first made again from each that is whole."""
    lines = []
    if kind == "where":
        v2 = where_to_v2(payload, bundle)
        lines += told("v2", v2)
        if v2.result is not None:
            lines += told("where again", v2_to_where(v2.result, bundle))
            lines += told("legacy", v2_to_legacy(v2.result, bundle))
    elif kind == "legacy":
        v2 = legacy_to_v2(payload, bundle)
        lines += told("v2", v2)
        if v2.result is not None:
            lines += told("where", legacy_to_where(payload, bundle))
            lines += told("legacy again", v2_to_legacy(v2.result, bundle))
    else:
        where = v2_to_where(payload, bundle)
        lines += told("where", where)
        if where.result is not None:
            lines += told("v2 again", where_to_v2(where.result, bundle))
        lines += told("legacy", v2_to_legacy(payload, bundle))
    return lines


@pytest.mark.parametrize("file", FILES)
def test_conversions(file: str, rewriting: bool) -> None:
    def answer(case: Case) -> str:
        kind, _, changes = case.directive.partition(" ")
        payload = case.input if kind == "where" else json.loads(case.input)
        return "\n".join(conversions(payload, kind, version(changes)))

    check(file, answer, rewriting)


def test_the_cases_are_many_and_hold_every_key_and_operator() -> None:
    cases = [case for file in FILES for case in read(file)]
    assert len(cases) >= 180
    legacy = [json.loads(case.input) for case in cases if case.directive.startswith("legacy")]
    assert set(KEYS) <= {key for payload in legacy if isinstance(payload, dict) for key in payload}
    v2 = [json.loads(case.input) for case in cases if case.directive.startswith("v2")]
    whole = [clause for payload in v2 if isinstance(payload, dict) for clause in payload.get("clauses") or ()]
    clauses = [(clause["field"], clause["op"]) for clause in whole if isinstance(clause, dict) and len(clause) == 3]
    assert {*BY_KEY, *OTHERS} <= {field for field, _ in clauses}
    assert {op for ops in OPERATORS.values() for op in ops} | {"has"} <= {str(op) for _, op in clauses}
    seen = "\n".join(case.expected for case in cases)
    assert {str(f) for f in Fidelity} <= set(re.findall(r"\((\w+)\):", seen))
    assert {f"PHX{i}" for i in range(501, 506)} <= set(re.findall(r"PHX\d+", seen))


def test_one_table_each() -> None:
    """Keys and fields come from the catalog; what older clients knew beside it is listed once."""
    ranged = {f"{end}{f.ranges}" for f in FIELDS if f.ranges for end in ("min", "max")}
    assert ranged <= set(KEYS)
    assert set(BY_KEY) == {f.json for f in FIELDS if f.filterable and f.json}
    assert set(OTHERS) & set(BY_KEY) == set()
    assert {key.field for key in KEYS.values()} <= {*BY_KEY, *OTHERS}
    assert list(KEYS)[:26] == [
        "id", "symbol", "status", "strategy", "timeframe", "from", "to", "minPnl", "maxPnl", "minVolume", "maxVolume",
        "search", "calls", "puts", "bid", "ask", "aa", "sweeps", "100k", "sizable", "whales", "largeSize", "chips",
        "notChips", "minStrike", "maxStrike",
    ]  # fmt: skip


# -- what holds of every conversion


class Sample:
    """Tagged random rows; a class of its own for its short repr."""

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self.rows = random_rows(bundle, 120, seed=29)
        bundle.tag(self.rows)

    def answers(self, where: str) -> list[bool]:
        """Which rows a where keeps, by the reference."""
        if not where:
            return [True] * len(self.rows)
        condition, found = compile_condition(Source("where", where), self.bundle.scope)
        assert condition is not None, (where, found)
        return [reference(condition.core, row, self.bundle) is True for row in self.rows]


@pytest.fixture(scope="module")
def sample() -> Sample:
    bundle, _ = load_bundle()
    assert bundle is not None
    return Sample(bundle)


NUMBERS = st.one_of(st.integers(-5, 2_000_000), st.sampled_from((0.5, 99_999.9999, 2.5, 1e6)))
TYPED = st.one_of(NUMBERS, NUMBERS.map(str))
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "id": st.sampled_from(("x", row_id(1_718_373_303_122, 1), "a,b")),
    "symbol": st.sampled_from(("SPY", "spy", "BRK.B", ["SPY", "QQQ"], "SPY,QQQ")),
    "status": st.sampled_from(("open", "closed", ["open", "x"])),
    "strategy": st.sampled_from(("options-flow", "x, y")),
    "timeframe": st.sampled_from(("1m", "5m")),
    "from": st.sampled_from(("2024-06-14", "2024-06-14T09:30:00", 1_718_373_303_122)),
    "to": st.sampled_from(("2024-06-14", "20240621", "2024-06-14T16:00:00-04:00")),
    "search": st.sampled_from(("SPY", "aapl", "ba", 123, "no such thing", row_id(1_718_373_303_122, 1))),
    "chips": st.sampled_from(("whales", "whales,Vol>OI", ["100k+", "urgent"])),
    "notChips": st.sampled_from(("calls", ["otm", "leaps"])),
}


def _value_of(name: str) -> st.SearchStrategy[Any]:
    key = KEYS[name]
    if name in VALUES:
        return VALUES[name]
    if key.chip:
        return st.sampled_from((True, "true", 1, "1"))
    if key.field.startswith("execution."):
        return st.sampled_from((True, "true", 1, "1", "yes", False, 0, "off"))
    if key.op != "eq":
        return TYPED
    field = BY_KEY[key.field]
    match field.type.kind:
        case Kind.BOOL:
            return st.sampled_from((True, False, "true", 0))
        case Kind.ENUM:
            return st.sampled_from((*field.type.members, list(field.type.members[:2]), field.type.members[0].lower()))
        case Kind.SYMBOL:
            return st.just("SPY")
        case Kind.DATE:
            return st.sampled_from(("2024-06-14", "2024-06-14,2024-06-21"))
        case Kind.TS:
            return st.sampled_from(("2024-06-14T13:30:00Z", 1_718_373_303_122))
        case _:
            return st.integers(0, 10**6) | st.integers(0, 10**6).map(str)


@st.composite
def legacies(draw: st.DrawFn) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from(sorted(KEYS)), max_size=6))
    return {name: draw(_value_of(name)) for name in KEYS if name in names}


def _same(value: Any) -> Any:
    """With types: True is not 1."""
    return json.dumps(value)


@settings(max_examples=150)
@given(payload=legacies())
def test_legacy_survives_v2(payload: dict[str, Any], sample: Sample) -> None:
    v2 = legacy_to_v2(payload, sample.bundle)
    assert v2.result is not None, v2.findings
    back = v2_to_legacy(v2.result, sample.bundle)
    kept = {name: True if KEYS[name].chip else value for name, value in payload.items()}
    assert _same(back.result) == _same(kept)
    assert back.fidelity is Fidelity.EXACT
    one, two = legacy_to_where(payload, sample.bundle), v2_to_where(v2.result, sample.bundle)
    assert (one.result, one.fidelity) == (two.result, two.fidelity)


@st.composite
def flat(draw: st.DrawFn) -> dict[str, Any]:
    """V2 as it is written from rule text: catalog keys, values in the catalog's form."""
    clauses = []
    for _ in range(draw(st.integers(0, 5))):
        key = draw(st.sampled_from((*BY_KEY, "chips", "chips", "value", "size", "symbol")))
        if key == "chips":
            op, value = draw(st.sampled_from(("has", "nin"))), draw(st.sampled_from(("whales", "urgent", "otm")))
        else:
            field = BY_KEY[key]
            op = draw(st.sampled_from(OPERATORS[field.type.kind]))
            value = draw(_canonical_value(field.type.kind, field))
            if op in ("in", "nin"):
                value = list(dict.fromkeys([value, draw(_canonical_value(field.type.kind, field))]))
            elif field.type.kind is Kind.BOOL:
                op = "eq"
        clauses.append({"field": key, "op": op, "value": value})
    combinator = draw(st.sampled_from(("and", "or"))) if len(clauses) > 1 else "and"
    return {"version": 2, "combinator": combinator, "clauses": clauses}


def _canonical_value(kind: Kind, field: Any) -> st.SearchStrategy[Any]:
    match kind:
        case Kind.BOOL:
            return st.booleans()
        case Kind.ENUM:
            return st.sampled_from(field.type.members)
        case Kind.SYMBOL:
            return st.sampled_from(("SPY", "BRK.B", "NULL", "AND", "2X", "A1"))
        case Kind.DATE:
            return st.sampled_from(("2024-06-14", "2025-12-31"))
        case Kind.TS:
            return st.sampled_from(("2024-06-14T13:30:00.000Z", "2024-06-14T13:30:00.001Z"))
        case Kind.RATIO:
            return (
                st.sampled_from((0.25, 0.65, 1e-7))
                if field.type.hi == 1.0
                else st.sampled_from((0.25, 2.5, 123456.789))
            )
        case Kind.PERCENT:
            return st.sampled_from((5, -12.5, 0.0001))
        case Kind.MONEY:
            return st.sampled_from((1, 2.1, 0.0001 + 0, 99_999.9999))
        case _:
            return st.integers(1, 30_000)


@settings(max_examples=120)
@given(payload=flat())
def test_v2_survives_where(payload: dict[str, Any], sample: Sample) -> None:
    where = v2_to_where(payload, sample.bundle)
    assert where.result is not None, where.findings
    assert where.fidelity is Fidelity.EXACT
    back = where_to_v2(where.result, sample.bundle)
    assert _same(back.result) == _same(payload), where.result
    flat_object = v2_to_legacy(payload, sample.bundle)
    if flat_object.fidelity is Fidelity.UNSUPPORTED:
        assert payload["combinator"] == "or"
        return
    again = legacy_to_where(flat_object.result, sample.bundle)
    _relates(where.result, again.result, flat_object.fidelity, sample)
    if flat_object.fidelity is not Fidelity.EXACT:
        assert flat_object.reasons


def _relates(original: str, result: str, fidelity: Fidelity, sample: Sample) -> None:
    """Row by row as the fidelity says."""
    for before, after in zip(sample.answers(original), sample.answers(result), strict=True):
        if fidelity is Fidelity.EXACT:
            assert before == after, (original, result)
        elif fidelity is Fidelity.WIDER:
            assert after >= before, (original, result)


@settings(max_examples=120)
@given(text=filters())
def test_where_survives_v2(text: str, sample: Sample) -> None:
    v2 = where_to_v2(text, sample.bundle)
    if v2.result is None:
        return
    again = v2_to_where(v2.result, sample.bundle)
    assert again.result is not None, (text, again.findings)
    assert sample.answers(again.result) == sample.answers(text), (text, v2.result, again.result)
    if v2.fidelity is Fidelity.UNSUPPORTED:
        assert v2.result["clauses"] is None
        assert v2.reasons
        legacy = v2_to_legacy(v2.result, sample.bundle)
        assert (legacy.result, legacy.fidelity, legacy.reasons) == (None, Fidelity.UNSUPPORTED, v2.reasons)


@settings(max_examples=100)
@given(needle=st.text(alphabet='0123456789abcdefSPYQX-. *"\\é', max_size=8), joined=st.booleans())
def test_a_search_is_never_wider(needle: str, joined: bool, sample: Sample) -> None:
    clauses = [{"field": "fullText", "op": "contains", "value": needle}]
    where = v2_to_where({"version": 2, "combinator": "or" if joined else "and", "clauses": clauses}, sample.bundle)
    assert where.result is not None
    for row, kept in zip(sample.rows, sample.answers(where.result), strict=True):
        texts = (row[INDEX["symbol"]], row[INDEX["root"]])
        name = row_id(row[INDEX["trade_ts_utc"]], row[INDEX["trade_id"]])
        wanted = needle.lower() in name or any(needle.upper() in text for text in texts)
        assert kept == wanted if where.fidelity is Fidelity.EXACT else kept <= wanted, (needle, texts, name)


def test_an_id_finds_its_row(sample: Sample) -> None:
    for row in sample.rows[:20]:
        name = row_id(row[INDEX["trade_ts_utc"]], row[INDEX["trade_id"]])
        for payload in ({"id": name}, {"search": name.upper()}):
            where = legacy_to_where(payload, sample.bundle)
            assert where.fidelity is Fidelity.EXACT
            assert sample.answers(where.result) == [other is row for other in sample.rows]


def test_thresholds_of_each_version() -> None:
    assert thresholds(version("")) == {"100k": 100_000, "sizable": 250_000, "whales": 500_000, "largeSize": 1000}
    later = version("whales_min=$600,000.5 large_size_min=2k")
    assert thresholds(later) == {"100k": 100_000, "sizable": 250_000, "whales": 600_000.5, "largeSize": 2000}
    saved = legacy_to_v2({"whales": True}, version("")).result
    assert v2_to_legacy(saved, version("")).result == {"whales": True}
    assert v2_to_legacy(saved, later).result == {"minValue": 500_000}, "a later threshold changes nothing of it"
    few = [s for s in read_rules() if s.name in ("params.phx", "context.phx", "score.phx")]
    bundle, found = compile_bundle(
        [*few, Source("x.phx", 'chip whales = iso doc "x"\nchip sizable = value >= 5 doc "x"')]
    )
    assert bundle is not None, found
    assert thresholds(bundle) == {"sizable": 5}
    refused = legacy_to_v2({"whales": 1, "100k": True, "largeSize": None}, bundle)
    assert [d.code for d in refused.findings] == ["PHX102", "PHX102"]


def test_fidelities_combine() -> None:
    exact, wider, narrower, none = Fidelity
    assert combine([]) is combine([exact, exact]) is exact
    assert combine([exact, wider, wider]) is wider
    assert combine([narrower, exact]) is narrower
    assert combine([narrower, wider]) is none


# -- saving, and hostile JSON


def test_saving_takes_every_form(sample: Sample) -> None:
    bundle = sample.bundle
    clauses = [{"field": "canonical.premium", "op": "gte", "value": 500_000}]
    v2 = {"version": 2, "combinator": "and", "clauses": clauses}
    legacy = save({"whales": True, "symbol": None}, bundle)
    assert legacy == SavedPayload(v2, "value >= 500000", Fidelity.EXACT, ())
    assert save(v2, bundle) == legacy
    assert save({**v2, "version": 2.0}, bundle) == SavedPayload(
        {**v2, "version": 2.0}, "value >= 500000", Fidelity.EXACT, ()
    )
    text = save("value >= 500k", bundle)
    assert text == save({"where": "value >= 500k"}, bundle)
    assert isinstance(text, SavedPayload)
    assert (text.v2["clauses"][0]["field"], text.where, text.fidelity) == ("value", "value >= 500k", Fidelity.EXACT)
    nested = save("iso or (late and cross)", bundle)
    assert isinstance(nested, SavedPayload)
    assert (nested.v2["clauses"], nested.v2["where"], nested.fidelity) == (None, nested.where, Fidelity.UNSUPPORTED)
    assert save(nested.v2, bundle) == SavedPayload(nested.v2, nested.where, Fidelity.EXACT, ())
    for empty in ({}, "", " \n", {"where": ""}, {"version": 2, "combinator": "or", "clauses": []}):
        saved = save(empty, bundle)
        assert isinstance(saved, SavedPayload)
        assert saved.where == ""
    for wrong in ("value >=", {"minDte": "x"}, {**v2, "clauses": [{}]}, 5, None, [], {"nope": 1}):
        refused = save(wrong, bundle)
        assert isinstance(refused, tuple)
        assert refused


DEEP: Any = []
for _ in range(5_000):
    DEEP = [DEEP]
HOSTILE: tuple[Any, ...] = (
    math.nan,
    math.inf,
    -math.inf,
    10**5_000,
    -(10**400),
    1e308,
    5e-324,
    -0.0,
    "NaN",
    "1e999",
    "1" * 50,
    "٣",
    "0x10",
    "",
    " ",
    "\x00",
    "\ud800",
    "a\nb",
    '"""',
    "\\",
    '" or iso or "',
    "*",
    "🦊" * 100,
    "x" * 200_000,
    [],
    [[]],
    DEEP,
    {},
    {"$gt": 1},
    [{}],
    ["SPY", None],
    [None],
    [math.nan],
    [DEEP],
    ["SPY"] * 5_000,
    list(range(2_000)),
    True,
    False,
    None,
    0,
    1,
    b"bytes",
    "9999-12-31",
    "0001-01-01",
    "2026-02-30",
    "9999-12-31T23:59:59Z",
    "0001-01-01T00:00:00+14:00",
    20260918,
    10**12,
    1.5e12 + 0.5,
    "2026-W38-5",
    "1970-01-01T00:00:00Z",
)
OPS = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "contains", "has")


def test_any_value_gives_findings_or_a_filter(sample: Sample) -> None:
    """Every field, every operator, every hostile value: findings, or text that compiles; never an exception."""
    kinds = {BY_KEY[key].type.kind: key for key in BY_KEY}
    fields = (*kinds.values(), *OTHERS)
    refused = filtered = 0
    for field in fields:
        for op in OPS:
            for value in HOSTILE:
                payload = {"version": 2, "combinator": "and", "clauses": [{"field": field, "op": op, "value": value}]}
                where = v2_to_where(payload, sample.bundle)
                if where.result is None:
                    refused += 1
                    assert where.findings
                    for d in where.findings:
                        assert len(d.source.text) < 300
                        render_text(d).encode()
                else:
                    filtered += 1
                    where.result.encode()
                    assert not where.result or compile_condition(Source("w", where.result), sample.bundle.scope)[0]
                v2_to_legacy(payload, sample.bundle)
    assert refused > 1_000
    assert filtered > 100


@pytest.mark.parametrize(
    "name", ["symbol", "id", "from", "search", "calls", "whales", "chips", "minValue", "side", "monthly"]
)
def test_any_legacy_value_gives_findings_or_a_filter(name: str, sample: Sample) -> None:
    for value in HOSTILE:
        v2 = legacy_to_v2({name: value}, sample.bundle)
        where = legacy_to_where({name: value}, sample.bundle)
        assert (v2.result is None) == (where.result is None) == bool([d for d in v2.findings if d.severity == "error"])
        for d in where.findings:
            render_text(d).encode()


def test_odd_shapes_are_findings(sample: Sample) -> None:
    clause = {"field": "value", "op": "gte", "value": 1}
    v2 = {"version": 2, "combinator": "and", "clauses": [clause]}
    odd: list[Any] = [
        {**v2, "version": True},
        {**v2, "version": "2"},
        {**v2, "version": 3},
        {**v2, "version": None},
        {"version": 2, "clauses": [clause]},
        {**v2, "combinator": "xor"},
        {**v2, "combinator": ["and"]},
        {**v2, "clauses": {}},
        {**v2, "clauses": "x"},
        {**v2, "clauses": None},
        {"version": 2, "combinator": "and"},
        {**v2, "clauses": [clause] * (MOST_CLAUSES + 1)},
        {**v2, "clauses": [None]},
        {**v2, "clauses": [[]]},
        {**v2, "clauses": [{**clause, "extra": 1}]},
        {**v2, "clauses": [{"": 1}]},
        {**v2, "clauses": [{"field": "value"}]},
        {**v2, "clauses": [{**clause, "field": 5}]},
        {**v2, "clauses": [{**clause, "op": None}]},
        {**v2, "clauses": [{**clause, "op": {}}]},
        {**v2, "where": "iso"},
        {**v2, "__proto__": {}},
        {**v2, "\ud800": 1},
        {**v2, "clauses": None, "where": 5},
        {**v2, "clauses": None, "where": "value >="},
        {**v2, "clauses": [{**clause, "field": "__proto__"}]},
    ]
    for payload in odd:
        assert is_v2(payload)
        where = v2_to_where(payload, sample.bundle)
        assert where.result is None, payload
        assert where.findings
        for d in where.findings:
            render_text(d).encode()
        v2_to_legacy(payload, sample.bundle)
    for payload in (
        {f"k{i}": 1 for i in range(600)},
        {"__proto__": {"symbol": "SPY"}},
        {"constructor": "x"},
        {"\ud800": 1},
        {"": 1},
        {"where": "iso", "symbol": "SPY"},
        {"k" * 100_000: DEEP},
        "x",
        None,
        5,
        [DEEP],
        True,
    ):
        for convert in (legacy_to_v2, legacy_to_where):
            refused = convert(payload, sample.bundle)
            assert refused.result is None
            assert refused.fidelity is Fidelity.UNSUPPORTED
            for d in refused.findings:
                render_text(d).encode()


def test_params_are_kept_by_value(sample: Sample) -> None:
    v2 = where_to_v2("value >= $whales_min and sig_score >= $high_sig_min", sample.bundle)
    assert [clause["value"] for clause in v2.result["clauses"]] == [500_000, 0.9]
    assert v2.fidelity is Fidelity.EXACT
    assert len(v2.reasons) == 2


def test_every_named_field_has_its_own_core(sample: Sample) -> None:
    """A clause on a field reads that field and no other."""
    for key, field in BY_KEY.items():
        value = {Kind.BOOL: True, Kind.DATE: "2026-01-16", Kind.TS: 1_718_373_303_122, Kind.SYMBOL: "SPY"}.get(
            field.type.kind, field.type.members[0] if field.type.members else 1
        )
        clauses = [{"field": key, "op": "eq", "value": value}]
        where = v2_to_where({"version": 2, "combinator": "and", "clauses": clauses}, sample.bundle).result
        condition, _ = compile_condition(Source("w", where), sample.bundle.scope)
        assert condition is not None
        assert c.reads(condition.core) == {field.name}
        assert BY_NAME[field.name].json == key
