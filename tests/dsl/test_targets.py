"""The three targets mean the same: reference, generated row function, SQLite."""

from __future__ import annotations

import os
import random
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.diagnostics import has_errors
from phenix.dsl.printer import print_expression
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, ENRICHED, INDEX, RAW, STORED
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.targets.reference import evaluate
from phenix.engine.targets.sqlite import SqliteTarget
from tests.dsl.rows import plain, random_rows, read

AS_OF = 100_000


def database(rows: list[list[Any]]) -> sqlite3.Connection:
    """The two tables of the store, as far as columns go, filled with rows."""
    db = sqlite3.connect(":memory:")
    for table, part in (("t", RAW), ("e", ENRICHED)):
        # No declared types: what is bound is what is compared.
        columns = ", ".join(f'"{f.column or f.name}"' for f in part)
        db.execute(f"CREATE TABLE {table} (seq_{table} INTEGER PRIMARY KEY, {columns})")
        db.executemany(
            f"INSERT INTO {table} VALUES ({', '.join('?' * (len(part) + 1))})",
            ((r[0], *(r[INDEX[f.name]] for f in part)) for r in rows),
        )
    return db


def sql(db: sqlite3.Connection, target: tuple[str, tuple[Any, ...]]) -> list[Any]:
    text, bound = target
    found = db.execute(f"SELECT ({text}) FROM t JOIN e ON seq_t = seq_e ORDER BY seq_t", bound).fetchall()
    return [None if v is None else bool(v) for (v,) in found]


def reference(core: c.Core, row: list[Any], bundle: Bundle) -> Any:
    def chip(name: str) -> Any:
        bit = 1 << bundle.bits[name]
        if not row[INDEX["chips_known"]] & bit:
            return None
        return bool(row[INDEX["chips_set"]] & bit)

    answer = evaluate(core, lambda name: read(row, name, AS_OF), bundle.params, chip)
    return None if answer is None else bool(answer)


def target(bundle: Bundle) -> SqliteTarget:
    return SqliteTarget(lambda name: BY_NAME[name].sql, bundle.bits.__getitem__, bundle.params, AS_OF)


def agree_on_chips(bundle: Bundle, rows: list[list[Any]]) -> dict[str, Counter[Any]]:
    """Every chip on every row by all three; the answers counted."""
    assert {chip.id for chip in bundle.chips} == set(bundle.bits)
    seen: dict[str, Counter[Any]] = {}
    tagged = []
    for row in rows:
        copy = list(row)
        bundle.tag(copy)
        tagged.append(copy)
    db = database(tagged)
    on, known = INDEX["chips_set"], INDEX["chips_known"]
    for chip in bundle.chips:
        bit = 1 << chip.bit
        by_row = [bool(r[on] & bit) if r[known] & bit else None for r in tagged]
        by_reference = [reference(chip.core, r, bundle) for r in tagged]
        by_sql = sql(db, target(bundle).three_valued(chip.core))
        assert by_row == by_reference, chip.id
        assert by_sql == by_reference, chip.id
        seen[chip.id] = Counter(by_row)
    return seen


@pytest.mark.no_cover  # 2.7 million evaluations by the reference: traced they take minutes
@pytest.mark.timeout(600)
def test_bundled_chips_agree_on_generated_rows(bundle: Bundle) -> None:
    seen = agree_on_chips(bundle, random_rows(bundle, 100_000, seed=20_240_614))
    for chip in bundle.chips:
        expected = {True, False} | ({None} if c.nullable(chip.core) else set())
        assert set(seen[chip.id]) == expected, (chip.id, seen[chip.id])


def test_score_agrees_bit_for_bit(bundle: Bundle) -> None:
    assert bundle.score is not None
    rows = random_rows(bundle, 2_000, seed=3)
    db = database(rows)
    holder = target(bundle)
    holder.bound = []
    text = holder._value(bundle.score.core)
    found = [v for (v,) in db.execute(f"SELECT {text} FROM t JOIN e ON seq_t = seq_e ORDER BY seq_t", holder.bound)]
    for row, by_sql in zip(rows, found, strict=True):
        bundle.tag(row)
        by_reference = evaluate(bundle.score.core, lambda name, r=row: read(r, name), bundle.params, lambda _: None)
        assert row[INDEX["sig_score"]] == by_reference == by_sql
    assert len({r[INDEX["sig_score"]] for r in rows}) > 100


# -- random filters over random rows

