"""A few requests to the terminal, each of which must be answered as the subscription says, and what was observed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from phenix.ingest.preflight import Check, Endpoint, Report
from phenix.ingest.terminal.client import NoDataError, NotEntitledError, Observed, Terminal, TerminalError
from phenix.ingest.terminal.protocol import Contract

__all__ = ["FORBIDDEN", "smoke"]

FORBIDDEN: Final = "/v3/option/snapshot/greeks/all"
"""Needs a Pro subscription: with Options Standard it must be refused."""
_ENTITLED: Final = "/v3/option/history/trade"
_DATA, _NO_DATA, _REFUSED, _ERROR = "data", "no data", "refused", "error"


async def smoke(
    terminal: Terminal,
    report: Report,
    *,
    health_path: str,
    download_path: str,
    ingest_path: str,
    roots: Sequence[str],
    dates: Iterable[int],
    today: int,
) -> None:
    """Ask, and add what was observed to the report.

    ``roots`` are tried in order for one that traded on one of the ``dates``; its contract is what data is asked of.
    """
    asking = _Asking(terminal, report)
    await asking.expect("reachability", health_path, {}, _DATA)
    await asking.expect("stock list", download_path, {}, _DATA)
    await asking.expect("option list", "/v3/option/list/symbols", {}, _DATA)
    traded = await _traded(terminal, asking, roots, dates)
    if traded is None:
        return
    contract, date = traded
    of: dict[str, str | int] = {
        "symbol": contract.root,
        "expiration": contract.expiration,
        "strike": f"{contract.strike / 10_000:.3f}",
        "right": contract.right.lower(),
    }
    await asking.expect("entitled data", _ENTITLED, {**of, "date": date}, _DATA)
    chain: dict[str, str | int] = {"symbol": contract.root, "expiration": contract.expiration}
    await asking.expect("forbidden data", FORBIDDEN, chain, _REFUSED)
    await asking.expect("ingest data", ingest_path, {**of, "date": date}, _DATA)
    # Whether history of the same day is answered before midnight is disputed: both are normal.
    await asking.expect("same-day data", ingest_path, {**of, "date": today}, _DATA, _NO_DATA)


async def _traded(
    terminal: Terminal, asking: _Asking, roots: Sequence[str], dates: Iterable[int]
) -> tuple[Contract, int] | None:
    """A contract that traded, and the date."""
    tried = []
    try:
        for date in dates:
            tried.append(str(date))
            found = await terminal.contracts(date, symbols=roots)
            if found:
                detail = f"{len(found)} contracts traded on {date}"
                asking.report.add(Check("contracts", True, detail))
                return found[0], date
        detail = f"no contract of {', '.join(roots[:5])} traded on {', '.join(tried)}: name a day that did with --date"
    except TerminalError as error:
        detail = str(error)
    asking.report.add(Check("contracts", False, detail))
    return None


class _Asking:
    def __init__(self, terminal: Terminal, report: Report) -> None:
        self.report = report
        self._terminal = terminal

    async def expect(self, name: str, path: str, params: dict[str, str | int], *wanted: str) -> None:
        """Make a request; it passes when what comes is among ``wanted``."""
        seen = await self._terminal.observe(path, params)
        endpoint = _endpoint(name, seen)
        self.report.endpoints.append(endpoint)
        detail = (
            f"{endpoint.result}, {' or '.join(wanted)} expected" if endpoint.result not in wanted else endpoint.result
        )
        more = f": {endpoint.detail}" if endpoint.detail else ""
        self.report.add(Check(name, endpoint.result in wanted, f"{path}: {detail}{more}"))


def _endpoint(name: str, seen: Observed) -> Endpoint:
    match seen.error:
        case None:
            result = _DATA
        case NoDataError():
            result = _NO_DATA
        case NotEntitledError():
            result = _REFUSED
        case _:
            result = _ERROR
    return Endpoint(
        name,
        seen.url,
        seen.status,
        result,
        seen.columns,
        seen.rows,
        str(seen.error or ""),
        round(seen.seconds * 1000, 1),
    )
