"""The query parameters: one table that parses them, refuses them, documents them.

Every filter parameter becomes a text of the rule language, so a filter means the same whoever asks;
the table holds how each is written in it. Both gateways read their requests here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from phenix.dsl.diagnostics import Fix, closest, diagnostic
from phenix.dsl.source import Source, Span
from phenix.dsl.types import Kind
from phenix.engine.bundle import Bundle
from phenix.engine.encode import ROW_KEYS
from phenix.engine.flow import BY_NAME, FIELDS, Field
from phenix.engine.query.page import compile_filter
from phenix.engine.query.request import MAX_LIMIT, Finding, FlowRequest, Refusal, Total

__all__ = ["CODES", "PARAMETERS", "SORTABLE", "Asked", "Parameter", "ParameterFinding", "read"]

CODES: Final = {
    "PHX401": "unknown-parameter",
    "PHX402": "malformed-value",
    "PHX403": "contradictory-range",
    "PHX404": "repeated-parameter",
    "PHX405": "unknown-field",
}


@dataclass(frozen=True, slots=True)
class ParameterFinding:
    """What is wrong with a parameter, shaped like a diagnostic of the rule language.

    ``span`` is the part of the parameter's text that ``suggestion`` would replace; None where the
    parameter as a whole is meant.
    """

    code: str
    source: str
    message: str
    span: Span | None = None
    help: str = ""
    suggestion: str = ""

    def to_dict(self) -> dict[str, Any]:
        """JSON object as of a diagnostic; ``source`` is the parameter."""
        start, end = (self.span.start + 1, self.span.end + 1) if self.span else (None, None)
        line = 1 if self.span else None
        found = {"code": self.code, "name": CODES[self.code], "severity": "error", "message": self.message}
        place = {"source": self.source, "line": line, "column": start, "endLine": line, "endColumn": end}
        hint = self.help or (f"write `{self.suggestion}`" if self.suggestion else "")
        more = {"help": hint} if hint else {}
        fix = {"suggestion": {"text": self.suggestion, "safe": True}} if self.suggestion else {}
        return {**found, **place, **more, **fix}


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as both gateways see it: the page, and how a stream is wanted.

    ``resume`` is the seq to go on after; None means from now.
    """

    request: FlowRequest
    snapshot: int = 50
    resume: int | None = None
    batch: bool = False
    named: bool = True
    json: bool = False


class _Item(NamedTuple):
    """One item of a list, and where it begins in the text of its parameter."""

    text: str
    start: int

    @property
    def span(self) -> Span:
        return Span(self.start, self.start + len(self.text))


@dataclass(slots=True)
class _Reading:
    """What reading has come to: rule texts, settings by name, range ends, and what is wrong."""

    bundle: Bundle
    parts: list[tuple[str, str]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, Decimal | str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def malformed(self, name: str, item: _Item, expected: str, suggestion: str = "") -> None:
        message = f"`{name}` is {_shown(item.text)!r}; expected {expected}"
        self.findings.append(ParameterFinding("PHX402", name, message, item.span, "", suggestion))


_Read = Callable[[_Reading, "Parameter", str], None]


@dataclass(frozen=True, slots=True)
class Parameter:
    """A row of the table: how a parameter is called, read and explained.

    A ``csv`` parameter may be repeated, which lengthens its list; any other may not.
    """

    name: str
    kind: str
    doc: str
    read: _Read
    field: str = ""
    csv: bool = False


# -- readers: each turns the text of a parameter into rule text or a setting

_NUMBER: Final = re.compile(r"-?(\d+\.?\d*|\.\d+)")
_INTEGER: Final = re.compile(r"-?\d{1,18}")
_SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9]{0,9}([./][A-Z]{1,2})?")
_BARE: Final = re.compile(r"[A-Z]\w*(\.[A-Z]{1,2})?")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off", ""})
_ET: Final = ZoneInfo("America/New_York")
_ALIASES: Final = {
    "side": {"OTHER": "MID"},
    "right": {"C": "CALL", "P": "PUT", "CALLS": "CALL", "PUTS": "PUT"},
}


