"""Data files of cases: a directive line, the input, ``----``, the expected text, a blank line.

``pytest --rewrite`` writes what the code gives today; read the diff before keeping it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

CASES = Path(__file__).parent / "cases"
HOSTILE = "\n".join(
    f'chip c{i} "C{i}" = {" or ".join(f"value = {j * 3 + i}" for j in range(450))} doc "x."' for i in range(6)
)
"""A rule file whose lints take long: each of a thousand cells is asked about each of hundreds of parts."""


@dataclass(frozen=True)
class Case:
    file: str
    line: int
    directive: str
    input: str
    expected: str


def read(file: str) -> list[Case]:
    out: list[Case] = []
    lines = (CASES / file).read_text("utf-8").split("\n")
    at = 0
    while at < len(lines):
        if not lines[at].strip() or lines[at].startswith("#"):
            at += 1
            continue
        start = at
        divider = lines.index("----", at)
        end = divider + 1
        # An expected text that holds blank lines ends with a second divider.
        while end < len(lines) and lines[end].strip():
            end += 1
        text = "\n".join(lines[divider + 1 : end])
        out.append(Case(file, start + 1, lines[start], "\n".join(lines[start + 1 : divider]), text))
        at = end
    return out


def rewrite(file: str, answer: Callable[[Case], str]) -> None:
    text = (CASES / file).read_text("utf-8")
    head = [line for line in text.split("\n") if line.startswith("# ")][:3]
    blocks = [f"{c.directive}\n{c.input}\n----\n{answer(c)}" for c in read(file)]
    (CASES / file).write_text("\n".join(head) + "\n\n" + "\n\n".join(blocks) + "\n", "utf-8")


def check(file: str, answer: Callable[[Case], str], rewriting: bool) -> None:
    if rewriting:
        rewrite(file, answer)
    wrong = []
    for case in read(file):
        got = answer(case)
        if got != case.expected:
            wrong.append(f"{file}:{case.line}: {case.input!r}\n--- expected\n{case.expected}\n--- got\n{got}")
    assert not wrong, "\n\n".join(wrong)
