"""Rule files to an immutable bundle: checked, hashed, compiled, ready to tag rows.

A bundle is what a rule version is made of. Its canonical config holds the rule sources and the
bit of each chip; the checksum is the SHA-256 of that config, so equal rules have equal versions.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl.compiler import ChipRule, DerivedField, Program, compile_program
from phenix.dsl.diagnostics import Diagnostic, closest, diagnostic, has_errors
from phenix.dsl.scope import ParamInfo, Scope
from phenix.dsl.source import Source, Span, packaged
from phenix.dsl.types import Kind, Value
from phenix.engine.flow import BY_NAME, CATALOG, INDEX
from phenix.engine.targets.english import say
from phenix.engine.targets.row import Names, false_rail, true_rail, value

__all__ = ["Bundle", "Chip", "compile_bundle", "load_bundle", "read_rules"]

_REQUIRED: Final = {"aa_floor": Kind.MONEY, "aa_spread": Kind.PERCENT, "packages_are_neutral": Kind.BOOL}
"""Params the enricher reads by name."""


@dataclass(frozen=True, slots=True)
class Chip:
    """A chip of a bundle: what the API shows and the bit that stores it."""

    id: str
    label: str
    aliases: tuple[str, ...]
    group: str
    doc: str
    bit: int
    rule: str
    english: str
    fields: tuple[str, ...]
    params: Mapping[str, float | bool]
    core: c.Core


class Bundle:
    """Compiled rules. Build with :func:`load_bundle` or :meth:`from_config`; implements the enricher's tagger."""

    def __init__(self, program: Program, bits: Mapping[str, int]) -> None:
        self.program = program
        self.scope: Scope = program.scope
        self.bits = dict(bits)
        config = {
            "edition": 1,
            "sources": {s.name: s.text for s in program.sources},
            "chips": self.bits,
        }
        self.config_json = json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        self.checksum = hashlib.sha256(self.config_json.encode()).hexdigest()
        self.version = self.checksum[:12]
        self.params: dict[str, Value] = {name: info.value for name, info in program.scope.params.items()}
        self.chips = tuple(self._chip(rule) for rule in program.chips)
        self._by_id = {chip.id: chip for chip in self.chips}
        self.known_mask = sum(1 << chip.bit for chip in self.chips)
        self.score: DerivedField | None = next((f for f in program.fields if f.meta.provides == "sig_score"), None)
        self.tag: Callable[[list[Any]], None] = _compile_tag(self)

    @classmethod
    def from_config(cls, config_json: str, checksum: str | None = None) -> Bundle:
        """A bundle from a stored config; ValueError when it does not match its checksum or no longer compiles."""
        if checksum is not None and hashlib.sha256(config_json.encode()).hexdigest() != checksum:
            raise ValueError("the stored rule version does not match its checksum: restore it from a backup")
        config = json.loads(config_json)
        sources = [Source(name, text) for name, text in sorted(config["sources"].items())]
        bundle, found = compile_bundle(sources, config["chips"])
        if bundle is None:
            first = next(d for d in found if d.severity == "error")
            raise ValueError(f"the stored rule version no longer compiles: {first.code} {first.message}")
        return bundle

    # -- what the enricher asks

    @property
    def aa_floor(self) -> int:
        """Least distance above the ask for AA, money units."""
        return int(self.params["aa_floor"] or 0)

    @property
    def aa_spread(self) -> Fraction:
        """Distance above the ask for AA as an exact share of the spread."""
        exact = self.scope.params["aa_spread"].exact
        assert exact is not None
        return exact / 100

    @property
    def packages_are_neutral(self) -> bool:
        """Whether multi-leg, stock-tied and cross prints carry no sentiment."""
        return bool(self.params["packages_are_neutral"])

    # -- what the API asks

    @property
    def score_label(self) -> str:
        """Name of the active score model."""
        return self.score.label if self.score else ""

    def chip(self, name: str) -> Chip | None:
        """A chip by id, label or alias, any case."""
        return self._by_id.get(self.scope.chips.get(name.strip().lower(), ""))

    def suggest_chip(self, name: str) -> str | None:
        """Id of the chip whose name is most like a misspelt one."""
        near = closest(name, self.scope.chips)
        return self.scope.chips[near] if near else None

    def ids(self, mask: int) -> list[str]:
        """Ids of the chips whose bits are set, in bit order."""
        return [chip.id for chip in self.chips if mask >> chip.bit & 1]

    def _chip(self, rule: ChipRule) -> Chip:
        core = rule.body.core
        names = sorted({x.name for x in c.walk(core) if isinstance(x, c.Param)})
        return Chip(
            rule.id, rule.label, rule.aliases, rule.group, rule.meta.doc, self.bits[rule.id], rule.body.text,
            say(rule.body.node, self.scope), tuple(sorted(c.reads(core))),
            {name: _display(self.scope.params[name]) for name in names}, core,
        )  # fmt: skip


