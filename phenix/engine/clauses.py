"""What one clause of a saved filter means: its rule text, and how near that comes.

A clause names a field of the catalog by its JSON key, the chips, or one of :data:`OTHERS`: fields
that older clients knew and rows no longer carry under that name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, Final

from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, FIELDS, Field
from phenix.engine.targets.payload import AMOUNTS, WORDS, Clause, Fault, Fidelity, lower
from phenix.engine.targets.readings import day_of, instant_text, items_of, number_of, quoted

__all__ = ["BY_KEY", "EXECUTIONS", "OTHERS", "Meaning", "meaning_of"]


@dataclass(frozen=True, slots=True)
class Meaning:
    """A clause as rule text; without any it filters nothing. ``note`` says what is not exact, or not obvious."""

    text: str | None
    fidelity: Fidelity = Fidelity.EXACT
    note: str = ""


Lower = Callable[[Clause, Bundle], Meaning | Fault]

BY_KEY: Final[Mapping[str, Field]] = {f.json: f for f in FIELDS if f.json and f.filterable}
"""Fields of the catalog that a clause may name, by their JSON key."""

EXECUTIONS: Final = ("calls", "puts", "bid", "ask", "aa", "sweeps")
"""Switches of older clients; each is the chip of that name."""

_ON: Final = frozenset({"true", "1", "yes", "on"})
_OFF: Final = frozenset({"false", "0", "no", "off"})
_ID: Final = re.compile(r"([0-9a-f]{11})-([0-9a-f]{16})")
_PART_OF_ID: Final = re.compile(r"[0-9a-f]{0,11}-[0-9a-f]{0,16}|[0-9a-f]{1,16}")
_PART_OF_SYMBOL: Final = re.compile(r"[\w./^$-]{1,20}", re.ASCII)
_MOST_IDS: Final = 100


def meaning_of(clause: Clause, bundle: Bundle) -> Meaning | Fault:
    """The rule text of a clause, or what is wrong with it. The text itself still has to be compiled."""
    other = OTHERS.get(clause.field)
    if other is not None:
        return other(clause, bundle)
    field = BY_KEY.get(clause.field)
    if field is None:
        return Fault("field", f"a clause knows no field {_shown(clause.field)}")
    return _text(lower(field, clause.field, clause.op, clause.value))


def _text(found: str | Fault) -> Meaning | Fault:
    return found if isinstance(found, Fault) else Meaning(found)


def _shown(value: Any) -> str:
    text = repr(value) if isinstance(value, str) else str(value)
    return text if len(text) <= 40 else text[:40] + "…"


def _operator(clause: Clause, allowed: tuple[str, ...]) -> Fault | None:
    if clause.op in allowed:
        return None
    return Fault("op", f"`{clause.field}` has no operator `{clause.op}`", f"it has {', '.join(allowed)}")


# -- chips


def _chips(clause: Clause, bundle: Bundle) -> Meaning | Fault:
    names = items_of(clause.value)
    if (fault := _operator(clause, ("has", "nin"))) is not None:
        return fault
    if not names or not all(isinstance(name, str) for name in names):
        return Fault("value", f"`{clause.field}` takes the name of a chip, or a list of names")
    return _chip_text(names, "@{}" if clause.op == "has" else "not @{}", bundle)


def _chip_text(names: list[str], form: str, bundle: Bundle) -> Meaning | Fault:
    found = []
    for name in names:
        chip = bundle.chip(name)
        if chip is None:
            near = bundle.suggest_chip(name) or ""
            return Fault("value", f"there is no chip {_shown(name)}", near=near, code="PHX102")
        found.append(form.format(chip.id))
    return Meaning(" and ".join(dict.fromkeys(found)))


def _execution(clause: Clause, bundle: Bundle) -> Meaning | Fault:
    """A switch: on is the chip, off filters nothing, as in a request."""
    if (fault := _operator(clause, ("eq",))) is not None:
        return fault
    known = isinstance(clause.value, bool | int | str)
    word = str(int(clause.value) if isinstance(clause.value, bool) else clause.value).lower() if known else ""
    if word in _ON:
        return _chip_text([clause.field.removeprefix("execution.")], "@{}", bundle)
    if word in _OFF:
        return Meaning(None, note=f"`{clause.field}` is off, which filters nothing; `chips` with `nin` leaves rows out")
    return Fault("value", f"`{clause.field}` is on (true, 1, yes, on) or off (false, 0, no, off)")


# -- fields under another name


def _same(key: str) -> Lower:
    """Another name of a field."""

    def lower_same(clause: Clause, _: Bundle) -> Meaning | Fault:
        return _text(lower(BY_KEY[key], clause.field, clause.op, clause.value))

    return lower_same


def _canonical_size(clause: Clause, _: Bundle) -> Meaning | Fault:
    """Contracts of a standard deliverable: the size chips leave adjusted contracts out."""
    text = lower(BY_KEY["size"], clause.field, clause.op, clause.value)
    return text if isinstance(text, Fault) else Meaning(f"not adjusted and {text}")


def _created(clause: Clause, _: Bundle) -> Meaning | Fault:
    """The trade: a day is its session, anything finer its exchange time."""
    items = clause.value if isinstance(clause.value, list) else [clause.value]
    days = bool(items) and all(day_of(item) is not None for item in items)
    return _text(lower(BY_KEY["sessionDate" if days else "tradeTsUtc"], clause.field, clause.op, clause.value))


# -- constants


def _constant_text(constant: str) -> Lower:
    """A text that is the same on every row; it may be compared with any text."""

    def lower_text(clause: Clause, _: Bundle) -> Meaning | Fault:
        if (fault := _operator(clause, (*WORDS, "contains"))) is not None:
            return fault
        items = clause.value if clause.op in ("in", "nin") else [clause.value]
        items = items_of(items) if isinstance(items, str) else items
        if not isinstance(items, list) or not all(isinstance(item, str) for item in items):
            return Fault("value", f"`{clause.field}` is compared with texts")
        found = items[0] in constant if clause.op == "contains" else constant in items
        return _decided(clause, found is not (clause.op in ("ne", "nin")), f'"{constant}"')

    return lower_text


def _zero(clause: Clause, _: Bundle) -> Meaning | Fault:
    """Profit and loss: 0 on every row."""
    if (fault := _operator(clause, (*AMOUNTS, "in", "nin"))) is not None:
        return fault
    among = clause.op in ("in", "nin")
    items = items_of(clause.value) if among else [clause.value]
    numbers = [number_of(item) for item in items] if items is not None else [None]
    if any(number is None for number in numbers):
        return Fault("value", f"`{clause.field}` takes a number, or a text that is one")
    if among:
        return _decided(clause, (0 in numbers) is (clause.op == "in"), "0")
    return _decided(clause, _compared(clause.op, numbers[0] or Decimal(0)), "0")


def _compared(op: str, number: Decimal) -> bool:
    return {"eq": number == 0, "ne": number != 0, "gt": number < 0, "gte": number <= 0, "lt": number > 0,
            "lte": number >= 0}[op]  # fmt: skip


def _decided(clause: Clause, holds: bool, constant: str) -> Meaning:
    what = "so this filters nothing" if holds else "so this matches nothing"
    return Meaning("true" if holds else "false", note=f"`{clause.field}` is {constant} on every row, {what}")


# -- the identity of a row


def _id(clause: Clause, _: Bundle) -> Meaning | Fault:
    """The id holds the exchange time and the hash of the print; a text of another shape is no row's."""
    if (fault := _operator(clause, WORDS)) is not None:
        return fault
    among = clause.op in ("in", "nin")
    items = items_of(clause.value) if among else [clause.value]
    if items is None or not all(isinstance(item, str) for item in items) or len(items) > _MOST_IDS:
        return Fault("value", f"`{clause.field}` takes the id of a row, or a list of up to {_MOST_IDS}")
    wanted = clause.op in ("eq", "in")
    texts = [text for item in dict.fromkeys(items) if (text := _id_text(item, wanted))]
    if not texts:
        return Meaning("false" if wanted else "true", note=f"no row has such an id as {_shown(clause.value)}")
    if len(texts) == 1:
        return Meaning(texts[0])
    return Meaning((" or " if wanted else " and ").join(f"({text})" for text in texts))


