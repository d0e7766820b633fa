"""``phenix certify``: random rules on random rows, on every target, and a record of what came of it."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import Final

from phenix.cli.command import CLEAN, FINDINGS, CommandError

__all__ = ["add"]

_SHORT: Final = 10_000
_LONG: Final = 1_000_000


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    text = "Prove that every target gives the same answers: random rules on random rows, compared with the reference."
    command = commands.add_parser("certify", help=text, description=text, allow_abbrev=False)
    command.add_argument("paths", nargs="*", type=Path, metavar="PATH",
                         help="rule files or folders of them (default: the rules shipped with phenix)")  # fmt: skip
    command.add_argument("--long", action="store_true", help=f"{_LONG:,} rule-row pairs, some minutes")
    command.add_argument("--pairs", type=int, help=f"at least so many pairs (default: {_SHORT:,})")
    command.add_argument("--seed", type=int, help="repeat a run (default: another each time)")
    command.add_argument("--output", type=Path, metavar="FILE", help="write the certificate as JSON")
    command.set_defaults(run=_certify)


def _certify(args: argparse.Namespace) -> int:
    import json

    from phenix.dsl.render import render_text
    from phenix.engine.bundle import load_bundle
    from phenix.engine.certify.certificate import certify
    from phenix.engine.certify.engines import open_engines

    pairs = args.pairs if args.pairs is not None else _LONG if args.long else _SHORT
    if pairs < 1:
        raise CommandError("--pairs is a number above zero")
    for path in args.paths:
        if not path.exists():
            raise CommandError(f"{path}: there is no such file or folder")
    try:
        bundle, found = load_bundle(args.paths or None)
    except (OSError, ValueError) as error:
        raise CommandError(str(error)) from None
    if bundle is None:
        for finding in found:
            print(render_text(finding), end="\n\n", file=sys.stderr)
        raise CommandError("the rules do not compile: `phenix lint` says more")
    seed = args.seed if args.seed is not None else time.time_ns() % 2**32
    with open_engines() as (engines, skipped):
        made = certify(bundle, engines, pairs=pairs, seed=seed, skipped=skipped, progress=_Progress(pairs))
    print(made.text())
    if args.output is not None:
        try:
            args.output.write_text(json.dumps(made.to_dict(), indent=2, ensure_ascii=False) + "\n", "utf-8")
        except OSError as error:
            raise CommandError(f"{args.output}: {error.strerror}") from None
    return CLEAN if made.clean else FINDINGS


class _Progress:
    """A line on stderr every few seconds, for whoever waits."""

    def __init__(self, pairs: int) -> None:
        self._pairs, self._begun = pairs, time.monotonic()
        self._next = self._begun + 5

    def __call__(self, done: int) -> None:
        now = time.monotonic()
        if now >= self._next:
            self._next = now + 5
            print(f"{done:,} of {self._pairs:,} pairs, {now - self._begun:.0f} s", file=sys.stderr)
