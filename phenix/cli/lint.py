"""``phenix lint`` and ``phenix test``: rule files checked and their inline tests run."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from phenix.cli.command import CommandError

if TYPE_CHECKING:
    from phenix.dsl.diagnostics import Diagnostic
    from phenix.dsl.source import Source

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the commands."""
    for name, run, text in (
        ("lint", _lint, "Check rule files: positions, codes, suggestions."),
        ("test", _test, "Run the tests written in rule files."),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument("paths", nargs="*", type=Path, metavar="PATH",
                             help="rule files or folders of them (default: the rules shipped with phenix)")  # fmt: skip
        command.add_argument("--output", choices=("text", "json"), default="text", help="how findings are written")
        command.set_defaults(run=run)


def _read(paths: list[Path]) -> list[Source]:
    from phenix.engine.bundle import read_rules

    for path in paths:
        if not path.exists():
            raise CommandError(f"{path}: there is no such file or folder")
    try:
        sources = read_rules(paths or None)
    except ValueError as error:
        raise CommandError(str(error)) from None
    except OSError as error:
        raise CommandError(f"{error.filename}: {error.strerror}") from None
    if not sources:
        places = ", ".join(map(str, paths))
        raise CommandError(f"no .phx file in {places}: name a rule file or a folder that holds some")
    return sources


def _lint(args: argparse.Namespace) -> int:
    from phenix.engine.check import check_rules

    return _report(check_rules(_read(args.paths)), args.output)


def _test(args: argparse.Namespace) -> int:
    from phenix.engine.check import check_rules, run_cases

    sources = _read(args.paths)
    findings = check_rules(sources)
    if any(d.severity == "error" for d in findings):
        return _report(findings, args.output)
    failing, count = run_cases(sources)
    return _report(failing, args.output, f"{count} tests, {len(failing)} failing")


def _report(findings: tuple[Diagnostic, ...], output: str, summary: str = "") -> int:
    from phenix.dsl.render import render_text

    if output == "json":
        print(json.dumps({"findings": [d.to_dict() for d in findings]}, indent=2, ensure_ascii=False))
    else:
        for finding in findings:
            print(render_text(finding), end="\n\n")
        print(summary or f"{len(findings)} finding{'' if len(findings) == 1 else 's'}", file=sys.stderr)
    return 1 if findings else 0
