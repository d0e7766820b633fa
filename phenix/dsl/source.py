"""Source text: a name and characters; line and column are worked out only when printed."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

__all__ = ["Source", "Span", "packaged"]


class Span(NamedTuple):
    """Half-open range of character offsets."""

    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Source:
    """A text that rules or an expression came from; ``name`` is a path or a parameter's name."""

    name: str
    text: str
    _starts: tuple[int, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        starts = (0, *(i + 1 for i, c in enumerate(self.text) if c == "\n"))
        object.__setattr__(self, "_starts", starts)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of an offset, both from 1."""
        offset = min(max(offset, 0), len(self.text))
        line = bisect_right(self._starts, offset)
        return line, offset - self._starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of a line (from 1) without its line end."""
        start = self._starts[number - 1]
        end = self._starts[number] - 1 if number < len(self._starts) else len(self.text)
        return self.text[start:end].rstrip("\r")


def packaged(name: str) -> Path:
    """Path of a folder or file shipped with the package: in the wheel, else in the checkout."""
    package = Path(__file__).resolve().parent.parent
    inside = package / name
    return inside if inside.exists() else package.parent / name
