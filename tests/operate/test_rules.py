"""Rule versions: stored, activated at a seq, rolled back; by whoever holds the log, while rows come."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from drills._tapes import generated_tape
from phenix import app
from phenix.config import SETTINGS
from phenix.dsl.source import Source
from phenix.engine.bundle import Bundle, read_rules
from phenix.engine.flow import INDEX, Row
from phenix.engine.lifecycle import Ask, Lifecycle
from phenix.engine.query.request import Refusal
from phenix.engine.rollout import CORE
from phenix.engine.store.base import Batch
from phenix.engine.store.sqlite import open_reader, open_writer
from phenix.engine.store.sqlite_rules import SqliteLedger
from phenix.engine.store.versions import Activation, Why, active_stack
from phenix.ingest.reading import read_parts
from phenix.ingest.recorder import Recorder
from phenix.ingest.rules import Rulebook
from tests.operate.stores import execute
from tests.operate.test_replay import NONE, verified

FORCED = Ask("tester", "to see", force=True)
DATE = 20261120
_SEQ, _VERSION = INDEX["seq"], INDEX["rule_version"]


def lifecycle(store: Path, *, why_not: str = "nothing was compared", wait_s: float = 60.0) -> Lifecycle:
    return Lifecycle(partial(open_reader, store), partial(open_writer, store), SqliteLedger(store),
                     gate=lambda *_: why_not, wait_s=wait_s)  # fmt: skip


def held(found: Any) -> Any:
    assert not isinstance(found, Refusal), found
    return found


def refused(found: Any) -> str:
    assert isinstance(found, Refusal)
    return f"{found.code}: {found.detail}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store whose first version is the packaged rules."""
    with app.open_writer(f"sqlite:{tmp_path / 'flow.sqlite'}") as writer:
        app.active_bundle(writer)
    return tmp_path / "flow.sqlite"


def version_with(life: Lifecycle, **params: str) -> str:
    bundle: Bundle = held(life.set_params("", params))[0]
    return bundle.version


def seqs(history: list[Activation]) -> list[tuple[Why, str, int | None]]:
    return [(entry.cause, entry.version_id, entry.seq) for entry in history]


def test_one_version_is_active_and_the_ledger_says_since_when_and_by_whom(store: Path) -> None:
    life = lifecycle(store)
    (first,) = life.versions()
    second = version_with(life, whales_min="750k")
    assert [one.is_active for one in life.versions()] == [True, False]
    entry = held(life.activate(second, FORCED))
    assert (entry.seq, entry.before, entry.asked_by, entry.reason, entry.forced) == (
        0, first.version_id, "tester", "to see", True,
    )  # fmt: skip
    assert [one.version_id for one in life.versions() if one.is_active] == [second]
    assert held(life.activate(second[:6], Ask())) == entry  # it is active already: nothing new is asked
    back = held(life.rollback(Ask("other", "no good")))
    assert (back.cause, back.version_id, back.before) == (Why.ROLLBACK, first.version_id, second)
    assert seqs(life.history()) == [
        (Why.BOOTSTRAP, first.version_id, 0), (Why.ACTIVATE, second, 0), (Why.ROLLBACK, first.version_id, 0),
    ]  # fmt: skip
    assert execute(store, "SELECT count(*) FROM filter_rule_versions WHERE is_active = 1") == [(1,)]


def test_going_back_again_goes_further_back(store: Path) -> None:
    life = lifecycle(store)
    one = life.versions()[0].version_id
    two, three = version_with(life, whales_min="750k"), version_with(life, whales_min="800k")
    for version in (two, three):
        held(life.activate(version, FORCED))
    assert active_stack(life.history()) == [one, two, three]
    assert [held(life.rollback(Ask())).version_id for _ in range(2)] == [two, one]
    assert refused(life.rollback(Ask())) == (
        "conflict: There is nothing to go back to: no other version was active before this one."
    )
    held(life.activate(three, FORCED))
    assert held(life.rollback(Ask())).version_id == one


def test_a_version_that_is_not_compared_needs_a_reason(store: Path) -> None:
    life = lifecycle(store, why_not="2 of 3 sessions are compared")
    second = version_with(life, whales_min="750k")
    assert "2 of 3 sessions are compared. To overrule that" in refused(life.activate(second, Ask("me")))
    assert "Say why it is forced" in refused(life.activate(second, Ask("me", " ", force=True)))
    assert len(life.history()) == 1
    assert held(lifecycle(store, why_not="").activate(second, Ask("me"))).forced is False


def test_a_version_that_is_not_there_is_named(store: Path) -> None:
    life = lifecycle(store)
    packaged = life.versions()[0].version_id
    for name in ("ffff0000", packaged[:3], ""):
        found = life.find(name)
        assert isinstance(found, Refusal) if name else not isinstance(found, Refusal)
    assert refused(life.activate("nonsense", FORCED)) == (
        f"not_found: There is no rule version `nonsense`; the latest stored are: {packaged}."
    )


