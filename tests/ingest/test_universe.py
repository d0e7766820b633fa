"""The list of symbols to follow: the shipped file is the one that counts."""

from __future__ import annotations

from pathlib import Path

from phenix.dsl.source import packaged
from phenix.ingest.universe import load_universe


def test_the_shipped_list_is_followed_in_its_order() -> None:
    lines = (packaged("rules") / "universe" / "top200.txt").read_text("utf-8").splitlines()
    shipped = tuple(symbol for line in lines if (symbol := line.partition("#")[0].strip()))
    universe = load_universe()
    assert universe.symbols == shipped
    assert len(shipped) == 200
    assert universe.indices == {"SPX", "VIX", "NDX", "RUT", "XSP"}
    assert {"SPXW", "VIXW", "NDXP", "RUTW"} < set(universe.roots)


def test_symbols_named_go_before_a_file_and_a_file_before_the_shipped_list(tmp_path: Path) -> None:
    file = tmp_path / "mine.txt"
    file.write_text("# mine\nspy  # first\n\nBRK.B\nSPY\n")
    assert load_universe((), file).symbols == ("SPY", "BRK.B")
    assert load_universe(("QQQ", "QQQ"), file).symbols == ("QQQ",)
