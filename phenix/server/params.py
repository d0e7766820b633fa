"""The query parameters: one table that parses them, refuses them, documents them.

Every filter parameter becomes a text of the rule language, so a filter means the same whoever asks.
Both gateways read their requests here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Any, Final

from phenix.dsl.diagnostics import closest
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle
from phenix.engine.flow import FIELDS
from phenix.engine.query.page import compile_filter
from phenix.engine.query.request import MAX_LIMIT, FlowRequest, Refusal, Shadow, Total
from phenix.server.finding import ParameterFinding
from phenix.server.older import OLDER, OLDER_RANGES
from phenix.server.reading import (
    Parameter,
    Reading,
    read_bound,
    read_chip_flag,
    read_chips,
    read_choice,
    read_codes,
    read_dates,
    read_legacy_chips,
    read_members,
    read_preset,
    read_projection,
    read_range,
    read_sort,
    read_switch,
    read_symbols,
    read_text,
    read_where,
    read_whole,
    shorten,
)
from phenix.server.uses import Use

__all__ = ["MAX_SESSIONS", "PARAMETERS", "Asked", "read", "read_apart", "read_settings", "taken"]

MAX_SESSIONS: Final = 10_000
"""More than any store holds."""
_LONG: Final = 4_096
"""Characters of a query that take long enough to read for everyone else to notice."""


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as both gateways see it: the page, how a stream is wanted, and how much of sums.

    ``resume`` is the seq to go on after; None means from now.
    """

    request: FlowRequest
    snapshot: int = 50
    resume: int | None = None
    batch: bool = False
    named: bool = True
    json: bool = False
    top: int = 0

    @property
    def most(self) -> int:
        """Symbols, contracts and values of sums that are wanted."""
        return self.top or self.request.limit


def _ranges() -> Iterable[Parameter]:
    for f in FIELDS:
        if f.ranges:
            what = f.doc.rstrip(".")
            unit = {Kind.MONEY: " In dollars.", Kind.PERCENT: " In percent."}.get(f.type.kind, "")
            yield Parameter(
                f"min{f.ranges}", "number", f"At least this `{f.json}` ({what}).{unit}", read_range(">="), f.name
            )
            yield Parameter(
                f"max{f.ranges}", "number", f"At most this `{f.json}` ({what}).{unit}", read_range("<="), f.name
            )


_SIZES: Final = ("100k", "sizable", "whales", "largeSize")
_EXECUTIONS: Final = ("calls", "puts", "bid", "ask", "aa", "sweeps")
_PAGES: Final = frozenset({Use.PAGE, Use.QUERY})
_STREAMS: Final = frozenset({Use.STREAM, Use.SUBSCRIBE})
_SSE: Final = frozenset({Use.STREAM})

