"""The life of a rule version: stored, made active after a seq, rolled back; and the ledger of all that was asked.

Anyone may ask; the process that holds the log answers: ingest between two batches, or whoever asks while nothing
writes. So a row is tagged by one version, and where one ends and the next begins is the same for every reader.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, compile_bundle
from phenix.engine.check import TOO_DEEP, failing_cases
from phenix.engine.encode import date_text, ts_text
from phenix.engine.query.request import Refusal
from phenix.engine.rule_diff import RuleDiff, compare
from phenix.engine.shadow.bands import Bands, Outcome, verdict
from phenix.engine.store.base import Problem, Reader, StoreError, Writer
from phenix.engine.store.retagged import LEAVING, Retagging, retaggings, waiting
from phenix.engine.store.versions import Activation, BitTakenError, Ledger, RuleVersion, Why, active_stack, bits_of

__all__ = [
    "Ask",
    "Gate",
    "Lifecycle",
    "activation_json",
    "begin",
    "bundle_of",
    "compared",
    "retagging_json",
    "settle",
    "version_json",
]

_T = TypeVar("_T")
_logger = logging.getLogger(__name__)

_POLL_S: Final = 0.05
_SHORTEST: Final = 4
"""Characters that a version is at least called by."""
_TRIES: Final = 5
"""How often rules are compiled for bits that others take meanwhile."""

Gate = Callable[[Reader, str, str], str]
"""Why a version may not follow the active one yet, by the comparison of both over sessions; "" where it may."""


def compared(reader: Reader, active: str, candidate: str, *, bands: Bands | None = None) -> str:
    """The gate that asks for enough sessions within the bands."""
    found = verdict(reader, active, candidate, now_utc=_now(), bands=bands)
    return "" if found.outcome is Outcome.WITHIN else found.reason


@dataclass(frozen=True, slots=True)
class Ask:
    """Who asks for a change of rules, and why; with ``force`` whatever the comparison says."""

    by: str = ""
    reason: str = ""
    force: bool = False


def settle(writer: Writer, now_utc: int) -> list[Activation]:
    """Answer what waits in the ledger: the version becomes active, or it is said why the one before stays.

    For the process that holds the log, between two batches. Raises StoreError.
    """
    return [_settled(writer, asked, now_utc) for asked in writer.reads.activations(waiting=True)]


def _settled(writer: Writer, asked: Activation, now_utc: int) -> Activation:
    bundle = bundle_of(asked, writer.reads.rule_version(asked.version_id))
    return writer.refuse(asked, bundle) if isinstance(bundle, str) else writer.activate(asked, now_utc)


def bundle_of(asked: Activation, version: RuleVersion | None) -> Bundle | str:
    """The rules that an entry of the ledger asks for, or a sentence why they cannot be had."""
    if version is None:
        return f"there is no rule version {asked.version_id}"
    try:
        return Bundle.from_config(version.config_json, version.checksum)
    except ValueError as error:
        return str(error)


def begin(writer: Writer, packaged: Callable[[], Bundle], params: Mapping[str, str], now_utc: int) -> Bundle:
    """What the process that holds the log begins with: the active rules, after what waits in the ledger was answered.

    ``packaged`` become the first version; where ``params`` of settings have other values in the active one, a version
    with these takes its place. Raises StoreError, and ValueError for rules or values that cannot be used.
    """
    settle(writer, now_utc)
    stored = writer.reads.rule_version()
    if stored is None:
        bundle = _first(writer, packaged(), now_utc)
    else:
        try:
            bundle = Bundle.from_config(stored.config_json, stored.checksum)
        except ValueError as error:
            raise ValueError(
                f"rule version {stored.version_id} of the store cannot be used: {error}. Go back to the one before with"
                " `phenix rules rollback`; or push other rules, and make them active with"
                " `phenix rules activate VERSION --force --reason TEXT`"
            ) from error
    return _with_settings(writer, bundle, params, now_utc) if params else bundle


def _first(writer: Writer, packaged: Bundle, now_utc: int) -> Bundle:
    """Packaged rules as the active version; others may have been stored before, whose chips keep their bits."""

    def make(bits: dict[str, int]) -> Bundle | Refusal:
        return packaged if bits.items() <= packaged.bits.items() else _compiled(packaged.program.sources, bits)

    def keep(bundle: Bundle) -> None:
        writer.put_rule_version(_stored(bundle, now_utc), activate=True, now_utc=now_utc)

    found = _kept(make, writer.reads.rule_versions, keep)
    if isinstance(found, Refusal):
        why = found.detail.rstrip(".")
        raise ValueError(  # noqa: TRY004
            f"the packaged rules cannot become the first that are active: {why}. A stored version can:"
            " `phenix rules list`, `phenix rules activate VERSION`"
        )
    return found[0]


def _kept(
    make: Callable[[dict[str, int]], Bundle | Refusal],
    versions: Callable[[], Sequence[RuleVersion]],
    keep: Callable[[Bundle], _T],
) -> tuple[Bundle, _T] | Refusal:
    """Rules made for the bits that chips have in the stored versions, and what keeping them gave.

    They are made again when somebody stored others in between, whose chips took the same bits.
    """
    why = ""
    for _ in range(_TRIES):
        made = make(bits_of(versions()))
        if isinstance(made, Refusal):
            return made
        try:
            return made, keep(made)
        except BitTakenError as error:
            why = str(error)
        except ValueError as error:
            return Refusal("conflict", f"These rules are not stored: {error}.")
    return Refusal("conflict", f"These rules are not stored: {why}. Others store rules at the same time: try again.")


def _compiled(sources: Sequence[Source], bits: Mapping[str, int]) -> Bundle | Refusal:
    """Rules without errors whose tests pass. Lints only warn, and may take minutes: they are for `phenix lint`."""
    try:
        bundle, found = compile_bundle(sources, bits)
        errors = tuple(one for one in found if one.severity == "error")
        wrong = errors if bundle is None else failing_cases(bundle.program)
    except RecursionError:
        return Refusal("invalid_rules", f"These rules are not stored: {TOO_DEEP}.")
    if bundle is not None and not wrong:
        return bundle
    if not wrong:
        return Refusal("invalid_rules", "These rules are not stored: there is no rule file among them.")
    more = f"; {len(wrong) - 1} more" if len(wrong) > 1 else ""
    return Refusal("invalid_rules", f"These rules are not stored: {wrong[0].message}{more}", wrong)


def _with_settings(writer: Writer, bundle: Bundle, params: Mapping[str, str], now_utc: int) -> Bundle:
    made = bundle.with_params(params)
    said = ", ".join(f"{name}={value}" for name, value in params.items())
    if isinstance(made, tuple):
        raise ValueError(f"the settings FLOW_FILTER_…_MIN ({said}) cannot be used: {made[0].message}")  # noqa: TRY004
    if made.params == bundle.params:
        return bundle
    _logger.warning(
        "settings FLOW_FILTER_…_MIN (%s) make rule version %s of %s; unset them and use `phenix rules set`",
        said, made.version, bundle.version,
    )  # fmt: skip
    writer.put_rule_version(_stored(made, now_utc))
    asked = Activation(0, Why.SETTINGS, made.version, now_utc, reason=said)
    writer.activate(writer.ask_activation(asked), now_utc)
    return made


def _stored(bundle: Bundle, now_utc: int) -> RuleVersion:
    return RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, now_utc, None, None)


class Lifecycle:
    """Changes the rules of one store.

    ``gate`` judges a version before it is activated; ``wait_s`` is how long an answer of the log's holder is waited
    for, after which the change stays asked. Methods raise StoreError.
    """

    def __init__(
        self,
        open_reader: Callable[[], Reader],
        open_writer: Callable[[], Writer],
        ledger: Ledger,
        *,
        gate: Gate = compared,
        wait_s: float = 10.0,
    ) -> None:
        self._open_reader = open_reader
        self._open_writer = open_writer
        self._ledger = ledger
        self._gate = gate
        self._wait_s = wait_s

    def versions(self) -> list[RuleVersion]:
        """Every stored version, oldest first."""
        with self._open_reader() as reader:
            return reader.rule_versions()

    def history(self) -> list[Activation]:
        """What was asked of the rules, oldest first."""
        with self._open_reader() as reader:
            return reader.activations()

    def retaggings(self) -> list[tuple[Retagging, int]]:
        """What other versions tagged beside, with how many rows of the session wait: by version, the latest first."""
        with self._open_reader() as reader:
            return [(one, waiting(reader, one)) for one in retaggings(reader)]

    def push(self, sources: Sequence[Source]) -> tuple[Bundle, bool] | Refusal:
        """Store rules as a version, and whether it is new; chips keep the bits they have in the store.

        Refused are rules with errors or with failing tests.
        """

        def stored() -> list[RuleVersion]:
            try:
                return self.versions()
            except StoreError as error:
                if error.problem is not Problem.MISSING:
                    raise
                return []

        return _kept(lambda bits: _compiled(sources, bits), stored, self._keep)

    def set_params(self, version: str, values: dict[str, str]) -> tuple[Bundle, bool] | Refusal:
        """Store a version with other values of its params; ``version`` as of :meth:`find`, "" for the active one."""
        found = self.find(version)
        if isinstance(found, Refusal):
            return found
        bundle = _loaded(found)
        if isinstance(bundle, Refusal):
            return bundle
        changed = bundle.with_params(values)
        if not isinstance(changed, Bundle):
            return Refusal("invalid_rules", changed[0].message, changed[:1])  # the others follow from it
        # Its chips have the bits they have in the stored version it is made from: none of them can be taken.
        return _kept(lambda _: changed, list, self._keep)

    def _keep(self, bundle: Bundle) -> bool:
        version = _stored(bundle, _now())
        try:
            with self._open_writer() as writer:
                new = writer.reads.rule_version(bundle.version) is None
                writer.put_rule_version(version)
                return new
        except StoreError as error:
            if error.problem is not Problem.LOCKED:
                raise
        return self._ledger.keep(version)

    def find(self, name: str) -> RuleVersion | Refusal:
        """A stored version by its id, how that begins, or its checksum; the active one for ""."""
        if name and len(name) < _SHORTEST:
            return Refusal("not_found", f"`{name}` is too short: write at least {_SHORTEST} characters of a version.")
        versions = self.versions()
        found = [one for one in versions if (one.is_active if not name else one.checksum.startswith(name))]
        if len(found) == 1:
            return found[0]
        if not name:
            return Refusal("not_found", "No rule version is active: ingest makes the packaged rules the first.")
        if len(found) > 1:
            several = ", ".join(one.version_id for one in found)
            return Refusal("not_found", f"`{name}` may be {several}: write more of it.")
        held = ", ".join(one.version_id for one in versions[-5:]) or "none"
        return Refusal("not_found", f"There is no rule version `{name}`; the latest stored are: {held}.")

    def diff(self, before: str, after: str) -> RuleDiff | Refusal:
        """What a version changes against another; "" is the active one."""
        found = self.find(before), self.find(after)
        bundles = []
        for one in found:
            if isinstance(one, Refusal):
                return one
            bundle = _loaded(one)
            if isinstance(bundle, Refusal):
                return bundle
            bundles.append(bundle)
        return compare(*bundles)

    def activate(self, name: str, ask: Ask) -> Activation | Refusal:
        """Make a version the active one from the next row on; the entry of the ledger, answered or waiting."""
        found, active = self.find(name), self.find("")
        if isinstance(found, Refusal):
            return found
        if isinstance(active, RuleVersion):
            if active.version_id == found.version_id:
                # What waits would make another active yet: this is asked behind it, and so takes it back.
                waits = any(one.waiting for one in self.history())
                return self._ask(Why.ACTIVATE, found.version_id, ask) if waits else self._made_active(found)
            if refusal := self._judged(active.version_id, found.version_id, ask):
                return refusal
        return self._ask(Why.ACTIVATE, found.version_id, ask)

    def rollback(self, ask: Ask) -> Activation | Refusal:
        """Go back to the version before the one that is active, or waits to be; again, to the one before that."""
        stack = active_stack(self.history())
        if len(stack) < 2:
            return Refusal("conflict", "There is nothing to go back to: no other version was active before this one.")
        return self._ask(Why.ROLLBACK, stack[-2], ask)

    def _judged(self, active: str, candidate: str, ask: Ask) -> Refusal | None:
        if ask.force:
            lacks = "" if ask.reason.strip() else "Say why it is forced: the reason is kept with the activation."
            return Refusal("conflict", lacks) if lacks else None
        with self._open_reader() as reader:
            why = self._gate(reader, active, candidate)
        if not why:
            return None
        return Refusal("conflict", f"{candidate} is not activated: {why}. To overrule that, force it and say why.")

    def _made_active(self, version: RuleVersion) -> Activation | Refusal:
        entries = [one for one in self.history() if one.version_id == version.version_id and one.seq is not None]
        return entries[-1] if entries else Refusal("conflict", f"{version.version_id} is active already.")

    def _ask(self, cause: Why, version: str, ask: Ask) -> Activation:
        """Enter it, and have it answered: here where nothing writes, else by what does."""
        asked, until = None, time.monotonic() + self._wait_s
        wanted = Activation(0, cause, version, _now(), ask.by, ask.reason, ask.force)
        while True:
            try:
                with self._open_writer() as writer:
                    asked = asked or writer.ask_activation(wanted)
                    settle(writer, _now())
                    return self._entry(writer.reads, asked)
            except StoreError as error:
                if error.problem is not Problem.LOCKED:
                    raise
            asked = asked or self._ledger.ask(wanted)
            with self._open_reader() as reader:
                found = self._entry(reader, asked)
            if not found.waiting or time.monotonic() >= until:
                return found
            time.sleep(_POLL_S)

    @staticmethod
    def _entry(reader: Reader, asked: Activation) -> Activation:
        return next(one for one in reader.activations() if one.number == asked.number)


def version_json(version: RuleVersion) -> dict[str, Any]:
    """A stored version as JSON, without its rules."""
    return {
        "version": version.version_id, "checksum": version.checksum, "active": version.is_active,
        "createdAt": ts_text(version.created_at), "activatedAt": _instant(version.activated_at),
        "activatedSeq": version.activated_seq,
    }  # fmt: skip


def activation_json(entry: Activation) -> dict[str, Any]:
    """An entry of the ledger as JSON."""
    return {
        "number": entry.number, "cause": entry.cause.value, "version": entry.version_id, "before": entry.before,
        "seq": entry.seq, "at": _instant(entry.at), "refused": entry.refused, "waiting": entry.waiting,
        "askedAt": ts_text(entry.asked_at), "askedBy": entry.asked_by, "reason": entry.reason,
        "forced": entry.forced,
    }  # fmt: skip


def retagging_json(found: Retagging, rest: int) -> dict[str, Any]:
    """How far a session is re-tagged, as JSON; ``rest`` of its rows wait."""
    state = "removed" if found.upto_seq == LEAVING else "waiting" if rest else "complete"
    return {
        "version": found.version_id, "sessionDate": date_text(found.session_date), "state": state,
        "rows": found.rows, "waitingRows": rest, "updatedAt": ts_text(found.updated_at),
    }  # fmt: skip


def _instant(ms: int | None) -> str | None:
    return None if ms is None else ts_text(ms)


def _loaded(version: RuleVersion) -> Bundle | Refusal:
    try:
        return Bundle.from_config(version.config_json, version.checksum)
    except ValueError as error:
        return Refusal("conflict", f"Rule version {version.version_id} cannot be used: {error}.")


def _now() -> int:
    return time.time_ns() // 1_000_000
