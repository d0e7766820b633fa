"""Rules as commands name them: files read, compiled to a bundle, replaced, and versions of a store."""

from __future__ import annotations

import argparse
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from phenix.cli.command import CLEAN, CommandError

if TYPE_CHECKING:
    from phenix.dsl.source import Source
    from phenix.engine.bundle import Bundle

__all__ = [
    "add_rules",
    "count_sessions",
    "named_bundle",
    "named_version",
    "read_sources",
    "replace_file",
    "store_of",
    "tell",
]


def add_rules(command: argparse.ArgumentParser) -> None:
    """Add ``--rules`` to a command that reads whole rules; :func:`named_bundle` reads what was named."""
    command.add_argument("--rules", action="append", type=Path, metavar="PATH", default=[],
                         help="a rule file or a folder of some, may be repeated (default: the rules shipped with "
                         "phenix)")  # fmt: skip


def read_sources(paths: list[Path]) -> list[Source]:
    """The rule files at the paths, the packaged ones for none. Raises CommandError."""
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


def named_bundle(args: argparse.Namespace) -> Bundle:
    """The bundle of ``--rules``. Raises CommandError with what is wrong in them."""
    from phenix.dsl.diagnostics import has_errors
    from phenix.dsl.render import render_text
    from phenix.engine.bundle import compile_bundle

    bundle, found = compile_bundle(read_sources(args.rules))
    if bundle is None:
        errors = [render_text(finding) for finding in found if has_errors((finding,))]
        raise CommandError("\n".join(["the rules do not compile:", *errors]))
    return bundle


def replace_file(file: Path, data: bytes) -> None:
    """Put a file in the place of the old one at once, with its mode; a link stays one. Raises CommandError."""
    target = file.resolve()
    try:
        handle, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
        try:
            with os.fdopen(handle, "wb") as new:
                new.write(data)
            Path(name).chmod(target.stat().st_mode & 0o7777 if target.exists() else 0o644)
            Path(name).replace(target)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise CommandError(f"{file}: {error.strerror}: nothing was changed there") from None


def count_sessions(text: str) -> int:
    """An argument that is a number of sessions."""
    if text.isascii() and text.isdigit() and int(text) > 0:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is no number of sessions: a whole number, 1 or more")


def store_of(args: argparse.Namespace) -> str:
    """The store's URL, of ``--store`` or the setting."""
    return str(args.settings.store if args.store is None else args.store)


def named_version(args: argparse.Namespace) -> str:
    """The id of the stored version that ``version`` names, by it or how it begins. Raises CommandError."""
    from phenix import app
    from phenix.engine.query.request import Refusal

    found = app.lifecycle(store_of(args)).find(args.version)
    if isinstance(found, Refusal):
        raise CommandError(found.detail)
    return found.version_id


def tell(args: argparse.Namespace, data: Any, lines: list[str]) -> int:
    """Print what came of it, as JSON where that is wanted."""
    print(json.dumps(data, ensure_ascii=False) if args.json else "\n".join(lines))
    return CLEAN
