"""The comparisons of one store: which version is in shadow, sessions compared afterwards, reports and artifacts."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final

from phenix.engine.bundle import Bundle
from phenix.engine.encode import ts_text
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.shadow.bands import REQUIRED, Bands, verdict
from phenix.engine.shadow.report import artifacts_of, report, write_artifact
from phenix.engine.shadow.sessions import Comparing, compare_session
from phenix.engine.store.base import Reader, StoreError
from phenix.engine.store.schema import HELD_SESSIONS
from phenix.engine.store.shadow import Candidate, Comparison, candidate, comparisons, latest_comparison
from phenix.engine.store.sqlite_shadow import keep_comparisons, set_candidate

__all__ = ["Comparisons"]

_logger = logging.getLogger(__name__)
_JUDGED_MS: Final = 5_000


class Comparisons:
    """Reads and keeps comparisons of the store at ``path``, beside whoever writes it.

    ``bundles`` gives the rule versions of a reader by id. Methods raise StoreError, and LookupError where the store has
    no active version, or not the one that is named.
    """

    def __init__(
        self,
        path: Path,
        open_reader: Callable[[], Reader],
        bundles: Callable[[Reader], Callable[[str], Bundle | None]],
        calendar: Calendar,
        bands: Bands,
        clock: Callable[[], int],
    ) -> None:
        self._path = path
        self._open_reader = open_reader
        self._bundles = bundles
        self._calendar = calendar
        self._bands = bands
        self._clock = clock
        self._judging = threading.Lock()
        self._stood: tuple[Any, dict[str, Any]] = None, {}

    def named(self) -> Candidate | None:
        """The version in shadow."""
        with self._open_reader() as reader:
            return candidate(reader)

    def name(self, version_id: str | None) -> Candidate | None:
        """Put a version in shadow, None for none; the one that was before."""
        return set_candidate(self._path, version_id)

    def standing(self) -> dict[str, Any] | None:
        """How the version in shadow stands beside the active one, as JSON; None where there is no other one.

        Of as many sessions as were compared: judged once while nothing was counted, for some seconds at most.
        """
        with self._judging, self._open_reader() as reader:
            named, active = candidate(reader), reader.rule_version()
            if named is None or active is None or named.version_id == active.version_id:
                return None
            now = self._clock()
            state = named, active.version_id, now // _JUDGED_MS, latest_comparison(reader, named.version_id)
            if self._stood[0] != state:
                self._stood = state, self._judged(reader, named, active.version_id, now)
            return self._stood[1]

    def _judged(self, reader: Reader, named: Candidate, active: str, now: int) -> dict[str, Any]:
        found = verdict(reader, active, named.version_id, now_utc=now, bands=self._bands)
        return {
            "version": named.version_id,
            "since": ts_text(named.since_utc),
            "outcome": found.outcome.value,
            "reason": found.reason,
            "rows": sum(one.rows for one in found.sessions),
            "sessions": sum(one.whole for one in found.sessions),
            "sessionsRequired": REQUIRED,
        }

    def compare(self, version_id: str, sessions: int) -> Iterator[tuple[int, Comparing]]:
        """Compare the latest stored sessions, oldest first, with the active version; each is kept once it is whole.

        A session that was compared to its end is left as it is; one that is removed meanwhile ends without ``found``.
        """
        with self._open_reader() as reader:
            active_id, bundles = _active(reader), self._bundles(reader)
            versions = [bundles(one) for one in (active_id, version_id)]
            if versions[0] is None or versions[1] is None:
                raise LookupError(
                    f"rule version {version_id if versions[0] else active_id} of the store cannot be used"
                )
            if active_id == version_id:
                raise LookupError(f"rule version {version_id} is the active one: there is nothing to compare")
            known = {one.session_date: one for one in comparisons(reader, version_id, active_id)}
            dates = [date for (date,) in reader.execute(HELD_SESSIONS)][:sessions]
            for date in reversed(dates):
                one = known.get(date)
                count = reader.session_count(date, reader.watermark())
                if one is not None and not one.missed and one.rows == count:
                    yield date, Comparing(count, count, one)
                    continue
                for step in compare_session(
                    reader, date, versions[0], versions[1], bundles, self._calendar, self._clock
                ):
                    if step.found is not None:
                        keep_comparisons(self._path, [step.found])
                    yield date, step

    def report(self, version_id: str, sessions: int | None = None) -> dict[str, Any]:
        """What the latest comparisons of a version with the active one say, all of them without ``sessions``."""
        with self._open_reader() as reader:
            return self._report(reader, _active(reader), version_id, sessions)

    def artifacts(self, compared: list[Comparison]) -> list[Path]:
        """Write the artifacts of comparisons beside the store; the files. Raises OSError."""
        now, files = self._clock(), []
        with self._open_reader() as reader:
            for one in compared:
                found = verdict(reader, one.active, one.candidate, now_utc=now, bands=self._bands)
                files += write_artifact(artifacts_of(self._path), report(found, [one], self._bands, now))
        return files

    def keep(self, compared: list[Comparison]) -> None:
        """Write the artifacts of comparisons; where that fails the log says so, for they are stored all the same."""
        try:
            for file in self.artifacts(compared):
                _logger.info("wrote %s", file)
        except (OSError, StoreError) as error:
            _logger.warning("the artifacts of a comparison are not written: %s", error)

    def _report(self, reader: Reader, active: str, version_id: str, sessions: int | None) -> dict[str, Any]:
        now = self._clock()
        found = verdict(reader, active, version_id, now_utc=now, bands=self._bands)
        compared = comparisons(reader, version_id, active)
        return report(found, compared[-sessions:] if sessions else compared, self._bands, now)


def _active(reader: Reader) -> str:
    version = reader.rule_version()
    if version is None:
        raise LookupError("no rule version is active: ingest makes the packaged rules the first")
    return version.version_id
