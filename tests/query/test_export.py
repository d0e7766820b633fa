"""Export: every row in seq order as of its beginning, cancelled ones and records included."""

from __future__ import annotations

from pathlib import Path

import orjson

from phenix.engine.encode import Encoder
from phenix.engine.predicate import Predicate, compile_predicate
from phenix.engine.query.export import export_lines
from phenix.engine.store.sqlite import open_reader
from tests.server.rows import Store


def test_every_row_as_of_its_beginning(tmp_path: Path) -> None:
    store = Store(tmp_path / "flow.sqlite")
    rows = store.add(2500)
    store.cancel(rows[7])
    reader = open_reader(store.path)
    encoder = Encoder((chip.id, chip.bit) for chip in store.bundle.chips)

    def found(text: str) -> list[tuple[int, bool, bool]]:
        predicate = compile_predicate((("--where", text),), store.bundle)
        assert isinstance(predicate, Predicate)
        lines = [orjson.loads(line) for line in export_lines(reader, encoder, predicate)]
        return [(line["seq"], line["cancelled"], line["cancelRecord"]) for line in lines]

    lines = export_lines(reader, encoder)
    first = orjson.loads(next(lines))
    store.add(5)
    store.cancel(rows[9])
    seqs = [first["seq"], *(orjson.loads(line)["seq"] for line in lines)]
    assert seqs == list(range(1, 2502))
    assert found("cancelled or cancel_record") == [
        (8, True, False), (10, True, False), (2501, False, True), (2507, False, True),
    ]  # fmt: skip
    reader.close()
    store.close()
