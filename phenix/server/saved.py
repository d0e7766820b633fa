"""Saved queries and alerts: kept in a file of their own, checked by the compiler before anything is stored.

Nothing here knows which protocol asked. What a caller can cause comes back as a Refusal; the file failing does too,
and nothing else of the server is touched by it.
"""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import secrets
import string
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, TypeVar

import orjson

from phenix.engine.alerts import terms_of
from phenix.engine.bundle import Bundle
from phenix.engine.query.request import Refusal
from phenix.engine.saved import SavedPayload, save
from phenix.engine.saved_text import print_entries, read_statements
from phenix.engine.store.base import Problem, Reader, StoreError
from phenix.engine.store.saved import Entry, Kind
from phenix.engine.store.sqlite_saved import SavedFile
from phenix.server.readers import Readers
from phenix.server.saved_body import Body, invalid, read_name
from phenix.server.saved_view import View, view

__all__ = ["Listed", "Matches", "SavedQueries"]

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)

Matches = Callable[[str], bool]
"""Whether an entity tag is one that the caller will have changed."""

_LETTERS: Final = string.ascii_lowercase
_ID_LENGTH: Final = 12
_BUNDLES: Final = 8
"""Rule versions kept compiled."""
_EXPORTED: Final = 1_000
"""Entries read at a time."""
_WHY: Final = {
    Problem.FULL: "the disk is full",
    Problem.READ_ONLY: "the file or its folder is read-only",
    Problem.LOCKED: "another program holds the file",
    Problem.FOREIGN: "the file there is none of Phenix",
    Problem.NEWER: "the file was written by a newer Phenix",
    Problem.CORRUPT: "the file is damaged",
}


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of entries in the order they were made; ``total`` counts all of the kind."""

    entries: tuple[Entry, ...]
    next_cursor: str | None
    total: int


class SavedQueries:
    """Answers requests for saved queries; ``writer`` holds one connection, ``versions`` read the store's rule versions.

    ``active`` is, in every call, the rule version that is active now.
    """

    def __init__(
        self,
        writer: Readers[SavedFile],
        readers: Readers[SavedFile],
        versions: Readers[Reader],
        *,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._writer = writer
        self._readers = readers
        self._versions = versions
        self._clock = clock
        self._bundles: dict[str, Bundle] = {}

    async def start(self) -> None:
        """Bring a file that is there up to date; what is wrong with it is told, and again by each request."""
        try:
            try:
                await self._readers.run(lambda _: None)
            except StoreError as error:
                if error.problem is not Problem.OLDER:
                    raise
            await self._writer.run(lambda _: None)
        except StoreError as error:
            if error.problem is not Problem.MISSING:
                _logger.warning("saved queries cannot be used: %s", error.message)

    async def close(self) -> None:
        """Release the file."""
        for files in (self._writer, self._readers):
            await asyncio.to_thread(files.close)

    # -- reading

    async def get(self, kind: Kind, id_: str) -> Entry | Refusal:
        """An entry by its id."""
        found = await self.read(lambda file: file.get(id_), lambda: None)
        return found if isinstance(found, Refusal) else _of_kind(found, kind, id_)

    async def page(self, kind: Kind, limit: int, cursor: str = "") -> Listed | Refusal:
        """A page of a kind. One made during a walk comes at its end, one removed is left out, no other moves."""
        after = _position(cursor, kind)
        if after is None:
            return Refusal("cursor_mismatch", "`cursor` is not one that this list gave out; start without it.")

        def read(file: SavedFile, after: int = after) -> tuple[list[tuple[int, Entry]], int]:
            return file.page(kind, after, limit + 1), file.count(kind)

        found = await self.read(read, lambda: ([], 0))
        if isinstance(found, Refusal):
            return found
        numbered, total = found
        more = len(numbered) > limit
        next_cursor = _cursor(kind, numbered[limit - 1][0]) if more else None
        return Listed(tuple(entry for _, entry in numbered[:limit]), next_cursor, total)

    async def views(self, entries: Sequence[Entry], active: Bundle, *, legacy: bool) -> list[View]:
        """Entries as they are shown."""
        versions = {entry.rule_version for entry in entries} if legacy else set()
        bundles = {version: await self._bundle(version, active) for version in versions}

        def shown() -> list[View]:
            return [view(entry, bundles.get(entry.rule_version), active, legacy=legacy) for entry in entries]

        return await asyncio.to_thread(shown) if legacy else shown()

    async def wheres(self, pairs: Iterable[tuple[str, str]]) -> Mapping[str, str] | Refusal:
        """The rule text of each saved query that parameters name by its id."""
        ids = {text.strip() for name, text in pairs if name == "preset"}
        if not ids:
            return {}

        def read(file: SavedFile) -> Mapping[str, str]:
            return {entry.id: entry.where for id_ in ids if (entry := file.get(id_)) is not None}

        return await self.read(read, dict)

    async def export(self, kind: Kind, id_: str | None = None) -> str | Refusal:
        """All entries of a kind, or one, as statements of the rule language."""
        if id_ is not None:
            entry = await self.get(kind, id_)
            return entry if isinstance(entry, Refusal) else "".join(print_entries([entry]))

        def read(file: SavedFile) -> list[Entry]:
            entries: list[Entry] = []
            after = 0
            while page := file.page(kind, after, _EXPORTED):
                entries += [entry for _, entry in page]
                after = page[-1][0]
            return entries

        found: list[Entry] | Refusal = await self.read(read, list)
        if isinstance(found, Refusal):
            return found
        return await asyncio.to_thread(lambda: "".join(print_entries(found)))

    # -- writing

    async def create(self, kind: Kind, body: Body, active: Bundle) -> Entry | Refusal:
        """Store a new entry under an id of its own."""
        saved = await asyncio.to_thread(save, body.payload, active)
        if not isinstance(saved, SavedPayload):
            return invalid(saved)

        def store(file: SavedFile, upto: int) -> Entry:
            id_ = _fresh_id(kind)
            while file.get(id_) is not None:
                id_ = _fresh_id(kind)
            now = self._now()
            entry = Entry(id_, kind, body.name or id_, **_content(saved, active), created_at=now, updated_at=now)
            _keep(file, entry, upto)
            return entry

        return await self.change(store, kind)

    async def update(
        self, kind: Kind, id_: str, body: Body, active: Bundle, matches: Matches | None = None
    ) -> Entry | Refusal:
        """Put an entry in the place of one; with a name alone its filter stays as it is.

        It stays, too, when the payload comes back as it was read: what a version cannot say would be lost.
        """
        known = await self.get(kind, id_) if body.given else None
        if isinstance(known, Refusal):
            return known
        if known is not None and not await self._is_as_read(known, body.payload, active):
            known = None
        saved = await asyncio.to_thread(save, body.payload, active) if body.given and known is None else None
        if isinstance(saved, tuple):
            return invalid(saved)

        def store(file: SavedFile, upto: int) -> Entry | Refusal:
            found = _matching(file, kind, id_, matches)
            if isinstance(found, Refusal):
                return found
            if known is not None and found.v2_json != known.v2_json:  # changed while it was compared
                return _stale(found)
            content = _content(saved, active, found.statement) if saved is not None else {}
            name = found.name if body.name is None else body.name or id_
            return self._put(file, found, replace(found, name=name, **content), upto)

        return await self.change(store, kind)

    async def remove(self, kind: Kind, id_: str, matches: Matches | None = None) -> Entry | Refusal:
        """Remove an entry; it comes back as it was."""

        def store(file: SavedFile, upto: int) -> Entry | Refusal:
            found = _matching(file, kind, id_, matches)
            if isinstance(found, Entry):
                file.remove(id_)
                if kind == "alert":
                    file.alerts.remove(id_, upto)
            return found

        return await self.change(store, kind)

    async def take_in(self, kind: Kind, text: str, active: Bundle) -> list[Entry] | Refusal:
        """Store each statement of a text, in the place of the entry that has its id; all of them or none."""
        drafts = await asyncio.to_thread(read_statements, text, kind, active)
        if isinstance(drafts, tuple):
            return invalid(drafts)
        names = [read_name(draft.label) for draft in drafts]
        if wrong := tuple(name for name in names if not isinstance(name, str)):
            return invalid(wrong)

        def store(file: SavedFile, upto: int) -> list[Entry]:
            entries = []
            for draft, name in zip(drafts, names, strict=True):
                now, id_ = self._now(), f"{kind}_{draft.name}"
                found, named = file.get(id_), str(name) or id_
                content = _content(draft.saved, active, draft.statement)
                if found is None:
                    made = Entry(id_, kind, named, created_at=now, updated_at=now, **content)
                elif found.where == draft.saved.where:  # clauses that mean the same say more than its text
                    made = replace(found, name=named, statement=draft.statement)
                else:
                    made = replace(found, name=named, **content)
                entries.append(self._put(file, found, made, upto))
            return entries

        return await self.change(store, kind)

    async def _is_as_read(self, entry: Entry, payload: object, active: Bundle) -> bool:
        """Whether a payload is how an entry is shown in one of the versions."""
        views = [*await self.views([entry], active, legacy=False), *await self.views([entry], active, legacy=True)]
        return any(view.shows(payload) for view in views)

    def _put(self, file: SavedFile, found: Entry | None, entry: Entry, upto: int) -> Entry:
        """Store an entry unless it is as it was; each change has a later time than the one before."""
        if entry == found:
            return entry
        if found is not None:
            entry = replace(entry, updated_at=max(self._now(), found.updated_at + 1))
        _keep(file, entry, upto)
        return entry

    # -- the file, and the rule versions of the store

    async def read(self, read: Callable[[SavedFile], _T], empty: Callable[[], _T]) -> _T | Refusal:
        """What is read; what ``empty`` gives where nothing was ever saved."""
        try:
            return await self._readers.run(read)
        except StoreError as error:
            return empty() if error.problem is Problem.MISSING else _unavailable("read", error)

    async def change(self, change: Callable[[SavedFile, int], _T], kind: Kind) -> _T | Refusal:
        """What is written, as one transaction; of an alert it counts for rows after the seq ``change`` is given."""
        try:
            upto = await self._versions.run(lambda reader: reader.watermark()) if kind == "alert" else 0
        except StoreError as error:
            _logger.warning("an alert cannot be changed: %s", error.message)
            return Refusal("unavailable", "Alerts cannot be changed now: the store of rows cannot be read.")

        def within(file: SavedFile) -> _T:
            with file.transaction():
                return change(file, upto)

        try:
            return await self._writer.run(within)
        except StoreError as error:
            return _unavailable("written", error)

    async def _bundle(self, version: str, active: Bundle) -> Bundle | None:
        """A rule version by its id; None where the store has it no more, or cannot be read."""
        if version == active.version:
            return active
        if version not in self._bundles:
            try:
                bundle = await self._versions.run(lambda reader: _load(reader, version))
            except StoreError as error:
                _logger.warning("the rule version of a saved query cannot be read: %s", error.message)
                return None
            if bundle is None:
                return None
            while len(self._bundles) >= _BUNDLES:
                del self._bundles[next(iter(self._bundles))]
            self._bundles[version] = bundle
        return self._bundles[version]

    def _now(self) -> int:
        return int(self._clock() * 1000)


# -- entries


def _fresh_id(kind: Kind) -> str:
    letters = [secrets.choice(_LETTERS)] + [secrets.choice(_LETTERS + string.digits) for _ in range(_ID_LENGTH - 1)]
    return f"{kind}_{''.join(letters)}"


def _content(saved: SavedPayload, active: Bundle, statement: str = "") -> dict[str, Any]:
    """What an entry keeps of a filter."""
    return {
        "v2_json": json.dumps(saved.v2, ensure_ascii=False, separators=(",", ":"), allow_nan=False),
        "where": saved.where,
        "rule_version": active.version,
        "fidelity": str(saved.fidelity),
        "reasons": saved.reasons,
        "statement": statement,
    }


def _keep(file: SavedFile, entry: Entry, upto: int) -> None:
    """Store an entry; what an alert asks for now is so from the next row on."""
    file.put(entry)
    if entry.kind == "alert":
        terms = terms_of(entry.statement, file.alerts.delivery(entry.id))
        file.alerts.revise(entry.id, entry.where, terms, upto)


def _of_kind(entry: Entry | None, kind: Kind, id_: str) -> Entry | Refusal:
    if entry is not None and entry.kind == kind:
        return entry
    shown = id_ if len(id_) <= 80 else id_[:80] + "…"
    return Refusal("not_found", f"There is no {kind} {shown!r}.")


def _matching(file: SavedFile, kind: Kind, id_: str, matches: Matches | None) -> Entry | Refusal:
    """The entry to be changed, unless the caller knows it otherwise than it is."""
    found = _of_kind(file.get(id_), kind, id_)
    return found if isinstance(found, Refusal) or matches is None or matches(found.etag) else _stale(found)


def _stale(entry: Entry) -> Refusal:
    detail = (
        f"The {entry.kind} has changed since it was read: its tag is {entry.etag} now. Read it again, then change it."
    )
    return Refusal("precondition_failed", detail)


# -- rule versions, cursors, refusals


def _load(reader: Reader, version: str) -> Bundle | None:
    stored = reader.rule_version(version)
    try:
        return Bundle.from_config(stored.config_json, stored.checksum) if stored is not None else None
    except ValueError as error:
        _logger.warning("the rule version %s of a saved query does not load: %s", version, error)
        return None


def _cursor(kind: Kind, number: int) -> str:
    return base64.urlsafe_b64encode(orjson.dumps([kind, number])).rstrip(b"=").decode("ascii")


def _position(cursor: str, kind: Kind) -> int | None:
    """The number a list goes on after, 0 from the beginning; None for what is no cursor of the kind."""
    if not cursor:
        return 0
    try:
        text = base64.b64decode(cursor[:100] + "=" * (-len(cursor[:100]) % 4), b"-_", validate=True)
        found = orjson.loads(text)
    except ValueError:
        return None
    match found:
        case [str(named), int(number)] if named == kind and 0 < number < 2**63:
            return number
    return None


def _unavailable(done: str, error: StoreError) -> Refusal:
    _logger.warning("saved queries cannot be %s: %s", done, error.message)
    why = _WHY.get(error.problem, "the file cannot be opened or used")
    kept = "Nothing was stored; what" if done == "written" else "What"
    return Refusal("unavailable", f"Saved queries cannot be {done} now: {why}. {kept} was saved before is kept.")
