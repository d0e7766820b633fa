"""``phenix explain``: a diagnostic code's page, or what a rule means and what it becomes."""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from phenix.cli.command import CLEAN, CommandError
from phenix.cli.rules import add_rules, named_bundle

if TYPE_CHECKING:
    from phenix.engine.bundle import Bundle
    from phenix.engine.explain import Explained
    from phenix.engine.targets.sql import Lowered, SqlTarget

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    command = commands.add_parser(
        "explain",
        help="explain a diagnostic code, a chip or an expression",
        description="Print the page of a diagnostic code; or of a chip or an expression what it says, what it reads "
        "and whether it can be unknown. Each option prints what the rule becomes instead; several print several. What "
        "an expression is warned of goes to standard error.",
        allow_abbrev=False,
    )
    command.add_argument("rule", metavar="RULE", help="a code such as PHX104, a chip such as @urgent, or an expression")
    for name, _, text, _ in _PARTS:
        command.add_argument(f"--{name}", action="store_true", help=text)
    add_rules(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print what was asked for."""
    from phenix.cli.codes import code_page, find_code
    from phenix.dsl.render import render_text

    code = find_code(args.rule)
    if code is not None:
        print(code_page(code), end="")
        return CLEAN
    if re.fullmatch(r"PHX\d+", args.rule, re.IGNORECASE):
        raise CommandError(f"there is no code {args.rule}: docs/diagnostics/README.md lists them")
    subject = _subject(args.rule, named_bundle(args))
    for finding in subject.found:
        print(f"{render_text(finding)}\n", file=sys.stderr)
    wanted = [(title, part(subject)) for name, title, _, part in _PARTS if getattr(args, name)]
    if len(wanted) == 1:
        print(wanted[0][1])
        return CLEAN
    sections = wanted or [*((title, text) for title, part in _SUMMARY if (text := part(subject))), _MORE]
    print("\n\n".join(f"{title}\n  " + text.replace("\n", "\n  ") for title, text in sections))
    return CLEAN


def _subject(rule: str, bundle: Bundle) -> Explained:
    """A chip's body by any of its names, else the expression."""
    from phenix.dsl.render import render_text
    from phenix.engine.explain import explain

    found = explain(rule, bundle)
    if isinstance(found, tuple):
        near = bundle.suggest_chip(rule) if re.fullmatch(r"[\w-]+", rule) else None
        hint = [f"or did you mean the chip `@{near}`?"] if near else []
        raise CommandError("\n".join([*(render_text(d) for d in found), *hint]))
    return found


# -- the summary


def _names(subject: Explained) -> str:
    chip = subject.chip
    if chip is None:
        return ""
    also = f", also {', '.join(chip.aliases)}" if chip.aliases else ""
    return f'@{chip.id} "{chip.label}"{also}; group {chip.group}' + (f"\n{chip.doc}" if chip.doc else "")


def _fields(subject: Explained) -> str:
    return "\n".join(
        f"{field.name}: {field.type.kind}{', may be unknown' if field.nullable else ''}. {field.doc}"
        for field in subject.fields
    )


def _chips(subject: Explained) -> str:
    return "\n".join(f"@{chip.id} = {chip.rule}" for chip in subject.chips)


def _params(subject: Explained) -> str:
    from phenix.engine.explain import declared

    return "\n".join(filter(None, map(declared, subject.params)))


def _nullable(subject: Explained) -> str:
    if not subject.can_be_unknown:
        return "no"
    return "where not known: " + ", ".join(subject.unknown_without) if subject.unknown_without else "yes"


# -- what it becomes


def _sqlite(subject: Explained) -> str:
    from phenix.engine.targets.sqlite import SqliteTarget

    return _told(subject, SqliteTarget, "?{}", 1)


def _clickhouse(subject: Explained) -> str:
    from phenix.engine.targets.clickhouse import ClickHouseTarget

    return _told(subject, ClickHouseTarget, "p{}", 0)


def _told(subject: Explained, target: type[SqlTarget], parameter: str, first: int) -> str:
    """The WHERE clause, its parameters in stored units, and what a query reads of a chip instead."""
    where, stored = subject.where(target), subject.stored(target)
    lines = [where.text, *_bound(where, subject.bundle, parameter, first)]
    if subject.chip is not None and stored is not None:
        lines += [f"-- a query that names @{subject.chip.id} reads the bit that was stored:", stored.text]
        lines += _bound(stored, subject.bundle, parameter, first)
    return "\n".join(lines)


def _bound(lowered: Lowered, bundle: Bundle, parameter: str, first: int) -> list[str]:
    from phenix.engine.explain import bound

    out = []
    for i, (name, value) in enumerate(bound(lowered, bundle), first):
        origin = "the reader's seq" if name == "as_of" else f"${name} = {value!r}" if name else repr(value)
        out.append(f"-- {parameter.format(i)}: {origin}")
    return out


def _plan(subject: Explained) -> str:
    """How SQLite goes about the filter alone, on an empty store."""
    from phenix import app
    from phenix.engine.store.schema import ALL_ROWS
    from phenix.engine.targets.sqlite import SqliteTarget

    where = subject.where(SqliteTarget)
    sql = f"EXPLAIN QUERY PLAN SELECT t.seq FROM {ALL_ROWS} WHERE {where.text}"
    with tempfile.TemporaryDirectory(prefix="phenix-") as folder:
        store = f"sqlite:{folder}/flow.sqlite"
        app.open_writer(store).close()
        with app.open_reader(store) as reader:
            steps = reader.execute(sql, where.bind(subject.bundle.params, 0))
    depth = {0: -1}
    for id_, parent, *_ in steps:
        depth[id_] = depth[parent] + 1
    return "\n".join(f"{'  ' * depth[id_]}{detail}" for id_, _, _, detail in steps)


_Part = Callable[["Explained"], str]

_SUMMARY: Final[tuple[tuple[str, _Part], ...]] = (
    ("Chip", _names),
    ("Rule", lambda subject: subject.condition.text),
    ("In English", lambda subject: subject.english),
    ("Fields read", _fields),
    ("Chips read", _chips),
    ("Params used", _params),
    ("Can be unknown", _nullable),
)
_PARTS: Final[tuple[tuple[str, str, str, _Part], ...]] = (
    ("english", "In English", "one sentence, made from the compiled rule", lambda subject: subject.english),
    ("normal", "Normal form", "the tree that every target is made from", lambda subject: subject.normal),
    ("sql", "SQLite", "the WHERE clause for SQLite, with its parameters in stored units", _sqlite),
    ("clickhouse", "ClickHouse", "the same for ClickHouse", _clickhouse),
    ("python", "Python", "a function of the fields that is true where the rule is", lambda subject: subject.python()),
    ("plan", "SQLite's plan", "how SQLite looks for the rows, on an empty store of the schema", _plan),
)
"""Option, title, help, and what it prints."""
_MORE: Final = ("More", " ".join(f"--{name}" for name, *_ in _PARTS))
