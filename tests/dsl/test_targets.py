"""The bundled chips mean the same on every target, on many rows and on real tapes."""

from __future__ import annotations

import os
import sqlite3
from collections import Counter
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

from phenix.dsl import core as c
from phenix.dsl.scope import Scope
from phenix.engine.block_tagger import compile_block_tagger
from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle, load_bundle
from phenix.engine.certify.engines import ColumnsEngine, SqliteEngine
from phenix.engine.certify.rules import RandomRules
from phenix.engine.flow import INDEX, STORED
from phenix.engine.targets.reference import evaluate
from tests.dsl.rows import random_rows, read

AS_OF = 100_000


def reference(core: c.Core, row: list[Any], bundle: Bundle) -> Any:
    def chip(name: str) -> Any:
        bit = 1 << bundle.bits[name]
        if not row[INDEX["chips_known"]] & bit:
            return None
        return bool(row[INDEX["chips_set"]] & bit)

    answer = evaluate(core, lambda name: read(row, name, AS_OF), bundle.params, chip)
    return None if answer is None else bool(answer)


def agree_on_chips(bundle: Bundle, rows: list[list[Any]]) -> dict[str, Counter[Any]]:
    """Every chip on every row, tagged one by one and as a block, and asked of the reference, columns and SQLite."""
    assert {chip.id for chip in bundle.chips} == set(bundle.bits)
    seen: dict[str, Counter[Any]] = {}
    tagged = []
    for number, row in enumerate(rows, 1):
        copy = list(row)
        copy[INDEX["seq"]] = copy[INDEX["trade_id"]] = number
        tagged.append(copy)
    bundle.tag(tagged)
    tags = compile_block_tagger(bundle)(Block.of_rows(tagged))
    on, known = INDEX["chips_set"], INDEX["chips_known"]
    assert tags.chips_set.tolist() == [row[on] for row in tagged]
    assert tags.chips_known.tolist() == [row[known] for row in tagged]
    others = [ColumnsEngine(), SqliteEngine()]
    for engine in others:
        engine.load(tagged, AS_OF, bundle)
    for chip in bundle.chips:
        bit = 1 << chip.bit
        # Cancel records and compressions carry no chips, whatever their rules say.
        bare = [row[INDEX["cancel_record"]] or row[INDEX["compression"]] for row in tagged]
        by_row = [bool(r[on] & bit) if r[known] & bit else None for r in tagged]
        by_reference = [reference(chip.core, r, bundle) for r in tagged]
        assert by_row == [False if b else x for b, x in zip(bare, by_reference, strict=True)], chip.id
        for engine in others:
            assert engine.answers([chip.core])[0] == by_reference, (engine.name, chip.id)
        seen[chip.id] = Counter(by_row)
    for engine in others:
        engine.close()
    return seen


@pytest.mark.no_cover  # 2.7 million evaluations by the reference: traced they take minutes
@pytest.mark.timeout(600)
def test_bundled_chips_agree_on_generated_rows(bundle: Bundle) -> None:
    seen = agree_on_chips(bundle, random_rows(bundle, 100_000, seed=20_240_614))
    for chip in bundle.chips:
        expected = {True, False} | ({None} if c.nullable(chip.core) else set())
        assert set(seen[chip.id]) == expected, (chip.id, seen[chip.id])


@st.composite
def filters(draw: st.DrawFn) -> str:
    """Texts of the proof's generator, over the names of the packaged rules."""
    return RandomRules(draw(st.randoms(use_true_random=False)), scope()).condition(1)


@cache
def scope() -> Scope:
    loaded, found = load_bundle()
    assert loaded is not None, found
    return loaded.scope


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
        bundle.tag(rows)
        assert rows == stored, "tagging a stored row again changes nothing"
        assert len(rows) > 90
