"""``phenix rules``: versions of the rules in a store, which of them is active, and since when."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phenix.cli import retag, shadow
from phenix.cli.command import CLEAN, FINDINGS, CommandError
from phenix.cli.rules import read_sources, store_of, tell

if TYPE_CHECKING:
    from phenix.engine.bundle import Bundle
    from phenix.engine.lifecycle import Ask, Lifecycle
    from phenix.engine.rule_diff import Change, RuleDiff
    from phenix.engine.store.versions import Activation, RuleVersion

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``rules`` and its actions."""
    rules = commands.add_parser(
        "rules",
        help="store rule versions, make one active, go back",
        description="Rule versions of a store. A version is stored once and never changes; one is active, and tags "
        "every row from the seq on at which it became so. Ingest switches between two batches, and loses no row.",
    )
    actions = rules.add_subparsers(title="actions", metavar="ACTION", dest="action", required=True)

    def action(name: str, run: Any, text: str, more: str = "") -> argparse.ArgumentParser:
        one = actions.add_parser(name, help=text, description=f"{text[0].upper()}{text[1:]}.{more}")
        one.add_argument("--store", metavar="URL", help="the store (PHENIX_STORE)")
        one.add_argument("--json", action="store_true", help="print what came of it as JSON")
        one.set_defaults(run=run)
        return one

    action("list", _list, "list the stored versions")
    action("history", _history, "list what was asked of the rules, by whom, and what came of it")
    push = action("push", _push, "store rule files as a version",
                  " They are checked and their tests run first; nothing is stored of rules that fail. The version is "
                  "not active yet.")  # fmt: skip
    push.add_argument("paths", nargs="*", type=Path, metavar="PATH",
                      help="rule files or folders of them (default: the rules shipped with phenix)")  # fmt: skip
    change = action("set", _set, "store a version with other values of some params",
                    " Everything else is as in the version it is made from.")  # fmt: skip
    change.add_argument("params", nargs="+", type=_param, metavar="NAME=VALUE", help="as in whales_min=750k")
    change.add_argument("--version", default="", help="the version to make it from (default: the active one)")
    diff = action("diff", _diff, "show what a version changes against another")
    diff.add_argument("versions", nargs="+", metavar="VERSION",
                      help="the version before and the one after; of one alone: against the active one")  # fmt: skip
    activate = action("activate", _activate, "make a version the active one, from the next row on")
    activate.add_argument("version", help="its id, or how that begins")
    activate.add_argument(
        "--force", action="store_true", help="whatever the comparison of sessions says; with --reason"
    )
    back = action("rollback", _rollback, "go back to the version that was active before",
                  " Asked again, to the one before that.")  # fmt: skip
    for one in (activate, back):
        one.add_argument("--reason", default="", metavar="TEXT", help="why; kept with the activation")
    shadow.add_actions(action)
    retag.add_action(action)