PARAMETERS: Final[dict[str, Parameter]] = {
    parameter.name: parameter
    for parameter in (
        Parameter("where", "expression", "Text of the rule language, and-ed with everything else.", read_where),
        Parameter("chips", "chips", "Chips a row must have: ids, labels or aliases.", read_chips("@{}"), csv=True),
        Parameter("notChips", "chips", "Chips a row must not have.", read_chips("not @{}"), csv=True),
        Parameter("symbol", "symbols", "Underlyings; a leading `-` excludes.", read_symbols, "symbol", csv=True),
        Parameter("right", "enum", "CALL or PUT.", read_members, "right", csv=True),
        Parameter("type", "enum", "The same as `right`.", read_members, "right", csv=True),
        Parameter("expiration", "dates", "Expiration dates of the contract.", read_dates, "expiration", csv=True),
        Parameter("side", "enum", "AA, ASK, BID or MID; OTHER is MID.", read_members, "side", csv=True),
        Parameter("sentiment", "enum", "bullish, bearish or neutral.", read_members, "sentiment", csv=True),
        Parameter("session", "enum", "Part of the session.", read_members, "session", csv=True),
        Parameter("condition", "codes", "Trade condition codes.", read_codes, "condition", csv=True),
        Parameter("exchange", "codes", "Exchange codes.", read_codes, "exchange", csv=True),
        *_ranges(),
        *(
            Parameter(name, "boolean", f"Only rows with the chip `{name}`; 1 or 0.", read_chip_flag)
            for name in (*_EXECUTIONS, *_SIZES)
        ),
        Parameter("execution", "list", f"Any of {', '.join(_EXECUTIONS)}; a row must have all named.",
                  read_legacy_chips(*_EXECUTIONS), csv=True),
        Parameter("sizeValue", "list", f"Any of {', '.join(_SIZES)}; a row must have all named.",
                  read_legacy_chips(*_SIZES), csv=True),
        Parameter("from", "time", "First session date, or first exchange time.", read_bound(">=")),
        Parameter("to", "time", "Last session date, or last exchange time; both included.", read_bound("<=")),
        Parameter("date", "dates", "Session dates.", read_dates, "session_date", csv=True),
        Parameter("sessions", "integer", "The latest so many sessions; without any bound the current one.",
                  read_whole("sessions", 1, MAX_SESSIONS)),
        Parameter("preset", "id", "Id of a saved query or alert: its filter is and-ed with the others.", read_preset),
        Parameter("sortBy", "field", "Any field of a row; `seq` by default. Unknown values come last.", read_sort,
                  uses=_PAGES),
        Parameter("sortOrder", "enum", "asc or desc (the default); ties follow seq.",
                  read_choice("descending", {"asc": False, "desc": True}), uses=_PAGES),
        Parameter("limit", "integer", "Rows of a page, or symbols, contracts and values of sums, 1 to "
                  f"{MAX_LIMIT}; 50 by default, more is {MAX_LIMIT}.",
                  read_whole("limit", 1, MAX_LIMIT), uses=_PAGES | {Use.SUMS}),
        Parameter("cursor", "text", "`page.nextCursor` of the page before, with the same filter.", read_text("cursor"),
                  uses=_PAGES | {Use.EXPORT}),
        Parameter("fields", "fields", "Only these keys of a row.", read_projection, csv=True,
                  uses=frozenset({Use.PAGE, Use.STREAM, Use.ROW})),
        Parameter("total", "enum", "Number of all matching rows: exact, estimate or none (the default).",
                  read_choice("total", {total.value: total for total in Total}), uses=_PAGES),
        Parameter("includeCancelled", "boolean", "With cancelled prints and cancel records.",
                  read_switch("include_cancelled")),
        Parameter("shadow", "boolean",
                  "Adds `meta.shadow`: which rows the filter would gain and lose under the rule version in shadow.",
                  read_switch("shadow", Shadow.WANTED, Shadow.NONE), uses=_PAGES),
        Parameter("rules", "text",
                  "Chips and score by this stored rule version, in the filter too, not by what tagged a row; other "
                  "figures are as stored. `meta.plan` says whether its tags were computed for the answer, or had been "
                  "stored by `phenix rules retag`, which `sortBy` a score needs.", read_text("rules"), uses=_PAGES),
        Parameter("snapshot", "integer", "Streams: latest rows to begin with, 0 to skip; 50 by default.",
                  read_whole("snapshot", 0, MAX_LIMIT), uses=_STREAMS),
        Parameter("watermark", "integer", "Streams: resume exactly after this seq.", read_whole("resume", 0),
                  uses=_STREAMS),
        Parameter("batch", "boolean", "Streams: rows of one commit share a frame.", read_switch("batch"), uses=_SSE),
        Parameter("named", "boolean", "Streams: 0 sends unnamed messages.", read_switch("named"), uses=_SSE),
        Parameter("transport", "enum", "Streams: sse (the default), or json for what is there now.",
                  read_choice("json", {"sse": False, "json": True}), uses=_SSE),
        *OLDER,
    )
}  # fmt: skip
"""Every parameter by its name."""

_TAKEN: Final = {use: {name: one for name, one in PARAMETERS.items() if use in one.uses} for use in Use}
_ASIDE: Final = ("snapshot", "resume", "batch", "named", "json", "top")


def taken(use: Use) -> Mapping[str, Parameter]:
    """The parameters of a use: what it reads, and what its description lists."""
    return _TAKEN[use]


