"""Saved queries over their life: raced, walked through while they come and go, killed, and on files that are broken."""

from __future__ import annotations

import contextlib
import http.client
import random
import resource
import signal
import sqlite3
import threading
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from phenix.engine.store.sqlite_saved import SAVED_MIGRATIONS, open_saved
from tests.server.asking import ALERTS, PRESETS, SPY, Answer, ask, saved_file, text, total, walk
from tests.server.conftest import Server
from tests.server.rows import Store

Serve = Callable[..., Server]


def test_of_two_who_change_the_same_one_succeeds(store: Store, serve: Serve) -> None:
    """Four clients of two servers count together in a name, each with the tag it has read: no step is lost."""
    store.add(1)
    servers = serve(store.url), serve(store.url)
    one = f"{PRESETS}/{ask(servers[0], 'POST', PRESETS, {'name': '0'}).data['id']}"
    lost = count()

    def client(number: int) -> None:
        server = servers[number % 2]
        for _ in range(15):
            while True:
                got = ask(server, "GET", one)
                changed = {"name": str(int(got.data["name"]) + 1)}
                put = ask(server, "PUT", one, changed, if_match=got.etag)
                if put.status == 200:
                    break
                assert put.codes == ["412", "precondition_failed"]
                next(lost)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(client, range(4)))
    assert ask(servers[0], "GET", one).data["name"] == "60"
    assert next(lost) > 0, "nobody was ever late: this proved nothing"


def test_two_servers_share_the_file(store: Store, serve: Serve) -> None:
    store.add(1)
    first, second = serve(store.url), serve(store.url)
    made = ask(first, "POST", PRESETS, SPY)
    one = f"{PRESETS}/{made.data['id']}"
    assert ask(second, "PUT", one, {"name": "second"}, if_match=made.etag).status == 200
    assert ask(first, "PUT", one, {"name": "first"}, if_match=made.etag).codes == ["412", "precondition_failed"]
    with ThreadPoolExecutor(2) as pool:
        made_ids = pool.map(
            lambda server: [ask(server, "POST", PRESETS, {}).data["id"] for _ in range(40)], (first, second)
        )
        ids = {id_ for part in made_ids for id_ in part}
    assert {entry["id"] for entry in ask(second, "GET", f"{PRESETS}?limit=1000").data} == {made.data["id"], *ids}


