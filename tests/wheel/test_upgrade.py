"""A newer package over a live store, and the older one back: what the pages say of both is what happens."""

from __future__ import annotations

import asyncio
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from drills._play import SUBSCRIBED, Day, Terminal, enriched_upto, uninterrupted, until
from drills._processes import Phenix
from drills._stores import stored_prints, verify
from phenix.engine.store.migrations import LATEST

pytestmark = [pytest.mark.wheel, pytest.mark.timeout(600)]

DAY = Day(seed=11, symbols=1, prints=1_200)
GAPS = "SELECT state FROM ingest_gaps"
FURTHER = """
def _further(connection: Connection) -> None:
    connection.execute("CREATE TABLE further (made INTEGER NOT NULL) STRICT")
    connection.execute("CREATE INDEX further_size ON option_trades (size)")


MIGRATIONS = (*MIGRATIONS, Migration(MIGRATIONS[-1].version + 1, "of a later version", _further))
"""


@pytest.fixture(scope="module")
def older(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the wheel holds."""
    folder = tmp_path_factory.mktemp("older")
    zipfile.ZipFile(wheel).extractall(folder)
    return folder


@pytest.fixture(scope="module")
def newer(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same with a schema further on, as a later version has it."""
    folder = tmp_path_factory.mktemp("newer")
    zipfile.ZipFile(wheel).extractall(folder)
    migrations = folder / "phenix/engine/store/migrations.py"
    before, latest, after = migrations.read_text().partition("\nLATEST: Final")
    migrations.write_text(before + FURTHER + latest + after)
    return folder


def asked(store: Path, sql: str) -> list[tuple[int | str, ...]]:
    """What a store says to who knows nothing of its schema."""
    with closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as connection:
        return connection.execute(sql).fetchall()


def upto(store: Path) -> int:
    return int(asked(store, "SELECT watermark FROM ingest_checkpoints WHERE stream_name = 'enriched'")[0][0])


def test_a_store_goes_on_with_a_newer_package_and_back_with_its_backup(
    tmp_path: Path, older: Path, newer: Path
) -> None:
    asyncio.run(_there_and_back(tmp_path, older, newer))


async def _there_and_back(folder: Path, older: Path, newer: Path) -> None:
    store, backup, calm = folder / "flow.sqlite", folder / "before.sqlite", folder / "calm.sqlite"
    await uninterrupted(DAY, calm)
    environ = {"PHENIX_STORE": f"sqlite:{store}", "PHENIX_PORT": "0", "PHENIX_GRPC_PORT": "0",
               "INGEST_SYMBOLS": DAY.names}  # fmt: skip
    async with Terminal(DAY, "continue", 0.0) as terminal:
        environ |= terminal.environ

        async def missed(until: str) -> None:
            """Play on while nobody listens."""
            before = await terminal.lost()
            await terminal.play(0.0, until)
            async with asyncio.timeout(100):
                while await terminal.lost() < before + 20:  # noqa: ASYNC110 - it tells nobody
                    await asyncio.sleep(0.05)

        def phenix(package: Path, *argv: str) -> Phenix:
            return Phenix(*argv, environ=environ, package=package)

        async with phenix(older, "ingest") as ingest, phenix(older, "serve", "--wait", "60") as serve:
            await ingest.heard(SUBSCRIBED)
            await terminal.play(0.0, "10:30")
            await serve.heard("ready at")
            await until(lambda: enriched_upto(store) > 20, "the first rows", ingest, serve)
            assert [await serve.stop(), await ingest.stop()] == [0, 0]
        async with phenix(older, "backup", str(backup)) as copying:
            assert await copying.done() == 0
        before = upto(store)
        await missed("11:00")
        assert asked(store, "PRAGMA user_version") == [(LATEST,)]
        rows = asked(backup, "SELECT * FROM option_trade_enriched ORDER BY seq")
        assert len(rows) == before > 20

        async with phenix(newer, "serve") as early:  # serve writes no row, so it does not bring the schema on either
            assert await early.done() == 2
            assert "start its `phenix ingest` or `phenix import` once" in early.said[-1]
        async with phenix(newer, "ingest") as ingest:
            await until(lambda: asked(store, "PRAGMA user_version") == [(LATEST + 1,)], "the newer schema", ingest)
            async with phenix(newer, "serve") as serve:
                await serve.heard("ready at")
                await ingest.heard(SUBSCRIBED)
                await terminal.play(0.0, "12:30")
                await until(lambda: asked(store, GAPS) == [("filled",)], "the gap to be filled", ingest, serve)
                await until(lambda: upto(store) > before + 20, "rows of the newer package", ingest, serve)
                assert [await serve.stop(), await ingest.stop()] == [0, 0]
        assert asked(store, f"SELECT * FROM option_trade_enriched WHERE seq <= {before} ORDER BY seq") == rows

        held = store.read_bytes()
        for command in (["ingest"], ["serve"], ["backup", str(folder / "none.sqlite")]):
            async with phenix(older, *command) as refused:
                assert await refused.done() == 2
                assert f"has schema {LATEST + 1} of a newer Phenix, this one knows up to {LATEST}" in refused.said[-1]
                assert "put a backup from before it back with this one's `phenix restore`" in refused.said[-1]
        assert store.read_bytes() == held

        await missed("13:00")
        async with phenix(older, "restore", "--force", str(backup)) as restoring:
            assert await restoring.done() == 0
        assert (upto(store), asked(store, "PRAGMA user_version")) == (before, [(LATEST,)])
        async with phenix(older, "ingest") as ingest, phenix(older, "serve") as serve:
            await serve.heard("ready at")
            await ingest.heard(SUBSCRIBED)
            await terminal.play(0.0, "14:00")
            await until(lambda: asked(store, GAPS) == [("filled",)], "the gap to be filled", ingest, serve)
            await terminal.play(0.0)
            await ingest.heard("market STOP")
            assert [await serve.stop(), await ingest.stop()] == [0, 0]
    assert stored_prints(store) == stored_prints(calm)
    assert sum(verify(store).values()) == 0
