"""Parse trees to statement nodes: heads, clauses in any order, metadata that fits the statement."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from phenix.dsl import nodes as n
from phenix.dsl.builder import ExpressionBuilder
from phenix.dsl.diagnostics import Fix, closest
from phenix.dsl.source import Span

__all__ = ["LONGEST_COOLDOWN_MS", "MAX_LIMIT", "METADATA", "PER", "SEVERITIES", "StatementBuilder"]

MAX_LIMIT: Final = 10_000
"""Most rows a query may answer."""
SEVERITIES: Final = ("low", "medium", "high", "critical")
PER: Final = ("contract", "symbol")
LONGEST_COOLDOWN_MS: Final = 30 * 86_400_000

_ABOUT: Final = ("doc", "owner", "tags", "deprecated")
METADATA: Final[dict[str, tuple[str, ...]]] = {
    "edition": (),
    "param": _ABOUT,
    "set": _ABOUT,
    "let": _ABOUT,
    "chip": (*_ABOUT, "severity", "group"),
    "field": (*_ABOUT, "group", "provides"),
    "query": (*_ABOUT, "group"),
    "alert": (*_ABOUT, "severity", "group"),
    "assert": ("doc", "owner", "tags", "severity"),
    "test": (),
}
"""What may follow the body of each statement."""


class _Part(NamedTuple):
    """A clause or a piece of metadata: its word, what it says, where it stands."""

    key: str
    value: Any
    span: Span


class StatementBuilder(ExpressionBuilder):
    """The statement rules of the grammar."""

    # -- clauses and metadata

    def doc(self, meta: Any, items: list[Any]) -> _Part:
        return _Part("doc", re.sub(r"\s+", " ", items[0].value).strip(), self._span(meta))

    def owner(self, meta: Any, items: list[Any]) -> _Part:
        return _Part("owner", items[0].value, self._span(meta))

    def severity(self, meta: Any, items: list[Any]) -> _Part:
        return _Part("severity", self._choice(items[0], SEVERITIES, "severity"), self._span(meta))

    def deprecated(self, meta: Any, items: list[Any]) -> _Part:
        return _Part("deprecated", items[0].value, self._span(meta))

    def provides(self, meta: Any, items: list[Any]) -> _Part:
        return _Part("provides", items[0].name, self._span(meta))

    def tags(self, meta: Any, items: list[Any]) -> _Part:
        return _Part("tags", tuple(dict.fromkeys(i.name for i in items if i is not None)), self._span(meta))

    def group(self, meta: Any, items: list[Any]) -> _Part:
        return _Part("group", items[0].name, self._span(meta))

    def since(self, meta: Any, items: list[Any]) -> _Part:
        return _Part("since", self._date(items[0]), self._span(meta))

    def order(self, meta: Any, items: list[Any]) -> _Part:
        name, direction, edge = items
        return _Part("order", (name, direction == "desc", edge != "first"), self._span(meta))

    def limit(self, meta: Any, items: list[Any]) -> _Part:
        number = self._number(items[0])
        if number.unit or number.value.denominator != 1 or number.value < 1:
            self._refuse("PHX005", "a limit is a whole number from 1", number.span, "write `limit 200`")
        elif number.value > MAX_LIMIT:
            self._refuse("PHX004", f"a query answers at most {MAX_LIMIT:,} rows", number.span,
                         fix=Fix(number.span, str(MAX_LIMIT), "unsafe"))  # fmt: skip
        return _Part("limit", int(number.value), self._span(meta))

    def cooldown(self, meta: Any, items: list[Any]) -> _Part:
        number = self._number(items[0])
        if number.unit != "s" or number.value.denominator != 1 or not 0 < number.value <= LONGEST_COOLDOWN_MS:
            self._refuse("PHX005", "a cooldown is a duration of at most 30 days", number.span, "write `cooldown 3m`")
        per = self._choice(items[1], PER, "per") if items[1] is not None else PER[0]
        return _Part("cooldown", (number, per), self._span(meta))

    def _choice(self, name: n.Name, known: tuple[str, ...], word: str) -> str:
        if name.name in known:
            return name.name
        if (lower := name.name.lower()) in known:
            self._foreign(name.span, lower)
            return lower
        near = closest(name.name, known)
        self._report("PHX118", f"there is no {word} `{name.name}`", name.span,
                     f"it is one of {', '.join(known)}", Fix(name.span, near, "unsafe") if near else None)  # fmt: skip
        return known[0]

    def _parts(self, statement: str, parts: list[Any], clauses: tuple[str, ...] = ()) -> dict[str, Any]:
        """What each word says, the first time it says it, and ``places``."""
        out: dict[str, Any] = {}
        places: list[tuple[str, Span]] = []
        for part in parts:
            if part is None:
                continue
            if part.key not in METADATA[statement] and part.key not in clauses:
                fits = ", ".join(f"`{key}`" for key in METADATA[statement])
                self._report("PHX117", f"`{part.key}` says nothing about {_article(statement)}", part.span,
                             f"{_article(statement)} takes {fits}" if fits else "",
                             Fix(part.span, "", "unsafe"))  # fmt: skip
            elif part.key in out:
                self._report("PHX116", f"`{part.key}` is given twice", part.span, "keep one of the two")
            else:
                out[part.key] = part.value
                places.append((part.key, part.span))
        return {**out, "places": tuple(places)}

    def _statement(self, meta: Any, name: n.Name | None, parts: dict[str, Any]) -> dict[str, Any]:
        about = {key: parts[key] for key in n.META if key in parts}
        head = {"name": name.name, "name_span": name.span} if name is not None else {}
        return {"span": self._span(meta), **head, "meta": n.Meta(**about), "places": parts["places"]}

    def _label(self, token: Any, name: n.Name | None = None) -> str:
        return (self._string(token).value if token is not None else "") or (name.name if name is not None else "")

    # -- statements

    def edition(self, meta: Any, items: list[Any]) -> n.Edition:
        number = self._number(items[0])
        if number.value != 1 or number.unit:
            self._refuse("PHX005", f"edition {number.text} is unknown", number.span, "this compiler reads edition 1")
        parts = self._parts("edition", items[1:])
        return n.Edition(**self._statement(meta, None, parts), number=1)

    def param(self, meta: Any, items: list[Any]) -> n.ParamStatement:
        name, type_name, _equal, value, inside, range_, *more = items
        if inside is not None:
            self._word(inside)
        parts = self._parts("param", more)
        return n.ParamStatement(**self._statement(meta, name, parts), type_name=type_name.name, value=value,
                                range=range_)  # fmt: skip

    def set_(self, meta: Any, items: list[Any]) -> n.SetStatement:
        name, _equal, body, *more = items
        return n.SetStatement(**self._statement(meta, name, self._parts("set", more)), body=body)

    def let(self, meta: Any, items: list[Any]) -> n.LetStatement:
        name, _equal, body, *more = items
        return n.LetStatement(**self._statement(meta, name, self._parts("let", more)), body=body)

    def aliases(self, _meta: Any, items: list[Any]) -> tuple[str, ...]:
        return tuple(self._string(i).value for i in items if i is not None)

    def chip(self, meta: Any, items: list[Any]) -> n.ChipStatement:
        name, label, aliases, group, _equal, body, *more = items
        parts = self._parts("chip", [group, *more])
        return n.ChipStatement(**self._statement(meta, name, parts), label=self._label(label, name),
                               aliases=aliases or (), group=parts.get("group", ""), body=body)  # fmt: skip

    def field(self, meta: Any, items: list[Any]) -> n.FieldStatement:
        name, label, type_name, _equal, body, *more = items
        parts = self._parts("field", more)
        return n.FieldStatement(**self._statement(meta, name, parts), label=self._label(label, name),
                                type_name=type_name.name, group=parts.get("group", ""), body=body)  # fmt: skip

    def query(self, meta: Any, items: list[Any]) -> n.QueryStatement:
        name, label, where, *more = items
        parts = self._parts("query", more, ("since", "order", "limit"))
        return n.QueryStatement(
            **self._statement(meta, name, parts), label=self._label(label, name), where=where,
            group=parts.get("group", ""), since=parts.get("since"), order=parts.get("order"), limit=parts.get("limit"),
        )  # fmt: skip

    def alert(self, meta: Any, items: list[Any]) -> n.AlertStatement:
        name, label, where, *more = items
        parts = self._parts("alert", more, ("cooldown",))
        cooldown, per = parts.get("cooldown", (None, PER[0]))
        return n.AlertStatement(
            **self._statement(meta, name, parts), label=self._label(label, name), where=where,
            group=parts.get("group", ""), cooldown=cooldown, per=per,
        )  # fmt: skip

    def never(self, meta: Any, items: list[Any]) -> n.AssertStatement:
        left, *more = items
        return n.AssertStatement(**self._statement(meta, None, self._parts("assert", more)), kind="never", left=left)

    def implies(self, meta: Any, items: list[Any]) -> n.AssertStatement:
        left, right, *more = items
        parts = self._parts("assert", more)
        return n.AssertStatement(**self._statement(meta, None, parts), kind="implies", left=left, right=right)

    def rate(self, meta: Any, items: list[Any]) -> n.AssertStatement:
        body, *more = items
        parts = self._parts("assert", more)
        left, range_ = body, None
        if isinstance(body, n.In) and isinstance(body.among, n.Range) and not body.negated:
            left, range_ = body.operand, body.among
        else:
            self._refuse("PHX001", "a rate lies in a range of shares", body.span,
                         "write `assert rate @chip in 0%..5%`, with parentheses around `and`, `or`")  # fmt: skip
        return n.AssertStatement(**self._statement(meta, None, parts), kind="rate", left=left, range=range_)

    def pair(self, _meta: Any, items: list[Any]) -> tuple[n.Name, Any]:
        return items[0], items[1]

    def unknown(self, _meta: Any, _items: list[Any]) -> None:
        return None

    def row(self, meta: Any, items: list[Any]) -> _Part:
        return _Part("row", tuple(p for p in items if p is not None), self._span(meta))

    def test(self, meta: Any, items: list[Any]) -> n.TestStatement:
        label, target, row, expected, *more = items
        self._parts("test", more)
        name = self._label(label)
        return n.TestStatement(
            span=self._span(meta), name=name, name_span=self._token(label), label=name, target=target,
            row=row.value, expected=expected, places=(("row", row.span),),
        )  # fmt: skip

    def statement(self, _meta: Any, items: list[Any]) -> Any:
        return items[0]


def _article(statement: str) -> str:
    return f"{'an' if statement[0] in 'aeiou' else 'a'} `{statement}`"