class Model:
    """What a server should hold, by kind in the order it was made; each entry is name, where and tag."""

    def __init__(self, server: Server, seed: int) -> None:
        self.server, self.rng = server, random.Random(seed)
        self.held: dict[str, dict[str, tuple[str, str, str]]] = {PRESETS: {}, ALERTS: {}}
        self.steps = (
            self.create,
            self.create,
            self.change,
            self.change,
            self.remove,
            self.late,
            self.take_in,
            self.broken,
        )
        self.done: Counter[str] = Counter()

    def step(self) -> None:
        """One request, and what it should do."""
        path = self.rng.choice((PRESETS, ALERTS))
        step = self.rng.choice(self.steps)
        if step not in (self.change, self.remove, self.late) or self.held[path]:
            step(path)
            self.done[step.__name__] += 1

    def one(self, path: str) -> str:
        return self.rng.choice(list(self.held[path]))

    def filter(self) -> tuple[Any, str]:
        """A payload, and the rule text of it."""
        number = self.rng.randrange(1, 1_000_000)
        return self.rng.choice((
            ({"minSize": number}, f"size >= {number}"), (f"size>={number}", f"size >= {number}"),
            ({"version": 2, "combinator": "or", "clauses": [
                {"field": "dte", "op": "lt", "value": str(number)}, {"field": "chips", "op": "nin", "value": "OTM"}]},
             f"dte < {number} or not @otm"),
        ))  # fmt: skip

    def keep(self, path: str, answer: Answer, name: str, where: str) -> None:
        entry = answer.data
        assert (entry["name"], entry["where"]) == (name or entry["id"], where)
        self.held[path][entry["id"]] = (entry["name"], where, answer.etag)

    def create(self, path: str) -> None:
        payload, where = self.filter()
        name = self.rng.choice(("", "näm", "b"))
        self.keep(path, ask(self.server, "POST", path, {"name": name, "query": payload}), name, where)

    def change(self, path: str) -> None:
        id_ = self.one(path)
        name, where, tag = self.held[path][id_]
        payload, other = self.filter()
        named = self.rng.random() < 0.5
        body = {"name": "changed"} if named else {"payload": payload}
        answer = ask(self.server, "PUT", f"{path}/{id_}", body, if_match=self.rng.choice((tag, "*")))
        self.keep(path, answer, "changed" if named else name, where if named else other)

    def remove(self, path: str) -> None:
        id_ = self.one(path)
        tag = self.held[path].pop(id_)[2]
        assert ask(self.server, "DELETE", f"{path}/{id_}", if_match=tag).status == 204

    def late(self, path: str) -> None:
        id_ = self.one(path)
        stale = ask(
            self.server, self.rng.choice(("PUT", "DELETE")), f"{path}/{id_}", {"name": "late"}, if_match='"old"'
        )
        assert stale.codes == ["412", "precondition_failed"]

    def take_in(self, path: str) -> None:
        kind, word = ("preset", "query") if path == PRESETS else ("alert", "alert")
        names = self.rng.sample(("a", "b", "c", "d"), 2)
        bound = self.rng.randrange(1, 5)
        lines = [f'{word} {name} "{name.upper()}" where size >= {bound}' for name in names]
        for name, entry in zip(names, text(self.server, path, "\n".join(lines)).data, strict=True):
            got = ask(self.server, "GET", f"{path}/{kind}_{name}")
            assert got.data == entry
            self.keep(path, got, name.upper(), f"size >= {bound}")

    def broken(self, path: str) -> None:
        assert ask(self.server, "POST", path, {"minSize": "many"}).status == 422
        assert text(self.server, path, "query a where size > 9\nalert b where size > 9").status == 422

    def check(self) -> None:
        for path, held in self.held.items():
            found = [entry for page in walk(self.server, path, self.rng.choice((1, 3, 1_000))) for entry in page]
            assert [(e["id"], e["name"], e["where"]) for e in found] == [(id_, *v[:2]) for id_, v in held.items()]
            for id_, (_, _, tag) in held.items():
                assert ask(self.server, "GET", f"{path}/{id_}").etag == tag


@pytest.mark.parametrize("seed", [1, 2])
def test_the_server_holds_what_a_model_holds(store: Store, serve: Serve, seed: int) -> None:
    store.add(1)
    model = Model(serve(store.url), seed)
    for number in range(150):
        model.step()
        if number % 30 == 29:
            model.check()
        if number == 75:
            model.server.end(signal.SIGKILL)
            model.server.start()
            model.check()
    assert len(model.done) == 6, model.done


# -- lists


def test_a_walk_while_entries_come_and_go(store: Store, serve: Serve) -> None:
    store.add(1)
    server = serve(store.url)
    ids = [ask(server, "POST", PRESETS, {"name": str(i)}).data["id"] for i in range(60)]
    ask(server, "POST", ALERTS, {})
    seen: list[str] = []
    removed: set[str] = set()
    for number, page in enumerate(walk(server, PRESETS, 7)):
        seen += [entry["id"] for entry in page]
        if number < 5:  # one seen, one to come, one new
            for victim in (seen[number * 7], ids[50 + number]):
                assert ask(server, "DELETE", f"{PRESETS}/{victim}").status == 204
                removed.add(victim)
            ids.append(ask(server, "POST", PRESETS, {"name": f"new {number}"}).data["id"])
            ask(server, "PUT", f"{PRESETS}/{seen[number * 7 + 1]}", {"name": "changed"})
    assert [id_ for id_ in seen if id_ not in removed] == [id_ for id_ in ids if id_ not in removed]
    assert len(seen) == len(set(seen))
    assert not set(seen) & set(ids[50:55])


