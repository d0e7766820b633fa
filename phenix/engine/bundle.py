"""Rule files to an immutable bundle: checked, hashed, compiled, ready to tag rows.

A bundle is what a rule version is made of. Its canonical config holds the statements of each rule
file, one a line as the printer writes them, the bit of each chip, and a hash of the catalog they were
checked against; the checksum is the SHA-256 of that config, so equal rules over equal fields have equal
versions whatever their layout and comments.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import copy
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl import nodes as n
from phenix.dsl.compiler import compile_program
from phenix.dsl.diagnostics import Diagnostic, closest, diagnostic, has_errors
from phenix.dsl.parser import Parsed, parse_expression, parse_file
from phenix.dsl.printer import print_line
from phenix.dsl.program import ChipRule, DerivedField, Program
from phenix.dsl.scope import ParamInfo, Scope
from phenix.dsl.source import Source, Span, packaged
from phenix.dsl.types import Kind, Value
from phenix.engine.flow import CATALOG, meaning
from phenix.engine.rollout import Rollout, State
from phenix.engine.tagger import compile_tagger
from phenix.engine.targets.english import say

__all__ = ["MOST_CHIPS", "REQUIRED", "Bundle", "Chip", "compile_bundle", "display", "load_bundle", "read_rules"]

REQUIRED: Final = {"aa_floor": Kind.MONEY, "aa_spread": Kind.PERCENT, "packages_are_neutral": Kind.BOOL}
"""Params the enricher reads by name."""
MOST_CHIPS: Final = 62
"""Chips a row has bits for."""
_EDITION: Final = 1
"""Of the canonical config."""


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

    def __init__(self, program: Program, bits: Mapping[str, int], stored: str | None = None) -> None:
        self.program = program
        self.scope: Scope = program.scope
        self.bits = dict(bits)
        # A stored version keeps its identity, whatever the printer that wrote its config was like.
        self.config_json = _config(program, self.bits) if stored is None else stored
        self.checksum = hashlib.sha256(self.config_json.encode()).hexdigest()
        self.version = self.checksum[:12]
        self.params: dict[str, Value] = {name: info.value for name, info in program.scope.params.items()}
        self._labels = {rule.id: rule.label for rule in program.chips}
        self.chips = tuple(self._chip(rule) for rule in program.chips)
        self._by_id = {chip.id: chip for chip in self.chips}
        self.rollout = Rollout()
        self.known_mask = sum(1 << chip.bit for chip in self.chips)
        self.score: DerivedField | None = next((f for f in program.fields if f.meta.provides == "sig_score"), None)

    @classmethod
    def from_config(cls, config_json: str, checksum: str | None = None) -> Bundle:
        """A bundle from a stored config.

        Raises ValueError when it does not match its checksum, is of another edition or no longer compiles.
        """
        if checksum is not None and hashlib.sha256(config_json.encode()).hexdigest() != checksum:
            raise ValueError("the stored rule version does not match its checksum: restore it from a backup")
        try:
            sources, bits = _read_config(config_json)
            files = [_file(name, text) for name, text in sorted(sources.items())]
            parsed = {id(source): statements for source, statements in files}
            bundle, found = compile_bundle(
                [source for source, _ in files], bits, config_json, lambda source: parsed[id(source)]
            )
        except RecursionError:
            raise ValueError("the stored rule version is nested too deeply for this program") from None
        if bundle is None:
            said = next((f"{d.code} {d.message}" for d in found if d.severity == "error"), "it holds no rules")
            raise ValueError(f"the stored rule version no longer compiles: {said}")
        return bundle

    @cached_property
    def tag(self) -> Callable[[Iterable[list[Any]]], None]:
        """A function that writes score and chips into stored rows; compiled when it is first asked for."""
        score = self.score.core if self.score else None
        return compile_tagger(self.chips, score, self.params, self.version)

    def rolled_out(self, rollout: Rollout) -> Bundle:
        """The same rules, of which as many chips are served as a rollout says."""
        other = copy(self)
        other.rollout = rollout
        return other

    def with_params(self, values: Mapping[str, str]) -> Bundle | tuple[Diagnostic, ...]:
        """The same rules with other values of some params, written as in a rule file; or what is wrong with them."""
        names = {node.name: (one.source.name, node.value.span) for one in self.program.statements
                 if isinstance(node := one.node, n.ParamStatement)}  # fmt: skip
        texts = {source.name: source.text for source in self.program.sources}
        places: list[tuple[str, Span, str]] = []
        for name, value in values.items():
            if (place := names.get(name)) is None:
                near = closest(name, names)
                return (
                    diagnostic(
                        "PHX103",
                        f"there is no param `{name}`",
                        Span(0, len(name)),
                        Source("params", name),
                        help=f"did you mean `{near}`?" if near else f"params: {', '.join(sorted(names))}",
                    ),
                )
            source, span = place
            if not _is_literal(value.strip()):
                was = texts[source][span.start : span.end]
                message = f"the value of `{name}` must be one literal, such as `{was}`"
                return (diagnostic("PHX101", message, Span(0, len(value)), Source("params", value)),)
            places.append((source, span, value.strip()))
        for source, span, value in sorted(places, reverse=True):
            texts[source] = f"{texts[source][: span.start]}{value}{texts[source][span.end :]}"
        bundle, found = compile_bundle([Source(name, text) for name, text in texts.items()], self.bits)
        return tuple(one for one in found if one.severity == "error") if bundle is None else bundle

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
    def served(self) -> tuple[Chip, ...]:
        """The chips that are rolled out."""
        return tuple(chip for chip in self.chips if self.rollout.state(chip.id) is State.ON)

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
            say(rule.body.node, self.scope, self._labels), tuple(sorted(c.reads(core))),
            {name: display(self.scope.params[name]) for name in names}, core,
        )  # fmt: skip


def _config(program: Program, bits: Mapping[str, int]) -> str:
    lines: dict[str, list[str]] = {source.name: [] for source in program.sources}
    for one in program.statements:
        lines[one.source.name].append(print_line(one.node))
    said = {name: "\n".join(statements) for name, statements in lines.items()}
    config = {"edition": _EDITION, "catalog": meaning(), "sources": said, "chips": bits}
    return json.dumps(config, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _read_config(config_json: str) -> tuple[dict[str, str], dict[str, int]]:
    """The sources of a stored config and the bits of its chips. Raises ValueError in words."""
    try:
        config = json.loads(config_json)
    except ValueError as error:
        raise ValueError(f"the stored rule version is no JSON: {error}") from None
    match config:
        case {"edition": edition} if edition != _EDITION:
            raise ValueError(
                f"the stored rule version was written by a later version of Phenix (edition {edition}, this one reads"
                f" {_EDITION}): run that version"
            )
        case {"edition": _, "sources": dict(sources), "chips": dict(bits)}:
            if {*map(type, sources.values())} <= {str} and {*map(type, bits.values())} <= {int}:
                return sources, bits
    raise ValueError(
        "the stored rule version lacks its edition, its sources or the bits of its chips: it was written by a later"
        " version of Phenix, or by hand"
    )


def _is_literal(text: str) -> bool:
    """Whether a text is a literal and nothing beside it: a comment would hide what follows in its rule file."""
    node, _ = parse_expression(Source("params", text))
    if isinstance(node, n.Negate) and node.span == Span(0, len(text)):
        return isinstance(node.operand, n.Number)
    return isinstance(node, n.Number | n.Constant) and node.span == Span(0, len(text))


def display(info: ParamInfo) -> float | bool:
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
    sources: Iterable[Source],
    bits: Mapping[str, int] | None = None,
    stored: str | None = None,
    parse: Callable[[Source], Parsed] = parse_file,
) -> tuple[Bundle | None, tuple[Diagnostic, ...]]:
    """Compile sources; chips keep the bits they have in ``bits``, new ones take the next free.

    ``stored`` is the config these came from, which the bundle then keeps.
    """
    program, found = compile_program(tuple(sources), CATALOG, parse)
    missing = [name for name, kind in REQUIRED.items() if _kind_of(program.scope, name) is not kind]
    if missing and program.sources:
        first = program.sources[0]
        found += tuple(
            diagnostic("PHX103", f"the enricher reads the param `{name}`, and there is none of type {REQUIRED[name]}",
                       Span(0, 0), first, help="keep params.phx among the rules")
            for name in missing
        )  # fmt: skip
    if has_errors(found) or not program.sources:
        return None, found
    taken = dict(bits or {})
    for rule in program.chips:
        if rule.id not in taken:
            taken[rule.id] = max(taken.values(), default=-1) + 1
    if max(taken.values(), default=-1) >= MOST_CHIPS:
        return None, (*found, _too_many(program, taken))
    return Bundle(program, taken, stored), found


def _too_many(program: Program, taken: Mapping[str, int]) -> Diagnostic:
    """More chips than a row has bits for; those of earlier versions keep theirs, for their rows are there."""
    own = {rule.id for rule in program.chips}
    others = len({bit for chip, bit in taken.items() if chip not in own})
    message, wish = f"{len(own)} chips; a row stores {MOST_CHIPS}", "leave chips out"
    if others:
        message += f", and {others} bits are taken by other chips, of versions stored before"
        wish += (
            ", or give new ones the ids of such that no version will have again: an id keeps its bit; a new store"
            " begins with all bits free"
        )
    return diagnostic("PHX004", message, Span(0, 0), program.sources[0], help=wish)


@lru_cache(maxsize=32)
def _file(name: str, text: str) -> tuple[Source, Parsed]:
    """A file of a stored version, as parsed: most versions differ in one of theirs from the one before."""
    source = Source(name, text)
    return source, parse_file(source)


def _kind_of(scope: Scope, name: str) -> Kind | None:
    info = scope.params.get(name)
    return info.kind if info else None
