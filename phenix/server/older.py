"""Parameters of older clients: each is read as the key of that name in a saved filter, and means the same."""

from __future__ import annotations

from decimal import Decimal
from typing import Final

from phenix.engine.clauses import meaning_of
from phenix.engine.legacy import KEYS, to_clause
from phenix.engine.query.request import Shadow
from phenix.engine.targets.payload import Clause, Fault
from phenix.engine.targets.readings import number_of
from phenix.server.reading import Parameter, Reading, read_switch, read_whole, read_words
from phenix.server.uses import Use

__all__ = ["OLDER", "OLDER_RANGES"]

OLDER_RANGES: Final = (("minPnl", "maxPnl"), ("minVolume", "maxVolume"))
"""Ends of one range."""
_UNHEEDED: Final = ("source", "filterVersion")
_NUMBERS: Final = frozenset(name for pair in OLDER_RANGES for name in pair)


def _read_key(reading: Reading, parameter: Parameter, text: str) -> None:
    item = read_words(text)
    clause = to_clause(KEYS[parameter.name], item.text, {})
    if not isinstance(clause, Clause):
        return
    meaning = meaning_of(clause, reading.bundle)
    if isinstance(meaning, Fault):
        expected = "a number such as 250000 or -2.5" if parameter.name in _NUMBERS else meaning.help or "a text"
        reading.malformed(parameter.name, item, expected, meaning.near)
    elif meaning.text is not None:
        if meaning.text != "true":
            reading.parts.append((parameter.name, meaning.text))
        if parameter.name in _NUMBERS:
            reading.ends[parameter.name] = number_of(item.text) or Decimal(0)


def _leave(_reading: Reading, _parameter: Parameter, _text: str) -> None:
    """Whatever it says."""


OLDER: Final = (
    Parameter("id", "text", "Id of a row.", _read_key),
    Parameter("status", "text", "`open` on every row.", _read_key),
    Parameter("strategy", "text", "`options-flow` on every row.", _read_key),
    Parameter("timeframe", "text", "`1m` on every row.", _read_key),
    Parameter("search", "text", "Found in the symbol or the root, or the id whole.", _read_key),
    Parameter("minPnl", "amount", "At least this profit and loss, which is 0 on every row.", _read_key),
    Parameter("maxPnl", "amount", "At most this profit and loss, which is 0 on every row.", _read_key),
    Parameter("minVolume", "amount", "The same as `minSize`.", _read_key),
    Parameter("maxVolume", "amount", "The same as `maxSize`.", _read_key),
    Parameter("topSymbolsLimit", "integer", "Sums: symbols and contracts wanted, before `limit`.",
              read_whole("top", 1, 1_000), uses=frozenset({Use.PAGE, Use.SUMS, Use.STREAM})),
    Parameter("shadowCompare", "text", "As `shadow`; without a rule version in shadow it adds nothing.",
              read_switch("shadow", Shadow.IF_ANY, Shadow.NONE, strict=False)),
    *(Parameter(name, "text", "Older clients send it; it filters nothing.", _leave) for name in _UNHEEDED),
)  # fmt: skip
"""Those beside the parameters that newer clients have, too."""
