"""The types of the rule language, and the catalog a host hands to it.

The language knows text and types only. What a field *means* is the host's business: it passes a
:class:`Catalog` and reads back trees that name the fields.

Every value has one stored representation, the same on every target: :data:`FORMS`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, NamedTuple, Protocol

__all__ = [
    "FORMS",
    "INT64_MAX",
    "MONEY_SCALE",
    "REAL",
    "TEXTUAL",
    "UNORDERED",
    "Catalog",
    "CatalogField",
    "Form",
    "Kind",
    "Type",
    "Value",
]

MONEY_SCALE: Final = 4
"""Decimal digits kept of a dollar: money is stored in units of 10**-4 dollars."""

INT64_MAX: Final = 2**63 - 1
"""Largest magnitude a scaled integer may reach on any target."""

Value = bool | int | float | str | None
"""A stored value; ``None`` is unknown."""


class Kind(StrEnum):
    """What a value is."""

    BOOL = "bool"
    INT = "int"
    MONEY = "money"
    RATIO = "ratio"
    PERCENT = "percent"
    ENUM = "enum"
    SYMBOL = "symbol"
    TEXT = "text"
    DATE = "date"
    TIME = "time"
    TS = "ts"
    DURATION = "duration"


class Form(NamedTuple):
    """How values of a kind are kept, and how they are written."""

    stored: str
    literals: tuple[str, ...]


FORMS: Final[Mapping[Kind, Form]] = {
    Kind.BOOL: Form("true or false, 1 and 0 in SQL", ("true", "false")),
    Kind.INT: Form("a whole number", ("500", "1k")),
    Kind.MONEY: Form("a whole number of ten-thousandths of a dollar", ("$2.11", "250k", "1.5M")),
    Kind.RATIO: Form("a double", ("0.65", "65%")),
    Kind.PERCENT: Form("a double, in points", ("5%", "5", "50bp")),
    Kind.ENUM: Form("one of the members", ("CALL",)),
    Kind.SYMBOL: Form("text in capitals", ("AAPL",)),
    Kind.TEXT: Form("text", ('"AA"',)),
    Kind.DATE: Form("a New York date, YYYYMMDD", ("2026-01-16",)),
    Kind.TIME: Form("ms of the New York day", ("09:30 ET",)),
    Kind.TS: Form("UTC ms since 1970", ("2026-01-16T14:30:00Z",)),
    Kind.DURATION: Form("ms", ("180s", "3m", "2h")),
}


REAL: Final = frozenset({Kind.RATIO, Kind.PERCENT})
"""Kinds stored as doubles."""

TEXTUAL: Final = frozenset({Kind.ENUM, Kind.SYMBOL, Kind.TEXT})
"""Kinds stored as text."""

UNORDERED: Final = TEXTUAL | {Kind.BOOL}
"""Kinds that are equal or not, and never less."""


@dataclass(frozen=True, slots=True)
class Type:
    """A kind with its declared range (stored units, inclusive) or its enum members."""

    kind: Kind
    lo: int | float | None = None
    hi: int | float | None = None
    members: tuple[str, ...] = ()


class CatalogField(Protocol):
    """What the language needs to know of a field."""

    @property
    def name(self) -> str: ...
    @property
    def type(self) -> Type: ...
    @property
    def nullable(self) -> bool: ...
    @property
    def doc(self) -> str: ...
    @property
    def filterable(self) -> bool: ...
    @property
    def aliases(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def label(self) -> str: ...
    @property
    def noun(self) -> str: ...
    @property
    def says(self) -> str: ...


@dataclass(frozen=True, slots=True)
class Catalog:
    """The fields a rule may name, in row order."""

    fields: tuple[CatalogField, ...]
    provided: frozenset[str] = frozenset()
    """The fields that the host has rules compute."""
    by_name: Mapping[str, CatalogField] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {f.name: f for f in self.fields if f.filterable})

    def names(self) -> Iterable[str]:
        """Names a rule may use, in row order."""
        return self.by_name
