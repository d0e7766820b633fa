"""``phenix docs``: the reference pages, generated from the tables the program itself runs on."""

from __future__ import annotations

import argparse
import os.path
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from phenix.cli.command import CLEAN, FINDINGS, CommandError
from phenix.cli.markdown import code, page, table

__all__ = ["add", "pages"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``phenix docs``."""
    command = commands.add_parser(
        "docs",
        help="write the reference pages generated from the program's own tables",
        description="Write the reference pages generated from the program's own tables, and the sample settings in the "
        "folder deploy beside theirs.",
    )
    command.add_argument(
        "--out", type=Path, default=Path("docs"), metavar="DIR", help="folder of the pages (%(default)s)"
    )
    command.add_argument(
        "--check", action="store_true", help="write nothing; exit 1 if a page differs from what would be"
    )
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Write every page, or compare each with what is there."""
    stale: list[Path] = []
    written = pages(args.parser)
    for name, write in written.items():
        path = Path(os.path.normpath(args.out / name))
        text = write()
        try:
            if not args.check:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, "utf-8")
            elif not path.exists() or path.read_text("utf-8") != text:
                stale.append(path)
        except OSError as error:
            raise CommandError(f"{path}: {error.strerror}; choose another folder with --out") from error
    for path in sorted((args.out / "diagnostics").glob("PHX*.md")):
        if f"diagnostics/{path.name}" in written:
            continue
        if args.check:
            stale.append(path)  # the page of a code there is no more
        else:
            path.unlink()
    for path in stale:
        print(f"{path} is out of date; write it again with `phenix docs`")
    return FINDINGS if stale else CLEAN


# -- settings


def _settings() -> str:
    from phenix.config import SETTINGS

    rows = [(code(s.name), code(s.default) or "none", s.help) for s in SETTINGS]
    return page(
        "Settings",
        "Read from the environment, then from the TOML file that `PHENIX_CONFIG` names, which holds the same names "
        "as top-level keys. Every command checks all of them first: an unknown `PHENIX_*` name, a bad URL or a number "
        "out of range stops the start with a message naming the setting.",
        table(("Setting", "Default", "What"), rows),
    )


# -- fields


def _fields() -> str:
    from phenix.engine.flow import FIELDS, Part

    parts = {
        Part.RAW: ("Received", "What the terminal sent, with the inputs known when the print was stored."),
        Part.ENRICHED: ("Computed", "A pure function of the received rows up to this one."),
        Part.DERIVED: ("Derived", "Readable in expressions, never stored."),
    }
    sections = []
    for part, (title, intro) in parts.items():
        rows = [
            (
                code(f.name if f.filterable else ""),
                code(f.json),
                f.label,
                _type_of(f.type),
                "yes" if f.nullable else "",
                _ranges_of(f),
                f.doc,
            )
            for f in FIELDS
            if f.part is part and (f.filterable or f.json)
        ]
        heads = ("Name in expressions", "JSON key", "Title", "Type", "May be unknown", "Range parameters", "What")
        sections.append(f"## {title}\n\n{intro}\n\n{table(heads, rows)}")
    return page(
        "Fields",
        "Every field of a row, from the one table that the language, the store, REST and gRPC read. "
        "Money is dollars in expressions and in JSON; a percent is in points.",
        *sections,
    )


def _type_of(type_: Any) -> str:
    from phenix.dsl.types import MONEY_SCALE, Kind

    if type_.members:
        return f"{type_.kind}: {', '.join(code(member) for member in type_.members)}"
    if type_.kind is Kind.MONEY and type_.lo is not None:
        scale = 10**MONEY_SCALE
        return f"money, ${type_.lo / scale:,.10g} to ${type_.hi // scale:,}"
    return str(type_.kind)


def _ranges_of(field: Any) -> str:
    return f"`min{field.ranges}`, `max{field.ranges}`" if field.ranges else ""


# -- chips


def _chips() -> str:
    from phenix.engine.bundle import load_bundle

    bundle, found = load_bundle()
    if bundle is None:
        raise CommandError(f"the packaged rules do not compile ({len(found)} findings); see `phenix lint`", FINDINGS)
    sections = []
    for group in dict.fromkeys(chip.group for chip in bundle.chips):
        sections.append(f"## {group.capitalize()}")
        sections += [_chip(chip) for chip in bundle.chips if chip.group == group]
    return page(
        "Chips",
        "What each chip of the packaged rules means: the rule as written, and the same read out of the compiled rule. "
        "A chip is on, off, or cannot be told where an input is unknown. Filters take the id, the label or an alias, "
        "in any case.",
        *sections,
    )