def _items(text: str) -> list[_Item]:
    """The items of a comma-separated list; empty ones are none."""
    return [_Item(match[0].strip(), match.start()) for match in re.finditer(r"[^,\s][^,]*", text)]


def _whole_text(text: str) -> _Item:
    return _Item(text.strip(), len(text) - len(text.lstrip()))


def _shown(text: str) -> str:
    return text if len(text) <= 40 else text[:40] + "…"


def _where(reading: _Reading, parameter: Parameter, text: str) -> None:
    if text.strip():
        reading.parts.append((parameter.name, text))


def _chip(reading: _Reading, parameter: Parameter, name: str, text: str, span: Span, form: str = "@{}") -> None:
    chip = reading.bundle.chip(name)
    if chip is not None:
        reading.parts.append((parameter.name, form.format(chip.id)))
        return
    suggestion = reading.bundle.suggest_chip(name)
    reading.findings.append(
        diagnostic(
            "PHX102",
            f"there is no chip {_shown(name)!r}",
            span,
            Source(parameter.name, text),
            help="" if suggestion else "GET /api/flow/filters/catalog lists the chips",
            fix=Fix(span, suggestion) if suggestion else None,
        )
    )


def _chips(form: str) -> _Read:
    def read(reading: _Reading, parameter: Parameter, text: str) -> None:
        for item in _items(text):
            _chip(reading, parameter, item.text, text, item.span, form)

    return read


def _symbols(reading: _Reading, parameter: Parameter, text: str) -> None:
    wanted: list[str] = []
    excluded: list[str] = []
    for item in _items(text):
        name = item.text.removeprefix("-").strip().upper()
        if not _SYMBOL.fullmatch(name):
            reading.malformed(parameter.name, item, "symbols such as SPY or BRK.B, separated by commas, `-` excludes")
            continue
        (excluded if item.text.startswith("-") else wanted).append(name if _BARE.fullmatch(name) else f'"{name}"')
    _among(reading, parameter, wanted)
    _among(reading, parameter, excluded, "!=", "not in")


def _members(reading: _Reading, parameter: Parameter, text: str) -> None:
    members = {m.upper(): m for m in BY_NAME[parameter.field].type.members}
    aliases = _ALIASES.get(parameter.field, {})
    found = []
    for item in _items(text):
        name = item.text.upper()
        member = members.get(aliases.get(name, name))
        if member is None:
            near = closest(item.text, (*members.values(), *aliases)) or ""
            reading.malformed(parameter.name, item, f"one of {', '.join(members.values())}", near)
        else:
            found.append(member)
    _among(reading, parameter, found)


def _codes(reading: _Reading, parameter: Parameter, text: str) -> None:
    found = []
    for item in _items(text):
        if _INTEGER.fullmatch(item.text) and item.text.isascii():
            found.append(str(int(item.text)))
        else:
            reading.malformed(parameter.name, item, "whole numbers separated by commas")
    _among(reading, parameter, found)


def _dates(reading: _Reading, parameter: Parameter, text: str) -> None:
    _among(reading, parameter, [day for item in _items(text) if (day := _day(reading, parameter, item))])


def _among(reading: _Reading, parameter: Parameter, items: list[str], one: str = "=", many: str = "in") -> None:
    if len(items) == 1:
        reading.parts.append((parameter.name, f"{parameter.field} {one} {items[0]}"))
    elif items:
        reading.parts.append((parameter.name, f"{parameter.field} {many} {{{', '.join(dict.fromkeys(items))}}}"))


def _day(reading: _Reading, parameter: Parameter, item: _Item) -> str:
    try:
        return date.fromisoformat(item.text).isoformat()  # also reads YYYYMMDD
    except ValueError:
        reading.malformed(parameter.name, item, "a date such as 2026-09-18")
        return ""


