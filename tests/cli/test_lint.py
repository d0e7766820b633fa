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
