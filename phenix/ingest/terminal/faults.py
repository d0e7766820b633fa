"""What can be made to go wrong in the stand-in: one table, and the reading of a fault's parameters.

From :data:`FAULTS` come the ``--fault`` option, the control endpoint, the help and the page
``docs/terminal.md``. A fault waits for opportunities (prints, messages, requests); which of them
it takes depends on its parameters and its seed alone.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, NamedTuple

from phenix.ingest.terminal.errors import ERRORS

__all__ = [
    "FAULTS",
    "MOMENTS",
    "Fault",
    "FaultError",
    "Param",
    "Setting",
    "Span",
    "Stage",
    "Value",
    "parse_fault",
    "read_fault",
]


class FaultError(ValueError):
    """A fault that is not in the table, or parameters it does not take; the message says what to write."""


class Stage(StrEnum):
    """Where a fault acts."""

    TAPE = "tape"
    """On prints and their quotes before they are played."""
    LINE = "line"
    """On the connection, and on what the terminal's own line does."""
    FRAMES = "frames"
    """On frames on their way to the socket."""
    REQUESTS = "requests"
    """On the client's stream requests."""
    REST = "rest"
    """On REST answers."""


class Span(NamedTuple):
    """How long: a number of opportunities, or of seconds; both 0 mean without end."""

    opportunities: int = 0
    seconds: float = 0.0

    def __str__(self) -> str:
        return f"{self.seconds:g}s" if self.seconds else str(self.opportunities)


Value = int | float | str | Span


@dataclass(frozen=True, slots=True)
class Param:
    """A parameter: its default says its type; numbers lie between ``low`` and ``high``, words in ``choices``."""

    name: str
    default: Value
    doc: str
    low: float = 0
    high: float = 1_000_000_000
    choices: tuple[str, ...] = ()

    @property
    def range(self) -> str:
        """What may be given, in words."""
        if self.choices:
            return ", ".join(self.choices)
        if isinstance(self.default, Span):
            return "a number, or seconds such as 2.5s"
        if isinstance(self.default, str):
            return "text"
        return f"{self.low:.10g} to {self.high:.10g}"

    def read(self, value: Any) -> Value:
        """A value given as text or as JSON. Raises FaultError."""
        number = float if isinstance(self.default, float) else int
        if isinstance(self.default, Span):
            match = re.fullmatch(r"(\d{1,9})|(\d{1,6}(?:\.\d{1,3})?)s", str(value), re.ASCII)
            if match:
                return Span(int(match[1] or 0), float(match[2] or 0))
        elif isinstance(self.default, str):
            if isinstance(value, str) and len(value) <= 4096 and (not self.choices or value in self.choices):
                return value
        elif not isinstance(value, bool) and isinstance(value, str | int | float):
            try:
                given = number(value)
            except (ValueError, OverflowError):
                given = float("nan")
            if self.low <= given <= self.high and (isinstance(value, str) or given == value):
                return given
        raise FaultError(f"{self.name} {str(value)[:60]!r} is not {self.range}")


@dataclass(frozen=True, slots=True)
class Fault:
    """One row of the table: ``at`` names its opportunities, ``doc`` what happens at those it takes.

    A ``periodic`` one waits anew after each time, a momentary one takes every opportunity that ``share`` grants.
    """

    name: str
    stage: Stage
    at: str
    doc: str
    params: tuple[Param, ...]
    periodic: bool = False

    @property
    def own(self) -> tuple[Param, ...]:
        """Its parameters without those every momentary fault has."""
        return tuple(param for param in self.params if param not in MOMENTS)


@dataclass(frozen=True, slots=True)
class Setting:
    """A fault with a value for each of its parameters."""

    fault: Fault
    values: Mapping[str, Value]


