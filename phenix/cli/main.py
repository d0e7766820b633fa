"""The ``phenix`` command: the table of command groups, and the one place that ends a command.

A group is a module with ``add(commands)``, which registers subcommands with
``set_defaults(run=function)``; ``run(args)`` returns the exit code and finds the settings in
``args.settings``, this whole command line in ``args.parser``. Groups import what they run inside
the function, so that any command starts fast.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import traceback
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Final

from phenix import __version__
from phenix.cli import (
    bootstrap,
    certify,
    convert,
    demo,
    docs,
    explain,
    fmt,
    ingest,
    lifecycle,
    lint,
    new,
    plan,
    read,
    replay,
    serve,
    store,
    terminal,
    token,
    top,
    why,
)
from phenix.cli.command import UNUSABLE, CommandError, refuse
from phenix.config import SettingsError, load
from phenix.engine import logs

__all__ = ["GROUPS", "main", "parser"]

GROUPS: Final = (
    demo,
    terminal,
    bootstrap,
    plan,
    ingest,
    serve,
    top,
    token,
    read,
    replay,
    store,
    lifecycle,
    lint,
    fmt,
    new,
    explain,
    why,
    convert,
    certify,
    docs,
)
"""The groups, in the order their commands are listed."""


def parser() -> argparse.ArgumentParser:
    """The whole command line, every group registered."""
    top = argparse.ArgumentParser(
        prog="phenix",
        description="The US options tape as tagged rows that people query and watch.",
        epilog="Exit status: 0 done, 1 findings, 2 could not run. Settings: see docs/settings.md.",
        allow_abbrev=False,
    )
    top.add_argument("--version", action="version", version=f"phenix {__version__}")
    commands = top.add_subparsers(title="commands", metavar="COMMAND", dest="command", required=True)
    for group in GROUPS:
        group.add(commands)
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns its exit code. Wrong usage exits with 2 from argparse itself."""
    top = parser()
    args = top.parse_args(argv)
    args.parser = top
    try:
        args.settings = load(os.environ)
        with _logs(args) as args.logs:
            code: int = args.run(args)
        sys.stdout.flush()
    except CommandError as error:
        return refuse(str(error), error.code)
    except SettingsError as error:
        bad_settings = getattr(args, "bad_settings", None)  # of a command that reports them in its own way
        if bad_settings is None:
            return refuse("\n".join(error.problems))
        with _logs(args):
            return int(bad_settings(args, error.problems))
    except KeyboardInterrupt:
        return 130  # what shells report of a command that was interrupted
    except BrokenPipeError:
        # The reader of our output left, as `head` does; the interpreter must not flush into it again.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except Exception as error:  # the outermost frame: a crash must not exit with 1, which means findings
        from phenix.engine.store.base import StoreError

        if isinstance(error, StoreError):
            return refuse(str(error))
        if not getattr(args, "serves", False):
            traceback.print_exc()
            return UNUSABLE
        with _logs(args):
            logging.getLogger("phenix").critical("crashed", exc_info=True)
        return UNUSABLE
    return code


def _logs(args: argparse.Namespace) -> AbstractContextManager[logs.Logs]:
    """The log lines of a command, on standard error."""
    settings = getattr(args, "settings", None)  # there are none where one of them cannot be used
    form, level = (settings.log_format, settings.log_level) if settings else ("auto", "")
    if form == "auto":
        form = "pretty" if sys.stderr.isatty() else "json"
    if not level:
        level = "info" if getattr(args, "serves", False) else "warning"
    return logs.kept(logs.Form(form), level, sys.stderr)
