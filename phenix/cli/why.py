"""``phenix why``: a stored row's chips, each with its conditions, the values they read and the nearest miss."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from phenix.cli.command import CLEAN, CommandError

if TYPE_CHECKING:
    from phenix.engine.why import Because, Part

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    command = commands.add_parser(
        "why",
        help="explain the chips of a stored row",
        description="Print of each chip whether it is true, false or unknown on a stored row, by the rules that tagged "
        "the row: its conditions with the values they read, and the smallest change that would turn it on.",
        allow_abbrev=False,
    )
    command.add_argument("row", metavar="ID", help="the id of a row, as the API and `phenix export` give it")
    command.add_argument("chips", metavar="CHIP", nargs="*", help="only these chips, by any of their names")
    command.add_argument("--store", metavar="URL", help="the store (default: PHENIX_STORE)")
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the trees."""
    from phenix import app
    from phenix.dsl.diagnostics import closest
    from phenix.engine.encode import row_key
    from phenix.engine.why import Whys

    key = row_key(args.row)
    with app.open_reader(args.settings.store if args.store is None else args.store) as reader:
        row = reader.row(*key) if key and key[1] < 2**63 else None
        if row is None:
            raise CommandError(f"there is no row {args.row} in the store")
        reasons = Whys().of(reader, row)
    if reasons is None:
        raise CommandError(f"row {args.row} was tagged by rules that the store cannot give any more")
    found = reasons.chips
    names = {name.lower(): b for b in found for name in (b.chip.id, b.chip.label, *b.chip.aliases)}
    wanted = []
    for given in args.chips:
        name = given.removeprefix("@").strip('"').lower()
        if name not in names:
            near = closest(name, names)
            raise CommandError(
                f"there is no chip {given}" + (f": did you mean @{names[near].chip.id}?" if near else "")
            )
        wanted.append(names[name])
    print("\n\n".join("\n".join(_lines(because)) for because in wanted or found))
    return CLEAN


def _lines(because: Because) -> list[str]:
    from phenix.engine.why import said

    lines = [f"@{because.chip.id}: {said(because.answer)}", *_tree(because.tree, "  ")]
    if because.undecided:
        lines.append(f"  unknown: {', '.join(because.undecided)}")
    if because.miss:
        lines.append(f"  nearest miss: {'; '.join(map(str, because.miss))}")
    return lines


def _tree(part: Part, indent: str) -> list[str]:
    from phenix.engine.why import said

    values = ", ".join(f"{value.name} is {value.text}" for value in part.values)
    own = f"{indent}{said(part.answer):7} {part.text}" + (f"  ({values})" if values else "")
    return [own, *(line for below in part.parts for line in _tree(below, indent + "  "))]
