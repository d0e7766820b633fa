"""Completion: what may stand at a place of a text, by the parser, with what the names in scope mean.

Which sorts of words may stand there is the grammar's; which of them there are is the scope's. Opposite a field only
what it can be compared with is offered.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from phenix.dsl.functions import FUNCTIONS
from phenix.dsl.literals import UNITS
from phenix.dsl.nodes import STATEMENTS
from phenix.dsl.parser import Expected, Token, expected, words_of
from phenix.dsl.printer import print_line
from phenix.dsl.scanner import scan
from phenix.dsl.scope import Scope
from phenix.dsl.source import Source
from phenix.dsl.statements import METADATA, PER, SEVERITIES
from phenix.dsl.types import FORMS, Kind
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, FIELDS, Field, operators

__all__ = ["Completion", "Item", "complete"]

_MOST: Final = 200
"""Items that are offered."""
_WORD: Final = re.compile(
    r'@"[^"\n]*\Z|(?<!\w)[@$]\w*\Z|(?<![\w$@])(?<!\d[.:/-])\$?\d[\d_]*(?:\.\d+)?[A-Za-z%]*\Z|(?<![\w@$])[A-Za-z_]\w*\Z|[<>=!]+\Z'
)
_NUMBER: Final = re.compile(r"(\$?\d[\d_]*(?:\.\d+)?)[A-Za-z%]*")
_UNITS: Final[dict[Kind, tuple[str, ...]]] = {
    Kind.INT: ("",), Kind.MONEY: ("",), Kind.RATIO: ("", "%"), Kind.PERCENT: ("", "%"), Kind.DURATION: ("s",),
}  # fmt: skip
"""Units of the suffixes that a number of a kind takes."""
_SIGNS: Final = ("=", "!=", "<", "<=", ">", ">=")
_STATES: Final = ("null", "true", "false", "unknown")


@dataclass(frozen=True, slots=True)
class Item:
    """What may stand there: ``insert`` takes the place of the word begun."""

    label: str
    kind: str
    insert: str
    detail: str = ""
    doc: str = ""
    others: tuple[str, ...] = ()
    """Further names it is found by."""

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "label": self.label, "kind": self.kind, "insert": self.insert, "detail": self.detail, "doc": self.doc,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Completion:
    """The items, most likely first, and the characters from ``start`` to ``end`` that one of them replaces."""

    start: int
    end: int
    items: tuple[Item, ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON object; offsets count characters."""
        return {"from": self.start, "to": self.end, "items": [item.to_dict() for item in self.items]}


def complete(text: str, offset: int, bundle: Bundle, scope: Scope, *, file: bool = False) -> Completion:
    """What may stand at an offset of an expression, or of a rule ``file``; ``scope`` is what it may name."""
    before = text[:offset]
    scanned = scan(Source("", before), file=file)
    nothing = Completion(offset, offset, ())
    if any(span.end == offset and "\n" not in text[span.start : span.end] for span in scanned.comments):
        return nothing
    found = _WORD.search(before)
    word = found[0] if found else ""
    start = offset - len(word)
    if not word and re.search(r"\w\Z", before):  # within a date or a time
        return nothing
    if before[before.rfind("\n") + 1 : start].replace('\\"', "").count('"') % 2:
        return nothing
    begins = max((span.start for span in scanned.statements if span.start < start), default=None) if file else 0
    if begins is None:
        at = Expected((), expected("", statement=True).accepts if not scanned.text[:start].strip() else frozenset())
    else:
        at = expected(scanned.text[begins:start], statement=file)
    items = list(_Place(at, bundle, scope, word).items())
    line = before[before.rfind("\n") + 1 : start]
    if file and at.tokens and "$END" in at.accepts and not line.strip():
        items += _plain(STATEMENTS, "statement")
    return Completion(start, offset, tuple(_matching(items, word)))


