"""Rules compiled in another process tag as those compiled here, whatever becomes of that process."""

from __future__ import annotations

import logging
import os
import select
import shutil
import signal
import subprocess
import sys
import threading
from dataclasses import replace
from pathlib import Path
from typing import Final

import pytest

from phenix.dsl.diagnostics import Diagnostic
from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle, load_bundle
from phenix.engine.store.versions import Activation, RuleVersion, Why
from phenix.ingest.rules import Prepared, Rulebook, compile_rules
from phenix.ingest.rules_apart import RulesApart
from tests.dsl.rows import random_rows


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    packaged, found = load_bundle()
    assert packaged is not None, found
    return packaged


def stored(bundle: Bundle) -> RuleVersion:
    return RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, 0, None, None)


def asking(version: RuleVersion) -> Activation:
    return Activation(1, Why.ACTIVATE, version.version_id, 0)


def changed(bundle: Bundle, **params: str) -> RuleVersion:
    made = bundle.with_params(params)
    assert not isinstance(made, tuple), [one.message for one in made if isinstance(one, Diagnostic)]
    return stored(made)


def same(bundle: Bundle, one: Prepared | str, other: Prepared | str) -> None:
    """Both tag random rows alike, and are read under the same constants."""
    assert isinstance(one, Prepared) and isinstance(other, Prepared)
    assert one.chips == other.chips
    for name in ("version", "aa_floor", "aa_spread", "packages_are_neutral"):
        assert getattr(one.tagger, name) == getattr(other.tagger, name)
    block = Block.of_rows(random_rows(bundle, 2_000, seed=3))
    mine, theirs = one.tagger.tag(block), other.tagger.tag(block)
    assert mine.keys() == theirs.keys()
    for name, column in mine.items():
        assert column.values.tobytes() == theirs[name].values.tobytes(), name
        assert (column.known is None) is (theirs[name].known is None)
        assert column.known is None or column.known.tobytes() == theirs[name].known.tobytes()  # type: ignore[union-attr]
        assert (column.words and list(column.words.words)) == (theirs[name].words and list(theirs[name].words.words))  # type: ignore[union-attr]
    assert len(set(mine["chips_set"].values.tolist())) > 100


def test_what_is_compiled_apart_tags_as_what_is_compiled_here(bundle: Bundle) -> None:
    with RulesApart() as apart:
        for version in (stored(bundle), changed(bundle, whales_min="77k", aa_floor="$0.07")):
            same(bundle, apart(asking(version), version), compile_rules(asking(version), version))


def test_what_cannot_be_compiled_is_refused_in_the_same_words(bundle: Bundle) -> None:
    version = stored(bundle)
    forged = replace(version, checksum="0" * 64)
    with RulesApart() as apart:
        assert apart(asking(forged), forged) == (
            "the stored rule version does not match its checksum: restore it from a backup"
        )
        assert apart(asking(version), None) == f"there is no rule version {version.version_id}"
        same(bundle, apart(asking(version), version), compile_rules(asking(version), version))


def children_of(pid: int) -> list[int]:
    """Processes that run the compiler and belong to a process."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((folder / "stat").read_text().rsplit(")", 1)[1].split()[1])
            runs = b"phenix.ingest.rules_apart" in (folder / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == pid and runs:
            found.append(int(folder.name))
    return found


linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")


@linux
def test_a_process_that_died_is_followed_by_another(bundle: Bundle, caplog: pytest.LogCaptureFixture) -> None:
    first, second = (changed(bundle, whales_min=value) for value in ("71k", "72k"))
    with RulesApart() as apart, caplog.at_level(logging.WARNING, "phenix.ingest"):
        apart(asking(first), first)
        (pid,) = children_of(os.getpid())
        os.kill(pid, signal.SIGKILL)
        same(bundle, apart(asking(second), second), compile_rules(asking(second), second))
        assert len(children_of(os.getpid())) == 1
        assert not caplog.messages
    assert not children_of(os.getpid())


def test_rules_are_compiled_here_where_no_process_can_be_had(
    bundle: Bundle, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = changed(bundle, whales_min="73k")
    for program in (shutil.which("false"), "/nowhere/python"):
        monkeypatch.setattr(sys, "executable", program)
        with RulesApart() as apart, caplog.at_level(logging.WARNING, "phenix.ingest"):
            same(bundle, apart(asking(version), version), compile_rules(asking(version), version))
    assert [line.split(":")[0] for line in caplog.messages] == [
        f"{version.version_id} is compiled beside the prints"
    ] * 2


@linux
def test_closing_waits_for_no_answer(bundle: Bundle) -> None:
    version = stored(bundle)
    apart = RulesApart()
    apart(asking(version), version)
    (pid,) = children_of(os.getpid())
    os.kill(pid, signal.SIGSTOP)  # it will never answer
    answers: list[Prepared | str] = []
    waiting = threading.Thread(target=lambda: answers.append(apart(asking(version), version)))
    waiting.start()
    apart.close()
    waiting.join(30)
    assert answers == ["ingest ends"]
    assert not children_of(os.getpid())


ASKER: Final = """
import sys
from tests.ingest.test_rules_apart import RulesApart, asking, load_bundle, stored
version = stored(load_bundle()[0])
RulesApart()(asking(version), version)
print("compiled", flush=True)
sys.stdin.read()
"""


@linux
def test_the_process_ends_with_the_one_that_asked() -> None:
    asker = subprocess.Popen([sys.executable, "-c", ASKER], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             cwd=Path(__file__).parents[2])  # fmt: skip
    with asker:
        assert asker.stdout is not None
        assert asker.stdout.readline() == b"compiled\n"
        (pid,) = children_of(asker.pid)
        ended = os.pidfd_open(pid)
        try:
            asker.kill()
            assert select.select([ended], [], [], 30)[0], "it goes on without its parent"
        finally:
            os.close(ended)


def test_a_version_is_compiled_once_while_it_is_kept(bundle: Bundle) -> None:
    asked: list[str] = []

    def compiler(entry: Activation, version: RuleVersion | None) -> Prepared | str:
        asked.append(entry.version_id)
        return compile_rules(entry, version)

    book = Rulebook(compiler)
    first, second = (changed(bundle, whales_min=value) for value in ("71k", "72k"))
    for version in (first, second, first, second):
        assert isinstance(book.prepare(asking(version), version), Prepared)
    assert asked == [first.version_id, second.version_id]
