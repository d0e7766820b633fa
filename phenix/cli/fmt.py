"""``phenix fmt``: rule files in their one layout."""

from __future__ import annotations

import argparse
import difflib
import sys
from pathlib import Path

from phenix.cli.command import CLEAN, FINDINGS, CommandError
from phenix.cli.rules import replace_file

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``phenix fmt``."""
    text = "Lay rule files out in their one form; comments stay, what is broken stays as it is."
    command = commands.add_parser("fmt", help=text, description=text, allow_abbrev=False)
    command.add_argument("paths", nargs="*", type=Path, metavar="PATH", default=[Path("rules")],
                         help="rule files or folders of them, or - for standard input (default: rules)")  # fmt: skip
    command.add_argument("--check", action="store_true", help="write nothing; name the files that would change, exit 1")
    command.add_argument("--diff", action="store_true", help="write nothing; show what would change, exit 1")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Format each file; every file is read before any is written."""
    if Path("-") in args.paths:
        if len(args.paths) > 1:
            raise CommandError("- is standard input: name it alone")
        return _one("standard input", _text("standard input", sys.stdin.buffer.read()), None, args)
    files = sorted({file for path in args.paths for file in _files(path)})
    if not files:
        raise CommandError(f"no .phx file in {', '.join(map(str, args.paths))}: name a rule file or a folder of some")
    texts = [(file, _read(file)) for file in files]
    return max(_one(str(file), text, file, args) for file, text in texts)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        return list(path.rglob("*.phx"))
    if not path.exists():
        raise CommandError(f"{path}: there is no such file or folder")
    return [path]


def _read(file: Path) -> str:
    try:
        return _text(str(file), file.read_bytes())
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}") from None


def _text(name: str, data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CommandError(f"{name}:{line}: byte 0x{data[error.start]:02x} is not UTF-8: save it as UTF-8") from None


def _one(name: str, before: str, file: Path | None, args: argparse.Namespace) -> int:
    from phenix.dsl.formatter import format_text

    after = format_text(before)
    if args.diff:
        lines = difflib.unified_diff(before.splitlines(), after.splitlines(), name, name, lineterm="")
        for line in lines:
            print(line)
    if args.check and after != before:
        print(f"{name} is not in its canonical layout; write it with `phenix fmt`")
    if args.check or args.diff:
        return FINDINGS if after != before else CLEAN
    if file is None:
        sys.stdout.write(after)
    elif after != before:
        replace_file(file, after.encode())
    return CLEAN
