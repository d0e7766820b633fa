"""How a parameter is read: its text becomes text of the rule language, a setting, or a finding.

Every reader takes what reading has come to, the parameter and the parameter's text. Nothing a caller
writes reaches the rule language unchecked except ``where``, which is its text.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date
from decimal import Decimal
from typing import Any, Final, NamedTuple

from phenix.dsl.diagnostics import Fix, closest, diagnostic
from phenix.dsl.source import Source, Span
from phenix.engine.bundle import Bundle
from phenix.engine.encode import ROW_KEYS
from phenix.engine.flow import BY_NAME, FIELDS, Field
from phenix.engine.query.request import Finding
from phenix.engine.targets.readings import instant_of, instant_text
from phenix.server.finding import ParameterFinding
from phenix.server.uses import Use

__all__ = [
    "SORTABLE", "SYMBOL", "Parameter", "Read", "Reading", "read_bound", "read_chip_flag", "read_chips", "read_choice",
    "read_codes", "read_dates", "read_legacy_chips", "read_members", "read_preset", "read_projection", "read_range",
    "read_sort", "read_switch", "read_symbols", "read_text", "read_where", "read_whole", "read_words", "shorten",
]  # fmt: skip


class _Item(NamedTuple):
    """One item of a list, and where it begins in the text of its parameter."""

    text: str
    start: int

    @property
    def span(self) -> Span:
        return Span(self.start, self.start + len(self.text))


@dataclass(slots=True)
class Reading:
    """What reading has come to: rule texts, settings by name, range ends, and what is wrong.

    ``presets`` are the rule texts of saved queries by their ids.
    """

    bundle: Bundle
    presets: Mapping[str, str] = field(default_factory=dict)
    parts: list[tuple[str, str]] = field(default_factory=list)
    settings: dict[str, Any] = field(default_factory=dict)
    ends: dict[str, Decimal | str] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)

    def malformed(self, name: str, item: _Item, expected: str, suggestion: str = "") -> None:
        message = f"`{name}` is {shorten(item.text)!r}; expected {expected}"
        self.findings.append(ParameterFinding("PHX402", name, message, item.span, "", suggestion))


Read = Callable[[Reading, "Parameter", str], None]


_FILTERED: Final = frozenset(Use) - {Use.ROW}


@dataclass(frozen=True, slots=True)
class Parameter:
    """A row of the table: how a parameter is called, read and explained.

    A ``csv`` parameter may be repeated, which lengthens its list; any other may not. ``options`` are all the words it
    may be, none where more are read; ``low`` is the least number. ``uses`` are what it is taken by: all but one row
    where nothing is said.
    """

    name: str
    kind: str
    doc: str
    read: Read
    field: str = ""
    csv: bool = False
    uses: frozenset[Use] = _FILTERED

    @property
    def options(self) -> tuple[str, ...]:
        """All the words it may be."""
        return tuple(self.read.options) if isinstance(self.read, _Choice | _LegacyChips) else ()

    @property
    def low(self) -> int | None:
        """The least number it may be."""
        return self.read.low if isinstance(self.read, _Whole) else None


_NUMBER: Final = re.compile(r"-?(\d+\.?\d*|\.\d+)")
_INTEGER: Final = re.compile(r"-?\d{1,18}")
_WHOLE: Final = re.compile(r"-?\d{1,100}")
SYMBOL: Final = re.compile(r"[A-Z][A-Z0-9]{0,9}([./][A-Z]{1,2})?")
"""How an underlying is written, in capitals."""
_BARE: Final = re.compile(r"[A-Z]\w*(\.[A-Z]{1,2})?")
_TRUE: Final = frozenset({"1", "true", "yes", "on"})
_FALSE: Final = frozenset({"0", "false", "no", "off", ""})
_OPERATORS: Final = {">=": "gte", "<=": "lte"}


def _items(text: str) -> list[_Item]:
    """The items of a comma-separated list; empty ones are none."""
    return [_Item(match[0].strip(), match.start()) for match in re.finditer(r"[^,\s][^,]*", text)]


def read_words(text: str) -> _Item:
    """A text without the spaces around it."""
    return _Item(text.strip(), len(text) - len(text.lstrip()))


def shorten(text: str) -> str:
    """A text as messages show it."""
    return text if len(text) <= 40 else text[:40] + "…"


def read_where(reading: Reading, parameter: Parameter, text: str) -> None:
    """Rule text as it stands."""
    if text.strip():
        reading.parts.append((parameter.name, text))


def read_preset(reading: Reading, parameter: Parameter, text: str) -> None:
    """The rule text of a saved query."""
    item = read_words(text)
    where = reading.presets.get(item.text)
    if where is None:
        reading.malformed(parameter.name, item, "the id of a saved query that is there, as GET /api/flow/presets lists")
    elif where:
        reading.parts.append((parameter.name, where))


def _chip(reading: Reading, parameter: Parameter, name: str, text: str, span: Span, form: str = "@{}") -> None:
    chip = reading.bundle.chip(name)
    if chip is not None:
        reading.parts.append((parameter.name, form.format(chip.id)))
        return
    suggestion = reading.bundle.suggest_chip(name)
    reading.findings.append(
        diagnostic(
            "PHX102",
            f"there is no chip {shorten(name)!r}",
            span,
            Source(parameter.name, text),
            help="" if suggestion else "GET /api/flow/filters/catalog lists the chips",
            fix=Fix(span, suggestion, "unsafe") if suggestion else None,
        )
    )


def read_chips(form: str) -> Read:
    """Chips by any of their names; ``form`` is what each becomes."""

    def read(reading: Reading, parameter: Parameter, text: str) -> None:
        for item in _items(text):
            _chip(reading, parameter, item.text, text, item.span, form)

    return read


def read_symbols(reading: Reading, parameter: Parameter, text: str) -> None:
    """Symbols, those after a `-` excluded."""
    wanted: list[str] = []
    excluded: list[str] = []
    for item in _items(text):
        name = item.text.removeprefix("-").strip().upper()
        if not SYMBOL.fullmatch(name):
            reading.malformed(parameter.name, item, "symbols such as SPY or BRK.B, separated by commas, `-` excludes")
            continue
        (excluded if item.text.startswith("-") else wanted).append(name if _BARE.fullmatch(name) else f'"{name}"')
    _among(reading, parameter, wanted)
    _among(reading, parameter, excluded, "!=", "not in")


def read_members(reading: Reading, parameter: Parameter, text: str) -> None:
    """Members of an enum, any case."""
    members = {m.upper(): m for m in BY_NAME[parameter.field].type.members}
    aliases = dict(BY_NAME[parameter.field].aliases)
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


def read_codes(reading: Reading, parameter: Parameter, text: str) -> None:
    """Integers of a code table; unlisted ones too."""
    found = []
    for item in _items(text):
        if _INTEGER.fullmatch(item.text) and item.text.isascii():
            found.append(str(int(item.text)))
        else:
            reading.malformed(parameter.name, item, "whole numbers separated by commas")
    _among(reading, parameter, found)


def read_dates(reading: Reading, parameter: Parameter, text: str) -> None:
    """Days."""
    _among(reading, parameter, [day for item in _items(text) if (day := _day(reading, parameter, item))])


def _among(reading: Reading, parameter: Parameter, items: list[str], one: str = "=", many: str = "in") -> None:
    if len(items) == 1:
        reading.parts.append((parameter.name, f"{parameter.field} {one} {items[0]}"))
    elif items:
        reading.parts.append((parameter.name, f"{parameter.field} {many} {{{', '.join(dict.fromkeys(items))}}}"))


def _day(reading: Reading, parameter: Parameter, item: _Item) -> str:
    # Any year: 9999-12-31 is how clients say that there is no end.
    try:
        return date.fromisoformat(item.text).isoformat()  # also reads YYYYMMDD
    except ValueError:
        reading.malformed(parameter.name, item, "a date such as 2026-09-18")
        return ""


def read_bound(sign: str) -> Read:
    """A day bounds the session, a time the exchange time; a time without zone is New York's."""

    def read(reading: Reading, parameter: Parameter, text: str) -> None:
        item = read_words(text)
        if len(item.text) <= 10:
            day = _day(reading, parameter, item)
            if day:
                reading.parts.append((parameter.name, f"session_date {sign} {day}"))
                reading.ends[parameter.name] = day
            return
        at = instant_of(item.text, _OPERATORS[sign])
        if at is None:
            expected = "a date such as 2026-09-18, or a time such as 2026-09-18T09:30:00"
            reading.malformed(parameter.name, item, expected)
            return
        shown = instant_text(at)
        reading.parts.append((parameter.name, f"trade_ts_utc {sign} {shown}"))
        reading.ends[parameter.name] = shown

    return read