def test_rules_with_errors_or_failing_tests_are_not_stored(store: Path) -> None:
    life = lifecycle(store)
    good = [Source(source.name, source.text) for source in read_rules()]
    broken = [*good, Source("mine.phx", 'edition 1\nchip mine "Mine" = vallue >= 1M\n')]
    assert "there is no field `vallue`" in refused(life.push(broken)) or "vallue" in refused(life.push(broken))
    failing = [*good, Source("mine.phx", 'edition 1\nchip mine "Mine" = value >= 1M\ntest mine (value: 1) = true\n')]
    assert refused(life.push(failing)).startswith("invalid_rules: These rules are not stored: ")
    assert len(life.versions()) == 1


def test_a_chip_keeps_its_bit_in_every_version(store: Path) -> None:
    life = lifecycle(store)
    good = [Source(source.name, source.text) for source in read_rules()]
    first = Source("a.phx", 'edition 1\nchip a_first "A first" = value >= 2M\n')
    other = Source("b.phx", 'edition 1\nchip b_other "B other" = value >= 3M\n')
    bits = [held(life.push([*good, *more]))[0].bits for more in ([first], [other], [other, first])]
    assert bits[0]["a_first"] != bits[1]["b_other"]
    for name in bits[2]:
        assert {found[name] for found in bits if name in found} == {bits[2][name]}


@pytest.mark.parametrize(
    ("params", "said"),
    [
        ({"whales_min": "7"}, "outside the range"),
        ({"whale_min": "750k"}, "there is no param `whale_min`"),
        ({"whales_min": "750k in 1k..1M"}, ""),
        ({"whales_min": "750k in 50k..100M\nparam odd: money = 750k"}, "one literal"),
    ],
)
def test_params_are_values_within_their_ranges(store: Path, params: dict[str, str], said: str) -> None:
    life = lifecycle(store)
    assert said in refused(life.set_params("", params))
    assert len(life.versions()) == 1


def test_a_version_of_params_is_the_same_text_of_sql(store: Path) -> None:
    life = lifecycle(store)
    bundle: Bundle = held(life.set_params("", {"whales_min": "750k", "large_size_min": "900"}))[0]
    diff = held(life.diff("", bundle.version))
    assert diff.params_only
    assert {(change.kind, change.name, change.through) for change in diff.changes} == {
        ("param", "whales_min", ()), ("param", "large_size_min", ()),
        ("chip", "whales", ("whales_min",)), ("chip", "large_size", ("large_size_min",)),
    }  # fmt: skip
    assert held(life.set_params(bundle.version, {"whales_min": "500k", "large_size_min": "1000"}))[1] is False


def test_a_stored_version_that_was_changed_never_becomes_active(store: Path) -> None:
    life = lifecycle(store)
    second = version_with(life, whales_min="750k")
    execute(store, f"UPDATE filter_rule_versions SET config_json = config_json || ' ' WHERE version_id = '{second}'")
    entry = held(life.activate(second, FORCED))
    assert entry.refused == "the stored rule version does not match its checksum: restore it from a backup"
    assert [one.version_id for one in life.versions() if one.is_active] != [second]


# -- while something holds the log


class Holder:
    """Stores a tape in batches as ingest does, and answers what is asked between two of them."""

    def __init__(self, recorder: Recorder, rows: list[Row]) -> None:
        self._recorder, self._rows, self._rulebook = recorder, iter(rows), Rulebook()
        self.answered: list[Activation] = []

    def store(self, count: int) -> None:
        self._recorder.record(Batch([row for _, row in zip(range(count), self._rows, strict=False)]))

    def answer(self) -> None:
        for asked, version in self._recorder.asked_rules():
            self.answered.append(self._recorder.switch(asked, self._rulebook.prepare(asked, version)))


@contextmanager
def holding(store: Path, tape: list[Row]) -> Iterator[Holder]:
    with app.open_writer(f"sqlite:{store}") as writer:
        yield Holder(app.recorder(writer), tape)


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> list[Row]:
    made = generated_tape(tmp_path_factory.mktemp("tape"), seed=5, symbols=2, prints=800, date=DATE)
    return [row for part in read_parts(made.sources) for row in part.rows]


def asked_beside(holder: Holder, ask: Callable[[], Any]) -> Any:
    """The answer of what holds the log to somebody beside."""
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(ask()))
    thread.start()
    while thread.is_alive():
        holder.answer()
        thread.join(0.02)
    return held(found[0])


def versions_by_ledger(history: list[Activation], rows: list[Row]) -> list[str]:
    switched = [entry for entry in history if entry.seq is not None]
    return [[entry.version_id for entry in switched if (entry.seq or 0) < row[_SEQ]][-1] for row in rows]