def _display(info: ParamInfo) -> float | bool:
    """A param's value as people write it: dollars for money."""
    if isinstance(info.value, bool):
        return info.value
    assert info.exact is not None
    return int(info.exact) if info.exact.denominator == 1 else float(info.exact)


def read_rules(paths: Sequence[Path] | None = None) -> list[Source]:
    """Rule files as sources, sorted by name; folders give their ``*.phx``.

    Raises OSError as it comes, and ValueError naming each file that is not UTF-8 and where.
    """
    roots = [packaged("rules")] if paths is None else list(paths)
    files: list[tuple[str, Path]] = []
    for root in roots:
        if root.is_dir():
            files += [(p.relative_to(root).as_posix() if paths is None else str(p), p) for p in root.rglob("*.phx")]
        else:
            files.append((str(root), root))
    sources: list[Source] = []
    broken: list[str] = []
    for name, path in sorted(set(files)):
        data = path.read_bytes()
        try:
            text = data.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            line = data.count(b"\n", 0, error.start) + 1
            broken.append(f"{name}:{line}: byte 0x{data[error.start]:02x} is not UTF-8: save the file as UTF-8")
        else:
            sources.append(Source(name, text.replace("\r\n", "\n").replace("\r", "\n")))
    if broken:
        raise ValueError("\n".join(broken))
    return sources


def load_bundle(paths: Sequence[Path] | None = None) -> tuple[Bundle | None, tuple[Diagnostic, ...]]:
    """Compile the packaged rules, or those at ``paths``; None with findings when any is an error."""
    return compile_bundle(read_rules(paths))


def compile_bundle(
    sources: Iterable[Source], bits: Mapping[str, int] | None = None
) -> tuple[Bundle | None, tuple[Diagnostic, ...]]:
    """Compile sources; chips keep the bits they have in ``bits``, new ones take the next free."""
    program, found = compile_program(tuple(sources), CATALOG)
    missing = [name for name, kind in _REQUIRED.items() if _kind_of(program.scope, name) is not kind]
    if missing and program.sources:
        first = program.sources[0]
        found += tuple(
            diagnostic("PHX103", f"the enricher reads the param `{name}`, and there is none of type {_REQUIRED[name]}",
                       Span(0, 0), first, help="keep params.phx among the rules")
            for name in missing
        )  # fmt: skip
    if has_errors(found) or not program.sources:
        return None, found
    taken = dict(bits or {})
    for rule in program.chips:
        if rule.id not in taken:
            taken[rule.id] = max(taken.values(), default=-1) + 1
    if len(taken) > 62:
        first = program.sources[0]
        return None, (*found, diagnostic("PHX004", f"{len(taken)} chips; a row stores 62", Span(0, 0), first))
    return Bundle(program, taken), found


def _kind_of(scope: Scope, name: str) -> Kind | None:
    info = scope.params.get(name)
    return info.kind if info else None