def test_ten_thousand(store: Store, serve: Serve) -> None:
    store.add(1)
    server = serve(store.url)
    first = text(server, PRESETS, "\n".join(f"query q{i} where value >= {i + 1}" for i in range(1_000))).data
    assert len(first) == 1_000
    with contextlib.closing(open_saved(saved_file(store), writing=True)) as file, file.transaction():
        like = file.get("preset_q999")
        assert like is not None
        for i in range(1_000, 10_000):
            v2 = like.v2_json.replace("1000", str(i + 1))
            file.put(replace(like, id=f"preset_q{i}", v2_json=v2, where=f"value >= {i + 1}"))
    listed = [entry for page in walk(server, "/api/v1/flow/presets", 1_000) for entry in page]
    assert [entry["id"] for entry in listed] == [f"preset_q{i}" for i in range(10_000)]
    assert [entry["payload"] for entry in listed] == [{"minValue": i + 1} for i in range(10_000)]
    assert total(server) == 10_000
    exported = ask(server, "GET", f"{PRESETS}/export").body.decode().split("\n\n")
    assert len(exported) == 10_000
    again = text(server, PRESETS, "\n\n".join(exported[500:1_500])).data
    assert [entry["updatedAt"] for entry in again] == [entry["updatedAt"] for entry in listed[500:1_500]]
    assert ask(server, "GET", f"{PRESETS}?limit=1000").data == first


# -- kills, and files that cannot be used


class Author(threading.Thread):
    """Saves, changes and removes without pause until the line breaks; ``doubtful`` is what was asked and not answered.

    ``known`` is the name of each entry by its id, ``enough`` is set after ``after`` rounds.
    """

    def __init__(self, server: Server, known: dict[str, str], after: int) -> None:
        super().__init__()
        self.server, self.known, self.after = server, known, after
        self.doubtful = ""
        self.enough = threading.Event()

    def run(self) -> None:
        try:
            for number in count():
                self.doubtful = name = f"{self.after} {number}"
                made = ask(self.server, "POST", PRESETS, {"name": name}).data
                self.known[made["id"]] = name
                self.doubtful, one = made["id"], f"{PRESETS}/{made['id']}"
                if number % 3 == 1:
                    self.known[made["id"]] = ask(self.server, "PUT", one, {"name": f"changed {number}"}).data["name"]
                elif number % 3 == 2:
                    assert ask(self.server, "DELETE", one).status == 204
                    del self.known[made["id"]]
                if number == self.after:
                    self.enough.set()
        except (OSError, http.client.HTTPException):
            return


def test_what_was_answered_is_there_after_a_kill(store: Store, serve: Serve) -> None:
    store.add(1)
    server = serve(store.url)
    known: dict[str, str] = {}
    for after in (25, 32, 39):
        author = Author(server, dict(known), after)
        author.start()
        assert author.enough.wait(60)
        server.end()
        author.join(60)
        server.start()
        found = {row["id"]: row["name"] for page in walk(server, PRESETS, 1_000) for row in page}
        differing = {*found.items()} ^ {*author.known.items()}
        assert {id_ for id_, name in differing if author.doubtful not in (id_, name)} == set()
        assert len(author.known) > len(known)
        known = found


def test_nothing_is_made_before_something_is_saved(store: Store, serve: Serve) -> None:
    store.add(1)
    server = serve(store.url)
    assert ask(server, "GET", PRESETS).data == []
    assert ask(server, "GET", f"{PRESETS}/export").body == b""
    assert ask(server, "GET", f"{PRESETS}/preset_x").codes == ["404", "not_found"]
    assert server.get("/api/flow?preset=x")[0] == 400
    assert not saved_file(store).exists()
    ask(server, "POST", PRESETS, {})
    assert saved_file(store).exists()
    server.end(signal.SIGTERM)
    with sqlite3.connect(saved_file(store)) as connection:
        applied = connection.execute("SELECT version, name FROM schema_migrations").fetchall()
        assert applied == [(one.version, one.name) for one in SAVED_MIGRATIONS]
        assert connection.execute("SELECT strict FROM pragma_table_list('saved_queries')").fetchone() == (1,)
        columns = {row[0] for row in connection.execute("SELECT name FROM pragma_table_info('saved_queries')")}
    connection.close()
    assert {"id", "kind", "name", "payload_version", "query_dsl_v2_json", "where_text", "rule_version", "created_at",
            "updated_at"} <= columns  # fmt: skip