@pytest.mark.parametrize(
    "params", [{"whales_min": "60k"}, {"aa_floor": "$0.05", "aa_spread": "0%"}], ids=["chips", "figures"]
)
def test_rows_are_tagged_by_the_version_the_ledger_says(store: Path, tape: list[Row], params: dict[str, str]) -> None:
    life = lifecycle(store)
    other = version_with(life, **params)
    with holding(store, tape) as holder:
        for _ in range(3):
            holder.store(100)
            asked_beside(holder, lambda: life.activate(other, FORCED))
            asked_beside(holder, lambda: life.activate(other, FORCED))
            holder.store(70)
            asked_beside(holder, lambda: life.rollback(Ask()))
    with open_reader(store) as reader:
        rows = reader.rows_after(0, 10_000)
    history = life.history()
    assert [entry.seq for entry in history] == [0, 100, 170, 270, 340, 440, 510]
    assert [row[_VERSION] for row in rows] == versions_by_ledger(history, rows)
    assert len({row[_VERSION] for row in rows}) == 2
    assert verified(store, DATE) == NONE  # each row is what its version makes of all rows before it


def test_what_was_asked_of_a_holder_that_died_is_answered_by_the_next(store: Path, tape: list[Row]) -> None:
    life = lifecycle(store, wait_s=0.0)
    other = version_with(life, whales_min="60k")
    with holding(store, tape) as holder:
        holder.store(50)
        waiting = held(life.activate(other, FORCED))
        assert waiting.waiting
        holder.store(50)
    with holding(store, tape[100:]) as holder:
        holder.store(50)
    (entry,) = [one for one in life.history() if one.number == waiting.number]
    assert entry.seq == 100
    with open_reader(store) as reader:
        rows = reader.rows_after(0, 1_000)
    assert [row[_VERSION] == other for row in rows] == [False] * 100 + [True] * 50


@pytest.mark.parametrize("back", ["activate", "rollback"])
def test_what_waits_is_taken_back_by_what_is_asked_behind_it(store: Path, tape: list[Row], back: str) -> None:
    life = lifecycle(store, wait_s=0.0)
    one = life.versions()[0].version_id
    two, three = version_with(life, whales_min="60k"), version_with(life, whales_min="70k")
    held(life.activate(two, FORCED))
    with holding(store, tape) as holder:
        holder.store(50)
        waiting = held(life.activate(three, FORCED))
        taken = held(life.activate(two, Ask("me")) if back == "activate" else life.rollback(Ask("me")))
        assert (waiting.waiting, taken.waiting, taken.version_id) == (True, True, two)
        assert taken.number > waiting.number
        holder.store(50)
    with holding(store, tape[100:]) as holder:
        holder.store(50)
    assert seqs(life.history())[-2:] == [(Why.ACTIVATE, three, 100), (Why(back), two, 100)]
    with open_reader(store) as reader:
        assert {row[_VERSION] for row in reader.rows_after(0, 1_000)} == {two}
    assert held(life.rollback(Ask())).version_id == one
    assert refused(life.rollback(Ask())).startswith("conflict: There is nothing to go back to")


def test_a_holder_refuses_what_cannot_be_loaded_and_goes_on(store: Path, tape: list[Row]) -> None:
    life = lifecycle(store)
    other = version_with(life, whales_min="60k")
    execute(store, f"UPDATE filter_rule_versions SET config_json = config_json || ' ' WHERE version_id = '{other}'")
    with holding(store, tape) as holder:
        holder.store(50)
        assert "does not match its checksum" in asked_beside(holder, lambda: life.activate(other, FORCED)).refused
        holder.store(50)
    with open_reader(store) as reader:
        assert {row[_VERSION] for row in reader.rows_after(0, 1_000)} == {life.versions()[0].version_id}


# -- settings of older installations


def test_older_threshold_settings_become_a_version_once(store: Path, caplog: pytest.LogCaptureFixture) -> None:
    params = {"whales_min": "750000", "large_size_min": "1000"}  # the second is what it is anyway
    found = []
    for _ in range(2):
        with app.open_writer(f"sqlite:{store}") as writer:
            found.append(app.active_bundle(writer, params))
    life = lifecycle(store)
    assert [bundle.params["whales_min"] for bundle in found] == [7_500_000_000] * 2
    assert [(entry.cause, entry.version_id, entry.reason) for entry in life.history()[1:]] == [
        (Why.SETTINGS, found[0].version, "whales_min=750000, large_size_min=1000")
    ]
    assert caplog.text.count("unset them and use `phenix rules set`") == 1
    assert [change.name for change in held(life.diff(life.versions()[0].version_id, "")).changes] == [
        "whales_min", "whales",
    ]  # fmt: skip


def test_an_older_threshold_out_of_range_stops_the_start_and_changes_nothing(store: Path) -> None:
    with (
        app.open_writer(f"sqlite:{store}") as writer,
        pytest.raises(app.RulesError, match=r"whales_min=7\) cannot be used: .*outside the range"),
    ):
        app.active_bundle(writer, {"whales_min": "7"})
    assert len(lifecycle(store).versions()) == 1


def test_what_settings_name_is_in_the_packaged_rules() -> None:
    packaged = app.packaged_bundle()
    assert {setting.attribute for setting in SETTINGS if setting.param} <= packaged.params.keys()
    assert set(CORE) <= {chip.id for chip in packaged.chips}
    assert len(CORE) == 7