def _bound(sign: str) -> _Read:
    """A day bounds the session, a time the exchange time; a time without zone is New York's."""

    def read(reading: _Reading, parameter: Parameter, text: str) -> None:
        item = _whole_text(text)
        if len(item.text) <= 10:
            day = _day(reading, parameter, item)
            if day:
                reading.parts.append((parameter.name, f"session_date {sign} {day}"))
                reading.ends[parameter.name] = day
            return
        try:
            at = datetime.fromisoformat(item.text)
            utc = (at if at.tzinfo else at.replace(tzinfo=_ET)).astimezone(UTC)
        except (ValueError, OverflowError):
            expected = "a date such as 2026-09-18, or a time such as 2026-09-18T09:30:00"
            reading.malformed(parameter.name, item, expected)
            return
        shown = utc.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        reading.parts.append((parameter.name, f"trade_ts_utc {sign} {shown}"))
        reading.ends[parameter.name] = shown

    return read


def _range(sign: str) -> _Read:
    def read(reading: _Reading, parameter: Parameter, text: str) -> None:
        item = _whole_text(text)
        if len(item.text) > 40 or not item.text.isascii() or not _NUMBER.fullmatch(item.text):
            reading.malformed(parameter.name, item, "a number such as 250000 or -2.5")
            return
        number = Decimal(item.text)
        reading.parts.append((parameter.name, f"{parameter.field} {sign} {number:f}"))
        reading.ends[parameter.name] = number

    return read


def _flag(text: str) -> bool | None:
    lowered = text.strip().lower()
    return True if lowered in _TRUE else False if lowered in _FALSE else None


def _chip_flag(reading: _Reading, parameter: Parameter, text: str) -> None:
    on = _flag(text)
    if on is None:
        expected = "1, true, yes or on; 0, false, no or off mean no filter"
        reading.malformed(parameter.name, _whole_text(text), expected)
    elif on:
        _chip(reading, parameter, parameter.name, text, Span(0, len(text)))


def _legacy_chips(*allowed: str) -> _Read:
    names = {name.lower(): name for name in allowed}

    def read(reading: _Reading, parameter: Parameter, text: str) -> None:
        for item in _items(text):
            name = names.get(item.text.lower())
            if name:
                _chip(reading, parameter, name, text, item.span)
            else:
                near = closest(item.text, allowed) or ""
                reading.malformed(parameter.name, item, f"any of {', '.join(allowed)}", near)

    return read


def _switch(setting: str) -> _Read:
    def read(reading: _Reading, parameter: Parameter, text: str) -> None:
        on = _flag(text)
        if on is None:
            reading.malformed(parameter.name, _whole_text(text), "1 or 0")
        else:
            reading.settings[setting] = on

    return read


def _whole(setting: str, low: int, high: int | None = None) -> _Read:
    """A whole number from ``low`` on; more than ``high`` is ``high``."""

    def read(reading: _Reading, parameter: Parameter, text: str) -> None:
        item = _whole_text(text)
        if not item.text.isascii() or not _INTEGER.fullmatch(item.text) or int(item.text) < low:
            reading.malformed(parameter.name, item, f"a whole number, {low} or more")
        else:
            reading.settings[setting] = min(int(item.text), high) if high else int(item.text)

    return read


def _choice(setting: str, options: dict[str, Any]) -> _Read:
    def read(reading: _Reading, parameter: Parameter, text: str) -> None:
        item = _whole_text(text)
        if item.text.lower() in options:
            reading.settings[setting] = options[item.text.lower()]
        else:
            near = closest(item.text, options) or ""
            reading.malformed(parameter.name, item, f"one of {', '.join(options)}", near)

    return read


SORTABLE: Final[dict[str, Field]] = {
    name: f for f in FIELDS if f.json or f.name == "time_et" for name in (f.json, f.name) if name
}
"""Fields rows can be sorted by, under both of their names."""


