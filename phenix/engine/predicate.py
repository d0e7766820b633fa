"""A filter compiled once: canonical text, SQL for the store, a Python function for the stream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.compiler import MOST_VALUES, compile_condition, held, too_many
from phenix.dsl.diagnostics import Diagnostic, has_errors
from phenix.dsl.passes import normalize
from phenix.dsl.printer import print_expression
from phenix.dsl.program import Condition
from phenix.dsl.source import Source, Span
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, INDEX, Row
from phenix.engine.targets.row import Names, true_rail
from phenix.engine.targets.sql import Lowered
from phenix.engine.targets.sqlite import SqliteTarget

__all__ = ["Predicate", "compile_predicate", "predicate_of"]

_SHORT: Final = 2_000
"""Characters of filters that are kept: a request compiles its own twice, and most ask again what was asked before."""


@dataclass(frozen=True, slots=True)
class Predicate:
    """Filters of one request, and-ed. A row matches where the whole is true; unknown does not match."""

    text: str
    """Canonical rule text; empty when nothing filters."""
    core: c.Core
    """In normal form."""
    checked: c.Core
    """As the checker gave it."""
    reads: frozenset[str]
    """Fields the filter names, macros expanded."""
    bundle: Bundle
    _where: Lowered
    _matches: Callable[[Row, int], Any]

    def sql(self, as_of: int) -> tuple[str, tuple[Any, ...]]:
        """``(text, parameters)`` for a WHERE clause over the aliases ``t`` and ``e``."""
        return self._where.text, self._where.bind(self.bundle.params, as_of)

    def matches(self, row: Row, as_of: int) -> bool:
        """Whether a stored row matches, read as of a seq."""
        return bool(self._matches(row, as_of))


def compile_predicate(parts: Sequence[tuple[str, str]], bundle: Bundle) -> Predicate | tuple[Diagnostic, ...]:
    """Compile ``(origin, text)`` parts, each on its own, joined by ``and``; short ones once for all who ask.

    Findings carry the origin as their source's name; errors of all parts come together.
    """
    asked = tuple(parts)
    return (_kept if sum(len(text) for _, text in asked) <= _SHORT else _compiled)(asked, bundle)


def _compiled(parts: tuple[tuple[str, str], ...], bundle: Bundle) -> Predicate | tuple[Diagnostic, ...]:
    whole: list[Condition] = []
    found: list[Diagnostic] = []
    for origin, text in parts:
        condition, diagnostics = compile_condition(Source(origin, text), bundle.scope)
        found.extend(diagnostics)
        if condition is not None:
            whole.append(condition)
    if has_errors(found):
        return tuple(found)
    named = c.And(tuple(w.core for w in whole))
    if (values := held(named)) > MOST_VALUES:
        return (too_many(values, whole[-1].node.span, whole[-1].source),)
    nodes = [x for w in whole for x in (w.node.args if isinstance(w.node, n.And) else (w.node,))]
    text = print_expression(n.And(span=Span(0, 0), args=tuple(nodes))) if len(nodes) > 1 else (
        print_expression(nodes[0]) if nodes else "")  # fmt: skip
    return predicate_of(named, text, bundle)


_kept = lru_cache(maxsize=128)(_compiled)


def predicate_of(checked: c.Core, text: str, bundle: Bundle, *, reads: frozenset[str] | None = None) -> Predicate:
    """A checked condition of a bundle as a filter, whose words ``text`` are; ``reads`` where those say it names others
    than the condition reads.
    """
    core = normalize(checked)
    where = SqliteTarget(lambda name: BY_NAME[name].sql, bundle.bits.__getitem__).where(checked)
    named = c.reads(checked) if reads is None else reads
    return Predicate(text, core, checked, named, bundle, where, _matcher(core, bundle))


def _matcher(core: c.Core, bundle: Bundle) -> Callable[[Row, int], Any]:
    on, known = f"row[{INDEX['chips_set']}]", f"row[{INDEX['chips_known']}]"
    names = Names(
        field=lambda name: BY_NAME[name].source,
        chip_true=lambda chip: f"({on} & {1 << bundle.bits[chip]})",
        chip_false=lambda chip: f"({known} & ~{on} & {1 << bundle.bits[chip]})",
        params=bundle.params,
    )
    source = f"lambda row, as_of: {true_rail(core, names)}"
    # Generated from a checked tree: names of the catalog, literals as constants.
    function: Callable[[Row, int], Any] = eval(compile(source, "<filter>", "eval"), names.constants)  # noqa: S307
    return function
