"""What came of sending a message."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Outcome"]


@dataclass(frozen=True, slots=True)
class Outcome:
    """``problem`` is "" where it arrived, else words that hold nothing secret; ``again`` says whether to try again, no
    sooner than after ``wait_s``; ``answered`` is False where nobody was reached.
    """

    problem: str = ""
    again: bool = True
    wait_s: int = 0
    answered: bool = True
