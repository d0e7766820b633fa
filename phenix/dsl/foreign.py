"""What people write out of habit from SQL, Python, spreadsheets and chart scripts, and how it is written here.

The grammar reads these spellings as tokens of their own, so that nothing is guessed: each is
reported with a fix and means exactly what stands here.
"""

from __future__ import annotations

from typing import Final

__all__ = ["CALLS", "COALESCE", "IS_NULL", "NOTHING", "PATTERNS", "WORDS"]

WORDS: Final = {
    "==": "=", "===": "=", "!==": "!=", "<>": "!=", "≠": "!=", "=<": "<=", "≤": "<=", "=>": ">=", "≥": ">=",
    "&": "and", "&&": "and", "|": "or", "||": "or", "!": "not",
    "×": "*", "÷": "/", "−": "-", "–": "-",  # noqa: RUF001 - the signs a text editor makes of ours
    "ilike": "like",
}  # fmt: skip
"""Signs and words, lower case; a word that is not here is ours but for its capitals."""

NOTHING: Final = {
    "unknown": "unknown", "true": "true", "false": "false",
    **dict.fromkeys(("null", "none", "nil", "na", "nan", "empty", "missing", "blank"), "null"),
}  # fmt: skip
"""What ``is`` is followed by, lower case, and the word for it."""

PATTERNS: Final = {"c": ("*", "*"), "s": ("", "*"), "e": ("*", "")}
"""Initial of ``contains``, ``starts with`` and ``ends with``: what stands before and behind the text in a pattern."""

COALESCE: Final = "coalesce"
CALLS: Final = {
    **dict.fromkeys(("nz", "nvl", "ifnull", "isnull", "ifna"), COALESCE),
    "fabs": "abs", "minimum": "min", "maximum": "max", "least": "min", "greatest": "max", "clip": "clamp",
}  # fmt: skip
"""Functions of other languages, lower case, without what stands before their dot."""

IS_NULL: Final = frozenset({"isnull", "is_null", "isna", "isblank", "na", "isnan"})
"""Functions of one argument that ask whether it is missing."""
