"""serve, query, tail and export as commands: addresses, refusals to start, what they print."""

from __future__ import annotations

import csv
import io
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pyarrow as pa
import pyarrow.parquet
import pytest

from phenix.cli.main import main
from phenix.engine.encode import ROW_KEYS
from tests.server.conftest import Server, environment, phenix, run
from tests.server.rows import Store

Serve = Callable[..., Server]
Session = tuple[Store, Server]


@pytest.fixture
def taken() -> Iterator[int]:
    """A port that something listens on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        held.listen()
        yield held.getsockname()[1]


def refused(*arguments: str) -> str:
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, ""), done
    return done.stderr


def test_ports_in_use(store: Store, taken: int) -> None:
    assert refused("serve", "--store", store.url, "--port", str(taken), "--grpc-port", "0") == (
        f"phenix: cannot listen on 127.0.0.1:{taken} (Address already in use): choose another port with --port, "
        "0 takes a free one\n"
    )
    assert refused("serve", "--store", store.url, "--port", "0", "--grpc-port", str(taken)) == (
        f"phenix: gRPC cannot listen on 127.0.0.1:{taken} (Address already in use): choose another port with "
        "--grpc-port, 0 takes a free one\n"
    )


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "::1234", "127.0.0.1.example.com", "localhost.example.com"])
def test_other_hosts(store: Store, host: str) -> None:
    assert refused("serve", "--store", store.url, "--host", host, "--port", "0", "--grpc-port", "0").startswith(
        f"phenix: will not listen on {host} without tokens"
    )


@pytest.mark.parametrize("command", ["serve", "export"])
def test_stores_that_cannot_be_read(tmp_path: Path, command: str) -> None:
    ports = ("--port", "0", "--grpc-port", "0") if command == "serve" else ()
    missing = tmp_path / "none.sqlite"
    assert f"there is no store at {missing}" in refused(command, "--store", f"sqlite:{missing}", *ports)
    foreign = tmp_path / "other.sqlite"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE t (x)")
    database.close()
    assert "but not a Phenix store" in refused(command, "--store", f"sqlite:{foreign}", *ports)
    text = tmp_path / "notes.txt"
    text.write_text("not a database, but long enough to be looked at as one" * 100)
    assert str(text) in refused(command, "--store", f"sqlite:{text}", *ports)
    assert "write sqlite:PATH" in refused(command, "--store", "mysql://x/y", *ports)


def test_waiting_for_a_store(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    arguments = ("--port", "0", "--grpc-port", "0", "--wait", "60")
    waiting = subprocess.Popen(
        phenix("serve", "--store", f"sqlite:{path}", *arguments), stdout=subprocess.PIPE, env=environment()
    )
    assert waiting.stdout is not None
    store = Store(path)
    assert waiting.stdout.readline().startswith(b"phenix serve: ready at http://127.0.0.1:")
    waiting.terminate()
    assert waiting.wait(20) == 0
    waiting.stdout.close()
    store.close()


def test_a_store_that_goes_away_and_comes_back(store: Store, serve: Serve, tmp_path: Path) -> None:
    """Overwritten under a running server: 503 with a reason, and rows again when it is back."""
    store.add(5)
    store.close()
    server = serve(store.url)
    assert server.get("/api/flow")[0] == 200
    kept = tmp_path / "kept.sqlite"
    shutil.copyfile(store.path, kept)
    with store.path.open("r+b") as file:
        file.write(b"\xff" * 20_000)
    status, body = server.get("/api/flow?where=size>1")
    if status != 200:  # pages of the file that are still cached may answer
        assert (status, body["code"]) == (503, "unavailable")
    assert server.get("/health")[0] == 200
    with store.path.open("r+b") as file:
        file.write(kept.read_bytes())
    assert server.get("/api/flow")[1]["meta"]["watermark"] == 5


def test_export_writes_every_row(session: Session) -> None:
    store, _ = session
    done = subprocess.run(
        phenix("export", "--format", "ndjson", "--store", store.url), capture_output=True, env=environment()
    )
    assert done.returncode == 0
    rows = [orjson.loads(line) for line in done.stdout.splitlines()]
    assert [row["seq"] for row in rows] == list(range(1, 411))
    assert set(rows[0]) == set(ROW_KEYS)
    assert sum(row["cancelled"] for row in rows) == sum(row["cancelRecord"] for row in rows) == 10


@pytest.fixture
def wrote(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., bytes]:
    """What a command writes to its output, run in this process."""
    folder = tmp_path_factory.mktemp("written")

    def write(*arguments: str) -> bytes:
        file = folder / "rows"
        assert main((*arguments, "--output", str(file))) == 0
        assert [path.name for path in folder.iterdir()] == ["rows"]
        return file.read_bytes()

    return write


def test_export_of_some_rows(session: Session, wrote: Callable[..., bytes]) -> None:
    store, server = session

    def seqs(*arguments: str) -> list[int]:
        return [orjson.loads(line)["seq"] for line in wrote("export", "--fields", "seq", *arguments).splitlines()]

    stored, served = ("--store", store.url), ("--server", server.target)
    assert seqs(*stored, "--where", "cancel_record") == list(range(401, 411))
    _, body = server.get("/api/flow?right=call&limit=1000&includeCancelled=1&sortOrder=asc")
    expected = [row["seq"] for row in body["data"]]
    assert seqs(*stored, "--where", "right = call") == expected
    assert seqs(*served, "--where", "right = call") == expected
    assert seqs(*served, "right=CALL", "date=2026-09-18") == expected
    _, body = server.get("/api/flow?right=call&limit=1000&sortOrder=asc")
    expected = [row["seq"] for row in body["data"]]
    assert seqs(*stored, "right=call", "--no-include-cancelled") == expected


def test_wrong_input_is_shown_where_it_is_wrong(session: Session, capsys: pytest.CaptureFixture[str]) -> None:
    store, server = session

    def refused(*arguments: str) -> str:
        assert main(arguments) == 2
        printed = capsys.readouterr()
        assert printed.out == ""
        return printed.err

    stored, served = ("--store", store.url), ("--server", server.target)
    for command, *source in (("query", *stored), ("tail", *served), ("export", *stored), ("export", *served)):
        wrong = refused(command, *source, "--where", "value >= 5m", "symbol=SPY,??")
        assert "phenix:   PHX104 where:1:10: " in wrong
        assert "phenix:     value >= 5m\nphenix:              ^^\n" in wrong
        assert "phenix:   PHX402 symbol:1:5: " in wrong
    only = ("query", "--store", store.url)
    assert refused(*only, "limit=5") == "phenix: limit=5: limit filters no rows; use --limit\n"
    assert refused(*only, "cursor=x") == "phenix: cursor=x: cursor filters no rows; leave it out\n"
    assert refused(*only, "symbol=SPY", "--param", "symbol=QQQ") == (
        "phenix: symbol is given more than once: separate values by commas\n"
    )
    assert refused(*only, "--fields", "sequ") == "phenix: --fields: there is no key 'sequ' of a row (write `seq`)\n"
    assert "write HOST:PORT" in refused("query", "--server", "ftp://here")


def test_formats_are_the_same_rows(session: Session, wrote: Callable[..., bytes]) -> None:
    store, _ = session
    export = ("export", "--store", store.url, "--format")
    rows = [orjson.loads(line) for line in wrote(*export, "jsonl").splitlines()]
    for form, read in (("parquet", pyarrow.parquet.read_table), ("arrow", _arrow)):
        table = read(io.BytesIO(wrote(*export, form)))
        assert table.schema.names == list(ROW_KEYS)
        assert table["seq"].to_pylist() == [row["seq"] for row in rows]
        assert [float(value) for value in table["value"].to_pylist()] == [row["value"] for row in rows]
    piped = subprocess.run(phenix(*export, "parquet", "--fields", "seq,chips"), capture_output=True, env=environment())
    assert pyarrow.parquet.read_table(io.BytesIO(piped.stdout)).to_pylist() == [
        {"seq": row["seq"], "chips": row["chips"]} for row in rows
    ]
    found = list(csv.DictReader(io.StringIO(wrote(*export, "csv").decode())))
    assert list(found[0]) == list(ROW_KEYS)
    for line, row in zip(found, rows, strict=True):
        assert line["chips"].split(";") == (row["chips"] or [""])
        assert line["oi"] == ("" if row["oi"] is None else str(row["oi"]))
        assert line["cancelled"] == str(row["cancelled"]).lower()
        assert float(line["price"]) == row["price"]
    assert wrote(*export, "csv", "symbol=NONE").decode() == ",".join(ROW_KEYS) + "\n"


def _arrow(file: io.BytesIO) -> pa.Table:
    with pa.ipc.open_file(file) as reader:
        return reader.read_all()


def test_a_refused_export_leaves_no_file(session: Session, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    export = ("export", "--store", session[0].url)
    file = tmp_path / "rows.jsonl"
    file.write_text("before")
    assert main((*export, "--where", "nosuch = 1", "--output", str(file))) == 2
    assert ([path.name for path in tmp_path.iterdir()], file.read_text()) == (["rows.jsonl"], "before")
    assert main((*export, "--output", str(tmp_path / "no" / "rows"))) == 2
    assert "cannot be written" in capsys.readouterr().err


def test_a_format_whose_library_is_missing_says_how_to_install_it(session: Session) -> None:
    store, _ = session
    program = "import sys; sys.modules['pyarrow'] = None\nfrom phenix.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", program, "export", "--store", store.url, "--format", "parquet"],
        capture_output=True, text=True, env=environment(),
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "phenix: pyarrow is not installed, which this needs: pip install 'phenix[arrow]'\n"


def test_a_store_is_asked_like_a_server_and_nothing_is_written(store: Store, wrote: Callable[..., bytes]) -> None:
    for row in store.add(300)[::30]:
        store.cancel(row)
    before = {path.name for path in store.path.parent.iterdir()}
    query = ("query", "--store", store.url, "chips=otm", "--order-by", "value desc", "--format", "ndjson")
    found = [orjson.loads(line) for line in wrote(*query).splitlines()]
    assert len(found) == 50
    assert [row["value"] for row in found] == sorted((row["value"] for row in found), reverse=True)
    tail = subprocess.Popen(
        phenix("tail", "--store", store.url, "--fields", "seq", "--after", "305"),
        stdout=subprocess.PIPE,
        env=environment(),
    )
    assert tail.stdout is not None
    lines = [orjson.loads(tail.stdout.readline())["seq"] for _ in range(5)]
    store.add(2, symbol="LIVE", root="LIVE")
    lines += [orjson.loads(tail.stdout.readline())["seq"] for _ in range(2)]
    tail.send_signal(signal.SIGINT)
    assert tail.wait(20) == 130
    tail.stdout.close()
    assert {path.name for path in store.path.parent.iterdir()} == before
    assert lines[-2:] == [311, 312]


def test_query_and_tail(session: Session) -> None:
    _, server = session
    _, body = server.get("/api/flow?right=put&chips=otm&limit=60")
    common = ("--server", server.target, "--format", "ndjson")
    done = run("query", *common, "--param", "right=put", "--chips", "otm", "--limit", "60")
    assert done.returncode == 0, done.stderr
    assert [orjson.loads(line) for line in done.stdout.splitlines()] == body["data"]
    shown = str(len(body["data"]))
    done = run("tail", *common, "--where", "right = put", "--chips", "otm", "--snapshot", "60", "--limit", shown)
    assert [orjson.loads(line) for line in done.stdout.splitlines()] == body["data"][::-1]
    table = run("query", "--server", server.target, "--limit", "3").stdout.splitlines()
    assert len(table) == 3
    assert "09:30:" in table[0]
    assert refused("query", "--server", server.target, "--chips", "wales") == (
        "phenix: there is no chip 'wales'\nphenix:   PHX102 chips: there is no chip 'wales' (write `whales`)\n"
    )
    assert refused("query", "--server", server.target, "--param", "x") == "phenix: x: write NAME=VALUE\n"


def test_a_query_says_how_it_is_answered(session: Session) -> None:
    store, server = session
    _, body = server.get("/api/flow?where=size>5&chips=otm&limit=7&sortBy=value")
    asked = ("chips=otm", "--where", "size>5", "--limit", "7", "--order-by", "value desc", "--plan")
    for source in (("--server", server.target), ("--store", store.url)):
        done = run("query", *asked, *source)
        assert (done.returncode, done.stderr) == (0, "")
        told = dict(line.split(maxsplit=1) for line in done.stdout.replace("as of", "as-of").splitlines())
        plan, _, took = told.pop("plan").partition("; ")
        assert took.endswith(" ms")
        assert plan == (body["meta"]["plan"] if source[0] == "--server" else "store")
        assert told == {
            "where": body["meta"]["where"], "rules": body["meta"]["ruleVersion"],
            "session": body["meta"]["sessionDate"], "as-of": f"seq {body['meta']['asOfSeq']:,}", "rows": "7 and more",
        }  # fmt: skip
    assert "every row" in run("query", "--plan", "--server", server.target).stdout
    assert refused("query", "--plan", "--server", server.target, "--where", "valu > 1").startswith("phenix: ")


def test_no_server() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    for command in ("query", "tail"):
        assert refused(command, "--server", f"127.0.0.1:{free}") == (
            f"phenix: no server answers at 127.0.0.1:{free}: start `phenix serve`, name its gRPC address with "
            "--server, or a store with --store\n"
        )
