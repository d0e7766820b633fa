"""``phenix lint`` and ``phenix test``: rule files checked and their inline tests run."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from phenix.cli.command import CLEAN, FINDINGS, CommandError, date_number
from phenix.cli.report import RENDERERS, json_report
from phenix.cli.rules import read_sources, replace_file

if TYPE_CHECKING:
    from phenix.dsl.diagnostics import Diagnostic, Safety
    from phenix.dsl.source import Source
    from phenix.engine.rates import Rate

__all__ = ["add"]

_ROUNDS: Final = 20
"""Most times fixed rules are read again: a fix can make room for another, none may go on for ever."""

_LATEST: Final = 99991231
_FEW: Final = 5
"""Sessions named in a message."""


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the commands."""
    for name, run, text in (
        ("lint", _lint, "Check rule files: positions, codes, suggestions."),
        (
            "test",
            _test,
            "Run the tests written in rule files, prove their assertions, and count their rates over a store.",
        ),
    ):
        command = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        command.add_argument("paths", nargs="*", type=Path, metavar="PATH",
                             help="rule files or folders of them (default: the rules shipped with phenix)")  # fmt: skip
        command.add_argument("--output", choices=tuple(RENDERERS), default="text", help="how findings are written")
        command.set_defaults(run=_within_the_stack(run))
        if name == "lint":
            command.add_argument("--fix", action="store_true", help="put safe fixes into the files named")
            command.add_argument("--unsafe-fixes", action="store_true", help="with --fix: unsafe ones too")
        else:
            command.add_argument("--store", metavar="URL", help="count `assert rate` over the rows of this store")
            command.add_argument("--date", type=date_number, metavar="DATE", help="of one session only")
            command.add_argument("--from", dest="first", type=date_number, metavar="DATE", help="of sessions from this")
            command.add_argument("--to", dest="last", type=date_number, metavar="DATE", help="of sessions up to this")


def _within_the_stack(run: Callable[[argparse.Namespace], int]) -> Callable[[argparse.Namespace], int]:
    """The command, ended in words where rules are nested deeper than this program can follow."""

    def bounded(args: argparse.Namespace) -> int:
        try:
            return run(args)
        except RecursionError:
            from phenix.engine.check import TOO_DEEP

            raise CommandError(f"the rules cannot be looked at: {TOO_DEEP}") from None

    return bounded


def _lint(args: argparse.Namespace) -> int:
    from phenix.engine.check import check_rules

    if args.unsafe_fixes and not args.fix:
        raise CommandError("--unsafe-fixes adds to --fix: give both")
    if args.fix and not args.paths:
        raise CommandError("--fix changes files: name those it may change, such as `phenix lint --fix rules`")
    sources = read_sources(args.paths)
    if args.fix:
        sources = _fix(sources, args.unsafe_fixes)
    return _report(check_rules(sources), args.output)


def _fix(sources: list[Source], unsafe: bool) -> list[Source]:
    """Fixes put in until none is left, the files then written; the sources as they are now."""
    from phenix.dsl.fixes import apply_fixes
    from phenix.engine.check import Checks, check_rules

    before = {source.name: source.text for source in sources}
    allowed: tuple[Safety, ...] = ("safe", "unsafe") if unsafe else ("safe",)
    count = 0
    earlier = Checks()
    for _ in range(_ROUNDS):
        findings = check_rules(sources, earlier)
        fixed = [apply_fixes(source, findings, allowed) for source in sources]
        sources = [source for source, _ in fixed]
        applied = [finding for _, findings_ in fixed for finding in findings_]
        count += len(applied)
        for finding in applied:
            line, column = finding.source.position(finding.span.start)
            print(f"{finding.source.name}:{line}:{column}: fixed {finding.code}: {finding.message}", file=sys.stderr)
        if not applied:
            break
    changed = [source for source in sources if source.text != before[source.name]]
    for source in changed:
        _write(Path(source.name), source.text)
    print(f"{_count(count, 'finding')} fixed in {_count(len(changed), 'file')}", file=sys.stderr)
    return sources


