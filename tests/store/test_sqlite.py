"""The SQLite store: what goes in comes out, in order, once."""

from __future__ import annotations

from pathlib import Path

import pytest

from phenix.engine.flow import ENRICHED, INDEX, RAW, STORED
from phenix.engine.store.base import (
    Batch,
    DeadLetter,
    OpenInterest,
    Problem,
    RuleVersion,
    StoreError,
    StoreTimeout,
    UnderlyingQuote,
    sqlite_path,
)
from phenix.engine.store.schema import column
from phenix.engine.store.sqlite import open_reader, open_writer
from tests.store.rows import enriched_row, raw_row

SEQ = INDEX["seq"]


def test_rows_are_numbered_in_order_and_stored_once(tmp_path: Path) -> None:
    with open_writer(tmp_path / "flow.sqlite") as writer:
        first = writer.append(Batch([raw_row(5), raw_row(6), raw_row(5)]))
        assert ([row[SEQ] for row in first.rows], first.duplicates) == ([1, 2], 1)
        late = writer.append(Batch([raw_row(6), raw_row(1), raw_row(7), raw_row(5)]))
        assert [(row[SEQ], row[INDEX["trade_id"]]) for row in late.rows] == [(3, 1), (4, 7)]
        assert late.duplicates == 2
        same_time = writer.append(Batch([raw_row(8, trade_ts_utc=1_700_000_000_007)]))
        assert [row[SEQ] for row in same_time.rows] == [5]
    with open_writer(tmp_path / "flow.sqlite") as writer:
        again = writer.append(Batch([raw_row(7), raw_row(9)]))
        assert ([row[SEQ] for row in again.rows], again.duplicates) == ([6], 1)
        assert writer.reads.raw_rows(0, 10)[-1] == again.rows[0]


