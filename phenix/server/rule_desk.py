"""The life of rule versions, for both protocols: what the engine does, on other threads, and as JSON has it."""

from __future__ import annotations

import asyncio
import json
import logging
import secrets
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from tempfile import TemporaryDirectory
from typing import Any, Final, TypeVar

from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle
from phenix.engine.children import child
from phenix.engine.lifecycle import Ask, Lifecycle, activation_json, retagging_json, version_json
from phenix.engine.logs import noted
from phenix.engine.query.request import Refusal
from phenix.engine.shadow.comparisons import Comparisons
from phenix.engine.store.base import Problem, StoreError
from phenix.engine.store.versions import Activation

__all__ = ["CERTIFIED", "CERTIFIED_MOST", "RuleDesk"]

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)

CERTIFIED: Final = 1_000
"""Rule-row pairs that are compared where nothing is said."""
CERTIFIED_MOST: Final = 20_000


class RuleDesk:
    """Answers requests about rule versions. What a caller can cause comes back as a Refusal."""

    def __init__(self, lifecycle: Lifecycle, comparisons: Comparisons) -> None:
        self._life = lifecycle
        self._comparisons = comparisons
        self.changed: Callable[[], Awaitable[object]] | None = None
        """Called after a change, before it is answered, so that who asked is served by the new rules from then on."""
        self._one = asyncio.Lock()  # changes of rules, one at a time
        self._proving = asyncio.Lock()

    async def versions(self) -> dict[str, Any] | Refusal:
        """The stored versions, what was asked of them, and what they tagged beside."""

        def read() -> dict[str, Any]:
            return {"versions": [version_json(one) for one in self._life.versions()],
                    "activations": [activation_json(one) for one in self._life.history()],
                    "retaggings": [retagging_json(one, rest) for one, rest in self._life.retaggings()]}  # fmt: skip

        return await self._read(read)

    async def shadow(self) -> dict[str, Any] | Refusal | None:
        """How the version in shadow stands; None where there is none."""
        return await self._read(self._comparisons.standing)

    async def push(self, sources: Sequence[Source]) -> dict[str, Any] | Refusal:
        """Store rule files as a version."""
        return await self._store(lambda: self._life.push(sources))

    async def set_params(self, version: str, params: dict[str, str]) -> dict[str, Any] | Refusal:
        """Store a version with other values of params."""
        return await self._store(lambda: self._life.set_params(version, params))

    async def activate(self, version: str, reason: str, *, force: bool) -> dict[str, Any] | Refusal:
        """Make a version the active one."""
        ask = Ask(_who(), reason, force)
        return await self._change(lambda: self._life.activate(version, ask))

    async def rollback(self, reason: str) -> dict[str, Any] | Refusal:
        """Go back to the version before."""
        ask = Ask(_who(), reason)
        return await self._change(lambda: self._life.rollback(ask))

    async def diff(self, before: str, after: str) -> dict[str, Any] | Refusal:
        """What a version changes against another."""
        found = await self._read(lambda: self._life.diff(before, after))
        return found if isinstance(found, Refusal) else found.to_dict()

    async def certify(self, version: str, pairs: int, seed: int) -> dict[str, Any] | Refusal:
        """Hold the targets against the reference, on random rules beside those of a version.

        One at a time, in a process that ends when the caller leaves.
        """
        stored = await self._read(lambda: self._life.find(version))
        if isinstance(stored, Refusal):
            return stored
        if self._proving.locked():
            return Refusal("rate_limited", "Another proof is running; ask again when it has ended.")
        async with self._proving:
            asked = {"config": stored.config_json, "checksum": stored.checksum, "pairs": pairs,
                     "seed": seed or secrets.randbits(31)}  # fmt: skip
            told = await _apart("phenix.engine.certify.apart", asked)
        if told is None:
            return Refusal("unavailable", "The proof was ended before it was done; the server's log may say why.")
        if "unusable" in told:
            return Refusal("conflict", f"Rule version {stored.version_id} cannot be used: {told['unusable']}.")
        shown = ("clean", "checksum", "seed", "rules", "rows", "pairs", "answers", "targets", "skipped", "seconds")
        wrong = ("target", "question", "rule", "expected", "found")
        return {"version": told["bundle"], **{name: told[name] for name in shown},
                "mismatches": [{name: one[name] for name in wrong} for one in told["mismatches"]]}  # fmt: skip

    async def _store(self, store: Callable[[], tuple[Bundle, bool] | Refusal]) -> dict[str, Any] | Refusal:
        found = await self._alone(lambda: self._read(store))
        if isinstance(found, Refusal):
            return found
        bundle, new = found
        return {"version": bundle.version, "checksum": bundle.checksum, "new": new,
                "chips": [chip.id for chip in bundle.chips]}  # fmt: skip

    async def _change(self, change: Callable[[], Activation | Refusal]) -> dict[str, Any] | Refusal:
        async def made() -> Activation | Refusal:
            found = await self._read(change)
            if isinstance(found, Activation):
                if self.changed is not None:
                    await self.changed()
                at = "asked" if found.waiting else found.seq
                _logger.info("rules %s (%s): %s", found.version_id, found.cause.value, at)
            return found

        found = await self._alone(made)
        if isinstance(found, Refusal):
            return found
        if found.refused is not None:
            return Refusal("conflict", f"{found.version_id} is not active: {found.refused}.")
        return activation_json(found)

    async def _alone(self, run: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
        """What runs beside no other such: it goes on when who asked leaves, and none follows before its end."""
        await self._one.acquire()
        running = asyncio.ensure_future(run())
        running.add_done_callback(lambda _: self._one.release())
        return await asyncio.shield(running)

    async def _read(self, read: Callable[[], _T]) -> _T | Refusal:
        try:
            return await asyncio.to_thread(read)
        except StoreError as error:
            if error.problem is Problem.MISSING:
                return Refusal("not_found", "There is no store yet: ingest makes it, and the packaged rules its first.")
            _logger.warning("the store cannot be used for rules: %s", error.message)
            return Refusal("unavailable", "The store cannot be used now; try again in a moment.")


async def _apart(module: str, asked: dict[str, Any]) -> dict[str, Any] | None:
    """What a module says that runs in a process of its own; None when it ended without a word.

    It is ended when nobody waits for it any more, and ends by itself when this process does: its input closes.
    """
    with TemporaryDirectory(prefix="phenix-apart-") as folder:  # what it leaves there goes with it, however it ends
        command, environ = child(module)
        process = await asyncio.create_subprocess_exec(
            *command, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, env={**environ, "TMPDIR": folder}
        )
        assert process.stdin is not None and process.stdout is not None
        try:
            process.stdin.write(json.dumps(asked).encode() + b"\n")
            out = await process.stdout.read()
        except BaseException:
            if process.returncode is None:  # only then: to signal one that has ended takes its status from who waits
                process.kill()
            raise
        finally:
            await process.wait()
            process.stdin.close()
    if process.returncode:
        _logger.error("%s ended with %s", module, process.returncode)
        return None
    told: dict[str, Any] = json.loads(out)
    return told


def _who() -> str:
    """Whose request this is."""
    return str(noted().get("client", ""))