def _chip(chip: Any) -> str:
    names = ", ".join(code(name) for name in chip.aliases)
    reads = ", ".join(code(name) for name in chip.fields)
    params = ", ".join(f"`${name}` = {value}" for name, value in chip.params.items())
    facts = [f"Id `{chip.id}`", f"aliases {names}" if names else "", f"reads {reads}" if reads else "", params]
    lines = [
        f"### {chip.label}",
        chip.doc,
        f"```\n{chip.rule}\n```",
        chip.english,
        "; ".join(filter(None, facts)) + ".",
    ]
    return "\n\n".join(filter(None, lines))


# -- query parameters


def _parameters() -> str:
    from phenix.server.params import PARAMETERS
    from phenix.server.uses import Use

    everywhere = PARAMETERS["where"].uses
    rows = [
        (code(p.name), p.kind, "" if p.uses == everywhere else ", ".join(u.value for u in Use if u in p.uses), p.doc)
        for p in PARAMETERS.values()
    ]
    return page(
        "Query parameters",
        "What `/api/flow`, `/api/flow/historical` (a page), `/api/flow/summary`, `/api/flow/facets` (sums), "
        "`/api/flow/stream` and `/api/flow/{id}` (one row) take; over gRPC as `parameters` of a filter, where no "
        "member of the request is for it. A parameter that is not for all of them says what it is for, and is refused "
        "elsewhere; one row takes no other. Whatever is given is and-ed into one expression of the rule "
        "language, which the answer repeats as `meta.where`. An unknown parameter, chip, field or value is refused "
        "with a suggestion, never ignored. A range leaves out rows whose field is unknown.",
        table(("Parameter", "Kind", "For", "What"), rows),
    )


# -- logs


def _logs() -> str:
    from phenix.engine.logs import FIELDS

    return page(
        "Log lines",
        "Every command writes its log to standard error, in the form that `PHENIX_LOG_FORMAT` names, from the level of "
        "`PHENIX_LOG_LEVEL` on ([settings](settings.md)). A line of JSON is one object; what does not apply is not "
        "there. Nothing of a query is logged, and tokens, passwords, queries of URLs and paths of URLs of other "
        "machines are taken out of every line.",
        table(("Member", "What"), [(code(name), said) for name, said in FIELDS.items()]),
        "`phenix serve` has a line for each request and call when it ended: `error` from status 500, and for the codes "
        "of gRPC that mean the same; `debug` for health, readiness, metrics and the page's own files; else `info`.",
    )


# -- metrics


def _metrics() -> str:
    from phenix.engine.metrics import METRICS, Process

    intros = {
        Process.INGEST: "On the port of this machine that `PHENIX_METRICS_PORT` names, with /health beside it.",
        Process.SERVE: "On the port of REST, for the role reader where there are tokens.",
    }
    sections = []
    for process, intro in intros.items():
        rows = [
            (code(m.name), str(m.form), ", ".join(map(code, m.labels)), m.help) for m in METRICS if process in m.told_by
        ]
        sections.append(f"## phenix {process}\n\n{intro}\n\n" + table(("Metric", "Type", "Labels", "What"), rows))
    return page(
        "Metrics",
        "What each process tells on `/metrics`, for Prometheus; as OpenMetrics where that is asked for. Beside these "
        "there are `process_*`: CPU time, memory and open files, as of every process. Labels hold words of the program "
        "only, never what a client or the tape sent.",
        *sections,
    )


# -- the stand-in terminal


