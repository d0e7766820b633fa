"""``phenix convert``: a saved filter as a legacy object, as V2 clauses or as rule text, each from the others."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phenix.cli.command import CLEAN, FINDINGS, CommandError
from phenix.cli.rules import add_rules, named_bundle

if TYPE_CHECKING:
    from phenix.engine.saved import Converted, Form

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    command = commands.add_parser(
        "convert",
        help="convert a saved filter between legacy object, V2 clauses and rule text",
        description="Convert a saved filter: a flat legacy object, a V2 object (version, combinator, clauses), or rule "
        "text. Prints the result, and on standard error its fidelity with the reasons. Exit status: 0 exact, 1 not "
        "exact or refused, 2 could not run.",
        allow_abbrev=False,
    )
    command.add_argument("file", metavar="FILE", help="a file of JSON or of rule text, or - for standard input")
    command.add_argument("--to", choices=("v2", "legacy", "where"),
                         help="what it becomes (default: v2, of a V2 object where)")  # fmt: skip
    command.add_argument("--output", choices=("text", "json"), default="text",
                         help="text: the result alone; json: one object with the fidelity and the reasons")  # fmt: skip
    add_rules(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Convert one filter."""
    from phenix.engine.saved import bare, convert, form_of
    from phenix.engine.targets.payload import Fidelity

    name = "standard input" if args.file == "-" else args.file
    payload = bare(_parsed(_text(args.file, name), name))
    form = form_of(payload)
    to: Form = args.to or ("where" if form == "v2" else "v2")
    done = convert(payload, to, named_bundle(args))
    _tell(form, to, done, args.output)
    return CLEAN if done.fidelity is Fidelity.EXACT and not _refused(done) else FINDINGS


def _text(file: str, name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise CommandError(f"{name}: byte {error.start + 1} is not UTF-8: save it as UTF-8") from None
    except OSError as error:
        raise CommandError(f"{name}: {error.strerror}") from None


def _parsed(text: str, name: str) -> Any:
    """JSON where the text begins like JSON, which no rule text does; else the text."""
    from phenix.engine.members import JsonError, read_json

    text = text.strip()
    if not text.startswith(("{", "[", '"')):
        return text
    try:
        return read_json(text)
    except JsonError as error:
        raise CommandError(f"{name}{error.place}: {error}") from None


def _refused(done: Converted) -> bool:
    from phenix.dsl.diagnostics import has_errors

    return has_errors(done.findings)


def _tell(form: str, to: str, done: Converted, output: str) -> None:
    from phenix.dsl.render import render_text

    if output == "json":
        found = [finding.to_dict() for finding in done.findings]
        whole = {"from": form, "to": to, "fidelity": str(done.fidelity), "reasons": list(done.reasons),
                 "result": done.result, "findings": found}  # fmt: skip
        print(json.dumps(whole, indent=2, ensure_ascii=False))
        return
    if done.result is not None:
        print(done.result if isinstance(done.result, str) else json.dumps(done.result, indent=2, ensure_ascii=False))
    for finding in done.findings:
        print(render_text(finding), file=sys.stderr)
    print(f"{form} to {to}: {'refused' if _refused(done) else done.fidelity}", file=sys.stderr)
    for reason in done.reasons:
        print(f"  {reason}", file=sys.stderr)
