"""A short share of ``python -m drills determinism``: every way into a store gives the same rows."""

from __future__ import annotations

import asyncio
import shutil
from pathlib import Path

import pytest

from drills._stores import ASIDE, differences, unfounded, verify
from drills._tapes import Tape, generated_tape
from drills.determinism import Run, import_run, live_run, restart_points
from phenix.engine.flow import RAW, STORED
from phenix.engine.store.schema import column
from tests.operate.stores import execute

SEED = 5


@pytest.fixture(scope="module")
def tape(tmp_path_factory: pytest.TempPathFactory) -> Tape:
    """Its underlying is quoted at the open only: whoever starts later has to know that from the store."""
    folder = tmp_path_factory.mktemp("tape")
    tape = generated_tape(folder, seed=SEED, symbols=1, prints=3_000, date=20261120)
    (quotes,) = tape.sources.underlying
    quotes.write_text("".join(quotes.read_text().splitlines(keepends=True)[:3]))
    return tape


@pytest.fixture(scope="module")
def imported(tape: Tape, tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Path]:
    store = tmp_path_factory.mktemp("import") / "flow.sqlite"
    return import_run(tape, store), store


def test_a_tape_by_import_and_by_stream_with_restarts_gives_the_same_rows(
    tmp_path: Path, tape: Tape, imported: tuple[Run, Path]
) -> None:
    base, whole = imported
    part = tmp_path / "slice.sqlite"
    cut = tape.slice(tmp_path / "slice", 3_000)
    cut_base = import_run(cut, part)
    points = restart_points("two", 2, base.rows)
    settle = {"settle_s": 2.5}

    async def live() -> list[Run]:
        return await asyncio.gather(
            live_run(tape, tmp_path / "fast.sqlite", whole, speed=8_000, points=points, **settle),
            live_run(tape, tmp_path / "flat.sqlite", whole, speed=0, points=(), **settle),
            live_run(tape, tmp_path / "late.sqlite", None, speed=15_000, points=points[:1], stocks="value", **settle),
            live_run(cut, tmp_path / "real.sqlite", part, speed=1, points=(), **settle),
        )

    runs = [base, cut_base, *asyncio.run(live())]
    assert [run.rows for run in runs] == [base.rows, cut_base.rows, base.rows, base.rows, base.rows, cut_base.rows]
    assert [dict(run.different) for run in runs] == [{}] * 6
    # A restart falls away when what was on its way went past it; one is always left.
    assert [run.restarts > 0 for run in runs] == [False, False, True, False, True, False]


def test_every_column_is_compared(tmp_path: Path, imported: tuple[Run, Path]) -> None:
    run, whole = imported
    names = [field.name for field in STORED if field.name not in {*ASIDE, "seq"}]
    raw = {field.name for field in RAW}
    changed = Path(shutil.copy(whole, tmp_path / "changed.sqlite"))
    for seq, name in enumerate(names, 1):
        field = next(field for field in STORED if field.name == name)
        table = "option_trades" if name in raw else "option_trade_enriched"
        execute(changed, f'UPDATE {table} SET "{column(field)}" = 5 + coalesce("{column(field)}", 0) WHERE seq = {seq}')
    assert dict(differences(whole, changed)) == dict.fromkeys(names, 1)
    # A spot is found by symbol and time less age; open interest by contract and session date.
    assert unfounded(changed) == {"spot": 4, "oi": 6}
    execute(changed, "DELETE FROM option_trade_enriched WHERE seq > 3000")
    assert differences(whole, changed)["rows"] == run.rows - 3_000
    wrong = Path(shutil.copy(whole, tmp_path / "wrong.sqlite"))
    execute(wrong, "UPDATE option_trade_enriched SET day_volume = day_volume + 1 WHERE seq = 9")
    assert verify(wrong) == {"day_volume": 1}
