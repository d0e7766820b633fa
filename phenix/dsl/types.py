"""The types of the rule language, and the catalog a host hands to it.

The language knows text and types only. What a field *means* is the host's business: it passes a
:class:`Catalog` and reads back trees that name the fields.

Every value has one stored representation, the same on every target:

=========  =======================================  ========================
type       stored as                                literal
=========  =======================================  ========================
bool       ``bool`` (0/1 in SQL)                    ``true``
int        ``int``                                  ``500``, ``1k``
money      ``int``, ten-thousandths of a dollar     ``$2.11``, ``250k``
ratio      IEEE double                              ``0.65``
percent    IEEE double, in points                   ``5%``, ``5``
enum       ``str``, one of the members              a bare word
symbol     ``str``, upper case                      a bare word
text       ``str``                                  ``"AA"``
date       ``int``, YYYYMMDD, New York              ``2026-01-16``
time       ``int``, ms of the New York day          ``09:30 ET``
ts         ``int``, UTC milliseconds since 1970     ``2026-01-16T14:30:00Z``
duration   ``int``, milliseconds                    ``180s``, ``3m``
=========  =======================================  ========================
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol

__all__ = ["INT64_MAX", "MONEY_SCALE", "Catalog", "CatalogField", "Kind", "Type", "Value"]

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


@dataclass(frozen=True, slots=True)
class Catalog:
    """The fields a rule may name, in row order."""

    fields: tuple[CatalogField, ...]
    by_name: Mapping[str, CatalogField] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "by_name", {f.name: f for f in self.fields if f.filterable})

    def names(self) -> Iterable[str]:
        """Names a rule may use, in row order."""
        return self.by_name
