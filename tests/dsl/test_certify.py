"""The proof: a seeded share of it, and that it catches a target that is wrong."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenix.cli.main import main
from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.source import Source
from phenix.engine import blocks
from phenix.engine.bundle import Bundle
from phenix.engine.certify import engines as proof
from phenix.engine.certify.certificate import Certificate, certify, compare
from phenix.engine.certify.engines import DERIVED, TARGETS, ClickHouseEngine, Engine, SqliteEngine, open_engines
from phenix.engine.certify.rows import draw_rows
from phenix.engine.certify.rules import REFUSALS, RandomRules
from phenix.engine.flow import FIELDS, INDEX, Part
from phenix.engine.targets import arrays, row
from phenix.engine.targets.clickhouse import ClickHouseTarget
from phenix.engine.targets.sqlite import SqliteTarget

AS_OF = 20


@pytest.fixture(scope="module")
def engines() -> Iterator[list[Engine]]:
    with open_engines() as (opened, skipped):
        assert not skipped, skipped
        yield opened


def test_derived_fields_are_those_of_the_catalog() -> None:
    assert set(DERIVED) == {field.name for field in FIELDS if field.part is Part.DERIVED}


@settings(max_examples=40, suppress_health_check=list(HealthCheck))
@given(rng=st.randoms(use_true_random=False))
def test_a_share_of_the_proof(rng: random.Random, bundle: Bundle, engines: list[Engine]) -> None:
    """Rules that Hypothesis draws, so that it shrinks what fails; rows at and next to their constants."""
    rules = RandomRules(rng, bundle.scope)
    texts, cores = [], []
    for _ in range(4):
        text = rules.rule()
        condition, found = compile_condition(Source("rule", text), bundle.scope)
        assert {d.code for d in found if d.severity == "error"} <= REFUSALS, (text, found)
        if condition is not None:
            texts.append(text)
            cores.append(condition.core)
    rows = draw_rows(random.Random(len(texts)), 40, cores, bundle.params, AS_OF)
    bundle.tag(rows)
    for one in rows:
        if one[INDEX["seq"]] % 2:
            one[INDEX["chips_known"]] &= 0x5555_5555
            one[INDEX["chips_set"]] &= one[INDEX["chips_known"]]
    for engine in engines:
        engine.load(rows, AS_OF, bundle)
    wrong = [(texts[i], rows[r], *rest) for i, r, *rest in compare(engines, cores)]
    assert not wrong, wrong[0]


def test_a_certificate_of_the_bundle(bundle: Bundle, engines: list[Engine]) -> None:
    told: list[int] = []
    made = certify(bundle, engines, pairs=30_000, seed=20_261_124, progress=told.append)
    assert made.clean, made.text()
    assert list(made.targets) == list(TARGETS)
    assert made.pairs == told[-1] >= 30_000
    assert made.refused < made.rules / 4  # the generator mostly draws what the checker takes
    assert made.checksum == bundle.checksum


# -- it catches what is wrong


class Like(SqliteTarget):
    """LIKE folds case, and knows other wildcards."""

    def _like(self, operand: c.Core, how: str, text: str, inside: bool) -> str:
        form = {"prefix": f"{text}%", "suffix": f"%{text}", "contains": f"%{text}%", "whole": text}[how]
        return f"{self._value(operand)} {'' if inside else 'NOT '}LIKE {self._bind(form)}"


class Whole(SqliteTarget):
    """Doubles that are whole numbers divide as integers."""

    FUNCTIONS: ClassVar = {**SqliteTarget.FUNCTIONS, "real": "CAST({} AS INTEGER)"}


class Unguarded(ClickHouseTarget):
    """``in`` of what is null is false, as ClickHouse has it of its own."""

    def _member(self, operand: c.Core, among: tuple[Any, ...], inside: bool, decided: bool) -> str:
        return f"ifNull({self._value(operand)} {'IN' if inside else 'NOT IN'} {self._bind(among)}, {int(not inside)})"


class Rounded(SqliteTarget):
    """Money is bound in whole cents."""

    def _bind(self, value: Any) -> str:
        return super()._bind(round(value, -2) if type(value) is int and abs(value) > 100 else value)


class Bits(SqliteTarget):
    """A chip that could not be decided is off."""

    FUNCTIONS: ClassVar = {
        **SqliteTarget.FUNCTIONS, "off": "(0 * ({known}) + ({on} & {})) = 0", "chip": "(0 * {} + ({on} & {})) {op} 0",
    }  # fmt: skip


def _truthy(node: c.Core, names: row.Names, want: bool, _rail: Any = row._rail) -> str:
    """An ``and`` by Python's own: what is unknown is as good as false."""
    if isinstance(node, c.And) and not want:
        return f"(not {_rail(node, names, True)})"
    return str(_rail(node, names, want))


