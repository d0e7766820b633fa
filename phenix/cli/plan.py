"""``phenix plan``: which contracts would be streamed, and how much of the session before they would have seen."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING

from phenix.cli.command import CLEAN, CommandError, date_number, date_text

if TYPE_CHECKING:
    from phenix.ingest.day import Day
    from phenix.ingest.planner import Plan
    from phenix.ingest.terminal.protocol import Contract

__all__ = ["add"]


def add(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Register ``plan``."""
    parser = commands.add_parser(
        "plan",
        help="which contracts to stream, and what they cover",
        description="Ask the terminal what the universe traded in the session before, and plan the contracts to "
        "stream as `phenix ingest` does, within the account's budget. Prints the share of that session's prints and "
        "premium that lies inside the plan, and the symbols with most outside.",
    )
    parser.add_argument("--date", type=date_number, help="session date to plan for (default: the running or next one)")
    parser.add_argument("--budget", type=_budget, metavar="N", help="contracts to stream at most (default 15000)")
    parser.add_argument("--contracts", action="store_true", help="list the contracts, the busiest first")
    parser.add_argument("--json", action="store_true", help="print the plan as JSON")
    parser.set_defaults(run=run)


def _budget(text: str) -> int:
    if text.isascii() and text.isdigit() and 0 < int(text) <= 1_000_000:
        return int(text)
    raise argparse.ArgumentTypeError(f"{text!r} is not a whole number from 1 to 1000000")


def run(args: argparse.Namespace) -> int:
    """Plan and print."""
    import asyncio

    from phenix.ingest.terminal.client import TerminalError
    from phenix.ingest.universe import UniverseError

    try:
        day, plan = asyncio.run(_plan(args))
    except (TerminalError, UniverseError) as error:
        raise CommandError(str(error)) from error
    if not plan.contracts:
        raise CommandError(f"the terminal lists no contract of these symbols for {date_text(day.date)}")
    print(json.dumps(_json(day, plan, args.contracts)) if args.json else _text(day, plan, args.contracts))
    return CLEAN


async def _plan(args: argparse.Namespace) -> tuple[Day, Plan]:
    from phenix import app
    from phenix.ingest.recorder import now_utc

    async with app.terminal_client(args.settings) as terminal:
        day = app.trading_day(args.settings, terminal, budget=args.budget)
        await day.open(args.date or day.date_at(now_utc()), now_utc())
        await day.learn()
        await day.refresh(now_utc())
        return day, day.plan()


def _text(day: Day, plan: Plan, listed: bool) -> str:
    covers = plan.coverage
    lines = [f"{len(plan.contracts):,} of {plan.listed:,} contracts for {date_text(day.date)}"]
    if covers.prints_share is None or covers.premium_share is None:
        lines.append("the terminal tells nothing of the session before: ranked by open interest, nearness and days")
    else:
        lines.append(f"session before: {covers.prints_share:.1%} of {covers.prints:,} prints and"
                     f" {covers.premium_share:.1%} of premium inside, at last prices;"
                     f" {covers.expired_prints:,} prints expired since")  # fmt: skip
        lines += [f"  {symbol}: {outside:,} of {prints:,} outside" for symbol, outside, prints in covers.missed[:10]]
        if len(covers.missed) > 10:
            lines.append(f"  and {len(covers.missed) - 10} symbols more")
    if listed:
        lines += map(_osi, plan.contracts)
    return "\n".join(lines)


def _json(day: Day, plan: Plan, listed: bool) -> dict[str, object]:
    covers = plan.coverage
    return {
        "date": date_text(day.date),
        "contracts": len(plan.contracts),
        "listed": plan.listed,
        "sessionBefore": {
            "prints": covers.prints, "printsInside": covers.prints_inside, "printsShare": covers.prints_share,
            "premium": covers.premium / 10_000, "premiumInside": covers.premium_inside / 10_000,
            "premiumShare": covers.premium_share, "expiredPrints": covers.expired_prints,
            "missed": [{"symbol": s, "outside": outside, "prints": prints} for s, outside, prints in covers.missed],
        },
        **({"plan": [_osi(contract) for contract in plan.contracts]} if listed else {}),
    }  # fmt: skip


def _osi(contract: Contract) -> str:
    from phenix.engine.enrich import roots

    return roots.format_osi(roots.Contract(*contract[1:]))
