"""A checked program: what the rule files define, as records."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.scope import Defined, Scope
from phenix.dsl.source import Source, Span
from phenix.dsl.types import Kind, Value

__all__ = [
    "Assertion",
    "Case",
    "ChipRule",
    "Condition",
    "DerivedField",
    "Program",
    "SavedAlert",
    "SavedQuery",
]


@dataclass(frozen=True, slots=True)
class Condition:
    """A checked condition: its syntax, its canonical text, its core tree, where it stands."""

    node: n.Expr
    text: str
    core: c.Core
    source: Source


@dataclass(frozen=True, slots=True)
class ChipRule:
    """A chip as its statement defines it."""

    id: str
    label: str
    aliases: tuple[str, ...]
    group: str
    meta: n.Meta
    body: Condition


@dataclass(frozen=True, slots=True)
class DerivedField:
    """A ``field`` statement; ``provides`` in its metadata names the catalog field it computes."""

    id: str
    label: str
    kind: Kind
    meta: n.Meta
    text: str
    core: c.Core


@dataclass(frozen=True, slots=True)
class SavedQuery:
    """A ``query`` statement."""

    id: str
    label: str
    where: Condition
    since: int | None
    order: tuple[str, bool, bool] | None
    """Field, descending, nulls last."""
    limit: int | None
    group: str = ""
    meta: n.Meta = n.NO_META


@dataclass(frozen=True, slots=True)
class SavedAlert:
    """An ``alert`` statement; a match within ``cooldown_ms`` of another of the same contract or symbol is silent."""

    id: str
    label: str
    where: Condition
    cooldown_ms: int
    per: Literal["contract", "symbol"]
    meta: n.Meta
    group: str = ""


@dataclass(frozen=True, slots=True)
class Assertion:
    """An ``assert`` statement: what holds on every row, or on which share of the rows it is true.

    ``right`` is what ``left`` implies; ``low`` and ``high`` are shares of the rows from 0 to 1.
    """

    kind: Literal["never", "implies", "rate"]
    left: Condition
    right: Condition | None
    low: Fraction | None
    high: Fraction | None
    span: Span
    source: Source
    label: str
    meta: n.Meta = n.NO_META


@dataclass(frozen=True, slots=True)
class Case:
    """A ``test`` statement: a sparse row (the rest unknown) and the answer expected."""

    label: str
    target: c.Core
    row: Mapping[str, Value]
    expected: Value
    span: Span
    source: Source


@dataclass(frozen=True, slots=True)
class Program:
    """Everything the rule files define, checked."""

    sources: tuple[Source, ...]
    statements: tuple[Defined[n.Statement], ...]
    """Every statement that could be read, in the order of the sources."""
    scope: Scope
    chips: tuple[ChipRule, ...]
    fields: tuple[DerivedField, ...]
    queries: tuple[SavedQuery, ...]
    alerts: tuple[SavedAlert, ...]
    assertions: tuple[Assertion, ...]
    cases: tuple[Case, ...]