def _unknown_field(reading: _Reading, parameter: Parameter, item: _Item, known: Iterable[str]) -> None:
    near = closest(item.text, known) or ""
    message = f"`{parameter.name}` names {_shown(item.text)!r}, which is no field of a row"
    hint = "" if near else "GET /api/flow/filters/catalog lists the fields"
    reading.findings.append(ParameterFinding("PHX405", parameter.name, message, item.span, hint, near))


def _sort(reading: _Reading, parameter: Parameter, text: str) -> None:
    item = _whole_text(text)
    if item.text in SORTABLE:
        reading.settings["sort"] = SORTABLE[item.text]
    else:
        _unknown_field(reading, parameter, item, SORTABLE)


def _projection(reading: _Reading, parameter: Parameter, text: str) -> None:
    keys = list(reading.settings.get("fields", ()))
    for item in _items(text):
        key = item.text if item.text in ROW_KEYS else BY_NAME[item.text].json if item.text in BY_NAME else ""
        if key:
            keys.append(key)
        else:
            _unknown_field(reading, parameter, item, ROW_KEYS)
    reading.settings["fields"] = tuple(dict.fromkeys(keys))


def _text(setting: str) -> _Read:
    def read(reading: _Reading, _: Parameter, text: str) -> None:
        reading.settings[setting] = text.strip()

    return read


# -- the table


def _ranges() -> Iterable[Parameter]:
    for f in FIELDS:
        if f.ranges:
            what = f.doc.rstrip(".")
            unit = {Kind.MONEY: " In dollars.", Kind.PERCENT: " In percent."}.get(f.type.kind, "")
            yield Parameter(
                f"min{f.ranges}", "number", f"At least this `{f.json}` ({what}).{unit}", _range(">="), f.name
            )
            yield Parameter(
                f"max{f.ranges}", "number", f"At most this `{f.json}` ({what}).{unit}", _range("<="), f.name
            )


_SIZES: Final = ("100k", "sizable", "whales", "largeSize")
_EXECUTIONS: Final = ("calls", "puts", "bid", "ask", "aa", "sweeps")