def _matching(items: Iterable[Item], word: str) -> list[Item]:
    """The items that a word begun may become: those that begin with it, then those that hold it."""
    wanted = word.lower().lstrip('@$"')
    ranked: dict[tuple[str, str], tuple[int, Item]] = {}
    for item in items:
        names = [name.lower().lstrip("@$") for name in (item.label, item.insert, *item.others)]
        if word[:1] in ("@", "$") and not item.insert.startswith(word[0]):
            continue
        rank = 0 if any(name.startswith(wanted) for name in names) else 1
        if rank == 0 or any(wanted in name for name in names):
            ranked.setdefault((item.kind, item.insert), (rank, item))
    return [item for _, item in sorted(ranked.values(), key=lambda pair: pair[0])][:_MOST]


def _plain(words: Iterable[str], kind: str, detail: str = "") -> Iterator[Item]:
    return (Item(word, kind, word, detail) for word in words)


@dataclass(frozen=True, slots=True)
class _Place:
    at: Expected
    bundle: Bundle
    scope: Scope
    word: str

    def items(self) -> Iterator[Item]:
        """What may stand there, most likely first."""
        accepts, last = self.at.accepts, self._type(-1)
        field = _opposite(self.at.tokens)
        if number := _NUMBER.fullmatch(self.word):
            if "NUMBER" in accepts:
                yield from _units(number[1], field)
            return
        if self.word[:1] in ("<", ">", "=", "!"):
            yield from self._signs()
            return
        if last == "IS" or (last == "NOT" and self._type(-2) == "IS"):
            yield from self._states(last)
            return
        if last == "_ARROW":
            yield from _plain(_STATES[1:], "keyword")
            return
        if "NUMBER" in accepts:
            yield from self._operands(field)
        elif "NAME" in accepts:
            yield from self._names(last)
        if "CHIP_NAME" in accepts and ("NOT" in accepts or last == "_FOR" or self.word.startswith("@")):
            yield from self._chips()
        yield from self._signs()
        yield from self._keywords(field)

    def _type(self, at: int) -> str:
        return self.at.tokens[at].type if len(self.at.tokens) >= -at else ""

    def _operands(self, field: Field | None) -> Iterator[Item]:
        kind = field.type.kind if field else None
        if self._type(-1) == "IN" and field is not None:
            yield from (Item(name, "set", name, "set", print_line(one.node)) for name, one in self.scope.sets.items())
            yield from _plain(("{",), "operator")
            return
        if field is not None and field.type.members:
            yield from _plain(field.type.members, "member", field.name)
            return
        if kind is Kind.SYMBOL:
            return  # a bare word is a ticker there, never a name
        if kind is Kind.BOOL:
            yield from _plain(FORMS[kind].literals, "literal", field.name if field else "")
            return
        if kind is not None and field is not None:
            yield from _plain(FORMS[kind].literals, "literal", f"{field.name}: {kind}")
        if kind is Kind.TEXT:
            return
        yield from (_of_field(one) for one in FIELDS if one.filterable)
        for macros, what in ((self.scope.lets, "let"), (self.scope.derived, "field")):
            for name, defined in macros.items():
                yield Item(name, what, name, what, defined.node.meta.doc or print_line(defined.node))
        for param in self.scope.params.values():
            shown = print_line(param.defined.node) if param.defined is not None else ""
            yield Item(f"${param.name}", "param", f"${param.name}", shown.partition(" doc ")[0], param.doc)
        for function in FUNCTIONS.values():
            yield Item(function.signature, "function", f"{function.name}(", "function", function.doc, (function.name,))

    def _chips(self) -> Iterator[Item]:
        for id_ in dict.fromkeys(self.scope.chips.values()):
            chip = self.bundle.chip(id_)
            if chip is None or chip.id != id_:
                yield Item(f"@{id_}", "chip", f"@{id_}", "chip")
            else:
                yield Item(f"@{id_}", "chip", f"@{id_}", chip.rule, chip.doc, (chip.label, *chip.aliases))

    def _names(self, last: str) -> Iterator[Item]:
        """Names that are no operands: what a clause takes one of."""
        types = {token.type for token in self.at.tokens}
        if last in ("_BY", "_PROVIDES") or ("_FOR" in types and last in ("LBRACE", "COMMA")):
            yield from (_of_field(one) for one in FIELDS if one.filterable)
        elif last == "_SEVERITY":
            yield from _plain(SEVERITIES, "keyword")
        elif last == "_PER":
            yield from _plain(PER, "keyword")
        elif last == "_GROUP":
            yield from _plain(dict.fromkeys(chip.group for chip in self.bundle.chips if chip.group), "group")
        elif last == "COLON":
            yield from _plain(Kind, "type")

    def _signs(self) -> Iterator[Item]:
        if "CMP" in self.at.accepts:
            field = _field(self.at.tokens[-1:])
            allowed = operators(field) if field is not None else _SIGNS
            yield from _plain((sign for sign in _SIGNS if sign in allowed), "operator")
        elif "EQUAL" in self.at.accepts:
            yield from _plain(("=",), "operator")

    def _states(self, last: str) -> Iterator[Item]:
        before = _field(self.at.tokens[: -1 if last == "IS" else -2][-1:])
        if before is None:
            states: tuple[str, ...] = _STATES
            if self._type(-2 if last == "IS" else -3) != "NAME":  # of a condition, not of a value
                states = _STATES[1:]
        else:
            states = _STATES if before.type.kind is Kind.BOOL else ("null",)
        yield from _plain(states, "keyword")
        if last == "IS":
            yield from _plain(("not",), "keyword")

    def _keywords(self, opposite: Field | None) -> Iterator[Item]:
        """The words of the language that the parser takes there, as far as they say anything of what they stand by."""
        accepts = self.at.accepts
        first = self.at.tokens[0].type.strip("_").lower() if self.at.tokens else ""
        metadata = {word for words in METADATA.values() for word in words}
        field = _field(self.at.tokens[-1:])
        asked = {word for one in operators(field) for word in one.split()} if field is not None else None
        for terminal in sorted(accepts):
            for word in words_of(terminal):
                if word in metadata and word not in METADATA.get(first, ()):
                    continue
                if asked is not None and word in ("in", "is", "like", "not") and word not in asked:
                    continue
                if "NUMBER" in accepts and word in _STATES and (opposite is not None or word == "null"):
                    continue  # said with what it stands opposite, or behind `is`
                yield Item(word, "statement" if word in STATEMENTS and not first else "keyword", word)


