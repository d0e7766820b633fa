"""What names mean: the catalog and the definitions of a bundle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Generic, TypeVar

from phenix.dsl import nodes as n
from phenix.dsl.source import Source
from phenix.dsl.types import Catalog, Kind, Type, Value

__all__ = ["Defined", "ParamInfo", "Scope"]

T_co = TypeVar("T_co", covariant=True)


@dataclass(frozen=True, slots=True)
class Defined(Generic[T_co]):
    """A statement and the text it stands in."""

    node: T_co
    source: Source


@dataclass(frozen=True, slots=True)
class ParamInfo:
    """A parameter: its type with range, its value in stored units and exactly."""

    name: str
    type: Type
    value: Value
    exact: Fraction | None
    """The number as written: money in dollars, percent in points."""
    doc: str
    defined: Defined[n.ParamStatement] | None = field(default=None, compare=False, repr=False)
    """Where it is declared; None for one that no text declares."""

    @property
    def kind(self) -> Kind:
        """The kind of its value."""
        return self.type.kind


@dataclass(frozen=True, slots=True)
class Scope:
    """Everything an expression may name.

    ``chips`` maps ids, labels and aliases (all lower case) to ids; ``derived`` are ``field``
    statements by id.
    """

    catalog: Catalog
    params: Mapping[str, ParamInfo] = field(default_factory=dict)
    sets: Mapping[str, Defined[n.SetStatement]] = field(default_factory=dict)
    lets: Mapping[str, Defined[n.LetStatement]] = field(default_factory=dict)
    derived: Mapping[str, Defined[n.FieldStatement]] = field(default_factory=dict)
    chips: Mapping[str, str] = field(default_factory=dict)
    expanded: dict[str, object] = field(default_factory=dict, compare=False, repr=False)
    """Macros already checked, by name: each is checked once however often it is named."""