PARAMETERS: Final[dict[str, Parameter]] = {
    parameter.name: parameter
    for parameter in (
        Parameter("where", "expression", "An expression of the rule language, and-ed with everything else.", _where),
        Parameter("chips", "chips", "Chips a row must have: ids, labels or aliases.", _chips("@{}"), csv=True),
        Parameter("notChips", "chips", "Chips a row must not have.", _chips("not @{}"), csv=True),
        Parameter("symbol", "symbols", "Underlyings; a leading `-` excludes.", _symbols, "symbol", csv=True),
        Parameter("right", "enum", "CALL or PUT.", _members, "right", csv=True),
        Parameter("type", "enum", "The same as `right`.", _members, "right", csv=True),
        Parameter("expiration", "dates", "Expiration dates of the contract.", _dates, "expiration", csv=True),
        Parameter("side", "enum", "AA, ASK, BID or MID; OTHER is MID.", _members, "side", csv=True),
        Parameter("sentiment", "enum", "bullish, bearish or neutral.", _members, "sentiment", csv=True),
        Parameter("session", "enum", "Part of the session.", _members, "session", csv=True),
        Parameter("condition", "codes", "Trade condition codes.", _codes, "condition", csv=True),
        Parameter("exchange", "codes", "Exchange codes.", _codes, "exchange", csv=True),
        *_ranges(),
        *(
            Parameter(name, "boolean", f"Only rows with the chip `{name}`; 1 or 0.", _chip_flag)
            for name in (*_EXECUTIONS, *_SIZES)
        ),
        Parameter("execution", "list", f"Any of {', '.join(_EXECUTIONS)}; a row must have all named.",
                  _legacy_chips(*_EXECUTIONS), csv=True),
        Parameter("sizeValue", "list", f"Any of {', '.join(_SIZES)}; a row must have all named.",
                  _legacy_chips(*_SIZES), csv=True),
        Parameter("from", "time", "First session date, or first exchange time.", _bound(">=")),
        Parameter("to", "time", "Last session date, or last exchange time; both included.", _bound("<=")),
        Parameter("date", "dates", "Session dates.", _dates, "session_date", csv=True),
        Parameter("sessions", "integer", "The latest so many sessions; without any bound the current one.",
                  _whole("sessions", 1, 10_000)),
        Parameter("sortBy", "field", "Any field of a row; `seq` by default. Unknown values come last.", _sort),
        Parameter("sortOrder", "enum", "asc or desc (the default); ties follow seq.",
                  _choice("descending", {"asc": False, "desc": True})),
        Parameter("limit", "integer", f"Rows of a page, 1 to {MAX_LIMIT}; 50 by default, more is {MAX_LIMIT}.",
                  _whole("limit", 1, MAX_LIMIT)),
        Parameter("cursor", "text", "`page.nextCursor` of the page before, with the same filter.", _text("cursor")),
        Parameter("fields", "fields", "Only these keys of a row.", _projection, csv=True),
        Parameter("total", "enum", "Number of all matching rows: exact, estimate or none (the default).",
                  _choice("total", {total.value: total for total in Total})),
        Parameter("includeCancelled", "boolean", "With cancelled prints and cancel records.",
                  _switch("include_cancelled")),
        Parameter("snapshot", "integer", "Streams: latest rows to begin with, 0 to skip; 50 by default.",
                  _whole("snapshot", 0, MAX_LIMIT)),
        Parameter("watermark", "integer", "Streams: resume exactly after this seq.", _whole("resume", 0)),
        Parameter("batch", "boolean", "Streams: rows of one commit share a frame.", _switch("batch")),
        Parameter("named", "boolean", "Streams: 0 sends unnamed messages.", _switch("named")),
        Parameter("transport", "enum", "Streams: sse (the default), or json for what is there now.",
                  _choice("json", {"sse": False, "json": True})),
    )
}  # fmt: skip
"""Every parameter by its name."""

_STREAM: Final = ("snapshot", "resume", "batch", "named", "json")


def read(pairs: Iterable[tuple[str, str]], bundle: Bundle) -> Asked | Refusal:
    """Read parameters; a refusal holds one finding for each thing that is wrong."""
    reading = _Reading(bundle)
    seen: set[str] = set()
    for name, text in pairs:
        parameter = PARAMETERS.get(name)
        if parameter is None:
            near = closest(name, PARAMETERS) or ""
            hint = "" if near else "GET /api/flow/filters/catalog lists the parameters"
            message = f"there is no parameter {_shown(name)!r}"
            reading.findings.append(ParameterFinding("PHX401", _shown(name), message, None, hint, near))
        elif name in seen and not parameter.csv:
            reading.findings.append(ParameterFinding("PHX404", name, f"`{name}` is given more than once"))
        else:
            seen.add(name)
            parameter.read(reading, parameter, text)
    _check_ranges(reading)
    if reading.findings:
        compiled = compile_filter(reading.parts, bundle)  # what is wrong with `where` is said at once too
        if isinstance(compiled, Refusal):
            reading.findings += compiled.diagnostics
        count = len(reading.findings)
        first = reading.findings[0].message
        detail = first if count == 1 else f"{count} things are wrong with the query; the first: {first}"
        return Refusal("invalid_query", detail, tuple(reading.findings))
    settings = reading.settings
    stream = {name: settings.pop(name) for name in _STREAM if name in settings}
    return Asked(replace(FlowRequest(parts=tuple(reading.parts)), **settings), **stream)


def _check_ranges(reading: _Reading) -> None:
    pairs = [(f"min{f.ranges}", f"max{f.ranges}") for f in FIELDS if f.ranges] + [("from", "to")]
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