def read_range(sign: str) -> Read:
    """One end of a range, a plain decimal number."""

    def read(reading: Reading, parameter: Parameter, text: str) -> None:
        item = read_words(text)
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


def read_chip_flag(reading: Reading, parameter: Parameter, text: str) -> None:
    """A chip by the name of its parameter."""
    on = _flag(text)
    if on is None:
        expected = "1, true, yes or on; 0, false, no or off mean no filter"
        reading.malformed(parameter.name, read_words(text), expected)
    elif on:
        _chip(reading, parameter, parameter.name, text, Span(0, len(text)))


def read_legacy_chips(*allowed: str) -> Read:
    """A list of chips as older clients wrote it."""
    return _LegacyChips(allowed)


@dataclass(frozen=True, slots=True)
class _LegacyChips:
    options: tuple[str, ...]

    def __call__(self, reading: Reading, parameter: Parameter, text: str) -> None:
        names = {name.lower(): name for name in self.options}
        for item in _items(text):
            name = names.get(item.text.lower())
            if name:
                _chip(reading, parameter, name, text, item.span)
            else:
                near = closest(item.text, self.options) or ""
                reading.malformed(parameter.name, item, f"any of {', '.join(self.options)}", near)


def read_switch(setting: str, on: object = True, off: object = False, *, strict: bool = True) -> Read:
    """A setting that is on or off, and what either is; not ``strict``, any other word is off."""

    def read(reading: Reading, parameter: Parameter, text: str) -> None:
        flag = _flag(text)
        if flag is None and strict:
            reading.malformed(parameter.name, read_words(text), "1 or 0")
        else:
            reading.settings[setting] = on if flag else off

    return read


