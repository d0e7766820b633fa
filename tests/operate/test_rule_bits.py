"""Bits of chips over all versions of a store, and versions that can no longer be used: what is done about each."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from phenix import app
from phenix.cli.main import main
from phenix.dsl.source import Source
from phenix.engine import check
from phenix.engine.bundle import MOST_CHIPS, Bundle, compile_bundle, read_rules
from phenix.engine.lifecycle import Lifecycle
from phenix.engine.store.base import Reader
from phenix.engine.store.sqlite import open_reader, open_writer
from phenix.engine.store.sqlite_rules import SqliteLedger
from phenix.engine.store.versions import BitTakenError, RuleVersion, bits_in
from tests.operate.stores import execute
from tests.operate.test_rules import FORCED, held, lifecycle, refused, store, version_with

__all__ = ["store"]

PACKAGED = read_rules()


def chip(name: str, rule: str = "value >= 2M") -> Source:
    return Source(f"{name}.phx", f'edition 1\nchip {name} "{name.title()}" = {rule} doc "x"\n')


def pushed(life: Lifecycle, *more: Source) -> Bundle:
    bundle: Bundle = held(life.push([*PACKAGED, *more]))[0]
    return bundle


def record(bundle: Bundle) -> RuleVersion:
    return RuleVersion(bundle.version, bundle.config_json, bundle.checksum, False, 1, None, None)


def pairs(life: Lifecycle) -> set[tuple[str, int]]:
    return {pair for version in life.versions() for pair in bits_in(version.config_json).items()}


def one_bit_each(life: Lifecycle) -> bool:
    found = pairs(life)
    return len(found) == len(dict(found)) == len({bit for _, bit in found})


# -- one bit for one chip


def test_the_packaged_rules_come_after_versions_that_were_pushed(tmp_path: Path) -> None:
    path = tmp_path / "flow.sqlite"
    life = lifecycle(path)
    own: Bundle = held(life.push([chip("a_first"), *PACKAGED]))[0]
    assert own.bits["a_first"] == 0
    for _ in range(2):
        with open_writer(path) as writer:
            bundle = app.active_bundle(writer)
        assert bundle.chip("a_first") is None
        assert {chip.bit for chip in bundle.chips}.isdisjoint({0})
        assert one_bit_each(life)
    assert [one.is_active for one in life.versions()] == [False, True]


def meanwhile(path: Path, act: Callable[[], Any]) -> Lifecycle:
    """Versions are read, then somebody acts, then what was made of them is stored."""

    @contextmanager
    def reading() -> Iterator[Reader]:
        with open_reader(path) as reader:
            yield reader
        act()

    return Lifecycle(reading, partial(open_writer, path), SqliteLedger(path))  # type: ignore[arg-type]


@pytest.mark.parametrize("held_log", [False, True])
def test_two_pushes_at_once_give_a_bit_to_one_chip(store: Path, held_log: bool) -> None:
    life = lifecycle(store)
    others = iter([chip("other")])
    racing = meanwhile(store, lambda: [pushed(life, one) for one in others])
    if held_log:
        with open_writer(store):
            bundle = pushed(racing, chip("mine"))
    else:
        bundle = pushed(racing, chip("mine"))
    assert bundle.bits["mine"] == bundle.bits["other"] + 1
    assert len(life.versions()) == 3
    assert one_bit_each(life)


def test_who_is_forestalled_again_and_again_is_told(store: Path) -> None:
    life = lifecycle(store)
    numbers = iter(range(100))
    racing = meanwhile(store, lambda: pushed(life, chip(f"other{next(numbers)}")))
    said = refused(racing.push([*PACKAGED, chip("mine")]))
    assert said.startswith("conflict: These rules are not stored: bit ")
    assert "for the chip `mine`" in said
    assert next(numbers) == 5
    assert one_bit_each(life)


def test_a_store_keeps_no_version_with_the_bit_of_another_chip(store: Path) -> None:
    life = lifecycle(store)
    bits = pushed(life, chip("mine")).bits
    moved = {**bits, "mine": bits["mine"] + 5}
    for sources, given in (([*PACKAGED, chip("other")], {}), ([*PACKAGED, chip("mine")], moved)):
        bundle = compile_bundle(sources, given)[0]
        assert bundle is not None
        with open_writer(store) as writer, pytest.raises(BitTakenError, match=r"bit \d+ is for the chip"):
            writer.put_rule_version(record(bundle), activate=True)
    assert [one.is_active for one in life.versions()] == [True, False]


def test_what_an_older_store_holds_or_is_damaged_keeps_nobody_from_storing(store: Path) -> None:
    """Versions of before that give one bit to two chips stay; the next chips have bits of their own."""
    life = lifecycle(store)
    mine = pushed(life, chip("mine"))
    clashing = compile_bundle([*PACKAGED, chip("other")])[0]
    assert clashing is not None
    assert clashing.bits["other"] == mine.bits["mine"]
    sql = "INSERT INTO filter_rule_versions VALUES ('{}', '{}', '{}', 0, 1, NULL, NULL)"
    execute(store, sql.format("clashing", clashing.config_json.replace("'", "''"), clashing.checksum))
    for number, text in enumerate(("{", "[]", '{"chips": 7}', '{"chips": {"mine": "x"}}', "[" * 100_000)):
        execute(store, sql.format(f"damaged{number}", text, "0" * 64))
    bundle = pushed(life, chip("mine"), chip("other"), chip("third"))
    assert bundle.bits["third"] == mine.bits["mine"] + 1
    assert pushed(life, chip("mine"), chip("fourth")).bits["fourth"] == mine.bits["mine"] + 2


def test_more_chips_than_there_are_bits_for(store: Path) -> None:
    life = lifecycle(store)
    room = MOST_CHIPS - len(held(life.push(PACKAGED))[0].chips)
    pushed(life, *[chip(f"old{i}") for i in range(room - 3)])
    said = life.push([*PACKAGED, *[chip(f"new{i}") for i in range(5)]])
    assert refused(said) == (
        f"invalid_rules: These rules are not stored: {MOST_CHIPS - room + 5} chips; a row stores {MOST_CHIPS}, and"
        f" {room - 3} bits are taken by other chips, of versions stored before"
    )
    assert "an id keeps its bit" in said.diagnostics[0].to_dict()["help"]  # type: ignore[union-attr]
    assert pushed(life, *[chip(f"new{i}") for i in range(3)], chip("old0")).known_mask < 1 << MOST_CHIPS
    alone = compile_bundle([*PACKAGED, *[chip(f"c{i}") for i in range(room + 1)]])[1]
    assert [one.message for one in alone if one.code == "PHX004"] == ["63 chips; a row stores 62"]


# -- rules that are much to look at


def deep(chips: int, levels: int) -> list[Source]:
    """Each names the one before, in brackets inside brackets."""
    out = []
    for i in range(chips):
        body = f"@d{i - 1}" if i else "value >= 1M"
        for level in range(levels):
            body = f"({body} {'or' if level % 2 else 'and'} size >= {level + i + 1})"
        out.append(chip(f"d{i}", body))
    return out


def test_rules_that_are_long_to_lint_are_stored(store: Path) -> None:
    life = lifecycle(store)
    sources = deep(20, 20)
    assert "d19" in pushed(life, *sources).bits
    case = Source("z.phx", 'edition 1\ntest "deep" for @d19 { value: 2M, size: 3 } => false\n')
    said = refused(life.push([*PACKAGED, *deep(20, 30), case]))
    assert said == (
        "invalid_rules: These rules are not stored: chips that name each other in a row are nested too deeply;"
        " write some of them out flatter."
    )
    assert refused(life.push([])) == "invalid_rules: These rules are not stored: there is no rule file among them."


def test_a_chip_is_asked_once_in_a_test(monkeypatch: pytest.MonkeyPatch) -> None:
    sources = [chip("c0"), *[chip(f"c{i}", f"(@c{i - 1} and size >= {i}) or (@c{i - 1} and dte >= {i})")
                             for i in range(1, 12)]]  # fmt: skip
    asked = []
    evaluate = check.evaluate
    monkeypatch.setattr(check, "evaluate", lambda *args: asked.append(args) or evaluate(*args))
    case = Source("z.phx", 'edition 1\ntest "fan" for @c11 { value: 2M, size: 50, dte: 50 } => true\n')
    assert check.run_cases([*sources, case]) == ((), 1)
    assert len(asked) == 13


# -- versions that cannot be used


def damaged(config: str) -> tuple[str, str]:
    return config + " ", ""


def uncompiled(config: str) -> tuple[str, str]:
    return config.replace("value >= ", "valley >= "), "no longer compiles: PHX101"


def of_later(config: str) -> tuple[str, str]:
    return config.replace('"edition":1', '"edition":2'), "was written by a later version of Phenix"


@pytest.mark.parametrize("spoil", [damaged, uncompiled, of_later])
@pytest.mark.parametrize("way", ["rollback", "activate"])
def test_what_repairs_a_store_works_while_its_rules_cannot_be_used(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], spoil: Callable[[str], tuple[str, str]], way: str
) -> None:
    def phenix(*argv: str) -> tuple[int, str]:
        code = main(["rules", *argv, "--store", f"sqlite:{store}"])
        told = capsys.readouterr()
        return code, told.out + told.err

    life = lifecycle(store)
    first = life.versions()[0].version_id
    active = version_with(life, whales_min="750k")
    held(life.activate(active, FORCED))
    version = life.find(active)
    assert isinstance(version, RuleVersion)
    config, why = spoil(version.config_json)
    assert config != version.config_json
    checksum = sha256(config.encode()).hexdigest() if why else version.checksum
    quoted = config.replace("'", "''")
    execute(store, f"UPDATE filter_rule_versions SET config_json = '{quoted}', checksum = '{checksum}'"
                   f" WHERE version_id = '{active}'")  # fmt: skip
    why = why or "does not match its checksum"
    named = checksum[:12]
    with open_writer(store) as writer, pytest.raises(app.RulesError) as stopped:
        app.active_bundle(writer)
    assert why in str(stopped.value)
    assert "`phenix rules rollback`" in str(stopped.value)
    assert "`phenix rules activate VERSION --force --reason TEXT`" in str(stopped.value)

    for argv in (["set", "whales_min=1M"], ["diff", first], ["diff", named[:8], first]):
        code, told = phenix(*argv)
        assert (code, f"Rule version {active} cannot be used: the stored rule version" in told) == (2, True)
        assert why in told
    rules = tmp_path / "rules"
    rules.mkdir()
    for source in [*PACKAGED, chip("mine")]:
        (rules / Path(source.name).name).write_text(source.text)
    code, told = phenix("push", str(rules))
    new = told.split()[0]
    assert (code, " stored: " in told, f"not compared with the active version: Rule version {active}" in told) == (
        0, True, True,
    )  # fmt: skip
    if way == "rollback":
        assert phenix("rollback")[0] == 0
    else:
        assert phenix("activate", new, "--force", "--reason", "repair")[0] == 0
    with open_writer(store) as writer:
        assert app.active_bundle(writer).version == (first if way == "rollback" else new)
    assert one_bit_each(life)


def test_a_config_of_another_phenix_is_told_in_words() -> None:
    packaged = compile_bundle(PACKAGED)[0]
    assert packaged is not None
    config = json.loads(packaged.config_json)
    for change, said in (
        ({"edition": 2}, r"written by a later version of Phenix \(edition 2, this one reads 1\)"),
        ({"edition": "two"}, r"edition two, this one"),
        ({"chips": None}, "lacks its edition, its sources or the bits"),
        ({"chips": {"whales": "0"}}, "lacks its edition, its sources or the bits"),
        ({"sources": {"a.phx": 7}}, "lacks its edition, its sources or the bits"),
        ({"sources": {}}, "no longer compiles: it holds no rules"),
    ):
        with pytest.raises(ValueError, match=said):
            Bundle.from_config(json.dumps({**config, **change}))
    for name in ("edition", "sources", "chips"):
        with pytest.raises(ValueError, match="lacks its edition, its sources or the bits"):
            Bundle.from_config(json.dumps({key: value for key, value in config.items() if key != name}))
    for text, said in (("[]", "lacks its edition"), ("{", "is no JSON"), ("[" * 100_000, "nested too deeply")):
        with pytest.raises(ValueError, match=said):
            Bundle.from_config(text)


# -- what is said


@pytest.mark.parametrize("value", ["abc", "$aa_floor", "1k + 1k", "750k # in", "value > 1", "", "(", "750k;", '"a"'])
def test_the_value_of_a_param_is_a_literal(store: Path, value: str) -> None:
    said = refused(lifecycle(store).set_params("", {"whales_min": value}))
    assert said == "invalid_rules: the value of `whales_min` must be one literal, such as `500k`"


def test_a_version_needs_some_characters(store: Path) -> None:
    life = lifecycle(store)
    name = life.versions()[0].version_id
    assert refused(life.find(name[:3])) == (
        f"not_found: `{name[:3]}` is too short: write at least 4 characters of a version."
    )
    assert held(life.find(name[:4])).version_id == name


def test_nothing_that_was_asked_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with open_writer(tmp_path / "flow.sqlite"):
        pass
    for action, said in (
        ("history", "nothing was asked of the rules yet\n"),
        ("list", "no rule version is stored yet\n"),
    ):
        for json_, out in ((["--json"], "[]\n"), ([], said)):
            assert main(["rules", action, "--store", f"sqlite:{tmp_path / 'flow.sqlite'}", *json_]) == 0
            assert capsys.readouterr().out == out
