"""``phenix fmt``: what it writes, what it only says, how it exits."""

from __future__ import annotations

import io
import sys
from pathlib import Path

import pytest

from phenix.cli.main import main

UGLY = b"chip a=iso   doc 'x'\nchip b =\n iso # why\n doc \"x\"\n"
NEAT = b"chip a=iso   doc 'x'\nchip b = iso  # why\n  doc \"x\"\n"


def test_files_are_written_in_place(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    one, other = tmp_path / "a.phx", tmp_path / "sub" / "b.phx"
    other.parent.mkdir()
    one.write_bytes(b"\xef\xbb\xbf" + UGLY.replace(b"\n", b"\r\n"))
    one.chmod(0o640)
    other.write_bytes(NEAT)
    link = tmp_path / "link.phx"
    link.symlink_to(one)
    stamp = other.stat().st_mtime_ns
    assert main(["fmt", str(tmp_path)]) == 0
    assert one.read_bytes() == NEAT
    assert (one.stat().st_mode & 0o777, link.is_symlink(), other.stat().st_mtime_ns) == (0o640, True, stamp)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.phx", "link.phx", "sub"]
    assert main(["fmt", "--check", str(tmp_path)]) == 0
    assert capsys.readouterr().out == ""


def test_check_and_diff_write_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.phx"
    file.write_bytes(UGLY)
    (tmp_path / "b.phx").write_bytes(NEAT)
    assert main(["fmt", "--check", str(tmp_path)]) == 1
    assert capsys.readouterr().out == f"{file} is not in its canonical layout; write it with `phenix fmt`\n"
    assert main(["fmt", "--diff", str(tmp_path)]) == 1
    assert '+chip b = iso  # why\n+  doc "x"\n' in capsys.readouterr().out
    assert file.read_bytes() == UGLY


def test_standard_input(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for arguments, code, out in ((["-"], 0, NEAT.decode()), (["--check", "-"], 1, None)):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(UGLY)))
        assert main(["fmt", *arguments]) == code
        shown = capsys.readouterr().out
        assert shown == (out or "standard input is not in its canonical layout; write it with `phenix fmt`\n")


def test_what_cannot_be_formatted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good, bad = tmp_path / "a.phx", tmp_path / "b.phx"
    good.write_bytes(UGLY)
    bad.write_bytes(b'chip a = iso\ndoc "\xff"\n')
    (tmp_path / "none").mkdir()
    for arguments, message in (
        ([str(tmp_path)], f"{bad}:2: byte 0xff is not UTF-8: save it as UTF-8"),
        ([str(tmp_path / "gone")], f"{tmp_path}/gone: there is no such file or folder"),
        ([str(tmp_path / "none")], f"no .phx file in {tmp_path}/none: name a rule file or a folder of some"),
        (["-", str(good)], "- is standard input: name it alone"),
    ):
        assert main(["fmt", *arguments]) == 2
        assert capsys.readouterr().err == f"phenix: {message}\n"
    assert good.read_bytes() == UGLY  # nothing is written unless everything could be read