def read_whole(setting: str, low: int, high: int | None = None) -> Read:
    """A whole number from ``low`` on; more than ``high`` is ``high``."""
    return _Whole(setting, low, high)


@dataclass(frozen=True, slots=True)
class _Whole:
    setting: str
    low: int
    high: int | None

    def __call__(self, reading: Reading, parameter: Parameter, text: str) -> None:
        item = read_words(text)
        if not item.text.isascii() or not _WHOLE.fullmatch(item.text) or int(item.text) < self.low:
            reading.malformed(parameter.name, item, f"a whole number, {self.low} or more")
        else:
            reading.settings[self.setting] = min(int(item.text), self.high) if self.high else int(item.text)


def read_choice(setting: str, options: dict[str, Any]) -> Read:
    """A setting that is one of a few words."""
    return _Choice(setting, options)


@dataclass(frozen=True, slots=True)
class _Choice:
    setting: str
    options: dict[str, Any]

    def __call__(self, reading: Reading, parameter: Parameter, text: str) -> None:
        item = read_words(text)
        if item.text.lower() in self.options:
            reading.settings[self.setting] = self.options[item.text.lower()]
        else:
            near = closest(item.text, self.options) or ""
            reading.malformed(parameter.name, item, f"one of {', '.join(self.options)}", near)


SORTABLE: Final[dict[str, Field]] = {
    name: f for f in FIELDS if f.json or f.name == "time_et" for name in (f.json, f.name) if name
}
"""Fields rows can be sorted by, under both of their names."""


def _unknown_field(reading: Reading, parameter: Parameter, item: _Item, known: Iterable[str]) -> None:
    near = closest(item.text, known) or ""
    message = f"`{parameter.name}` names {shorten(item.text)!r}, which is no field of a row"
    hint = "" if near else "GET /api/flow/filters/catalog lists the fields"
    reading.findings.append(ParameterFinding("PHX405", parameter.name, message, item.span, hint, near))


def read_sort(reading: Reading, parameter: Parameter, text: str) -> None:
    """A field to sort by."""
    item = read_words(text)
    if item.text in SORTABLE:
        reading.settings["sort"] = SORTABLE[item.text]
    else:
        _unknown_field(reading, parameter, item, SORTABLE)


def read_projection(reading: Reading, parameter: Parameter, text: str) -> None:
    """Keys of a row."""
    keys = list(reading.settings.get("fields", ()))
    for item in _items(text):
        key = item.text if item.text in ROW_KEYS else BY_NAME[item.text].json if item.text in BY_NAME else ""
        if key:
            keys.append(key)
        else:
            _unknown_field(reading, parameter, item, ROW_KEYS)
    reading.settings["fields"] = tuple(dict.fromkeys(keys))


def read_text(setting: str) -> Read:
    """A setting that is any text."""

    def read(reading: Reading, _: Parameter, text: str) -> None:
        reading.settings[setting] = text.strip()

    return read