def _foreign(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE notes (text)")
    connection.close()


def _newer(path: Path) -> None:
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE t (x); PRAGMA application_id = 0x50484E51; PRAGMA user_version = 99")
    connection.close()


def _no_database(path: Path) -> None:
    path.write_bytes(b"name,where\r\n" * 1_000)


def _directory(path: Path) -> None:
    path.mkdir()


UNUSABLE = (
    (_foreign, "the file there is none of Phenix"),
    (_newer, "the file was written by a newer Phenix"),
    (_no_database, "the file is damaged"),
    (_directory, "the file cannot be opened or used"),
)


@pytest.mark.parametrize(("make", "why"), UNUSABLE, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_cannot_be_used(store: Store, serve: Serve, make: Callable[[Path], None], why: str) -> None:
    store.add(5)
    path = saved_file(store)
    make(path)
    before = path.read_bytes() if path.is_file() else b""
    server = serve(store.url)
    for method, body in (("GET", None), ("POST", {"name": "x"})):
        refused = ask(server, method, PRESETS, body)
        assert refused.codes == ["503", "unavailable"]
        assert why in refused.json["detail"]
        assert str(path) not in refused.json["detail"]
        assert refused.headers["retry-after"] == "1"
    assert ask(server, "GET", "/api/flow?preset=x").codes == ["503", "unavailable"]
    assert len(server.get("/api/flow")[1]["data"]) == 5
    assert server.get("/api/flow/filters/catalog")[1]["presets"] is None
    assert (path.read_bytes() if path.is_file() else b"") == before
    if path.is_file():
        path.unlink()
        assert ask(server, "POST", PRESETS, {"name": "x"}).status == 201


def test_a_file_that_another_program_holds(store: Store, serve: Serve) -> None:
    store.add(5)
    server = serve(store.url)
    made = ask(server, "POST", PRESETS, {"name": "x"})
    holder = sqlite3.connect(saved_file(store), isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(ask, server, "DELETE", f"{PRESETS}/{made.data['id']}")
        assert ask(server, "GET", PRESETS).data == [made.data]
        refused = waiting.result()
    assert refused.codes == ["503", "unavailable"]
    assert "another program holds the file" in refused.json["detail"]
    holder.execute("ROLLBACK")
    holder.close()
    assert ask(server, "DELETE", f"{PRESETS}/{made.data['id']}").status == 204


def test_a_full_disk(store: Store, serve: Serve) -> None:
    """A file that may not grow is a full disk: what cannot be stored is refused, what is stored stays."""
    store.add(5)
    server = serve(store.url)
    made = [ask(server, "POST", PRESETS, {"name": str(i), "status": "x" * 5_000}) for i in range(3)]
    limits = resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE)
    room = saved_file(store).with_name("flow.saved.sqlite-wal").stat().st_size + 100_000
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, (room, limits[1]))
    many = "\n".join(f'query q{i} where size = {i} doc "{"x" * 5_000}"' for i in range(40))
    assert text(server, PRESETS, many).codes == ["503", "unavailable"]  # there is room for some of them
    assert total(server) == 3
    for number in count():
        answer = ask(server, "POST", PRESETS, {"name": "more", "status": "x" * 5_000})
        if answer.status != 201:
            break
        made.append(answer)
        assert number < 1_000
    assert answer.codes == ["503", "unavailable"]
    assert "Nothing was stored" in answer.json["detail"]
    assert len(server.get("/api/flow")[1]["data"]) == 5
    assert [row["id"] for row in ask(server, "GET", PRESETS).data] == [entry.data["id"] for entry in made]
    resource.prlimit(server.process.pid, resource.RLIMIT_FSIZE, limits)
    made.append(ask(server, "POST", PRESETS, {"name": "again"}))
    assert made[-1].status == 201
    server.end()
    server.start()
    assert [row["id"] for row in ask(server, "GET", PRESETS).data] == [entry.data["id"] for entry in made]