def _compile_tag(bundle: Bundle) -> Callable[[list[Any]], None]:
    """One generated function that writes score and chips into a stored row."""
    ordered = _by_reference(bundle.chips)
    known = {name for chip in ordered for name in c.reads(chip.core)} | {"cancel_record", "compression"}
    if bundle.score:
        known |= c.reads(bundle.score.core)
    known.discard("sig_score")
    local = {name: f"f_{name}" for name in sorted(known)}
    names = Names(
        field=lambda name: "score" if name == "sig_score" else local[name],
        chip_true=lambda chip: f"(on & {1 << bundle.bits[chip]})",
        chip_false=lambda chip: f"(known & ~on & {1 << bundle.bits[chip]})",
        params=bundle.params,
    )
    lines = ["def tag(row):"]
    lines += [f"    {variable} = {BY_NAME[name].source}" for name, variable in local.items()]
    lines.append(f"    row[{INDEX['rule_version']}] = version")
    score = bundle.score
    lines.append(f"    score = {value(score.core, names) if score else None}")
    lines.append(f"    row[{INDEX['sig_score']}] = score")
    inputs = tuple(sorted(n for n in c.reads(score.core) if BY_NAME[n].nullable)) if score else ()
    lines += [
        "    if score is None:",
        f"        row[{INDEX['score_quality']}] = 'partial'",
        f"        row[{INDEX['missing_metrics']}] = ','.join([n for n, i in inputs if row[i] is None])",
        "    else:",
        f"        row[{INDEX['score_quality']}] = 'complete'",
        f"        row[{INDEX['missing_metrics']}] = ''",
        "    if f_cancel_record or f_compression:",
        f"        row[{INDEX['chips_set']}] = 0",
        f"        row[{INDEX['chips_known']}] = {bundle.known_mask}",
        "        return",
        "    on = 0",
        f"    known = {bundle.known_mask}",
    ]
    lines += _chip_lines(ordered, names)
    lines += [f"    row[{INDEX['chips_set']}] = on", f"    row[{INDEX['chips_known']}] = known"]
    space: dict[str, Any] = {
        **names.constants, "version": bundle.version, "inputs": tuple((n, INDEX[n]) for n in inputs),
    }  # fmt: skip
    # The source is generated from a checked tree: names of the catalog, literals as constants.
    exec(compile("\n".join(lines), f"<rules {bundle.version}>", "exec"), space)  # noqa: S102
    tag: Callable[[list[Any]], None] = space["tag"]
    return tag


def _chip_lines(chips: Sequence[Chip], names: Names) -> list[str]:
    """Chips decided by the same nullable fields share one look at them.

    On a row that knows them each chip is one plain condition; only elsewhere are both rails asked.
    """
    groups: dict[tuple[str, ...], list[Chip]] = {}
    for chip in chips:
        plain = not c.nullable(c.assume_known(chip.core))
        unsure = tuple(sorted(n for n in c.reads(chip.core) if BY_NAME[n].nullable))
        groups.setdefault(unsure if plain else (chip.id,), []).append(chip)
    lines = []
    for unsure, members in groups.items():
        rails = []
        for chip in members:
            mask = 1 << chip.bit
            rails.append(f"    if {true_rail(chip.core, names)}: on |= {mask}")
            if c.nullable(chip.core):
                rails.append(f"    elif not {false_rail(chip.core, names)}: known ^= {mask}")
        if unsure and unsure[0] in BY_NAME:
            lines.append(f"    if {' and '.join(f'{names.field(n)} is not None' for n in unsure)}:")
            sure = ((1 << chip.bit, c.assume_known(chip.core)) for chip in members)
            lines += [f"        if {true_rail(core, names)}: on |= {mask}" for mask, core in sure]
            lines += ["    else:", *(f"    {line}" for line in rails)]
        else:
            lines += rails
    return lines


def _by_reference(chips: Sequence[Chip]) -> list[Chip]:
    """Chips so that each follows those it refers to; the compiler has refused circles."""
    by_id = {chip.id: chip for chip in chips}
    out: dict[str, Chip] = {}

    def place(chip: Chip) -> None:
        if chip.id not in out:
            for node in c.walk(chip.core):
                if isinstance(node, c.Chip):
                    place(by_id[node.id])
            out[chip.id] = chip

    for chip in chips:
        place(chip)
    return list(out.values())