def _terminal() -> str:
    from phenix.ingest.terminal.entitlements import ENDPOINT_TIERS, Tier
    from phenix.ingest.terminal.faults import FAULTS, MOMENTS, Stage
    from phenix.ingest.terminal.standin_control import ENDPOINTS
    from phenix.ingest.terminal.standin_tables import TABLES

    titles = {
        Stage.TAPE: "Prints and quotes",
        Stage.LINE: "Connection and line",
        Stage.FRAMES: "Frames",
        Stage.REQUESTS: "Stream requests",
        Stage.REST: "REST answers",
    }
    heads = ("Parameter", "Default", "Range", "What")
    common = table(heads, map(_param, MOMENTS))
    sections = [
        "## Control\n\n" + table(("Request", "What"), [(code(request), what) for request, what in ENDPOINTS]),
        "## Faults\n\nEach waits for opportunities: prints, messages, reconnects or requests. The same parameters take "
        "the same ones, so that a run can be repeated. Those marked ¹ also have these parameters:\n\n" + common,
    ]
    for stage, title in titles.items():
        rows = [
            (
                code(fault.name) + (" ¹" if set(MOMENTS) <= set(fault.params) else ""),
                fault.at,
                fault.doc,
                "; ".join(f"`{p.name}={p.default}` {p.doc} ({p.range})" for p in fault.own),
            )
            for fault in FAULTS.values()
            if fault.stage is stage
        ]
        sections.append(f"### {title}\n\n" + table(("Fault", "At each", "What happens", "Parameters"), rows))
    answered = [
        (code(f"/v3{path}"), f"{kind.lower()}, {Tier(tier).name.lower()}", "" if path in TABLES else "404")
        for path, (kind, tier) in ENDPOINT_TIERS.items()
    ]
    sections.append(
        "## Endpoints\n\nEach with the lowest subscription that includes it; below it the answer is 471. What the "
        "vendor has and the stand-in does not is a 404.\n\n" + table(("Path", "Subscription", "Answer"), answered)
    )
    return page(
        "Stand-in terminal",
        "`phenix terminal` speaks the vendor's REST and WebSocket protocol over a tape or a generated session. What "
        "can go wrong with the real one can be made to go wrong here, from the start "
        "(`--fault silent_feed:after=500,for=5s`) or while it plays. The ledger accounts for every print: "
        "due = sent + broken + unwanted + waiting + all that was lost.",
        *sections,
    )


def _param(param: Any) -> tuple[str, str, str, str]:
    return code(param.name), code(str(param.default)), param.range, param.doc


# -- commands


def _commands(top: argparse.ArgumentParser) -> str:
    return page(
        "Commands",
        "Exit status of every command: 0 done, 1 findings (lint findings, differing files), 2 wrong usage or could not "
        "run, 130 interrupted.",
        *(_command(name, command) for name, command in _walk(top)),
    )


def _walk(top: argparse.ArgumentParser) -> Iterator[tuple[str, argparse.ArgumentParser]]:
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield command.prog, command
                yield from _walk(command)


def _command(name: str, command: argparse.ArgumentParser) -> str:
    rows = [
        (_spelling(action), (action.help or "") % {**vars(action), "prog": command.prog})
        for action in command._actions
        if not isinstance(action, argparse._HelpAction | argparse._SubParsersAction)
        and action.help is not argparse.SUPPRESS
    ]
    return "\n\n".join(
        [f"## {name}", command.description or "", *([table(("Argument", "What"), rows)] if rows else [])]
    )


def _spelling(action: argparse.Action) -> str:
    value = action.metavar if isinstance(action.metavar, str) else action.dest.upper()
    if action.choices:
        value = "{" + ",".join(str(choice) for choice in action.choices) + "}"
    if not action.option_strings:
        return code(value + ("…" if action.nargs in ("*", "+") else ""))
    return ", ".join(code(o if action.nargs == 0 else f"{o} {value}") for o in action.option_strings)


# -- preflight


def _preflight() -> str:
    from phenix.engine.preflight import FAILURES

    rows = [(code(name), str(failure.exit), failure.when) for name, failure in FAILURES.items()]
    return page(
        "Preflight and bootstrap",
        "What `phenix preflight`, `phenix bootstrap` and `phenix ingest` end with when the terminal cannot be used, in "
        "the order these are looked for. The code stands in the JSON report and in the log (`code`), the number is "
        "the exit status, and `preflight_failed` of serve tells what was found last, from `flow.preflight.json` beside "
        "the store `flow.sqlite`. Other failed checks of `phenix preflight` end with 1.",
        table(("Code", "Exit status", "When"), rows),
    )


def pages(top: argparse.ArgumentParser) -> dict[str, Callable[[], str]]:
    """The path of each page from their folder to the function that writes it; ``top`` is the whole command line."""
    from phenix.cli.codes import code_index, code_page
    from phenix.cli.language import language_page
    from phenix.cli.sample import sample_settings
    from phenix.cli.saving import saved_page
    from phenix.dsl.codes import CODES, slug

    codes = {f"diagnostics/{slug(one)}.md": partial(code_page, one) for one in CODES.values()}
    return {
        **codes,
        "../deploy/phenix.toml": sample_settings,
        "chips.md": _chips,
        "commands.md": lambda: _commands(top),
        "diagnostics/README.md": code_index,
        "fields.md": _fields,
        "language.md": language_page,
        "logs.md": _logs,
        "metrics.md": _metrics,
        "parameters.md": _parameters,
        "preflight.md": _preflight,
        "saved.md": saved_page,
        "settings.md": _settings,
        "terminal.md": _terminal,
    }