class Blind(blocks.Block):
    """Chips as stored, whether they were decided or not."""

    def chip(self, bit: int) -> blocks.Column:
        return blocks.Column(super().chip(bit).values)


def engine_of(make: Callable[[], Engine]) -> Callable[[pytest.MonkeyPatch], Engine]:
    return lambda _: make()


def row_with(name: str, value: Any) -> Callable[[pytest.MonkeyPatch], Engine]:
    def make(patch: pytest.MonkeyPatch) -> Engine:
        patch.setattr(row, name, value)
        return proof.RowEngine()

    return make


def blind(patch: pytest.MonkeyPatch) -> Engine:
    patch.setattr(proof, "Block", Blind)
    return proof.ColumnsEngine()


def maskless(patch: pytest.MonkeyPatch) -> Engine:
    patch.setitem(arrays.OPERATIONS, "meet", lambda a, _: a)
    return proof.ColumnsEngine()


def negated_wrong(patch: pytest.MonkeyPatch) -> Engine:
    patch.setitem(c.NEGATED, "<", ">")
    return proof.RowEngine()


BROKEN: dict[str, Callable[[pytest.MonkeyPatch], Engine]] = {
    "SQLite: LIKE": engine_of(lambda: SqliteEngine(Like)),
    "SQLite: integer division": engine_of(lambda: SqliteEngine(Whole)),
    "SQLite: rounded money": engine_of(lambda: SqliteEngine(Rounded)),
    "SQLite: known bit of a chip ignored": engine_of(lambda: SqliteEngine(Bits)),
    "ClickHouse: in with null": engine_of(lambda: ClickHouseEngine(Unguarded)),
    "row: Python's and": row_with("_rail", _truthy),
    "row: <= for <": row_with("_OPS", {**row._OPS, "<": "<="}),
    "row: the opposite of < is >": negated_wrong,
    "columns: known bit of a chip ignored": blind,
    "columns: a validity mask forgotten": maskless,
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_lowering_is_caught(name: str, bundle: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    reference = proof.ReferenceEngine()
    broken = BROKEN[name](monkeypatch)
    try:
        made = certify(bundle, [reference, broken], pairs=100_000, seed=1, most=1)
    finally:
        broken.close()
    assert not made.clean, name
    (mismatch,) = made.mismatches
    assert mismatch.target == broken.name
    assert len(mismatch.rule) <= len(mismatch.drawn)


# -- the command


def test_the_command_writes_a_record(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    record = tmp_path / "certificate.json"
    assert main(["certify", "--pairs", "5000", "--seed", "3", "--output", str(record)]) == 0
    shown = capsys.readouterr().out
    assert "0 mismatches" in shown
    written = json.loads(record.read_text("utf-8"))
    assert set(written) == set(Certificate.__dataclass_fields__)
    assert (written["seed"], written["mismatches"], list(written["targets"])) == (3, [], list(TARGETS))


def test_the_command_says_what_it_skips(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proof, "_NEEDS", {"clickhouse": "a_package_nobody_has"})
    assert main(["certify", "--pairs", "100", "--seed", "3"]) == 0
    assert "skipped: clickhouse: the package `a_package_nobody_has` is not installed" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--pairs", "0"], "--pairs is a number above zero"),
        (["nowhere.phx"], "nowhere.phx: there is no such file or folder"),
        (["--pairs", "100", "--seed", "1", "--output", "no/such/folder.json"], "No such file"),
    ],
)
def test_the_command_refuses(args: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["certify", *args]) == 2
    assert said in capsys.readouterr().err


def test_the_command_needs_rules_that_compile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = tmp_path / "broken.phx"
    broken.write_text("chip x = nope doc 'x'", "utf-8")
    assert main(["certify", str(broken)]) == 2
    assert "the rules do not compile" in capsys.readouterr().err


def test_the_command_exits_with_1_for_a_mismatch(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(row, "_OPS", {**row._OPS, "<": "<="})
    assert main(["certify", "--pairs", "2000", "--seed", "1"]) == 1
    assert "row, asked for" in capsys.readouterr().out


def test_a_seed_draws_the_same_rules_in_every_process() -> None:
    program = (
        "import random; from phenix import app; from phenix.engine.certify.rules import RandomRules;"
        "rules = RandomRules(random.Random(1), app.packaged_bundle().scope);"
        "print('\\n'.join(rules.rule() for _ in range(200)))"
    )
    drawn = [
        subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True,
                       env={**os.environ, "PYTHONHASHSEED": seed}).stdout
        for seed in ("0", "1")
    ]  # fmt: skip
    assert drawn[0] == drawn[1]
    assert len(drawn[0].splitlines()) == 200