FIELDS = {
    "money": ("value", "price", "bid", "ask", "spot", "strike"),
    "int": ("size", "dte", "repeat3m", "oi", "day_volume", "symbol_vol_1m"),
    "ratio": ("vol_oi_ratio", "bullish_ratio_15m", "sig_score", "symbol_vol_baseline_15m"),
    "percent": ("otm_pct",),
}
LITERALS = {
    "money": ("0", "100k", "$2.05", "2.00005", "99999.9999", "1M", "200B"),
    "int": ("0", "14", "14.5", "20", "1k", "-3"),
    "ratio": ("0", "0.5", "65%", "2.5", "1"),
    "percent": ("5%", "0%", "-15%", "15%"),
}


def value_text(draw: st.DrawFn, kind: str, depth: int) -> str:
    shape = draw(st.sampled_from(("field", "field", "literal", "sum", "scaled", "extreme", "abs", "else")))
    if depth == 0 or shape == "field":
        return draw(st.sampled_from(FIELDS[kind]))
    if shape == "literal":
        return draw(st.sampled_from(LITERALS[kind]))
    inner = value_text(draw, kind, depth - 1)
    if shape == "sum":
        return f"({inner} {draw(st.sampled_from('+-'))} {value_text(draw, kind, depth - 1)})"
    if shape == "scaled":
        return f"{draw(st.sampled_from(('2', '10%', '-1', '0.5')))} * {inner}"
    if shape == "extreme":
        return f"{draw(st.sampled_from(('min', 'max')))}({inner}, {value_text(draw, kind, depth - 1)})"
    if shape == "abs":
        return f"abs({inner})"
    return f"({inner} ?? {draw(st.sampled_from(LITERALS[kind]))})"


SHAPES = ("compare", "compare", "in", "enum", "flag", "chip", "null", "ratio", "not", "and", "or", "is")


@st.composite
def filters(draw: st.DrawFn, depth: int = 3) -> str:
    shape = draw(
        st.sampled_from(("compare", "compare", "in", "enum", "flag", "chip", "null", "ratio", "not", "and", "or", "is"))
    )
    if depth == 0 or shape == "compare":
        kind = draw(st.sampled_from(tuple(FIELDS)))
        op = draw(st.sampled_from(("=", "!=", "<", "<=", ">", ">=")))
        return f"{value_text(draw, kind, 2)} {op} {value_text(draw, kind, 2)}"
    if shape == "in":
        kind = draw(st.sampled_from(tuple(FIELDS)))
        items = draw(st.lists(st.sampled_from(LITERALS[kind]), max_size=4))
        return f"{draw(st.sampled_from(FIELDS[kind]))} {draw(st.sampled_from(('in', 'not in')))} {{{', '.join(items)}}}"
    if shape == "enum":
        return draw(st.sampled_from((
            "side = aa", "side != bid", "side in {AA, ASK}", "side not in {mid}", "symbol = spy", 'symbol like "S*"',
            'root not like "*P*"', "session in {regular, curb}", "side in {}", "spot_source = file",
        )))  # fmt: skip
    if shape == "flag":
        return draw(st.sampled_from(("opening", "monthly", "not opening", "cancelled", "opening = false", "iso")))
    if shape == "chip":
        return draw(st.sampled_from(("@whales", "@urgent", "@vol_oi", "not @repeat_flow", "@otm is unknown")))
    if shape == "null":
        name = draw(st.sampled_from(("oi", "side", "spot", "vol_oi_ratio", "value")))
        return f"{name} is {draw(st.sampled_from(('', 'not ')))}null"
    if shape == "ratio":
        return draw(st.sampled_from((
            "day_volume / oi > 1.5", "value / spot >= 2", "bid / ask < 0.9", "size / 3 = 5", "1 / repeat3m <= 0.05",
            "clamp(vol_oi_ratio / 5, 0, 1) > 0.3", "tent(otm_pct, 0, 10, 30) >= 0.5", "spot_age_ms <= 3m",
            "time_et in 09:30 ET..<10:30 ET", "expiration > 2024-06-14", "trade_ts_utc >= 2024-06-14T14:00:00Z",
        )))  # fmt: skip
    inner = draw(filters(depth=depth - 1))
    if shape == "not":
        return f"not ({inner})"
    if shape == "is":
        return f"({inner}) is {draw(st.sampled_from(('true', 'false', 'unknown', 'not true')))}"
    return f"({inner}) {shape} ({draw(filters(depth=depth - 1))})"


class Sample:
    """Tagged rows and the database that holds them; a class of its own for its short repr."""

    def __init__(self, rows: list[list[Any]]) -> None:
        self.rows, self.db = rows, database(rows)


