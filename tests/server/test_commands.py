"""serve, query, tail and export as commands: addresses, refusals to start, what they print."""

from __future__ import annotations

import os
import shutil
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import orjson
import pytest

from phenix import app
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
        f"phenix: will not listen on {host}: without tokens"
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


def test_export_of_some_rows(session: Session) -> None:
    store, server = session

    def seqs(where: str) -> list[int]:
        done = run("export", "--store", store.url, "--where", where)
        assert done.returncode == 0, done.stderr
        return [orjson.loads(line)["seq"] for line in done.stdout.splitlines()]

    assert seqs("cancel_record") == list(range(401, 411))
    _, body = server.get("/api/flow?right=call&limit=1000&includeCancelled=1&sortOrder=asc")
    assert seqs("right = call") == [row["seq"] for row in body["data"]]
    wrong = refused("export", "--store", store.url, "--where", "value >= 5m")
    assert "PHX104" in wrong
    assert "--where:1:10" in wrong


def test_export_closes_the_store(store: Store) -> None:
    store.add(3)
    store.close()

    def opened() -> int:
        """Descriptors of the store's file that this process holds."""
        count = 0
        for entry in Path("/dev/fd").iterdir():
            try:
                count += os.path.samestat(os.fstat(int(entry.name)), store.path.stat())
            except OSError:
                continue  # the one that listed them
        return count

    with app.export(store.url) as lines:
        assert not isinstance(lines, str)
        assert opened() == 1
        assert len(list(lines)) == 3
    with app.export(store.url) as lines:
        next(iter(lines))  # and not to the end
    with app.export(store.url, "nonsense") as wrong:
        assert isinstance(wrong, str)
    assert opened() == 0


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
        "phenix: there is no chip 'wales'\nphenix:   chips: there is no chip 'wales' (write `whales`)\n"
    )
    assert refused("query", "--server", server.target, "--param", "x") == "phenix: --param x: write NAME=VALUE\n"


def test_no_server() -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        free = probe.getsockname()[1]
    for command in ("query", "tail"):
        assert refused(command, "--server", f"127.0.0.1:{free}") == (
            f"phenix: no server answers at 127.0.0.1:{free}: start `phenix serve`, or name its gRPC address with "
            "--server\n"
        )
