"""Data files of cases: a request, ``----``, the expected answer, a blank line.

``pytest --rewrite`` writes what the code gives today; read the diff before keeping it.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

CASES = Path(__file__).parent / "cases"


def check(name: str, answer: Callable[[str], str], *, rewriting: bool) -> list[str]:
    """Compare every answer with the file; returns the requests."""
    path = CASES / name
    head, *blocks = path.read_text("utf-8").strip("\n").split("\n\n")
    cases = [tuple(part.strip("\n") for part in block.split("----", 1)) for block in blocks]
    got = [(asked, answer(asked)) for asked, _ in cases]
    if rewriting:
        path.write_text("\n\n".join([head, *(f"{asked}\n----\n{found}" for asked, found in got)]) + "\n", "utf-8")
    wrong = [
        f"{asked}\n--- expected\n{expected}\n--- got\n{found}"
        for (asked, expected), (_, found) in zip(cases, got, strict=True)
        if expected != found
    ]
    assert rewriting or not wrong, f"{name}:\n" + "\n\n".join(wrong)
    return [asked for asked, _ in cases]
