"""The flat object of older clients, key by key, and the clauses it stands for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Final, Literal

from phenix.dsl import core as c
from phenix.engine.bundle import Bundle
from phenix.engine.clauses import BY_KEY, EXECUTIONS
from phenix.engine.encode import json_value
from phenix.engine.flow import FIELDS
from phenix.engine.members import cut, shown_value
from phenix.engine.targets.payload import Clause, plain
from phenix.engine.targets.readings import items_of, number_of

__all__ = ["KEYS", "Key", "from_clauses", "thresholds", "to_clause"]


@dataclass(frozen=True, slots=True)
class Key:
    """A key of the flat object: the field and operator of its clause.

    A ``chip`` key holds only whether the threshold of that chip applies. One of which a list may be
    asked becomes ``in`` then: any JSON list, or a ``csv`` text too.
    """

    name: str
    field: str
    op: str
    chip: bool = False
    lists: Literal["", "json", "csv"] = ""


def _table() -> Iterator[Key]:
    for name in ("id", "symbol", "status", "strategy", "timeframe"):
        yield Key(name, name, "eq", lists="csv" if name in BY_KEY else "json")
    yield from (Key("from", "createdAt", "gte"), Key("to", "createdAt", "lte"))
    for what in ("pnl", "volume"):
        yield from (Key(f"{end}{what.capitalize()}", what, op) for end, op in (("min", "gte"), ("max", "lte")))
    yield Key("search", "fullText", "contains")
    yield from (Key(name, f"execution.{name}", "eq") for name in EXECUTIONS)
    yield from (Key(name, "canonical.premium", "gte", chip=True) for name in ("100k", "sizable", "whales"))
    yield Key("largeSize", "canonical.size", "gte", chip=True)
    # Keys of newer clients, from the catalog; those above keep their names.
    yield from (Key("chips", "chips", "has"), Key("notChips", "chips", "nin"))
    for f in FIELDS:
        if f.ranges:
            yield from (Key(f"{end}{f.ranges}", f.json, op) for end, op in (("min", "gte"), ("max", "lte")))
    for f in BY_KEY.values():
        yield Key(f.name if "_" not in f.name else f.json, f.json, "eq", lists="csv")


def _unique(keys: Iterable[Key]) -> dict[str, Key]:
    found: dict[str, Key] = {}
    for key in keys:
        found.setdefault(key.name, key)  # `bid` is the switch of older clients, not the price
    return found


KEYS: Final[Mapping[str, Key]] = _unique(_table())
"""Every key, in the order of clauses; of two with one name the first counts."""

_ORDER: Final = {name: i for i, name in enumerate(KEYS)}
_COUNTING: Final = (True, "true", 1, "1")
_NOT_COUNTING: Final = (False, "false", 0, "0")
_INCLUSIVE: Final = {"gt": "gte", "lt": "lte"}
_AMOUNTS: Final = {"canonical.premium": ("value", True), "canonical.size": ("size", False)}
"""The field of an amount, and whether it is the same: adjusted contracts have a size too."""


@lru_cache(maxsize=8)  # of each version once: it walks whole chips, and every saved filter asks
def thresholds(bundle: Bundle) -> Mapping[str, int | float]:
    """What the chips of a rule version ask of their amount at least, by legacy key; one that asks nothing has none."""
    found: dict[str, int | float] = {}
    for key in (key for key in KEYS.values() if key.chip):
        chip = bundle.chip(key.name)
        field = _AMOUNTS[key.field][0]
        for part in c.walk(chip.core) if chip is not None else ():
            match part:
                case c.Compare(">=", c.Field(name), (c.Const() | c.Param()) as bound) if name == field:
                    stored = bound.value if isinstance(bound, c.Const) else bundle.params[bound.name]
                    found.setdefault(key.name, plain(json_value(field, stored)))
    return MappingProxyType(found)


def to_clause(key: Key, value: Any, known: Mapping[str, int | float]) -> Clause | str | None:
    """The clause of a key; a sentence where it counts for nothing, None where it is simply not set."""
    if value is None or value == "" or value == []:
        return None
    if key.chip:
        if value in _COUNTING:
            return Clause(key.field, key.op, known[key.name])
        if value in _NOT_COUNTING:
            return None
        return f"`{key.name}` counts only when it is true or 1; it is neither, and filters nothing"
    several = isinstance(value, list) if key.lists else False
    several |= key.lists == "csv" and isinstance(value, str) and "," in value
    return Clause(key.field, "in" if several else key.op, value)


def from_clauses(clauses: Sequence[Clause], known: Mapping[str, int | float]) -> tuple[dict[str, Any], list[str], bool]:
    """And-ed clauses as a flat object; what was widened or left out; whether anything was."""
    found: dict[str, Any] = {}
    reasons: list[str] = []
    wider = False
    for clause in clauses:
        name, value, note, exact = _key_of(clause, known)
        if note:
            reasons.append(note)
        wider |= not exact
        if not name:
            continue
        if name in found and found[name] != value:
            merged = _merged(KEYS[name], found[name], value)
            if merged is None:
                reasons.append(f"{_said(clause)}: `{name}` is taken by another clause, so this one is left out")
                wider = True
                continue
            value = merged
        found[name] = value
    return {name: found[name] for name in sorted(found, key=_ORDER.__getitem__)}, reasons, wider


def _key_of(clause: Clause, known: Mapping[str, int | float]) -> tuple[str, Any, str, bool]:
    """Key and value of a clause, what there is to say, and whether it says the same."""
    field, op, value = clause.field, clause.op, clause.value
    if value is None or value == "" or value == []:
        return "", None, f"{_said(clause)}: a legacy key that holds nothing is not set, so this is left out", False
    if field in _AMOUNTS:
        amount = number_of(value)
        for name, threshold in known.items():
            if (KEYS[name].field, KEYS[name].op) == (field, op) and amount == number_of(threshold):
                return name, True, "", True
        near, same = _AMOUNTS[field]
        name, value, note, exact = _key_of(Clause(near, op, value), known)
        if name and not same:
            note = f"{_said(clause)} is no threshold of the rule version; `{name}` takes adjusted contracts in too"
        return name, value, note, exact and same
    name = _REVERSE.get((field, "eq" if op == "in" else op), "")
    if name and (op != "in" or KEYS[name].lists):
        whole = op == "in" and KEYS[name].lists == "json"  # such a text is one value, commas and all
        return name, items_of(value) if whole else value, "", True
    loose = _REVERSE.get((field, _INCLUSIVE.get(op, "")), "")
    if loose:
        return loose, value, f"{_said(clause)}: `{loose}` takes the value itself in too", False
    return "", None, f"{_said(clause)} has no legacy key, so it is left out", False


_REVERSE: Final = {(key.field, key.op): key.name for key in reversed(list(KEYS.values())) if not key.chip}


def _merged(key: Key, first: Any, second: Any) -> Any:
    """One value that asks for both, where there is one."""
    if key.op in ("has", "nin"):
        lists = [x if isinstance(x, list) else [name.strip() for name in str(x).split(",")] for x in (first, second)]
        return list(dict.fromkeys(lists[0] + lists[1]))
    a, b = number_of(first), number_of(second)
    if a is None or b is None or key.op not in ("gte", "lte"):
        return None
    return first if (a >= b) is (key.op == "gte") else second


def _said(clause: Clause) -> str:
    return f"`{cut(clause.field)} {clause.op} {shown_value(clause.value)}`"
