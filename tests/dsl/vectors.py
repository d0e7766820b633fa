"""The conformance vectors: files of sections, each a table of rows and expressions with an answer per row."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from phenix.dsl.compiler import compile_program
from phenix.dsl.diagnostics import has_errors
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.certify.rows import plain
from phenix.engine.flow import CATALOG, INDEX, STORED

FOLDER = Path(__file__).parent / "vectors"
LETTERS = {"T": True, "F": False, "?": None}
SHOWN = {answer: letter for letter, answer in LETTERS.items()}


@dataclass(frozen=True)
class Vector:
    """One case: where it stands, its expression, and the answer on each row of its section."""

    place: str
    text: str
    answers: tuple[bool | None, ...]


@dataclass
class Section:
    title: str
    definitions: list[str] = field(default_factory=list)
    fields: list[str] = field(default_factory=list)
    table: list[list[str]] = field(default_factory=list)
    vectors: list[Vector] = field(default_factory=list)

    def bundle(self, packaged: Bundle) -> Bundle:
        """The packaged rules, with the section's definitions."""
        if not self.definitions:
            return packaged
        more = Source("section.phx", "\n".join(self.definitions))
        made, found = compile_bundle([*read_rules(), more], packaged.bits)
        assert made is not None, (self.title, [d.message for d in found])
        return made

    def rows(self, bundle: Bundle) -> list[list[Any]]:
        """The table as stored rows, numbered from 1."""
        names = [name for name in self.fields if not name.startswith("@")]
        cells = [dict(zip(self.fields, row, strict=True)) for row in self.table]
        tests = "\n".join(
            'test "row" for iso { ' + ", ".join(f"{name}: {row[name]}" for name in names) + " } => unknown"
            for row in cells
        )
        program, found = compile_program([Source(self.title, tests)], CATALOG)
        assert not has_errors(found), (self.title, [d.message for d in found])
        out = []
        for number, (case, shown) in enumerate(zip(program.cases, cells, strict=True), 1):
            assert set(case.row) == set(names), (self.title, number, set(names) - set(case.row))
            row = plain(**stored(dict(case.row)))
            row[INDEX["seq"]] = row[INDEX["trade_id"]] = number
            for name in shown.keys() - case.row.keys():
                bit = 1 << bundle.bits[name[1:]]
                row[INDEX["chips_known"]] |= bit if shown[name] != "unknown" else 0
                row[INDEX["chips_set"]] |= bit if shown[name] == "true" else 0
            assert all(row[i] is not None for i, f in enumerate(STORED) if not f.nullable), (self.title, number)
            out.append(row)
        return out


def stored(values: dict[str, Any]) -> dict[str, Any]:
    """Fields that are derived, as the stored values they are derived from."""
    if "time_et" in values:
        values["trade_ts_et"] = 19_888 * 86_400_000 + values.pop("time_et")
    if "cancelled" in values:
        values["cancelled_seq"] = 1 if values.pop("cancelled") else None
    return values


def read(path: Path) -> list[Section]:
    sections: list[Section] = []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        word, _, rest = line.partition(" ")
        rest = rest.strip()
        if not line.strip() or word == "#":
            continue
        if word == "section":
            sections.append(Section(rest))
        elif word == "define":
            sections[-1].definitions.append(rest)
        elif word == "fields":
            sections[-1].fields = rest.split()
        elif word == "row":
            sections[-1].table.append(re.split(r"\s{2,}", rest))
        else:
            answers = tuple(LETTERS.get(letter) for letter in word)
            sections[-1].vectors.append(Vector(f"{path.name}:{number}", rest, answers))
    return sections


def rewrite(path: Path, answers: dict[str, list[bool | None]]) -> None:
    """Write the answers, by place, into the file."""
    lines = path.read_text("utf-8").splitlines()
    for number, line in enumerate(lines, 1):
        found = answers.get(f"{path.name}:{number}")
        if found is not None:
            lines[number - 1] = "".join(SHOWN[answer] for answer in found) + "  " + line.partition(" ")[2].strip()
    path.write_text("\n".join(lines) + "\n", "utf-8")