MOMENTS: Final = (
    Param("after", 0, "opportunities that pass before it begins"),
    Param("for", Span(), "how long it stays once begun, in opportunities or seconds; 0 is without end"),
    Param("share", 1.0, "chance to take an opportunity", 0, 1),
    Param("count", 0, "most times it happens; 0 is without limit"),
    Param("seed", 0, "another seed takes other opportunities and draws other values"),
)
"""Parameters of every momentary fault."""
_PERIODS: Final = (
    Param("after", 100, "opportunities that pass before it, each time"),
    Param("count", 1, "most times it happens; 0 is without limit"),
)
_LASTS: Final = Param("for", Span(0, 3.0), "how long it lasts each time, in prints or seconds")
_DRAIN: Final = Param("drain", 1, "1 waits first until the client has confirmed all it was sent; 0 loses it", 0, 1)


def _moment(name: str, stage: Stage, at: str, doc: str, *params: Param) -> Fault:
    return Fault(name, stage, at, doc, (*params, *MOMENTS))


def _rest(name: str, doc: str, *params: Param) -> Fault:
    path = Param("path", "", "only requests whose path holds this text")
    return _moment(name, Stage.REST, "request", doc, *params, path)


def _rows() -> Iterator[Fault]:
    tape, line, frames = Stage.TAPE, Stage.LINE, Stage.FRAMES
    yield _moment(
        "cancels", tape, "print", "A cancel record of the print follows.",
        Param("delay", 3, "prints between the two", 1, 100_000),
        Param("code", 40, "condition of the cancel", 40, 44),
    )  # fmt: skip
    yield _moment(
        "late_prints", tape, "print", "The print comes later, with its own time and a condition that says late.",
        Param("delay", 50, "prints that come before it", 1, 100_000),
        Param("code", 13, "its condition: 2, 6, 7 and 13 mean late or out of sequence", 0, 255),
    )  # fmt: skip
    yield _moment(
        "out_of_order", tape, "print", "The print comes later, with its own time; nothing says so.",
        Param("delay", 5, "prints that come before it", 1, 100_000),
    )  # fmt: skip
    yield Fault(
        "sequence_wrap", tape, "print",
        "From this print on sequences of each root continue from 2147483647, the next one is negative.",
        (Param("after", 100, "prints that pass before it begins"),),
    )  # fmt: skip
    yield _moment(
        "one_sided_quotes", tape, "print", "The quote before the print has size 0 and price 0 on a side.",
        Param("side", "any", "which side is empty", choices=("bid", "ask", "both", "any")),
    )  # fmt: skip
    yield _moment(
        "crossed_quotes", tape, "print", "The quote before the print has its bid above its ask, or at it.",
        Param("by", "crossed", "bid and ask change places, or are equal", choices=("crossed", "locked")),
    )  # fmt: skip
    yield _moment(
        "unknown_conditions", tape, "print", "The print has a condition no table knows.",
        Param("code", 199, "the condition", -(2**31), 2**31 - 1),
    )  # fmt: skip
    yield _moment(
        "unknown_exchanges", tape, "print", "The print has an exchange no table knows.",
        Param("code", 99, "the exchange", -(2**31), 2**31 - 1),
    )  # fmt: skip
    yield Fault(
        "abrupt_close", line, "print", "The connection is reset after the print: no close frame, code 1006.",
        (_DRAIN, *_PERIODS), periodic=True,
    )  # fmt: skip
    yield Fault(
        "second_client", line, "print", "The connection is closed as if another client had connected.",
        (Param("code", 1000, "close code; the vendor's is not known", 1000, 4999), _DRAIN, *_PERIODS), periodic=True,
    )  # fmt: skip
    yield Fault(
        "status_flapping", line, "print",
        "STATUS and every header say the line is down; events stop meanwhile, are lost and never come again.",
        (Param("word", "DISCONNECTED", "what STATUS says", choices=("DISCONNECTED", "ERROR", "UNVERIFIED")), _LASTS,
         *_PERIODS), periodic=True,
    )  # fmt: skip
    yield Fault(
        "silent_feed", line, "print",
        "The socket stays open and nothing comes, STATUS and answers neither; events meanwhile are lost.",
        (_LASTS, *_PERIODS), periodic=True,
    )  # fmt: skip
    yield _moment(
        "duplicate_frames", frames, "print", "The frames of the print come again.",
        Param("times", 1, "how often again", 1, 100),
    )  # fmt: skip
    yield _moment(
        "stale_frames", frames, "reconnect", "The last prints before the connection ended come again, old quotes too.",
        Param("prints", 20, "how many", 1, 1000),
    )  # fmt: skip
    yield _moment("broken_frames", frames, "print", "The TRADE frame is cut: what comes is not JSON.")
    yield _moment(
        "joined_frames", frames, "message", "Several frames come as one message, joined by newlines.",
        Param("lines", 5, "most of them", 2, 1000),
    )  # fmt: skip
    yield _moment(
        "split_frames", frames, "message", "A message comes as a WebSocket fragment and its continuations.",
        Param("parts", 3, "how many, where it is long enough", 2, 100),
    )  # fmt: skip
    yield _moment(
        "refused_requests", Stage.REQUESTS, "stream request", "A request to add a stream is refused, or not answered.",
        Param("word", "ERROR", "the answer", choices=("ERROR", "MAX_STREAMS_REACHED", "INVALID_PERMS", "SILENCE")),
    )  # fmt: skip
    for code, error in ERRORS.items():
        text = Param("text", error.text, "the body")
        yield _rest(f"http_{code}", f"The answer is {code} {error.name}: {error.when}.", text)
    yield _rest(
        "http_error", "The answer is any other error.",
        Param("code", 503, "the HTTP status", 400, 599), Param("text", "Service Unavailable", "the body"),
    )  # fmt: skip
    yield _rest(
        "permission_text", "The answer is the refusal of a subscription as plain text, with status 200.",
        Param("text", "You need a subscription that includes this request", "the body"),
    )  # fmt: skip
    yield _rest(
        "slow_body", "The answer comes slowly.",
        Param("wait", 1.0, "seconds before its first byte", 0, 600),
        Param("pause", 0.0, "seconds before each further piece", 0, 600),
        Param("bytes", 65_536, "size of a piece", 1),
    )  # fmt: skip
    yield _rest(
        "truncated_body", "The answer ends too early.",
        Param("keep", 0.5, "share of the body that comes", 0, 0.999),
        Param("end", "reset", "the connection breaks, or the answer looks complete", choices=("reset", "clean")),
    )  # fmt: skip