def _write(path: Path, text: str) -> None:
    """Replace a file at once, with the mark and the line ends it had."""
    try:
        data = path.read_bytes()
        ends = "\r\n" if b"\r\n" in data else "\r" if b"\r" in data else "\n"
        coding = "utf-8-sig" if data.startswith(b"\xef\xbb\xbf") else "utf-8"
    except OSError as error:
        raise CommandError(f"{path}: {error.strerror}: nothing was changed there") from None
    replace_file(path, text.replace("\n", ends).encode(coding))


def _test(args: argparse.Namespace) -> int:
    from phenix.engine.check import check_rules, run_assertions, run_cases

    first, last = _sessions(args)
    sources = read_sources(args.paths)
    findings = check_rules(sources)
    if any(d.severity == "error" for d in findings):
        return _report(findings, args.output)
    failing, count = run_cases(sources)
    refuted, asked, unjudged = run_assertions(sources)
    outside, rates = _rates(sources, args.store, first, last) if args.store is not None and unjudged else ((), ())
    summary = (
        f"{_count(count, 'test')}, {len(failing)} failing; {_count(asked, 'assertion')}, {len(refuted)} not proven"
    )
    if args.store is not None and not unjudged:
        summary += "; no rate assertion to count"
    elif rates:
        summary += f"; {_count(len(rates), 'rate')} counted, {len(outside)} not as asserted"
    elif unjudged:
        summary += f"; {_count(unjudged, 'rate assertion')} not run: name a store of rows with --store"
    if args.output == "text":
        for rate in rates:
            source = rate.assertion.source
            line, column = source.position(rate.assertion.span.start)
            print(f"{source.name}:{line}:{column}: {rate.assertion.label}: {rate}")
    return _report((*failing, *refuted, *outside), args.output, summary, {"rates": [_rate(rate) for rate in rates]})


def _sessions(args: argparse.Namespace) -> tuple[int, int]:
    """First and last session date asked for."""
    if args.store is None and (args.date or args.first or args.last):
        raise CommandError("--date, --from and --to choose sessions of a store: name it with --store")
    if args.date and (args.first or args.last):
        raise CommandError("--date is one session, --from and --to are several: give one or the other")
    first, last = (args.date, args.date) if args.date else (args.first or 0, args.last or _LATEST)
    if first > last:
        raise CommandError("--from is later than --to: exchange them")
    return first, last


def _rates(sources: list[Source], store: str, first: int, last: int) -> tuple[tuple[Diagnostic, ...], tuple[Rate, ...]]:
    from phenix import app
    from phenix.engine.encode import date_text
    from phenix.engine.rates import run_rates, stored_sessions

    with app.open_reader(store if re.match(r"\w+:", store) else f"sqlite:{store}") as reader:
        if not stored_sessions(reader, first, last):
            held = [date_text(date) for date in stored_sessions(reader, 0, _LATEST)]
            holds = f"it holds {', '.join(held[-_FEW:])}" + (" and earlier ones" if len(held) > _FEW else "")
            what = "of these sessions that can have chips" if held else "that can have chips"
            raise CommandError(
                f"{store}: there is no print {what}: {holds if held else 'fill it with `phenix import`'}"
            )
        return run_rates(sources, reader, first, last)


def _rate(rate: Rate) -> dict[str, Any]:
    """A rate as JSON has it."""
    from phenix.engine.encode import date_text

    one = rate.assertion
    low, high = (None if end is None else float(end) for end in (one.low, one.high))
    line, column = one.source.position(one.span.start)
    return {
        "label": one.label, "source": one.source.name, "line": line, "column": column, "low": low, "high": high,
        "holds": rate.holds, "share": float(rate.share), "prints": rate.prints, "true": rate.true,
        "unknown": rate.unknown, "sessions": [date_text(date) for date in rate.sessions],
    }  # fmt: skip


def _report(
    findings: tuple[Diagnostic, ...], output: str, summary: str = "", more: Mapping[str, Any] | None = None
) -> int:
    sys.stdout.write(json_report(findings, more or {}) if output == "json" else RENDERERS[output](findings))
    if output == "text":
        print(summary or _count(len(findings), "finding"), file=sys.stderr)
    return FINDINGS if findings else CLEAN


def _count(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"