def _of_field(field: Field) -> Item:
    detail = f"{field.type.kind}{', may be unknown' if field.nullable else ''}"
    return Item(field.name, "field", field.name, detail, field.doc, (field.label, field.json))


def _units(digits: str, field: Field | None) -> Iterator[Item]:
    """A number begun with each suffix that fits."""
    fitting = _UNITS.get(field.type.kind, ()) if field is not None else ("", "%", "s")
    for suffix, (_, unit) in UNITS.items():
        if suffix and suffix != "K" and unit in fitting and (unit == "" or not digits.startswith("$")):
            yield Item(f"{digits}{suffix}", "unit", f"{digits}{suffix}")


def _field(tokens: tuple[Token, ...]) -> Field | None:
    """The field that a token names."""
    return BY_NAME.get(tokens[-1].text) if tokens and tokens[-1].type == "NAME" else None


def _opposite(tokens: tuple[Token, ...]) -> Field | None:
    """The field that what comes next is compared with: before a sign, an ``in`` with all that it lists, or a colon."""
    rest = list(tokens)
    while rest and rest[-1].type in ("COMMA", "DOTS", "LBRACE", "LPAR", "LSQB"):
        if rest[-1].type == "COMMA":  # back to where the list begins
            while rest and rest[-1].type not in ("LBRACE", "LPAR", "LSQB"):
                rest.pop()
            if not rest:
                return None
        if rest[-1].type == "LPAR" and (len(rest) < 2 or rest[-2].type != "IN"):
            return None
        if rest.pop().type == "DOTS" and rest and rest[-1].type != "IN":
            rest.pop()  # the lower end
    if not rest or rest[-1].type not in ("CMP", "EQUAL", "IN", "COLON", "LIKE"):
        return None
    if rest[-1].type == "EQUAL" and rest[0].type in ("_CHIP", "_LET", "_PARAM", "_SET", "_FIELD") and not any(
        token.type in ("EQUAL", "CMP") for token in rest[:-1]
    ):  # fmt: skip
        return None
    rest.pop()
    if rest and rest[-1].type == "NOT":
        rest.pop()
    return _field(tuple(rest[-1:]))
