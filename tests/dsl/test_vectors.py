"""The conformance vectors on every target: as written, printed, with rows shuffled, and paged one at a time."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.diagnostics import has_errors
from phenix.dsl.passes import normalize
from phenix.dsl.printer import print_expression
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.certify.engines import TARGETS, Engine, open_engines
from phenix.engine.certify.rows import PLAIN
from phenix.engine.flow import BY_NAME, ENRICHED, INDEX, RAW, STORED
from phenix.engine.query.page import Page, fetch_page
from phenix.engine.query.request import FlowRequest
from phenix.engine.store.base import Batch
from phenix.engine.store.sqlite import open_reader, open_writer
from tests.dsl import oracle
from tests.dsl.vectors import FOLDER, Section, Vector, read, rewrite

FILES = sorted(FOLDER.glob("*.txt"))


@dataclass
class Table:
    """A section with its rows stored and its cases compiled."""

    section: Section
    bundle: Bundle
    rows: list[list[Any]]
    cores: list[c.Core]


@pytest.fixture(scope="module")
def engines() -> Iterator[list[Engine]]:
    with open_engines() as (opened, skipped):
        assert not skipped, skipped  # every target is a dependency of these tests
        assert [engine.name for engine in opened] == list(TARGETS)
        yield opened


def compiled(vector: Vector, bundle: Bundle) -> c.Core:
    condition, found = compile_condition(Source("where", vector.text), bundle.scope)
    assert condition is not None, (vector.place, vector.text, [d.message for d in found])
    assert not has_errors(found), (vector.place, [d.message for d in found])
    # The canonical text means the same tree, and stays as it is when printed again.
    again, found = compile_condition(Source("where", condition.text), bundle.scope)
    assert again is not None, (vector.place, condition.text, found)
    assert again.core == condition.core, (vector.place, condition.text)
    assert print_expression(again.node) == condition.text, vector.place
    return condition.core


def tables(path: Path, packaged: Bundle) -> Iterator[Table]:
    for section in read(path):
        bundle = section.bundle(packaged)
        rows = section.rows(bundle)
        yield Table(section, bundle, rows, [compiled(vector, bundle) for vector in section.vectors])


def test_there_are_enough() -> None:
    vectors = [(section.title, v.text) for path in FILES for section in read(path) for v in section.vectors]
    assert len(vectors) == len(set(vectors)) > 3_500


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_target_gives_the_answers(path: Path, bundle: Bundle, engines: list[Engine], rewriting: bool) -> None:
    wrong = []
    written: dict[str, list[bool | None]] = {}
    for table in tables(path, bundle):
        vectors, cores, as_of = table.section.vectors, table.cores, len(table.rows)
        shuffled = random.Random(table.section.title).sample(table.rows, as_of)
        normal = [normalize(core) for core in cores]
        for engine in engines:
            engine.load(table.rows, as_of, table.bundle)
            asked = {"answers": engine.answers(cores), "normal form": engine.answers(normal)}
            kept = {"kept": engine.matches(cores), "kept by its normal form": engine.matches(normal)}
            engine.load(shuffled, as_of, table.bundle)
            asked["answers of shuffled rows"] = engine.answers(cores)
            if rewriting and engine.name == "reference":
                written |= {v.place: answers for v, answers in zip(vectors, asked["answers"], strict=True)}
            for i, vector in enumerate(vectors):
                right = list(vector.answers) if not rewriting else written[vector.place]
                wrong += [
                    f"{vector.place}: {vector.text}\n  {engine.name}, {what}: {found[i]}, not {right}"
                    for what, found in asked.items()
                    if found[i] != right
                ]
                wrong += [
                    f"{vector.place}: {vector.text}\n  {engine.name}, {what}: {found[i]} of {right}"
                    for what, found in kept.items()
                    if found[i] != [answer is True for answer in right]
                ]
    assert not wrong, "\n".join(wrong)
    if rewriting:
        rewrite(path, written)


def kind(name: str) -> str:
    return "bool" if name.startswith("@") else str(BY_NAME[name].type.kind)


def cells(section: Section) -> list[dict[str, oracle.V]]:
    """The table as the other reader has it; what it does not name is unknown, or as in the plain row."""
    plain = {field.name: oracle.V(kind(field.name), PLAIN.get(field.name)) for field in STORED}
    for name, value in plain.items():
        if value.kind == "money" and value.value is not None:
            plain[name] = oracle.V("money", Fraction(value.value, 10_000))
    plain["time_et"] = oracle.V("time", PLAIN["trade_ts_et"] % 86_400_000)
    named = (zip(section.fields, row, strict=True) for row in section.table)
    return [plain | {name: oracle.cell(text, kind(name)) for name, text in row} for row in named]


def test_the_answers_are_right_by_another_reading() -> None:
    """By exact rationals and a reader that shares no code with the product."""
    wrong, read_at_all = [], 0
    for path in FILES:
        for section in read(path):
            rows = cells(section)
            for vector in section.vectors:
                try:
                    found = tuple(oracle.answer(vector.text, row) for row in rows)
                except oracle.Unreadable:
                    assert path.stem == "definitions", (vector.place, vector.text)  # names that this reader is not told
                    continue
                read_at_all += 1
                if found != vector.answers:
                    wrong.append(f"{vector.place}: {vector.text}\n  {found}, not {vector.answers}")
    assert not wrong, f"{len(wrong)} of {read_at_all}:\n" + "\n".join(wrong)
    assert read_at_all > 3_000


def test_pages_of_one_row_give_the_rows_that_match(bundle: Bundle, tmp_path: Path) -> None:
    pages = 0
    for path in FILES:
        for number, section in enumerate(read(path)):
            made = section.bundle(bundle)
            rows = section.rows(made)
            stored = tmp_path / f"{path.stem}-{number}.sqlite"
            with open_writer(stored) as writer:
                writer.append(Batch([tuple(row[: len(RAW)]) for row in rows]))
                writer.append_enriched([(row[0], row[1], *row[-len(ENRICHED) :]) for row in rows])
            with open_reader(stored) as reader:
                for vector in section.vectors:
                    seqs, cursor = [], ""
                    while len(seqs) <= len(rows):
                        request = FlowRequest(
                            (("where", vector.text),), sessions=1_000, limit=1, descending=False, cursor=cursor,
                            include_cancelled=True,
                        )  # fmt: skip
                        page = fetch_page(reader, request, made)
                        assert isinstance(page, Page), (vector.place, page)
                        seqs += [row[INDEX["seq"]] for row in page.rows]
                        pages += 1
                        if page.next_cursor is None:
                            break
                        cursor = page.next_cursor
                    assert seqs == [i for i, a in enumerate(vector.answers, 1) if a is True], vector.place
    assert pages > 5_000
