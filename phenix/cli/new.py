"""``phenix new``: the beginning of a rule, tests and all."""

from __future__ import annotations

import argparse
import re
import sys
from pathlib import Path
from typing import Final

from phenix.cli.command import CLEAN, CommandError
from phenix.cli.rules import add_rules, read_sources, replace_file

__all__ = ["add"]

_RULE: Final = "dte <= 7 and vol_oi_ratio >= 3"


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    new = commands.add_parser("new", help="begin a rule", description="Begin a rule.", allow_abbrev=False)
    kinds = new.add_subparsers(title="kinds", metavar="KIND", dest="kind", required=True)
    chip = kinds.add_parser(
        "chip",
        help="begin a chip",
        description="Write a chip behind the rules of a file, with a doc and a test each of a row on which it is true, "
        "false and unknown, as far as such rows are found; what it is warned of goes to standard error.",
        allow_abbrev=False,
    )
    chip.add_argument("name", metavar="NAME", help="the chip's id, such as big_and_far")
    chip.add_argument("file", metavar="FILE", nargs="?", type=Path,
                      help="a rule file, made if it is not there (default: rules/NAME.phx)")  # fmt: skip
    chip.add_argument("--rule", metavar="E", default=_RULE, help="its condition (default: '%(default)s')")
    chip.add_argument("--group", metavar="GROUP", default="advanced", help="its group (default: %(default)s)")
    add_rules(chip)
    chip.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write the chip; nothing is written when it does not compile among the rules."""
    from phenix.dsl.render import render_text
    from phenix.dsl.source import Source, packaged
    from phenix.engine.scaffold import new_chip

    for what, word in (("NAME", args.name), ("--group", args.group)):
        if not re.fullmatch(r"[A-Za-z_]\w*", word):
            raise CommandError(f"{what} {word!r}: write letters, digits and _, such as big_and_far")
    file: Path = args.file or Path("rules") / f"{args.name}.phx"
    if file.suffix != ".phx":
        raise CommandError(f"{file}: a rule file ends in .phx")
    if not file.parent.is_dir():
        raise CommandError(f"{file.parent}: there is no such folder: make it, or name a FILE elsewhere")
    root = Path() if args.rules else packaged("rules")
    others = [one for one in read_sources(args.rules) if (root / one.name).resolve() != file.resolve()]
    (own,) = read_sources([file]) if file.exists() else [Source(str(file), "")]
    text, found = new_chip(args.name, args.rule, args.group, own, others)
    if text is None:
        raise CommandError("\n".join(["nothing was written:", *(render_text(one) for one in found)]))
    replace_file(file, text.encode())
    for one in found:
        print(f"{render_text(one)}\n", file=sys.stderr)
    print(f"{file}: @{args.name} written; say in its doc what it is for, and test its boundaries")
    return CLEAN
