"""Which symbols to follow, and the option roots they trade under."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from phenix.dsl.source import packaged
from phenix.engine.enrich.tables import read_table

__all__ = ["Universe", "UniverseError", "load_universe"]


class UniverseError(Exception):
    """A list of symbols that cannot be used; the message says which and why."""


@dataclass(frozen=True, slots=True)
class Universe:
    """Underlyings in order, the roots of each, and which of them are indices."""

    symbols: tuple[str, ...]
    roots: tuple[str, ...]
    indices: frozenset[str]


def load_universe(named: Sequence[str] = (), file: Path | None = None) -> Universe:
    """The symbols named, else those of the file (one a line, ``#`` begins a comment), else the packaged ones.

    Raises UniverseError when the file cannot be read or holds no symbol.
    """
    symbols = tuple(dict.fromkeys(named)) or _read(file or packaged("rules") / "universe" / "top200.txt")
    roots_of: dict[str, list[str]] = {}
    for root, symbol in read_table("roots")["underlyings"].items():
        roots_of.setdefault(symbol, []).append(root)
    roots = [root for symbol in symbols for root in (symbol.replace(".", ""), *roots_of.get(symbol, ()))]
    indices = frozenset(read_table("universe")["classes"]["index"])
    return Universe(symbols, tuple(dict.fromkeys(roots)), indices.intersection(symbols))


def _read(file: Path) -> tuple[str, ...]:
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise UniverseError(f"the universe {file} cannot be read: {reason}") from error
    symbols = []
    for number, line in enumerate(text.splitlines(), 1):
        symbol = line.partition("#")[0].strip().upper()
        if symbol and not (len(symbol) <= 12 and symbol.replace(".", "").replace("/", "").isalnum()):
            raise UniverseError(f"{file}:{number}: {symbol[:40]!r} is not a symbol; write one a line, as SPY")
        if symbol:
            symbols.append(symbol)
    if not symbols:
        raise UniverseError(f"the universe {file} names no symbol; write one a line, as SPY")
    return tuple(dict.fromkeys(symbols))