def read(
    pairs: Iterable[tuple[str, str]],
    bundle: Bundle,
    presets: Mapping[str, str] = MappingProxyType({}),
    table: Mapping[str, Parameter] = PARAMETERS,
) -> Asked | Refusal:
    """Read the parameters of a table; a refusal holds one finding for each thing that is wrong.

    ``presets`` are the rule texts of the saved queries that are named, by their ids.
    """
    reading = Reading(bundle, presets)
    _fill(reading, _joined(pairs), table, "GET /api/flow/filters/catalog lists the parameters")
    _check_ranges(reading)
    if reading.findings:
        compiled = compile_filter(reading.parts, bundle)  # what is wrong with `where` is said at once too
        if isinstance(compiled, Refusal):
            reading.findings += compiled.diagnostics
        return _refused(reading)
    settings = reading.settings
    aside = {name: settings.pop(name) for name in _ASIDE if name in settings}
    return Asked(replace(FlowRequest(parts=tuple(reading.parts)), **settings), **aside)


def read_settings(
    pairs: Iterable[tuple[str, str]], bundle: Bundle, table: Mapping[str, Parameter]
) -> dict[str, Any] | Refusal:
    """The settings that the parameters of another route are; every other one is refused."""
    reading = Reading(bundle)
    _fill(reading, pairs, table, f"it takes {', '.join(table)}" if table else "it takes none")
    return _refused(reading) if reading.findings else reading.settings


def _fill(reading: Reading, pairs: Iterable[tuple[str, str]], table: Mapping[str, Parameter], others: str) -> None:
    """Read each parameter once; ``others`` says which there are."""
    seen: set[str] = set()
    for name, text in pairs:
        parameter = table.get(name)
        if parameter is None and name in PARAMETERS:
            hint = f"leave it out: it is for {_listed([use.value for use in Use if use in PARAMETERS[name].uses])}"
            reading.findings.append(ParameterFinding("PHX406", name, f"`{name}` means nothing here", None, hint))
        elif parameter is None:
            near = closest(name, table) or ""
            hint = "" if near else others
            message = f"there is no parameter {shorten(name)!r}"
            reading.findings.append(ParameterFinding("PHX401", shorten(name), message, None, hint, near))
        elif name in seen:
            reading.findings.append(ParameterFinding("PHX404", name, f"`{name}` is given more than once"))
        else:
            seen.add(name)
            parameter.read(reading, parameter, text)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))


def _refused(reading: Reading) -> Refusal:
    count, first = len(reading.findings), reading.findings[0].message
    detail = first if count == 1 else f"{count} things are wrong with the query; the first: {first}"
    return Refusal("invalid_query", detail, tuple(reading.findings))


async def read_apart(
    pairs: Sequence[tuple[str, str]],
    bundle: Bundle,
    presets: Mapping[str, str] | Refusal,
    table: Mapping[str, Parameter] = PARAMETERS,
) -> Asked | Refusal:
    """What :func:`read` says; a long query is read on a thread, so that no other request waits for it."""
    if isinstance(presets, Refusal):
        return presets
    if sum(len(name) + len(text) for name, text in pairs) > _LONG:
        return await asyncio.to_thread(read, pairs, bundle, presets, table)
    return read(pairs, bundle, presets, table)


def _joined(pairs: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """The pairs with a list that is given more than once made one list, at its first place."""
    found: list[tuple[str, str]] = []
    places: dict[str, int] = {}
    for name, text in pairs:
        parameter = PARAMETERS.get(name)
        if parameter is None or not parameter.csv:
            found.append((name, text))
        elif name in places:
            found[places[name]] = (name, f"{found[places[name]][1]},{text}")
        else:
            places[name] = len(found)
            found.append((name, text))
    return found


def _check_ranges(reading: Reading) -> None:
    pairs = [(f"min{f.ranges}", f"max{f.ranges}") for f in FIELDS if f.ranges]
    pairs += [("from", "to"), *OLDER_RANGES]
    for low, high in pairs:
        first, last = reading.ends.get(low), reading.ends.get(high)
        if first is not None and last is not None and _above(first, last):
            message = f"`{low}` is {first} and `{high}` is {last}: no row can match"
            hint = "exchange them, or leave one out"
            reading.findings.append(ParameterFinding("PHX403", low, message, None, hint))


def _above(first: Decimal | str, last: Decimal | str) -> bool:
    """Two numbers, two days or two times; a day and a time are not compared."""
    if isinstance(first, Decimal) and isinstance(last, Decimal):
        return first > last
    return len(str(first)) == len(str(last)) and str(first) > str(last)
