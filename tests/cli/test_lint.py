"""``phenix lint`` and ``phenix test``: what they read, what they say, how they exit."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from phenix.cli.main import main

GOOD = b'chip one "One" = value > 1 doc "x"\n'
BAD = b'chip two "Two" = vallue > 1 doc "x"\n'


@pytest.mark.parametrize("ends", [b"\n", b"\r\n", b"\r"], ids=["lf", "crlf", "cr"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["plain", "bom"])
def test_lines_and_columns_whatever_wrote_the_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ends: bytes, mark: bytes
) -> None:
    rules = tmp_path / "a.phx"
    rules.write_bytes(mark + (GOOD + BAD).replace(b"\n", ends))
    assert main(["lint", "--output", "json", str(rules)]) == 1
    (found,) = json.loads(capsys.readouterr().out)["findings"]
    assert (found["source"], found["line"], found["column"], found["endColumn"]) == (str(rules), 2, 18, 24)


def test_files_that_are_not_utf_8_are_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.phx").write_bytes(GOOD + b'chip x = "\xff"\n')
    (tmp_path / "b.phx").write_bytes(GOOD)
    (tmp_path / "c.phx").write_bytes(b"\xfe")
    assert main(["lint", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"phenix: {tmp_path}/a.phx:2: byte 0xff is not UTF-8: save the file as UTF-8\n"
        f"phenix: {tmp_path}/c.phx:1: byte 0xfe is not UTF-8: save the file as UTF-8\n"
    )


@pytest.mark.parametrize("command", ["lint", "test"])
def test_exit_codes(tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str) -> None:
    (tmp_path / "good.phx").write_bytes(GOOD)
    (tmp_path / "bad.phx").write_bytes(BAD)
    (tmp_path / "none").mkdir()
    assert main([command, str(tmp_path / "good.phx"), str(tmp_path / "good.phx")]) == 0
    assert main([command, str(tmp_path)]) == 1
    capsys.readouterr()
    assert main([command, str(tmp_path / "none")]) == 2
    assert f"no .phx file in {tmp_path}/none: name" in capsys.readouterr().err
    assert main([command, str(tmp_path / "gone")]) == 2
    assert "there is no such file or folder" in capsys.readouterr().err


def test_fixes_are_put_in_and_the_file_keeps_its_line_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "a.phx"
    rules.write_bytes(
        b"\xef\xbb\xbf" + b'chip one = value >= 5m && iso == 1 doc "x"\r\nchip two = dte in 180..21 doc "x"\r\n'
    )
    assert main(["lint", "--fix", str(rules)]) == 1
    assert rules.read_bytes() == (
        b"\xef\xbb\xbf" + b'chip one = value >= 5M and iso doc "x"\r\nchip two = dte in 180..21 doc "x"\r\n'
    )
    assert "3 findings fixed in 1 file" in capsys.readouterr().err
    main(["lint", "--fix", "--unsafe-fixes", str(rules)])
    assert b"dte in 21..180" in rules.read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.phx"]
    assert main(["lint", "--fix"]) == 2
    assert main(["lint", "--unsafe-fixes", str(rules)]) == 2


def test_other_outputs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "a,b.phx"
    rules.write_bytes(b'chip one = value >= 5m doc "100%"\n')
    assert main(["lint", "--output", "github", str(rules)]) == 1
    assert capsys.readouterr().out == (
        f"::error file={tmp_path}/a%2Cb.phx,line=1,endLine=1,col=21,endColumn=23,title=PHX104 unit-mismatch"
        "::`value` is money, `5m` is a duration%0Awrite `5M` for 5 million dollars\n"
    )
    assert main(["lint", "--output", "sarif", str(rules)]) == 1
    log = json.loads(capsys.readouterr().out)
    (run,) = log["runs"]
    (result,) = run["results"]
    assert (log["version"], result["ruleId"], result["level"]) == ("2.1.0", "PHX104", "error")
    assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == "PHX104"
    region = {"startLine": 1, "startColumn": 21, "endLine": 1, "endColumn": 23}
    assert result["locations"][0]["physicalLocation"]["region"] == region
    (replacement,) = result["fixes"][0]["artifactChanges"][0]["replacements"]
    assert replacement == {"deletedRegion": region, "insertedContent": {"text": "5M"}}


@pytest.mark.parametrize("command", ["lint", "test"])
def test_rules_beyond_the_stack_are_no_traceback(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    def deep(*_: object) -> None:
        raise RecursionError

    monkeypatch.setattr("phenix.engine.check.check_rules", deep)
    (tmp_path / "a.phx").write_bytes(GOOD)
    assert main([command, str(tmp_path)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("phenix: the rules cannot be looked at: chips that name each other in a row are nested too")
