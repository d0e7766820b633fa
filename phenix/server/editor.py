"""What editors ask of a text: what is wrong with it, what may stand in it, how it is laid out, what it means.

Everything runs on threads of its own, so that neither queries nor streams wait for a large text. The lints of a rule
file, the one thing here that can take long, end after a time, and when nobody waits for them any more.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

from phenix.dsl.compiler import compile_condition, compile_program
from phenix.dsl.diagnostics import Diagnostic, has_errors
from phenix.dsl.formatter import format_expression, format_text
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.check import Checks, UnfinishedError, check_rules
from phenix.engine.complete import Completion, complete
from phenix.engine.explain import Explained, explain
from phenix.engine.flow import CATALOG
from phenix.engine.query.page import refused_filter
from phenix.engine.query.request import Refusal
from phenix.server.editor_body import Question

__all__ = ["Checked", "Editor", "Formatted"]

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Checked:
    """What is wrong with a text; ``canonical`` is an expression as it is echoed, empty where it does not compile.

    Not ``complete`` when the lints took too long: then the findings are those of the compiler alone.
    """

    canonical: str
    found: tuple[Diagnostic, ...]
    elapsed_ms: float
    complete: bool = True

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        return {
            "ok": not has_errors(self.found),
            "canonical": self.canonical,
            "diagnostics": [finding.to_dict() for finding in self.found],
            "elapsedMs": round(self.elapsed_ms, 3),
            "complete": self.complete,
        }


@dataclass(frozen=True, slots=True)
class Formatted:
    """A text in its one layout."""

    text: str
    changed: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON object."""
        return {"text": self.text, "changed": self.changed}


class Editor:
    """Answers about texts beside the rules that it is given; ``lints_s`` of a processor is for the lints of a file."""

    def __init__(self, lints_s: float = 2.0) -> None:
        self._lints_s = lints_s
        self._pool = ThreadPoolExecutor(2, "phenix-editor")
        self._checks = Checks()
        self._checking = threading.Lock()

    async def check(self, asked: Question, bundle: Bundle) -> Checked:
        """What is wrong with an expression, or with a rule file: alone, or with a name among the rules."""
        left = threading.Event()
        try:
            return await self._run(lambda: self._check(asked, bundle, left))
        finally:
            left.set()

    async def complete(self, asked: Question, bundle: Bundle) -> Completion:
        """What may stand at an offset of it."""

        def answer() -> Completion:
            scope = compile_program(_files(asked, bundle)[0], CATALOG)[0].scope if asked.file else bundle.scope
            return complete(asked.text, asked.offset, bundle, scope, file=asked.file)

        return await self._run(answer)

    async def format(self, asked: Question) -> Formatted | Refusal:
        """A rule file laid out, what is broken in it left alone; or an expression, refused where it is broken."""
        return await self._run(lambda: _format(asked))

    async def explain(self, asked: Question, bundle: Bundle) -> dict[str, Any] | Refusal:
        """What an expression or a chip means, reads and becomes."""

        def answer() -> dict[str, Any] | Refusal:
            found = explain(asked.text, bundle, "text")
            return found.to_dict() if isinstance(found, Explained) else refused_filter(found)

        return await self._run(answer)

    def close(self) -> None:
        """Wait for what is under way."""
        self._pool.shutdown(cancel_futures=True)

    async def _run(self, work: Callable[[], _T]) -> _T:
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)

    def _check(self, asked: Question, bundle: Bundle, left: threading.Event) -> Checked:
        begun, worked = time.perf_counter(), time.thread_time()
        canonical, complete = "", True
        if asked.file:
            files, own = _files(asked, bundle)
            try:
                found = self._check_rules(
                    files, lambda: not left.is_set() and time.thread_time() - worked < self._lints_s
                )
            except UnfinishedError as ended:
                found, complete = ended.found, False
            found = tuple(finding for finding in found if finding.source is own)
        else:
            condition, found = compile_condition(Source("text", asked.text), bundle.scope)
            if condition is not None and not has_errors(found):
                canonical = condition.text
        return Checked(canonical, found, (time.perf_counter() - begun) * 1000, complete)

    def _check_rules(self, files: tuple[Source, ...], wanted: Callable[[], bool]) -> tuple[Diagnostic, ...]:
        """With what earlier checks worked out, unless another one is using that."""
        if not self._checking.acquire(blocking=False):
            return check_rules(files, wanted=wanted)
        try:
            return check_rules(files, self._checks, wanted)
        finally:
            self._checking.release()


def _files(asked: Question, bundle: Bundle) -> tuple[tuple[Source, ...], Source]:
    """The rule files that are compiled together, and the one that is asked about."""
    own = Source(asked.name or "text", asked.text)
    others = [source for source in bundle.program.sources if asked.name and source.name != asked.name]
    return (*others, own), own


def _format(asked: Question) -> Formatted | Refusal:
    if asked.file:
        text = format_text(asked.text)
        return Formatted(text, text != asked.text)
    found = format_expression(Source("text", asked.text))
    return Formatted(found, found != asked.text) if isinstance(found, str) else refused_filter(found)
