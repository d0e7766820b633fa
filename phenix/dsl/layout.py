"""Text laid out in lines: groups stay on one line while they fit, comments keep to the word they stand at.

A comment breaks the group it stands in, so that it can end its line or stand above it. Where a line
breaks depends on nothing else than widths and on which item of a group a comment stands at, and both
are the same when the result is laid out again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from phenix.dsl.source import Span

__all__ = ["WIDTH", "Chain", "Doc", "Leaf", "Lines", "Listed", "Row", "flat", "leaves"]

WIDTH: Final = 120
"""Columns a line keeps within, where it can be broken."""
INDENT: Final = 2


@dataclass(slots=True)
class Leaf:
    """Characters that stay together; ``span`` is where they stood, ``before`` and ``after`` the comments there."""

    text: str
    span: Span | None = None
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Row:
    """Parts one behind the other."""

    parts: tuple[Doc, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Items joined by words: on lines of their own once they do not fit, in parentheses where they need them."""

    items: tuple[Doc, ...]
    words: tuple[str, ...]
    parenthesised: bool = False


@dataclass(frozen=True, slots=True)
class Listed:
    """Items between brackets, filled line by line once they do not fit."""

    opening: Leaf
    items: tuple[Doc, ...]
    closing: Leaf
    spaced: bool = False
    """A blank inside the brackets of one line."""


Doc = Leaf | Row | Chain | Listed


def leaves(doc: Doc) -> Iterator[Leaf]:
    """The leaves in the order they are printed."""
    match doc:
        case Leaf():
            yield doc
        case Row(parts=parts) | Chain(items=parts):
            for part in parts:
                yield from leaves(part)
        case Listed(opening=opening, items=items, closing=closing):
            yield opening
            for item in items:
                yield from leaves(item)
            yield closing


def _forced(parts: Sequence[Doc]) -> bool:
    """Whether a comment stands between two of the parts."""
    return any(leaf.before for part in parts[1:] for leaf in leaves(part)) or any(
        leaf.after for part in parts[:-1] for leaf in leaves(part)
    )


def flat(doc: Doc) -> str | None:
    """The text on one line, or None where a comment needs a line of its own."""
    match doc:
        case Leaf(text=text):
            return text
        case Row(parts=parts):
            return _flat("", parts)
        case Chain(items=items, words=words, parenthesised=parenthesised):
            if _forced(items):
                return None
            out = [flat(item) for item in items]
            if None in out:
                return None
            text = "".join(f"{f' {word} ' if i else word}{part}" for i, (word, part) in
                           enumerate(zip(("", *words), out, strict=True)))  # fmt: skip
            return f"({text})" if parenthesised else text
        case Listed(opening=opening, items=items, closing=closing, spaced=spaced):
            text_ = None if _forced((opening, *items, closing)) else _flat(", ", items)
            blank = " " if spaced and items else ""
            return None if text_ is None else f"{opening.text}{blank}{text_}{blank}{closing.text}"


def _flat(between: str, parts: Sequence[Doc]) -> str | None:
    out: list[str] = []
    for part in parts:
        text = flat(part)
        if text is None:
            return None
        out.append(text)
    return between.join(out)


@dataclass(slots=True)
class _Line:
    indent: int
    text: str = ""
    above: int = 0
    """How much further in the comments above it stand: above a bracket that closes they are among the items."""
    before: list[str] = field(default_factory=list)
    after: list[str] = field(default_factory=list)


class Lines:
    """Lines being written."""

    def __init__(self) -> None:
        self._lines = [_Line(0)]

    def __str__(self) -> str:
        out: list[str] = []
        for line in self._lines:
            blank = " " * line.indent
            out += [f"{blank}{' ' * line.above}{comment}" for comment in (*line.before, *line.after[:-1])]
            out.append(f"{blank}{line.text.rstrip()}{'  ' + line.after[-1] if line.after else ''}")
        return "\n".join(out)

    def newline(self, indent: int) -> None:
        """Begin a line."""
        self._lines.append(_Line(indent))

    @property
    def column(self) -> int:
        """Characters of the line so far."""
        return self._lines[-1].indent + len(self._lines[-1].text)

    def fits(self, doc: Doc, more: int = 0) -> bool:
        """Whether it goes on this line, with so many characters behind it."""
        text = flat(doc)
        return text is not None and self.column + len(text) + more <= WIDTH

    def write(self, doc: Doc, indent: int) -> None:
        """Write on, what is broken standing at ``indent``."""
        match doc:
            case Leaf(text=text, before=before, after=after):
                line = self._lines[-1]
                line.text += text
                line.before += before
                line.after += after
            case Row(parts=parts):
                for part in parts:
                    self.write(part, indent)
            case Chain():
                self._chain(doc, indent)
            case Listed():
                self._listed(doc, indent)

    def _chain(self, doc: Chain, indent: int) -> None:
        fits = self.fits(doc)
        inner = indent
        if doc.parenthesised:
            self.write(Leaf("("), indent)
            if not fits:
                inner = indent + INDENT
                self.newline(inner)
        for i, item in enumerate(doc.items):
            if i:
                if not fits:
                    self.newline(inner)
                self.write(Leaf(f"{' ' if fits else ''}{doc.words[i - 1]} "), inner)
            self.write(item, inner)
        if doc.parenthesised:
            if not fits:
                self.newline(indent)
            self.write(Leaf(")"), indent)

    def _listed(self, doc: Listed, indent: int) -> None:
        fits = self.fits(doc)
        inner = indent + INDENT
        self.write(doc.opening, indent)
        if fits and doc.items and doc.spaced:
            self.write(Leaf(" "), indent)
        fresh = not fits and bool(doc.items)
        for i, item in enumerate(doc.items):
            last = i == len(doc.items) - 1
            comma = 0 if last and doc.closing.text == ")" else 1
            own = flat(item) is None or any(leaf.before for leaf in leaves(item))
            if fresh or (not fits and (own or not self.fits(item, 1 + comma))):
                self.newline(inner)
            elif i:
                self.write(Leaf(" "), inner)
            self.write(item, inner)
            if not last or (comma and not fits):
                self.write(Leaf(","), inner)
            fresh = not fits and (flat(item) is None or any(leaf.after for leaf in leaves(item)))
        if not fits and (doc.items or doc.opening.after or doc.closing.before):
            self.newline(indent)
        elif fits and doc.items and doc.spaced:
            self.write(Leaf(" "), indent)
        if not self._lines[-1].text:
            self._lines[-1].above = INDENT
        self.write(doc.closing, indent)
