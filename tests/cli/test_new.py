"""``phenix new chip``: what it writes compiles, is clean and passes; what it refuses leaves the file as it was."""

from __future__ import annotations

import random
import re
from pathlib import Path

import pytest

from phenix.cli.main import main
from phenix.dsl.compiler import compile_program
from phenix.dsl.diagnostics import has_errors
from phenix.dsl.formatter import format_text
from phenix.dsl.source import Source, packaged
from phenix.engine.bundle import Bundle, compile_bundle, load_bundle, read_rules
from phenix.engine.certify.rules import REFUSALS, RandomRules
from phenix.engine.check import check_rules, failing_cases, run_cases
from phenix.engine.flow import CATALOG
from phenix.engine.scaffold import new_chip

RULES = packaged("rules")


@pytest.mark.parametrize(
    ("rule", "answers"),
    [
        ("dte <= 7 and vol_oi_ratio >= 3", "true false unknown"),
        ("value >= $urgent_value", "true false unknown"),
        ("@urgent and otm_pct in 5%..10%", "true false unknown"),
        ("symbol in {SPY, QQQ} or sig_score > 0.9", "true false unknown"),
        ("time_et < 10:00 ET and not iso and spot_age_ms <= 3s", "true false unknown"),
        ("vol_oi_ratio is null", "true false"),
        ('symbol = "BRK B" and spot_age_ms >= 1234567ms', "true false unknown"),
        ('symbol = "A-1"', "true false unknown"),
        ('symbol in {"NULL", "A%"}', "true false unknown"),
        (r'symbol like "\"*" or symbol like "\\*"', "true false unknown"),
        ("value_pctile < 0.00002", "true false unknown"),
        ("spot_age_ms >= 1234567s", "true false unknown"),
        ("spot_age_ms >= 1000001s", "true false unknown"),
    ],
)
def test_a_chip_is_begun(rule: str, answers: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.phx"
    file.write_text('# Mine.\n\nchip other = floor and iso doc "Kept."\n')
    assert main(["new", "chip", "my_chip", str(file), "--rule", rule, "--group", "mine"]) == 0
    assert capsys.readouterr().out.startswith(f"{file}: @my_chip written")
    text = file.read_text()
    assert text.startswith(
        '# Mine.\n\nchip other = floor and iso\n  doc "Kept."\n\nchip my_chip "My Chip" group mine ='
    )
    assert format_text(text) == text
    sources = [*read_rules([RULES]), *read_rules([file])]
    assert check_rules(sources) == ()
    before = run_cases(read_rules([RULES]))[1]
    assert run_cases(sources) == ((), before + len(answers.split()))
    assert [line.rpartition("=> ")[2] for line in text.splitlines() if "=> " in line] == answers.split()


def test_rules_drawn_at_random_are_begun() -> None:
    shipped, found = load_bundle()
    assert shipped is not None, found
    whole = Bundle.from_config(shipped.config_json).program.sources  # a statement a line; their tests only take time
    others = [Source(one.name, re.sub("(?m)^(test|assert) .*$", "", one.text)) for one in whole]
    bundle, found = compile_bundle(others)
    assert bundle is not None, found
    rng = random.Random(3)
    kept = 0
    for _ in range(48):
        rule = RandomRules(rng, bundle.scope).condition(rng.choice((0, 1, 2)))
        text, found = new_chip("drawn", rule, "mine", Source("drawn.phx", ""), others)
        if text is None:
            assert {one.code for one in found} & REFUSALS, (rule, found)
            continue
        program, found = compile_program((*others, Source("drawn.phx", text)), CATALOG)
        assert not has_errors(found), (rule, text, found)
        assert failing_cases(program) == (), (rule, text)
        kept += len(program.cases)
    assert kept > 90


@pytest.mark.parametrize(
    ("rule", "answers"),
    [
        ("not (sequence not in {})", "false"),
        ("(sentiment is not null) is true", "true"),
        ("session_date < 2026-04-30 and 7 * (7 * dte) in {-21, 15} and @whales", "false"),
        # On the row found on which it is false a baseline is 5e-324.
        ("open_window_baseline >= bullish_ratio_15m + min(1, symbol_vol_baseline_15m, $high_sig_min)", "true unknown"),
    ],
)
def test_only_tests_that_hold_are_written(rule: str, answers: str, tmp_path: Path) -> None:
    file = tmp_path / "mine.phx"
    assert main(["new", "chip", "mine", str(file), "--rule", rule]) == 0
    text = file.read_text()
    assert [rest.split()[0] for rest in text.split("=> ")[1:]] == answers.split()
    sources = [*read_rules([RULES]), *read_rules([file])]
    assert run_cases(sources) == ((), run_cases(read_rules([RULES]))[1] + len(answers.split()))


def test_what_a_chip_is_warned_of(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.phx"
    file.write_text('chip old = value_pctile >= 70 doc "Old."\n')
    assert main(["new", "chip", "mine", str(file), "--rule", "value_pctile >= 65"]) == 0
    err = capsys.readouterr().err
    assert err.count("PHX202") == 1
    assert f"{file}:4:51" in err
    assert "write `65%`" in err


def test_a_file_is_made_and_a_second_chip_goes_behind_the_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rules").mkdir()
    assert main(["new", "chip", "first"]) == 0
    assert main(["new", "chip", "second", "rules/first.phx", "--rule", "@first and @aa"]) == 0
    chips = [line.split()[1] for line in (tmp_path / "rules/first.phx").read_text().splitlines() if "chip " in line[:5]]
    assert chips == ["first", "second"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["urgent"], "`urgent` already names the chip `urgent`"),
        (["mine", "--rule", "valu > 2"], "there is no field `valu`"),
        (["mine", "--rule", 'iso doc "x"'], "--rule:1:5"),
        (["mine", "--rule", "@mine"], "chips refer to each other: @mine -> @mine"),
        (["a b"], "NAME 'a b': write letters, digits and _"),
        (["mine", "--group", "a b"], "--group 'a b'"),
        (["mine", "--rules", "nowhere"], "nowhere: there is no such file or folder"),
    ],
)
def test_what_does_not_compile_is_not_written(
    arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.phx"
    file.write_text('chip other = floor and iso doc "Kept."\n')
    name, *options = arguments
    assert main(["new", "chip", name, str(file), *options]) == 2
    assert message in capsys.readouterr().err
    assert file.read_text() == 'chip other = floor and iso doc "Kept."\n'
    assert [path.name for path in tmp_path.iterdir()] == ["a.phx"]


def test_places_that_cannot_be(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "chip", "x", str(tmp_path / "none" / "a.phx")]) == 2
    assert "there is no such folder: make it" in capsys.readouterr().err
    assert main(["new", "chip", "x", str(tmp_path / "a.txt")]) == 2
    assert "a rule file ends in .phx" in capsys.readouterr().err