def _id_text(text: str, wanted: bool = True) -> str:
    match = _ID.fullmatch(text)
    ts, trade = (int(match[1], 16), int(match[2], 16)) if match else (0, 0)
    if not match or ts > (BY_NAME["trade_ts_utc"].type.hi or 0) or trade > (BY_NAME["trade_id"].type.hi or 0):
        return ""
    at = instant_text(datetime.fromtimestamp(ts // 1000, UTC).replace(microsecond=ts % 1000 * 1000))
    same, joint = ("=", "and") if wanted else ("!=", "or")
    return f"trade_ts_utc {same} {at} {joint} trade_id {same} {trade}"


def _full_text(clause: Clause, _: Bundle) -> Meaning | Fault:
    """Found in the symbol or the root, whatever its case, or in the id: whole, for a rule knows no part of one."""
    if (fault := _operator(clause, ("contains",))) is not None:
        return fault
    if isinstance(clause.value, bool) or not isinstance(clause.value, str | int | float):
        return Fault("value", f"`{clause.field}` takes a text")
    text = str(clause.value)
    if not text:
        return Meaning("true", note="every text contains an empty one")
    parts = []
    if _PART_OF_SYMBOL.fullmatch(text):
        pattern = quoted(f"*{text.upper()}*")
        parts = [f"symbol like {pattern}", f"root like {pattern}"]
    whole = _id_text(text.lower())
    if whole:
        parts.append(f"({whole})")
    note = "" if parts[:2] else f"a symbol that holds {_shown(text)} is not found by it: no pattern can say that"
    if not whole and _PART_OF_ID.fullmatch(text.lower()):
        note = f"a row whose id holds {_shown(text)} is not found by it: a rule knows an id whole or not at all"
    return Meaning(" or ".join(parts) or "false", Fidelity.NARROWER if note else Fidelity.EXACT, note)


OTHERS: Final[Mapping[str, Lower]] = {
    "chips": _chips,
    "id": _id,
    "status": _constant_text("open"),
    "strategy": _constant_text("options-flow"),
    "timeframe": _constant_text("1m"),
    "createdAt": _created,
    "updatedAt": _same("enrichedAtUtc"),
    "volume": _same("size"),
    "pnl": _zero,
    "fullText": _full_text,
    **{f"execution.{key}": _execution for key in EXECUTIONS},
    "canonical.premium": _same("value"),
    "canonical.size": _canonical_size,
}
"""What a clause may name beside the catalog: how each is lowered."""
