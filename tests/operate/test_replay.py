"""``phenix replay``: what was stored is what its inputs give, and whatever is not is named."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from phenix.engine.bundle import Bundle, load_bundle
from phenix.engine.enrich.calendar import Calendar
from phenix.engine.flow import ENRICHED
from phenix.engine.replay import SHOWN, Replay
from phenix.engine.store.base import RuleVersion
from phenix.engine.store.schema import column
from phenix.engine.store.sqlite import open_reader, open_writer
from tests.ingest.files import TAPES, Tape, rows, run_import, tape_sources
from tests.operate.stores import day, days, execute, generated, phenix

ROOT = Path(__file__).parents[2]


def replay(store: Path, date: str, *options: str) -> tuple[int, dict[str, Any]]:
    done = phenix("replay", date, "--json", *options, "--store", f"sqlite:{store}")
    return done.returncode, json.loads(done.stdout)


@cache
def _bundle(config: str) -> Bundle:
    return Bundle.from_config(config)


def verified(store: Path, date: int) -> dict[str, Any]:
    """The differences found, in this process: the rules are compiled once for all tests."""
    with open_reader(store) as reader:

        def bundle_of(version: str) -> Bundle | None:
            stored = reader.rule_version(version)
            return _bundle(stored.config_json) if stored else None

        *_, found = Replay(reader, date, Calendar.packaged(), bundle_of, verify=True).run()
    first = [asdict(difference) for difference in found.differences]
    return {"total": found.total, "byField": dict(found.by_field), "first": first,
            "statisticsCompared": not found.growing}  # fmt: skip


NONE = {"total": 0, "byField": {}, "first": [], "statisticsCompared": True}


@pytest.mark.parametrize(("symbol", "date", "tape"), TAPES, ids=[symbol for symbol, _, _ in TAPES])
def test_an_imported_tape_has_no_differences(tmp_path: Path, symbol: str, date: str, tape: Tape) -> None:
    store = tmp_path / "flow.sqlite"
    run_import(store, tape_sources(tape))
    for (session,) in execute(store, "SELECT DISTINCT session_date FROM option_trades"):
        assert verified(store, session) == NONE


def test_a_generated_session_has_no_differences(tmp_path: Path) -> None:
    store = generated(tmp_path, seed=3, symbols=2, prints=1_500, date=20261120)
    ((count,),) = execute(store, "SELECT count(*) FROM option_trade_enriched")
    assert count > 500
    code, report = replay(store, "2026-11-20", "--verify")
    assert (code, report["rows"], report["differences"]) == (0, count, NONE)


def test_late_prints_after_cancels_have_no_differences(tmp_path: Path) -> None:
    store = days(tmp_path, "2024-11-04", prints=400, cancels=60)
    run_import(store, day(tmp_path / "late", "2024-11-04", 300, cancels=30, second=500))
    assert verified(store, 20241104) == NONE
    assert execute(store, "SELECT count(*), sum(cancelled_seq NOTNULL) FROM option_trade_enriched") == [(700, 90)]


WRONG = {"TEXT": "'?'", "INTEGER": "coalesce({0}, 0) + 1", "REAL": "coalesce({0}, 0) + 0.25"}


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return days(tmp_path_factory.mktemp("sound"), "2024-11-04", "2024-11-05")


COMPUTED = [field for field in ENRICHED if field.name != "enriched_at_utc"]


@pytest.mark.parametrize("fields", [COMPUTED[:SHOWN], COMPUTED[SHOWN:]], ids=("first", "rest"))
def test_every_stored_value_is_compared(tmp_path: Path, sound: Path, fields: list[Any]) -> None:
    store = Path(shutil.copy(sound, tmp_path / "flow.sqlite"))
    types = dict(execute(store, "SELECT name, type FROM pragma_table_info('option_trade_enriched')"))
    for seq, field in enumerate(fields, 77):
        name = column(field)
        wrong = WRONG[types[name]].format(name)
        execute(store, f'UPDATE option_trade_enriched SET "{name}" = {wrong} WHERE seq = {seq}')
    found = verified(store, 20241104)
    assert {(d["seq"], d["field"]) for d in found["first"]} == {(n, f.name) for n, f in enumerate(fields, 77)}
    assert found["total"] == len(fields)
    assert all(d["stored"] != d["recomputed"] for d in found["first"])


@pytest.mark.parametrize(
    ("sql", "fields"),
    [
        ("DELETE FROM option_trade_enriched WHERE seq = 150", {"row": 1}),
        ("UPDATE option_trade_enriched SET trade_id = 1 WHERE seq = 5", {"trade_id": 1}),
        ("UPDATE option_trades SET exchange = 77 WHERE seq = 150", {"trade_id": 1}),
        ("UPDATE option_trade_enriched SET cancelled_seq = NULL WHERE seq = 5", {"cancelled_seq": 1}),
        ("UPDATE contract_stats_intraday SET day_volume = 1 WHERE strike = 2010000 AND session_date = 20241104",
         {"contract_stats_intraday.day_volume": 1}),
        ("DELETE FROM contract_stats_intraday WHERE strike = 2010000 AND session_date = 20241104",
         {f"contract_stats_intraday.{name}": 1 for name in ("day_volume", "last_trade_ts", "oi")}),
        ("UPDATE symbol_stats_intraday SET vol_1m = -1 WHERE minute_bucket_et = 1730714400000",
         {"symbol_stats_intraday.vol_1m": 1}),
    ],
)  # fmt: skip
def test_what_is_missing_or_changed_is_found(tmp_path: Path, sound: Path, sql: str, fields: dict[str, int]) -> None:
    store = Path(shutil.copy(sound, tmp_path / "flow.sqlite"))
    execute(store, sql)
    assert verified(store, 20241104)["byField"] == fields
    assert verified(store, 20241105) == NONE


def test_many_differences_are_counted_and_the_first_are_named(tmp_path: Path, sound: Path) -> None:
    store = Path(shutil.copy(sound, tmp_path / "flow.sqlite"))
    execute(store, "UPDATE option_trade_enriched SET side = 'MID', chips_set = chips_set | 1 << 61 WHERE seq <= 100")
    done = phenix("replay", "2024-11-04", "--verify", "--store", f"sqlite:{store}")
    lines = done.stdout.splitlines()
    assert done.returncode == 1
    assert lines[-1].endswith(f"; the first {SHOWN} are shown")
    named = [line for line in lines if line.startswith("row ")]
    assert len(named) == SHOWN
    assert named[0].startswith("row ")
    assert "(seq 1): chips_set is stored as " in "\n".join(named)
    total = sum(int(part.split()[-1].rstrip(")")) for part in lines[-1].split("(")[1].split(")")[0].split(", "))
    assert lines[-1].startswith(f"{total:,} differences (chips_set 100, ")


def _rules(folder: Path, old: str, new: str) -> Path:
    """The shipped rules with one text changed."""
    changed = Path(shutil.copytree(ROOT / "rules", folder))
    count = 0
    for path in changed.rglob("*.phx"):
        text = path.read_text("utf-8")
        count += old in text
        path.write_text(text.replace(old, new), "utf-8")
    assert count
    return changed


def _activate(store: Path, rules: Path) -> str:
    bundle, _ = load_bundle([rules])
    assert bundle is not None
    with open_writer(store) as writer:
        version = RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, 1, None, None)
        writer.put_rule_version(version, activate=True, now_utc=2)
    return str(bundle.version)


def test_a_session_of_two_rule_versions_has_no_differences(tmp_path: Path) -> None:
    store = days(tmp_path, "2024-11-04")
    packaged = execute(store, "SELECT version_id FROM filter_rule_versions")[0][0]
    second = _activate(
        store, _rules(tmp_path / "rules", "param aa_spread: percent = 10%", "param aa_spread: percent = 0%")
    )
    run_import(store, day(tmp_path / "late", "2024-11-04", 100, second=500))
    code, report = replay(store, "2024-11-04", "--verify")
    assert (code, report["rows"], report["differences"]) == (0, 300, NONE)
    assert report["ruleVersions"] == [packaged, second]


def test_other_rules_are_evaluated_beside(tmp_path: Path) -> None:
    store = days(tmp_path, "2024-11-04")
    changed = _rules(tmp_path / "rules", "int = 1000 in 1..100k", "int = 150 in 1..100k")
    before = rows(store)
    code, report = replay(store, "2024-11-04", "--rules", str(changed))
    assert code == 0
    different = {chip["id"]: chip for chip in report["chips"] if chip["added"] or chip["removed"]}
    assert list(different) == ["large_size"]
    chip = different["large_size"]
    large = execute(store, "SELECT count(*) FROM option_trades WHERE size >= 150 AND condition_code != 40")[0][0]
    assert (chip["before"], chip["after"], chip["added"], chip["removed"]) == (0, large, large, 0)
    assert rows(store) == before
    version = _activate(store, changed)
    assert replay(store, "2024-11-04", "--rules", version[:6])[1]["chips"] == report["chips"]
    done = phenix("replay", "2024-11-04", "--rules", changed, "--store", f"sqlite:{store}")
    assert f"{len(report['chips']) - 1} of {len(report['chips'])} chips are the same on every row" in done.stdout


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (["2024-11-06"], "the store holds no rows of 2024-11-06: "),
        (
            ["2024-11-04", "--rules", "nothing.phx"],
            "nothing.phx is not one rule version of the store: nor is there such a file or folder",
        ),
        (["2024-11-04", "--rules", "."], "the rules do not compile:"),
        (["2024-11-04", "--store", "sqlite:nowhere.sqlite"], "there is no store at nowhere.sqlite: "),
    ],
)
def test_what_cannot_be_replayed_is_said(tmp_path: Path, sound: Path, argv: list[str], message: str) -> None:
    (tmp_path / "broken.phx").write_text("chip x where nothing > 1\n")
    done = subprocess.run(
        [sys.executable, "-m", "phenix", "replay", *argv],
        env={**os.environ, "PHENIX_STORE": f"sqlite:{sound}", "PYTHONPATH": str(ROOT)},
        cwd=tmp_path, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith(f"phenix: {message}")


def test_an_interrupted_replay_ends_cleanly(tmp_path: Path) -> None:
    store = days(tmp_path, "2024-11-04", prints=20_000)
    command = [sys.executable, "-m", "phenix", "replay", "2024-11-04", "--verify", "--store", f"sqlite:{store}"]
    import pty

    shell, terminal = pty.openpty()
    with subprocess.Popen(command, stdin=terminal, stdout=subprocess.PIPE, stderr=terminal) as child:
        os.close(terminal)
        shown = b""
        while b" left" not in shown:  # the progress line is the event
            shown += os.read(shell, 1000)
        child.send_signal(signal.SIGINT)
        assert child.stdout is not None
        assert child.stdout.read() == b""
    try:
        while more := os.read(shell, 1000):
            shown += more
    except OSError:
        pass  # how a pty says that its other end is closed
    os.close(shell)
    assert child.returncode == 130
    assert "a second, " in shown.decode()
    assert "nothing was written" in shown.decode()
    assert "Traceback" not in shown.decode()