@pytest.fixture(scope="module")
def sample(bundle: Bundle) -> Sample:
    rows = random_rows(bundle, 400, seed=11)
    rng = random.Random(5)
    for row in rows:
        bundle.tag(row)
        if rng.random() < 0.2:
            row[INDEX["cancelled_seq"]] = rng.choice((AS_OF, AS_OF + 1))
    return Sample(rows)


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(text=filters())
def test_random_filters_agree(text: str, bundle: Bundle, sample: Sample) -> None:
    rows, db = sample.rows, sample.db
    condition, found = compile_condition(Source("where", text), bundle.scope)
    if condition is None:  # refused by bounds analysis: the only refusal well-typed texts may meet
        assert {d.code for d in found if d.severity == "error"} <= {"PHX110", "PHX106"}, (text, found)
        return
    expected = [reference(condition.core, row, bundle) for row in rows]
    assert sql(db, target(bundle).three_valued(condition.core)) == expected, text
    predicate = compile_predicate([("where", text)], bundle)
    assert isinstance(predicate, Predicate)
    assert [predicate.matches(r, AS_OF) for r in rows] == [e is True for e in expected], text
    # A WHERE clause holds exactly where the condition is true.
    where, bound = predicate.sql(AS_OF)
    kept = [
        s for (s,) in db.execute(f"SELECT seq_t FROM t JOIN e ON seq_t = seq_e WHERE {where} ORDER BY seq_t", bound)
    ]
    assert kept == [r[0] for r, e in zip(rows, expected, strict=True) if e is True], text
    # p, not p and "p is unknown" part the rows.
    for part, wanted in (("not ({})", False), ("({}) is unknown", None)):
        other, _ = compile_condition(Source("where", part.format(text)), bundle.scope)
        assert other is not None
        hits = [reference(other.core, row, bundle) is True for row in rows]
        assert hits == [e is wanted for e in expected], (part, text)
    # Printing keeps the meaning, and printing again changes nothing.
    again, found = compile_condition(Source("where", condition.text), bundle.scope)
    assert again is not None, (condition.text, found)
    assert not has_errors(found)
    assert again.core == condition.core
    assert print_expression(again.node) == condition.text


def test_changing_a_literal_changes_parameters_only(bundle: Bundle) -> None:
    def compiled(text: str) -> tuple[str, tuple[Any, ...]]:
        predicate = compile_predicate([("where", text)], bundle)
        assert isinstance(predicate, Predicate)
        return predicate.sql(AS_OF)

    a, b = compiled("value >= 250k and symbol in {SPY, QQQ}"), compiled("value >= 300k and symbol in {IWM, DIA}")
    assert a[0] == b[0]
    assert a[1] != b[1]


@pytest.mark.parametrize("row", [plain(price=21_100, bid=20_000, ask=21_000)])
def test_money_is_exact_where_doubles_are_not(row: list[Any], bundle: Bundle) -> None:
    # 2.10 + max(0.01, 10% of 0.10) is 2.11 in decimals; in doubles 2.11 falls short of it.
    assert not 2.10 + max(0.01, 0.10 * (2.10 - 2.00)) <= 2.11
    text = "price >= ask + max(0.01, 10% * (ask - bid))"
    condition, _ = compile_condition(Source("where", text), bundle.scope)
    assert condition is not None
    assert reference(condition.core, row, bundle) is True
    assert sql(database([row]), target(bundle).three_valued(condition.core)) == [True]
    predicate = compile_predicate([("where", text)], bundle)
    assert isinstance(predicate, Predicate)
    assert predicate.matches(row, 0)


def test_bundled_chips_agree_on_the_tapes(bundle: Bundle, tmp_path: Path) -> None:
    folder = os.environ.get("PHENIX_TAPES")
    if not folder:
        pytest.skip("PHENIX_TAPES names no folder of tapes")
    from phenix.cli.main import main

    for stem in ("spy_2024-06-14", "vix_2016-06-01_morning", "goog_2015-12-24"):
        prints = next(Path(folder).glob(f"{stem}*trade_quote.csv"))
        extra = []
        for option, kind in (("--open-interest", "open_interest"), ("--underlying", "underlying_quote")):
            extra += [x for p in Path(folder).glob(f"{stem}*{kind}.csv") for x in (option, str(p))]
        path = tmp_path / f"{stem}.sqlite"
        assert main(["import", str(prints), *extra, "--store", f"sqlite:{path}"]) == 0
        db = sqlite3.connect(path)
        columns = ", ".join(f.sql for f in STORED)
        join = "option_trades t JOIN option_trade_enriched e ON t.seq = e.seq"
        rows = [list(r) for r in db.execute(f"SELECT {columns} FROM {join} ORDER BY t.seq")]
        db.close()
        stored = [list(r) for r in rows]
        agree_on_chips(bundle, rows)
        for row, kept in zip(rows, stored, strict=True):
            bundle.tag(row)
            assert row == kept, "tagging a stored row again changes nothing"
        assert len(rows) > 90
