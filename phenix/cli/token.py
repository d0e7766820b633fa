"""``phenix token``: a token for the API, its hash added to the file that serve reads."""

from __future__ import annotations

import argparse
from datetime import date
from pathlib import Path

from phenix.cli.command import CLEAN, CommandError

__all__ = ["add"]

_ROLES = ("reader", "author", "operator")


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register the command."""
    parser = commands.add_parser(
        "token",
        help="make a token for the API",
        description="Make a token, and add its hash to the file of tokens. It is printed once and kept nowhere; serve "
        "reads the file when it starts. A reader asks, an author also saves presets and alerts, an operator also "
        "changes rules.",
    )
    parser.add_argument("name", help="who it is for; one token a name")
    parser.add_argument("--role", choices=_ROLES, default=_ROLES[0], help="what it allows (default: reader)")
    parser.add_argument("--until", type=_day, metavar="DAY", help="last day it counts, UTC, as 2026-12-31")
    parser.add_argument("--file", type=Path, metavar="FILE", help="file of tokens (default: PHENIX_API_TOKENS)")
    parser.set_defaults(run=run)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no day; write 2026-12-31") from None


def run(args: argparse.Namespace) -> int:
    """Make one."""
    import os

    from phenix.server.auth import Role, Tokens, TokensError, new_token

    file = args.file or args.settings.tokens
    if file is None:
        raise CommandError("no file of tokens: name one with --file or PHENIX_API_TOKENS")
    secret, token = new_token(args.name, Role[args.role.upper()], args.until)
    try:
        before = file.read_text("utf-8") if file.exists() else ""
        after = before + ("" if not before or before.endswith("\n") else "\n") + token.line + "\n"
        part = file.with_name(file.name + ".part")
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as made:
            made.write(after)
        try:
            Tokens.read(part)
        except TokensError as error:
            part.unlink()
            raise CommandError(str(error).replace(str(part), str(file))) from None
        part.replace(file)
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"the tokens {file} cannot be written: {error}") from None
    print(secret)
    return CLEAN
