"""Commands shown in data files: the command line, what it is given, how it exits and what it says.

The directive is the command line, the input is standard input. In the expected text a line of standard error begins
with ``! ``, and an empty line is ``~``.
"""

from __future__ import annotations

import io
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from phenix.cli.explain import _subject
from phenix.cli.main import main
from phenix.dsl.source import Source
from phenix.dsl.types import Value
from phenix.engine.bundle import compile_bundle, load_bundle, read_rules
from phenix.engine.flow import BY_NAME, INDEX
from tests.dsl.corpus import Case, check
from tests.dsl.rows import random_rows
from tests.dsl.test_targets import reference

CASES = Path(__file__).parent / "cases"


@pytest.mark.parametrize("name", sorted(path.name for path in CASES.glob("*.txt")))
def test_commands(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, rewriting: bool
) -> None:
    monkeypatch.chdir(CASES)

    def answer(case: Case) -> str:
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(case.input.encode())))
        _, *argv = shlex.split(case.directive)
        try:
            code: Any = main(argv)
        except SystemExit as ended:
            code = ended.code
        out, err = capsys.readouterr()
        lines = [f"exit {code}", *(line or "~" for line in out.splitlines()), *(f"! {x}" for x in err.splitlines())]
        return "\n".join(lines)

    check(str(CASES / name), answer, rewriting)


@pytest.mark.parametrize(
    "rule",
    [
        "@urgent",
        "@position_builders",
        "symbol in {SPY, QQQ} and not @whales",
        "otm_pct / vol_oi_ratio > 0.5",
        "(opening or bid > 3) is unknown",
        "(opening and not (bid > 3 or symbol in {SPY, QQQ}) and (iso or oi > 5)) is not unknown",
    ],
)
def test_the_python_shown_is_the_rule(rule: str, capsys: pytest.CaptureFixture[str]) -> None:
    bundle, _ = load_bundle()
    assert bundle is not None
    assert main(["explain", rule, "--python"]) == 0
    space: dict[str, Any] = {}
    exec(capsys.readouterr().out, space)
    function = space["rule" if rule[0] != "@" else rule[1:]]
    subject = _subject(rule, bundle)
    answers = set()
    rows = random_rows(bundle, 200, seed=5)
    bundle.tag(rows)
    for row in rows:
        on, known = row[INDEX["chips_set"]], row[INDEX["chips_known"]]
        given: dict[str, Any] = {
            "on": {chip: bool(on >> bit & 1) for chip, bit in bundle.bits.items()},
            "off": {chip: bool(known & ~on & 1 << bit) for chip, bit in bundle.bits.items()},
        }
        names = function.__code__.co_varnames[: function.__code__.co_argcount]
        fields: dict[str, Value] = {name: row[INDEX[name]] for name in names if name in BY_NAME}
        answer = bool(function(**fields, **{name: given[name] for name in names if name in given}))
        assert answer is (reference(subject.condition.core, row, bundle) is True)
        answers.add(answer)
    assert answers == {True, False}


def test_a_python_function_has_a_name_of_its_own() -> None:
    lines = ("chip class = iso", "chip k0 = symbol in {SPY, QQQ}")
    text = "\n".join(f'{line} doc "It."' for line in lines)
    bundle, found = compile_bundle([*read_rules(), Source("names.phx", text)])
    assert bundle is not None, found
    for chip, given in (("class", {"iso": True}), ("k0", {"symbol": "SPY"})):
        space: dict[str, Any] = {}
        exec(_subject(f"@{chip}", bundle).python(), space)
        assert space[f"{chip}_"](**given)