def test_what_is_appended_is_what_is_read(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    quote = UnderlyingQuote("SPY", 10, 1, 2, "file")
    interest = OpenInterest("SPY", 20240119, 5_000_000, "CALL", 20240102, 9, 0)
    dead = DeadLetter("import", "f.csv:3", "columns", "too few", b"\xff" * 5000, 7)
    with open_writer(path) as writer, open_reader(path) as reader:
        rows = writer.append(Batch([raw_row(1), raw_row(2)], [quote], [interest], [dead, dead], "import", "2")).rows
        assert reader.raw_rows(0, 10) == rows
        assert reader.raw_rows(1, 10) == rows[1:]
        assert reader.underlying_quotes("SPY", 0, 10) == [quote]
        assert list(reader.open_interest(20240102, 20240102)) == [interest]
        assert [letter.snippet for _, letter in reader.dead_letters()] == [b"\xff" * 4096]
        assert reader.dead_letter_counts() == {"columns": 1}
        checkpoint = reader.checkpoint("import")
        assert checkpoint is not None
        assert checkpoint.watermark == "2"
        assert (reader.raw_watermark(), reader.watermark(), reader.current_session()) == (2, 0, 20240102)
        assert reader.rows_after(0, 10) == []

        writer.append_enriched([enriched_row(1), enriched_row(2)], [(1, 2)])
        whole = reader.rows_after(0, 10)
        assert [row[: len(RAW)] for row in whole] == rows
        assert whole[1][len(RAW) :] == enriched_row(2)[2:]
        assert (whole[0][INDEX["cancelled_seq"]], reader.watermark()) == (2, 2)
        assert reader.cancelled_between(1, 2) == [whole[0]]
        assert reader.cancelled_between(2, 9) == reader.cancelled_between(0, 1) == []
        assert reader.row(1_700_000_000_002, 2) == whole[1]
        assert reader.row(1_700_000_000_002, 3) is None
        assert list(reader.session_raw(20240102, 2)) == rows[:1]
        assert list(reader.session_raw(20240103, 2)) == []


def test_quotes_of_one_time_come_back_as_they_came(tmp_path: Path) -> None:
    high, low = UnderlyingQuote("SPY", 10, 8, 9, "stream"), UnderlyingQuote("SPY", 10, 1, 2, "stream")
    early, other = UnderlyingQuote("SPY", 9, 5, 6, "stream"), UnderlyingQuote("QQQ", 10, 1, 2, "stream")
    with open_writer(tmp_path / "flow.sqlite") as writer:
        writer.append(Batch([], [high, other, low]))
        writer.append(Batch([], [early]))
    with open_writer(tmp_path / "flow.sqlite") as writer:
        assert writer.reads.underlying_quotes("SPY", 0, 99) == [early, high, low]
        writer.append(Batch([], [high]))  # the same again is the latest again
        assert writer.reads.underlying_quotes("SPY", 0, 99) == [early, low, high]
        assert writer.reads.underlying_quotes("SPY", 0, 99, 2) == [low, high]
        assert writer.reads.underlying_quotes("QQQ", 0, 99) == [other]


def test_a_batch_is_stored_whole_or_not_at_all(tmp_path: Path) -> None:
    with open_writer(tmp_path / "flow.sqlite") as writer:
        quote = UnderlyingQuote("SPY", 10, 1, 2, "file")
        with pytest.raises(Exception, match="NOT NULL"):
            writer.append(Batch([raw_row(1), raw_row(2, price=None)], [quote], stream="import", watermark="2"))
        assert writer.reads.raw_watermark() == 0
        assert writer.reads.underlying_quotes("SPY", 0, 99) == []
        assert writer.reads.checkpoint("import") is None
        assert [row[SEQ] for row in writer.append(Batch([raw_row(3)])).rows] == [1]


def test_received_words_stand_beside_their_row(tmp_path: Path) -> None:
    with open_writer(tmp_path / "flow.sqlite") as writer:
        writer.append(Batch([raw_row(1), raw_row(2)], stream="s", watermark="2", payloads=["one", "two"]))
        writer.append(Batch([raw_row(2), raw_row(3)], stream="s", watermark="3", payloads=["again", "three"]))
        writer.append(Batch([raw_row(4)]))
        stored = writer.reads.execute("SELECT seq, raw_payload_json, watermark FROM option_trades ORDER BY seq")
        assert stored == [(1, "one", "2"), (2, "two", "2"), (3, "three", "3"), (4, None, "")]


def test_a_large_session_is_read_in_pages(tmp_path: Path) -> None:
    with open_writer(tmp_path / "flow.sqlite") as writer:
        writer.append(Batch([raw_row(n) for n in range(1, 10_002)]))
        assert [row[SEQ] for row in writer.reads.session_raw(20240102, 10_001)] == list(range(1, 10_001))


def test_tables_have_the_columns_of_the_catalog(tmp_path: Path) -> None:
    with open_writer(tmp_path / "flow.sqlite") as writer:

        def columns(table: str) -> list[str]:
            return [row[0] for row in writer.reads.execute(f"SELECT name FROM pragma_table_info('{table}')")]

        assert columns("option_trades") == [*(column(field) for field in RAW), "raw_payload_json", "watermark"]
        assert columns("option_trade_enriched") == ["seq", "trade_id", *(column(field) for field in ENRICHED)]
        strict = writer.reads.execute("SELECT name FROM pragma_table_list WHERE type = 'table' AND NOT strict")
        assert [name for (name,) in strict if not name.startswith("sqlite_")] == []
        assert len(STORED) == len(RAW) + len(ENRICHED)


def test_the_writer_sets_its_pragmas(tmp_path: Path) -> None:
    with open_writer(tmp_path / "flow.sqlite") as writer:
        names = ("journal_mode", "synchronous", "foreign_keys", "application_id")
        found = {name: writer.reads.execute(f"PRAGMA {name}")[0][0] for name in names}
    assert found == {"journal_mode": "wal", "synchronous": 2, "foreign_keys": 1, "application_id": 0x50484E58}


def test_a_reader_stops_at_its_deadline_and_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    endless = "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT count(*) FROM n"
    with open_writer(path), open_reader(path, timeout_s=0.02) as reader:
        with pytest.raises(StoreTimeout, match="passed its deadline"):
            reader.execute(endless)
        with pytest.raises(StoreTimeout):
            reader.execute(endless, timeout_s=0.01)
        assert reader.execute("SELECT ?", (7,)) == [(7,)]


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    with open_writer(path), open_reader(path) as reader, pytest.raises(StoreError) as error:
        reader.execute("DELETE FROM option_trades")
    assert error.value.problem is Problem.READ_ONLY


def test_a_reader_sees_that_something_changed(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    with open_writer(path) as writer, open_reader(path) as reader:
        assert (reader.changed(), reader.changed()) == (True, False)
        writer.append(Batch([raw_row(1)]))
        assert (reader.changed(), reader.changed()) == (True, False)


def test_one_rule_version_is_active(tmp_path: Path) -> None:
    def version(name: str) -> RuleVersion:
        return RuleVersion(name, "{}", f"sum-{name}", False, 1, None, None)

    with open_writer(tmp_path / "flow.sqlite") as writer:
        reads = writer.reads
        assert reads.rule_version() is None
        writer.put_rule_version(version("a"), activate=True, now_utc=5)
        writer.append(Batch([raw_row(1)]))
        writer.append_enriched([enriched_row(1)])
        writer.put_rule_version(version("b"))
        active = reads.rule_version()
        assert active is not None
        assert (active.version_id, active.activated_at, active.activated_seq) == ("a", 5, 0)
        writer.put_rule_version(version("b"), activate=True, now_utc=6)
        assert [(v.version_id, v.is_active, v.activated_seq) for v in reads.rule_versions()] == [
            ("a", False, 0),
            ("b", True, 1),
        ]
        with pytest.raises(ValueError, match="another checksum"):
            writer.put_rule_version(RuleVersion("a", "{}", "other", False, 1, None, None))


@pytest.mark.parametrize("url", ["", "flow.sqlite", "clickhouse://host/db", "sqlite:", "sqlite://", "sqlite:a\0b"])
def test_an_address_that_names_no_file_is_refused(url: str) -> None:
    with pytest.raises(StoreError, match="sqlite:PATH") as error:
        sqlite_path(url)
    assert error.value.problem is Problem.ADDRESS


def test_addresses_name_files() -> None:
    assert sqlite_path("sqlite:data/flow.sqlite") == Path("data/flow.sqlite")
    assert (
        sqlite_path("sqlite:/var/flow.sqlite") == sqlite_path("sqlite:///var/flow.sqlite") == Path("/var/flow.sqlite")
    )
