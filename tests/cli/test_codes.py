"""Every diagnostic code: its example gives it at the marked place, its remedy does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phenix.cli.codes import find_code, run_example
from phenix.cli.main import main
from phenix.dsl.codes import CODES, MARKS, Code, Form, slug


def marked(code: Code) -> tuple[str, int, int]:
    before, rest = code.example.split(MARKS[0])
    within, after = rest.split(MARKS[1])
    return before + within + after, len(before), len(before) + len(within)


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_the_example_gives_the_code_at_the_marked_place(code: Code) -> None:
    text, start, end = marked(code)
    found = [f for f in run_example(code, code.example) if f.code == code.id]
    assert found, f"{code.id} is not given by its example"
    if code.form is Form.PARAMETER:
        # Places are within the value of the parameter that is named.
        assert text[:start].endswith(f"{found[0].source}=")
        assert found[0].span in (None, (0, end - start))
    elif code.form is Form.PAYLOAD:
        assert json.loads(text[start:end]) is not None
    else:
        assert (start, end) in [f.span for f in found], [f.text for f in found]


@pytest.mark.parametrize("code", CODES.values(), ids=CODES)
def test_the_remedy_is_free_of_it(code: Code) -> None:
    found = run_example(code, code.remedy)
    assert [f.text for f in found if f.code == code.id] == []
    if code.form is not Form.FILE:
        assert [f.text for f in found] == []


def test_codes_are_sorted_and_named_once() -> None:
    assert list(CODES) == sorted(CODES)
    names = [code.name for code in CODES.values()]
    assert len(names) == len(set(names))
    assert {find_code(name) for name in names} == set(CODES.values())


def test_every_code_has_a_page() -> None:
    pages = {path.stem for path in (Path(__file__).parents[2] / "docs/diagnostics").glob("PHX*.md")}
    assert pages == {slug(code) for code in CODES.values()}


def test_explain_prints_the_page(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "phx104"]) == 0
    page = capsys.readouterr().out
    assert page.startswith("# PHX104 unit-mismatch\n")
    assert "error[unit-mismatch] PHX104: `value` is money, `5m` is a duration\n  where:1:10" in page
    assert main(["explain", "unit-mismatch"]) == 0
    assert capsys.readouterr().out == page
