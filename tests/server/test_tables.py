"""Rows as Arrow and Polars tables: every column of the API, exact money, and what is said where the libraries lack."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from itertools import islice
from typing import Any

import pyarrow as pa
import pytest

from phenix.client import BlockingClient, arrow_batches, arrow_schema, to_arrow, to_dicts, to_polars
from phenix.engine.encode import ROW_KEYS
from phenix.engine.flow import FIELDS, RAW
from phenix.engine.store.base import Batch
from phenix.server._pb import row_pb2
from tests.server.conftest import Server, environment
from tests.server.rows import Store, made

BIG = 999_999_999_999_999
"""Ten-thousandths of a dollar that no double holds with its last digit."""


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> list[row_pb2.Row]:
    store = Store(tmp_path_factory.mktemp("tables") / "flow.sqlite")
    for row in store.add(200)[::50]:
        store.cancel(row)
    store.add(value=BIG)
    server = Server(store.url)
    with BlockingClient(server.target) as client:
        found = list(client.export(include_cancelled=True))
    server.end()
    store.close()
    return found


def plain(value: Any) -> Any:
    """A value of a table as the REST API writes it."""
    match value:
        case datetime():
            return value.isoformat(timespec="milliseconds").replace("+00:00", "Z")
        case date():
            return value.isoformat()
        case Decimal():
            return float(value)
    return value


def test_the_columns_are_those_of_the_api_and_the_catalog() -> None:
    schema = arrow_schema()
    assert tuple(schema.names) == ROW_KEYS
    known = {field.json: field for field in FIELDS if field.json}
    assert {name for name in schema.names if schema.field(name).nullable} == {
        name for name, field in known.items() if field.optional and name != "missingMetrics"
    }
    money = {name for name, field in known.items() if field.type.kind.value == "money"}
    assert {name for name in schema.names if schema.field(name).type == pa.decimal128(18, 4)} == money
    times = {name for name in schema.names if schema.field(name).type == pa.timestamp("us", "UTC")}
    assert times == {name for name, field in known.items() if field.type.kind.value == "ts"}


def test_the_values_are_those_of_the_api(rows: list[row_pb2.Row]) -> None:
    expected = [{key: row[key] for key in ROW_KEYS} for row in to_dicts(rows)]
    found = [{key: plain(value) for key, value in row.items()} for row in to_arrow(rows).to_pylist()]
    assert found == expected
    assert len(found) == 205
    assert any(row["oi"] is None for row in found)
    assert any(row["chips"] for row in found)


def test_money_and_times_are_exact(rows: list[row_pb2.Row]) -> None:
    table = to_arrow(rows)
    assert table["value"].to_pylist() == [Decimal(row.value).scaleb(-4) for row in rows]
    assert table["value"].to_pylist()[-1] == Decimal("99999999999.9999")
    expected = [datetime.fromtimestamp(row.trade_ts_utc // 1000, UTC) for row in rows]
    assert [when.replace(microsecond=0) for when in table["tradeTsUtc"].to_pylist()] == expected


def test_prints_that_wait_for_enrichment_have_no_enriched_values(store: Store, serve: Callable[..., Server]) -> None:
    """Long ago by their own time: the page has them as they were received, an export what is enriched."""
    enriched = store.add(3)[-1][0]
    store.writer.append(Batch(rows=[made(number)[: len(RAW)] for number in (50, 51)]))
    with BlockingClient(serve(store.url).target) as client:
        rows = list(client.rows(order_by="seq asc"))
        assert [row.seq for row in client.export()] == list(range(1, enriched + 1))
    assert [row.seq for row in rows] == [1, 2, 3, 4, 5]
    found = to_arrow(rows).to_pylist()
    assert [row["value"] is None for row in found] == [False, False, False, True, True]
    assert [{key: plain(value) for key, value in row.items()} for row in found] == [
        {key: row[key] for key in ROW_KEYS} for row in to_dicts(rows)
    ]


def test_polars_has_the_same(rows: list[row_pb2.Row]) -> None:
    frame, table = to_polars(rows), to_arrow(rows)
    assert frame.shape == (205, len(ROW_KEYS))
    assert frame["value"].to_list() == table["value"].to_pylist()
    assert frame["chips"].to_list() == table["chips"].to_pylist()
    assert frame["tradeTsUtc"].to_list() == table["tradeTsUtc"].to_pylist()
    assert to_polars([]).columns == frame.columns


def test_batches_are_made_as_they_are_taken(rows: list[row_pb2.Row]) -> None:
    taken = iter(rows)
    assert [batch.num_rows for batch in islice(arrow_batches(taken, 60), 2)] == [60, 60]
    assert next(taken).seq == 121
    assert to_arrow(arrow for arrow in rows[:0]).num_rows == 0


@pytest.mark.parametrize(("missing", "made", "extra"), [
    ("pyarrow", "to_arrow", "arrow"), ("pyarrow", "to_polars", "polars"), ("polars", "to_polars", "polars"),
])  # fmt: skip
def test_what_is_missing_is_said(missing: str, made: str, extra: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None\n"
        f"from phenix.client import MissingExtraError, {made}\n"
        f"try:\n    {made}([])\nexcept MissingExtraError as error:\n    print(error)"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, env=environment()
    )
    assert done.stderr == ""
    assert done.stdout == f"{missing} is not installed, which this needs: pip install 'phenix[{extra}]'\n"