FAULTS: Final[dict[str, Fault]] = {fault.name: fault for fault in _rows()}
"""By name."""


def read_fault(name: Any, values: Mapping[str, Any]) -> Setting:
    """A fault by name with some of its parameters, the others at their defaults. Raises FaultError."""
    fault = FAULTS.get(name) if isinstance(name, str) else None
    if fault is None:
        near = difflib.get_close_matches(str(name), FAULTS, 1)
        hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(FAULTS)}"
        raise FaultError(f"no fault {str(name)[:60]!r}; {hint}")
    params = {param.name: param for param in fault.params}
    for key in values:
        if key not in params:
            raise FaultError(f"{name} has no parameter {key[:60]!r}; it takes {', '.join(params)}")
    try:
        read = {key: param.read(values[key]) if key in values else param.default for key, param in params.items()}
    except FaultError as error:
        raise FaultError(f"{name}: {error}") from None
    return Setting(fault, read)


def parse_fault(text: str) -> Setting:
    """``NAME[:key=value,…]`` as the command line has it. Raises FaultError."""
    name, _, given = text.partition(":")
    values: dict[str, str] = {}
    for pair in filter(None, given.split(",")):
        key, equals, value = pair.partition("=")
        if not equals:
            raise FaultError(f"{name}: {pair!r} is not key=value")
        values[key.strip()] = value.strip()
    return read_fault(name, values)
