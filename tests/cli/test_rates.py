"""``phenix test --store``: asserted rates, counted in SQL over stored rows and again by the reference interpreter."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from phenix import app
from phenix.cli.main import main
from phenix.dsl import core as c
from phenix.dsl.compiler import compile_program
from phenix.dsl.lints import substitute
from phenix.dsl.source import Source
from phenix.dsl.types import Value
from phenix.engine.flow import CATALOG, INDEX
from phenix.engine.targets.reference import evaluate
from tests.ingest import files
from tests.server.rows import SESSION, Store

RULES = """
param big_min: money = 100k in 1k..10M
chip big = value >= $big_min doc "Big."
chip fresh = vol_oi_ratio >= 2 doc "Fresh."
chip both = @big and (@fresh or side in {ASK, AA}) doc "Both."
chip scored = sig_score >= 0.25 doc "Scored."
field score: ratio = 0.5 * value_pctile + 0.5 * side_confidence
  provides sig_score
assert rate @big in 0%..100%
assert rate @fresh in 0..1
assert rate @both in 0%..100%
assert rate @scored in 0%..
assert rate (not @both and dte < 2) in ..100%
assert rate (time_et < 10:00 ET) in 0%..100%
assert rate (@fresh is unknown) in 0%..100%
"""


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """Two sessions with cancelled prints, cancel records and compression prints among them."""
    store = Store(tmp_path_factory.mktemp("rates") / "flow.sqlite")
    store.add(300, session_date=SESSION - 1)
    rows = store.add(400)
    store.add(40, compression=1)
    for row in rows[:60:2]:
        store.cancel(row)
    yield store
    store.close()


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any]]:
    code = main(["test", "--output", "json", *arguments])
    return code, json.loads(capsys.readouterr().out)


def by_hand(text: str, url: str, dates: tuple[int, ...]) -> list[tuple[int, int, int]]:
    """(prints, true, unknown) of each asserted rate, one row and one node at a time."""
    program, found = compile_program([Source("rules", text)], CATALOG)
    assert found == ()
    chips = {rule.id: rule.body.core for rule in program.chips}
    provided = {field.meta.provides: field.core for field in program.fields}
    params = {name: info.value for name, info in program.scope.params.items()}
    with app.open_reader(url) as reader:
        rows = [row for row in reader.rows_after(0, 10**7) if row[INDEX["session_date"]] in dates]

    def answer(core: c.Core, row: Any) -> Value:
        def field(name: str) -> Value:
            if name == "time_et":
                value: int = row[INDEX["trade_ts_et"]] % 86_400_000
                return value
            stored: Value = row[INDEX[name]]
            return stored

        return evaluate(substitute(core, provided), field, params, lambda chip: answer(chips[chip], row))

    counted = [
        row
        for row in rows
        if not row[INDEX["cancel_record"]] and not row[INDEX["compression"]] and row[INDEX["cancelled_seq"]] is None
    ]
    out = []
    for one in program.assertions:
        answers = [answer(one.left.core, row) for row in counted]
        out.append((len(answers), sum(bool(a) for a in answers), answers.count(None)))
    return out


@pytest.mark.parametrize(
    ("options", "dates"),
    [
        ((), (SESSION - 1, SESSION)),
        (("--date", "2026-09-18"), (SESSION,)),
        (("--to", "2026-09-17"), (SESSION - 1,)),
        (("--from", "2026-09-17", "--to", "2026-09-18"), (SESSION - 1, SESSION)),
    ],
    ids=lambda value: " ".join(map(str, value)) or "all",
)
def test_sql_counts_what_the_reference_counts(
    stored: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str], options: Any, dates: tuple[int, ...]
) -> None:
    rules = tmp_path / "a.phx"
    rules.write_text(RULES)
    code, report = told(capsys, str(rules), "--store", stored.url, *options)
    assert (code, report["findings"]) == (0, [])
    counts = [(rate["prints"], rate["true"], rate["unknown"]) for rate in report["rates"]]
    assert counts == by_hand(RULES, stored.url, dates)
    assert counts[0][0] == 300 * (SESSION - 1 in dates) + 370 * (SESSION in dates)
    assert all(0 < true < prints for prints, true, _ in counts[:-2])
    assert counts[1][2] > 0, "unknown is counted"
    for rate in report["rates"]:
        assert rate["share"] == rate["true"] / rate["prints"]
        assert rate["sessions"] == [f"{d // 10000}-{d // 100 % 100:02}-{d % 100:02}" for d in dates]


def test_the_rules_under_test_are_judged_and_not_the_stored_chips(
    stored: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "a.phx"
    counts = []
    for least in ("1M", "10M"):
        text = f'chip whales = value >= {least} doc "x"\nassert rate @whales in 0%..100%\n'
        rules.write_text(text)
        _, report = told(capsys, str(rules), "--store", stored.url)
        counts.append([(rate["prints"], rate["true"], rate["unknown"]) for rate in report["rates"]])
        assert counts[-1] == by_hand(text, stored.url, (SESSION - 1, SESSION))
    assert counts[0] != counts[1]


def test_a_share_outside_its_range_is_a_finding(
    stored: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "a.phx"
    text = 'chip calls = right = CALL doc "x"\nassert rate @calls in 0%..100%\n\nassert rate @calls in 0%..1%\n'
    rules.write_text(text)
    ((prints, true, _), _) = by_hand(text, stored.url, (SESSION - 1, SESSION))
    assert main(["test", str(rules), "--store", str(stored.path)]) == 1
    out, err = capsys.readouterr()
    said = f"{100 * true / prints:.6g}% of {prints} prints of 2 sessions from 2026-09-17 to 2026-09-18: {true} true"
    assert out == (
        f"{rules}:2:1: rate @calls in 0%..100%: {said}, 0 unknown\n"
        f"{rules}:4:1: rate @calls in 0%..1%: {said}, 0 unknown\n"
        f'error[failing-assertion] PHX302: "rate @calls in 0%..1%" does not hold: {said}, 0 unknown\n'
        f"  {rules}:4:1\n"
        "   4 | assert rate @calls in 0%..1%\n"
        "     | ^^^^^^^^^^^^^^^^^^^^^^^^^^^^\n"
        "   help: correct the rule, or the range\n\n"
    )
    assert err == "0 tests, 0 failing; 0 assertions, 0 not proven; 2 rates counted, 1 not as asserted\n"


@pytest.mark.parametrize(
    ("low", "high", "holds"), [(0, 0, False), (0, 1, True), (1, 1, True), (1, 2, True), (2, 3, False)]
)
def test_both_ends_belong_to_the_range(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], low: int, high: int, holds: bool
) -> None:
    """One print in a hundred: a share that no double is."""
    store = Store(tmp_path / "flow.sqlite")
    store.add(99, size=1)
    store.add(1, size=2)
    store.close()
    rules = tmp_path / "a.phx"
    rules.write_text(f"assert rate (size = 2) in {low}%..{high}%\n")
    code, report = told(capsys, str(rules), "--store", store.url)
    assert (code, report["rates"][0]["holds"]) == (0 if holds else 1, holds)


def test_without_a_store_rates_are_not_run_and_said_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "a.phx"
    rules.write_text("assert rate (dte < 7) in 0%..1%\nassert rate (dte < 8) in 0%..1%\n")
    assert main(["test", str(rules)]) == 0
    assert capsys.readouterr().err.endswith("; 2 rate assertions not run: name a store of rows with --store\n")


def test_a_store_without_a_rate_to_count_over_it_is_said(
    stored: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rules = tmp_path / "a.phx"
    rules.write_text("assert never (dte < 7 and dte > 8)\n")
    assert main(["test", str(rules), "--store", stored.url]) == 0
    assert capsys.readouterr().err == "0 tests, 0 failing; 1 assertion, 0 not proven; no rate assertion to count\n"


def test_what_cannot_be_counted_is_said(stored: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rules = tmp_path / "a.phx"
    rules.write_text("assert rate (dte < 7) in 0%..1%\n")

    def refused(*arguments: str) -> str:
        assert main(["test", str(rules), *arguments]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        return err

    assert refused("--date", "2026-09-18") == (
        "phenix: --date, --from and --to choose sessions of a store: name it with --store\n"
    )
    assert "--date is one session" in refused("--store", stored.url, "--date", "2026-09-18", "--to", "2026-09-18")
    assert "--from is later than --to" in refused("--store", stored.url, "--from", "2026-09-19", "--to", "2026-09-18")
    assert refused("--store", stored.url, "--from", "2026-09-19") == (
        f"phenix: {stored.url}: there is no print of these sessions that can have chips:"
        " it holds 2026-09-17, 2026-09-18\n"
    )
    assert "there is no store at" in refused("--store", str(tmp_path / "none.sqlite"))
    assert "write sqlite:PATH" in refused("--store", "postgres://there")
    with pytest.raises(SystemExit, match="2"):
        main(["test", str(rules), "--store", stored.url, "--date", "yesterday"])
    assert "'yesterday' is not a date such as 2026-11-20" in capsys.readouterr().err


def test_what_is_too_large_written_out_is_a_finding(
    stored: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chips = ['chip c0 = value > 1 or size > 2 doc "x"']
    chips += [f'chip c{i} = (@c{i - 1} and dte > {i}) or (not @c{i - 1} and oi < {i}) doc "x"' for i in range(1, 20)]
    rules = tmp_path / "a.phx"
    rules.write_text("\n".join([*chips, "assert rate @c19 in 0%..1%"]))
    code, report = told(capsys, str(rules), "--store", stored.url)
    assert (code, [found["code"] for found in report["findings"]], report["rates"]) == (1, ["PHX303"], [])


@pytest.mark.parametrize("tape", files.TAPES, ids=lambda tape: tape[0])
def test_rates_of_a_real_tape(tape: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, date, sources = tape
    store = tmp_path / "flow.sqlite"
    files.run_import(store, files.tape_sources(sources))
    text = "\n".join(source.text for source in app.packaged_bundle().program.sources if source.name != "params.phx")
    named = [chip.id for chip in app.packaged_bundle().chips]
    text = "\n".join([text, *(f"assert rate @{chip} in 0%..100%" for chip in named)])
    rules = tmp_path / "a.phx"
    rules.write_text(text)
    code, report = told(capsys, str(rules), "--store", f"sqlite:{store}", "--date", date)
    assert (code, report["findings"]) == (0, [])
    counts = [(rate["prints"], rate["true"], rate["unknown"]) for rate in report["rates"]]
    program, _ = compile_program([Source("rules", text)], CATALOG)
    expected = by_hand(text, f"sqlite:{store}", (int(date.replace("-", "")),))
    asserted = [one.kind for one in program.assertions]
    assert counts == [count for count, kind in zip(expected, asserted, strict=True) if kind == "rate"]
    assert len(counts) == len(named)
    # The same rules tagged these rows: their stored bits are a third count.
    with app.open_reader(f"sqlite:{store}") as reader:
        bits = reader.execute(
            "SELECT e.chips_set, e.chips_known FROM option_trade_enriched e WHERE e.cancel_record = 0"
            " AND e.compression = 0 AND e.cancelled_seq IS NULL"
        )
    masks = {chip.id: 1 << chip.bit for chip in app.packaged_bundle().chips}
    assert counts == [
        (len(bits), sum(bool(on & masks[chip]) for on, _ in bits), sum(not known & masks[chip] for _, known in bits))
        for chip in named
    ]
