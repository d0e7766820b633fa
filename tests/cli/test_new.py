"""``phenix new chip``: what it writes compiles, is clean and passes; what it refuses leaves the file as it was."""

from __future__ import annotations

from pathlib import Path

import pytest

from phenix.cli.main import main
from phenix.dsl.formatter import format_text
from phenix.dsl.source import packaged
from phenix.engine.bundle import read_rules
from phenix.engine.check import check_rules, run_cases

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