def _param(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if equals and name.strip() and value.strip():
        return name.strip(), value.strip()
    raise argparse.ArgumentTypeError(f"{text!r} is no NAME=VALUE, as in whales_min=750k")


def _lifecycle(args: argparse.Namespace) -> Lifecycle:
    from phenix import app

    return app.lifecycle(store_of(args), app.bands(args.settings))


def _held(found: Any) -> Any:
    """What came of it. Raises CommandError for a refusal, with all that is wrong."""
    from phenix.dsl.diagnostics import Diagnostic
    from phenix.dsl.render import render_text
    from phenix.engine.query.request import Refusal

    if not isinstance(found, Refusal):
        return found
    shown = [render_text(one) for one in found.diagnostics if isinstance(one, Diagnostic)]
    raise CommandError("\n".join([found.detail, *shown]))


def _list(args: argparse.Namespace) -> int:
    from phenix.engine.lifecycle import version_json

    versions = _lifecycle(args).versions()
    lines = [_version_line(one) for one in versions]
    return tell(args, [version_json(one) for one in versions], lines or ["no rule version is stored yet"])


def _history(args: argparse.Namespace) -> int:
    from phenix.engine.lifecycle import activation_json

    entries = _lifecycle(args).history()
    lines = [_entry_line(entry) for entry in entries]
    return tell(args, [activation_json(entry) for entry in entries], lines or ["nothing was asked of the rules yet"])


def _push(args: argparse.Namespace) -> int:
    lifecycle = _lifecycle(args)
    return _stored(args, lifecycle, _held(lifecycle.push(read_sources(args.paths))))


def _set(args: argparse.Namespace) -> int:
    lifecycle = _lifecycle(args)
    return _stored(args, lifecycle, _held(lifecycle.set_params(args.version, dict(args.params))))


def _stored(args: argparse.Namespace, lifecycle: Lifecycle, pushed: tuple[Bundle, bool]) -> int:
    from phenix.engine.query.request import Refusal

    bundle, new = pushed
    diff = lifecycle.diff("", bundle.version)
    lines = [f"{bundle.version} {'stored' if new else 'was stored already'}: {len(bundle.chips)} chips"]
    if not isinstance(diff, Refusal):
        lines += _diff_lines(diff) or ["it is what is active"]
    elif diff.code == "conflict":  # stored all the same, which may be what puts this right
        lines.append(f"not compared with the active version: {diff.detail}")
    changes = None if isinstance(diff, Refusal) else diff.to_dict()
    found = {"version": bundle.version, "checksum": bundle.checksum, "new": new, "diff": changes}
    return tell(args, found, lines)


def _diff(args: argparse.Namespace) -> int:
    if len(args.versions) > 2:
        raise CommandError("a diff is of two versions: name the one before and the one after, or one to hold against "
                           "the active one")  # fmt: skip
    before, after = args.versions if len(args.versions) == 2 else ("", args.versions[0])
    diff: RuleDiff = _held(_lifecycle(args).diff(before, after))
    tell(args, diff.to_dict(), _diff_lines(diff) or [f"{diff.before} and {diff.after} say the same"])
    return FINDINGS if diff.changes else CLEAN


def _activate(args: argparse.Namespace) -> int:
    return _asked(args, _held(_lifecycle(args).activate(args.version, _ask(args, force=args.force))))


def _rollback(args: argparse.Namespace) -> int:
    return _asked(args, _held(_lifecycle(args).rollback(_ask(args, force=False))))


def _ask(args: argparse.Namespace, *, force: bool) -> Ask:
    from phenix.engine.lifecycle import Ask

    try:
        by = getpass.getuser()
    except (OSError, KeyError):  # a user without a name
        by = ""
    return Ask(by, args.reason, force)


def _asked(args: argparse.Namespace, entry: Activation) -> int:
    from phenix.engine.lifecycle import activation_json

    tell(args, activation_json(entry), [_entry_line(entry)])
    if entry.refused is not None:
        raise CommandError(f"{entry.version_id} is not active: {entry.refused}")
    if entry.waiting:
        print("phenix: what writes the store has not answered yet; `phenix rules history` shows when it has",
              file=sys.stderr)  # fmt: skip
        return FINDINGS
    return CLEAN


def _version_line(version: RuleVersion) -> str:
    from phenix.engine.lifecycle import version_json

    shown = version_json(version)
    since = f"active after seq {version.activated_seq:,}" if version.is_active else ""
    return f"{'*' if version.is_active else ' '} {version.version_id}  stored {shown['createdAt']}  {since}".rstrip()


def _entry_line(entry: Activation) -> str:
    from phenix.engine.lifecycle import activation_json

    shown = activation_json(entry)
    state = (
        f"after seq {entry.seq:,}" if entry.seq is not None else "waits" if entry.refused is None
        else f"refused: {entry.refused}"
    )  # fmt: skip
    by = f" by {entry.asked_by}" if entry.asked_by else ""
    why = f": {entry.reason}" if entry.reason else ""
    forced = " (forced)" if entry.forced else ""
    return f"{shown['askedAt']}  {entry.cause.value:<9}  {entry.version_id}  {state}{forced}{by}{why}"


def _diff_lines(diff: RuleDiff) -> list[str]:
    lines = [
        f"{diff.before} -> {diff.after}: {len(diff.changes)} changes" + (", params only" if diff.params_only else "")
    ]
    for change in diff.changes:
        lines += _change_lines(change)
    return lines if diff.changes else []


def _change_lines(change: Change) -> list[str]:
    if change.through:
        return [f"~ {change.kind} {change.name} through {', '.join(change.through)}"]
    if change.before is None:
        return [f"+ {change.after}"]
    if change.after is None:
        return [f"- {change.before}"]
    return [f"- {change.before}", f"+ {change.after}"]
