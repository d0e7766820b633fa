"""Tagging: a bundle's score and chips as one generated function over stored rows.

Most prints are small and plain, and most chips are off. So the function asks first what settles
many chips at once: a value of few kinds (the side, the right) is looked up once for all chips that
read nothing else; chips that need a field at least so large stand under one ``if``, stricter ones
inside it; chips unsettled by the same nulls share one look at them. What is read of a row is read
where it is first needed, and once.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

from phenix.dsl import core as c
from phenix.dsl.passes import normalize
from phenix.dsl.types import TEXTUAL, UNORDERED, Kind, Value
from phenix.engine.flow import BY_NAME, INDEX, Part
from phenix.engine.targets.reference import evaluate, settle
from phenix.engine.targets.row import Names, false_rail, true_rail, value

__all__ = ["BEFORE", "Tag", "by_reference", "compile_tagger"]

BEFORE: Final = -1
"""Seq as of which nothing is cancelled: a cancel comes after the print it takes back."""
_DEEPEST: Final = 8
"""Most thresholds of one field inside each other; further ones stand side by side."""


class Tag(Protocol):
    """A chip: what it is called, where it is stored, what it means."""

    @property
    def id(self) -> str: ...
    @property
    def bit(self) -> int: ...
    @property
    def core(self) -> c.Core: ...


@dataclass(frozen=True, slots=True)
class _Rule:
    """A chip, or what is left to ask of it: its mask and its condition."""

    mask: int
    core: c.Core


def compile_tagger(
    chips: Sequence[Tag], score: c.Core | None, params: Mapping[str, Value], version: str
) -> Callable[[Iterable[list[Any]]], None]:
    """A function that writes score and chips into stored rows.

    Cancel records and compression prints have no chips; every one is decided, and off. Nothing is
    cancelled when it is tagged: a cancel comes after the print it takes back.
    """
    bits = {chip.id: chip.bit for chip in chips}
    rules = [_Rule(1 << chip.bit, normalize(chip.core)) for chip in by_reference(chips)]
    if score is None:
        rules = [_Rule(rule.mask, _lacking(rule.core, "sig_score", params)) for rule in rules]
    known = sum(rule.mask for rule in rules)
    names = Names(
        field=lambda name: "score" if name == "sig_score" else f"f_{name}",
        chip_true=lambda chip: f"(on & {1 << bits[chip]})",
        chip_false=lambda chip: f"(known & ~on & {1 << bits[chip]})",
        params=params,
    )
    names.constants["version"] = version
    lines = [
        f"row[{INDEX['rule_version']}] = version",
        *_scored(score, names),
        f"if row[{INDEX['cancel_record']}] or row[{INDEX['compression']}]:",
        f"    row[{INDEX['chips_set']}] = 0",
        f"    row[{INDEX['chips_known']}] = {known}",
        "    continue",
        f"known = {known}",
        *_decided(rules, names),
        f"row[{INDEX['chips_set']}] = on",
        f"row[{INDEX['chips_known']}] = known",
    ]
    for spelling, source in ((_CONVERTED, _conversion), (_FIELD, _field)):
        lines = _read_once(lines, spelling, source)
    # Constants are given as arguments: a function's own variables are its fastest.
    given = "".join(f", {name}={name}" for name in names.constants)
    head = [f"def tag(rows, *, as_of={BEFORE}{given}):", "    for row in rows:"]
    text = "\n".join([*head, *(f"        {line}" for line in lines)])
    space = dict(names.constants)
    # The source is generated from checked trees: names of the catalog, literals as constants.
    exec(compile(text, f"<rules {version}>", "exec"), space)  # noqa: S102
    tag: Callable[[Iterable[list[Any]]], None] = space["tag"]
    return tag


def _scored(score: c.Core | None, names: Names) -> Iterator[str]:
    """Lines that compute the score and say what it lacks."""
    slot, quality, missing = (INDEX[name] for name in ("sig_score", "score_quality", "missing_metrics"))
    if score is None:
        yield f"row[{slot}] = None"
        yield f"row[{quality}] = 'partial'"
        yield f"row[{missing}] = ''"
        return
    score = normalize(score)
    read = sorted(c.reads(score))
    inputs = names.constant(tuple((n, INDEX[n]) for n in read if n in INDEX and BY_NAME[n].nullable))
    yield f"row[{slot}] = score = {value(score, names)}"
    yield "if score is None:"
    yield f"    row[{quality}] = 'partial'"
    yield f"    row[{missing}] = ','.join([n for n, i in {inputs} if row[i] is None])"
    yield "else:"
    yield f"    row[{quality}] = 'complete'"
    yield f"    row[{missing}] = ''"


def by_reference(chips: Sequence[Tag]) -> list[Tag]:
    """Chips so that each follows those it refers to; the compiler has refused circles."""
    by_id = {chip.id: chip for chip in chips}
    out: dict[str, Tag] = {}

    def place(chip: Tag) -> None:
        if chip.id not in out:
            for id_ in _referred(chip.core):
                place(by_id[id_])
            out[chip.id] = chip

    for chip in chips:
        place(chip)
    return list(out.values())


def _referred(core: c.Core) -> list[str]:
    return [node.id for node in c.walk(core) if isinstance(node, c.Chip)]


# -- what is read of a row

_QUOTED: Final = r"'(?:[^'\\]|\\.)*'|\"(?:[^\"\\]|\\.)*\""
"""A text literal: what looks like a name in it is none."""
_FIELD: Final = re.compile(rf"{_QUOTED}|\b(f_\w+)")
_CONVERTED: Final = re.compile(rf"{_QUOTED}|(\(f_\w+ / [\d.]+\))")


def _field(text: str) -> tuple[str, str]:
    return text, BY_NAME[text[2:]].source


def _conversion(text: str) -> tuple[str, str]:
    """A whole number as a double, which is kept only where the number is never null."""
    never_null = not BY_NAME[text[3:].split(maxsplit=1)[0]].nullable
    return ("real" + re.sub(r"\W+", "_", text) if never_null else text), text


def _read_once(lines: Sequence[str], spelling: re.Pattern[str], source: Callable[[str], tuple[str, str]]) -> list[str]:
    """Lines that compute once what they say more than once, just before the first of them, in the block of all.

    ``source`` gives the variable for a text that ``spelling`` finds, and what the variable holds.
    """
    said: dict[str, list[int]] = {}
    for at, line in enumerate(lines):
        for found in filter(None, spelling.findall(line)):
            said.setdefault(found, []).append(at)
    spelt: dict[tuple[int, str], str] = {}
    before: dict[int, list[str]] = {}
    for text, places in said.items():
        variable, what = source(text)
        for start, inside in _blocks(lines, 0, len(lines), places):
            once = len(inside) == 1 or variable == what
            spelt |= {(at, text): what if once else variable for at in inside}
            if not once:
                before.setdefault(start, []).append(f"{' ' * _depth(lines[start])}{variable} = {what}")
    out: list[str] = []
    for at, line in enumerate(lines):
        out += before.get(at, [])
        out.append(spelling.sub(lambda found, at=at: spelt[at, found[1]] if found[1] else found[0], line))  # type: ignore[misc] # mypy infers no lambda with defaults
    return out


def _blocks(lines: Sequence[str], first: int, end: int, places: Sequence[int]) -> Iterator[tuple[int, list[int]]]:
    """Of those lines of a block the statement that all follow from; branches of one ``if`` are blocks of their own."""
    depth = _depth(lines[first])
    heads = [at for at in range(first, end) if _depth(lines[at]) == depth]
    starts = [at for at in heads if not lines[at].lstrip().startswith(("elif", "else"))]
    start = max(at for at in starts if at <= places[0])
    last = max(at for at in starts if at <= places[-1])
    if start != last or any(at in heads for at in places):
        yield start, list(places)
        return
    for head, following in zip(heads, (*heads[1:], end), strict=True):
        if inside := [at for at in places if head < at < following]:
            yield from _blocks(lines, head + 1, following, inside)


def _depth(line: str) -> int:
    return len(line) - len(line.lstrip())


# -- which chips are decided together


def _decided(rules: Sequence[_Rule], names: Names) -> Iterator[str]:
    """Lines that set ``on`` and clear ``known``; chips that refer to others come last, each after those."""
    rest = [rule for rule in rules if not _referred(rule.core)]
    last = [rule for rule in rules if _referred(rule.core)]
    masks, unknown = [], []
    for field in _small_fields(rest):
        members = [rule for rule in rest if c.reads(rule.core) == {field}]
        rest = [rule for rule in rest if rule not in members]
        mask, open_ = _by_word(field, members, names)
        masks.append(mask)
        unknown += open_
    yield f"on = {' | '.join(masks) or '0'}"
    yield from unknown
    while (gate := _widest_gate(rest, names)) is not None:
        rest = [rule for rule in rest if rule not in gate.members]
        yield from _gated(gate, names)
    groups: dict[tuple[str, ...], list[_Rule]] = {}
    for rule in rest:
        groups.setdefault(_unsettling(rule.core), []).append(rule)
    for unsure, members in groups.items():
        yield from _settled(unsure, members, names)
    for rule in last:
        yield from _asked([rule], names)


def _asked(rules: Sequence[_Rule], names: Names) -> Iterator[str]:
    """Both rails of each condition; those that are decided come first and together."""
    for answer, line in ((True, "on |= {}"), (None, "known ^= {}")):
        if mask := sum(rule.mask for rule in rules if isinstance(rule.core, c.Const) and rule.core.value is answer):
            yield line.format(mask)
    for rule in rules:
        if isinstance(rule.core, c.Const):
            continue
        if not c.nullable(rule.core):
            yield from _plainly(rule, names)
        elif isinstance(rule.core, c.And) and any(isinstance(part, c.Const) for part in rule.core.args):
            open_ = c.And(tuple(part for part in rule.core.args if not isinstance(part, c.Const)))  # unknown or false
            yield f"if not {false_rail(open_, names)}: known ^= {rule.mask}"
        else:
            yield f"if {true_rail(rule.core, names)}: on |= {rule.mask}"
            yield f"elif not {false_rail(rule.core, names)}: known ^= {rule.mask}"


def _plainly(rule: _Rule, names: Names) -> Iterator[str]:
    """A condition that is never unknown; of an ``and`` the parts that cost most are asked last, and read for last."""
    parts = rule.core.args if isinstance(rule.core, c.And) else (rule.core,)
    dear = [part for part in parts if any(BY_NAME[name].part is Part.DERIVED for name in c.reads(part))]
    cheap = sorted((part for part in parts if part not in dear), key=_is_textual)
    depth = ""
    for some in filter(None, (cheap, dear)):
        yield f"{depth}if {true_rail(c.And(tuple(some)) if len(some) > 1 else some[0], names)}:"
        depth += "    "
    yield f"{depth}on |= {rule.mask}"


def _is_textual(part: c.Core) -> bool:
    return any(BY_NAME[name].type.kind in TEXTUAL for name in c.reads(part))


# -- a field of few values


def _small_fields(rules: Sequence[_Rule]) -> list[str]:
    """Enums that several chips read alone."""
    alone = [next(iter(read)) for rule in rules if len(read := c.reads(rule.core)) == 1]
    return sorted({n for n in alone if alone.count(n) > 1 and BY_NAME[n].type.kind is Kind.ENUM})


def _by_word(field: str, rules: Sequence[_Rule], names: Names) -> tuple[str, list[str]]:
    """Source of the bits that a field's word sets, and lines for those a null leaves open."""

    def mask(word: Value, answer: bool | None) -> int:
        def given(rule: _Rule) -> Value:
            return evaluate(rule.core, lambda _: word, names.params, lambda _: None)

        return sum(rule.mask for rule in rules if given(rule) is answer)

    text = names.field(field)
    other = mask("", True)  # of a word that is no member
    tests = {f"{text} == {names.constant(word)}": mask(word, True) for word in BY_NAME[field].type.members}
    unknown = 0
    if BY_NAME[field].nullable:
        tests = {f"{text} is None": mask(None, True)} | tests
        unknown = mask(None, None)
    chain = "".join(f"{bits} if {test} else " for test, bits in tests.items() if bits != other)
    return f"({chain}{other})", [f"if {text} is None: known ^= {unknown}"] if unknown else []


# -- thresholds of one field


@dataclass(frozen=True, slots=True)
class _Gate:
    """Chips that are off unless a field, never null, reaches a threshold; weakest first."""

    text: str
    upward: bool
    members: tuple[_Rule, ...]
    thresholds: tuple[tuple[Any, bool], ...]
    """Of each member: its literal, and whether the literal itself is left out."""
    rests: tuple[_Rule, ...]
    """What is left to ask of each member."""


def _widest_gate(rules: Sequence[_Rule], names: Names) -> _Gate | None:
    """The field and direction that most chips wait for; None when none serves two."""
    found: dict[tuple[str, bool], dict[_Rule, tuple[tuple[Any, bool], c.Core]]] = {}
    for rule in rules:
        for part in rule.core.args if isinstance(rule.core, c.And) else (rule.core,):
            if (threshold := _threshold(part, names.params)) is not None:
                field, upward, limit = threshold
                found.setdefault((field, upward), {}).setdefault(rule, (limit, part))
    if not found:
        return None
    (field, upward), members = max(found.items(), key=lambda item: len(item[1]))
    if len(members) < 2:
        return None
    sign = 1 if upward else -1
    ordered = sorted(members.items(), key=lambda item: (sign * item[1][0][0], item[1][0][1]))
    return _Gate(
        names.field(field), upward, tuple(rule for rule, _ in ordered), tuple(limit for _, (limit, _) in ordered),
        tuple(_without(rule, part) for rule, (_, part) in ordered),
    )  # fmt: skip


def _threshold(node: c.Core, params: Mapping[str, Value]) -> tuple[str, bool, tuple[Any, bool]] | None:
    """``(field, upward, (limit, strict))`` of a comparison of a field that is never null."""
    if not isinstance(node, c.Compare) or node.op in ("=", "!=") or not isinstance(node.left, c.Field):
        return None
    if node.left.nullable or node.left.kind in UNORDERED or not isinstance(node.right, c.Const | c.Param):
        return None
    limit = params[node.right.name] if isinstance(node.right, c.Param) else node.right.value
    return node.left.name, node.op in (">", ">="), (limit, node.op in ("<", ">"))


def _without(rule: _Rule, part: c.Core) -> _Rule:
    rest = tuple(x for x in rule.core.args if x is not part) if isinstance(rule.core, c.And) else ()
    return _Rule(rule.mask, rest[0] if len(rest) == 1 else c.And(rest) if rest else c.TRUE)


def _gated(gate: _Gate, names: Names) -> Iterator[str]:
    depth = 0
    previous: tuple[Any, bool] | None = None
    for limit, rest in zip(gate.thresholds, gate.rests, strict=True):
        if limit != previous:
            if depth < _DEEPEST:
                depth += 1
            op = (">" if gate.upward else "<") + ("" if limit[1] else "=")
            yield f"{'    ' * (depth - 1)}if {gate.text} {op} {names.constant(limit[0])}:"
            previous = limit
        yield from (f"{'    ' * depth}{line}" for line in _asked([rest], names))


# -- nulls


def _unsettling(core: c.Core) -> tuple[str, ...]:
    """Fields whose nulls alone leave a condition open."""
    if c.nullable(c.assume_known(core)):  # so does a division by zero
        return ()
    return tuple(sorted(name for name in c.reads(core) if BY_NAME[name].nullable))


def _settled(unsure: tuple[str, ...], rules: Sequence[_Rule], names: Names) -> Iterator[str]:
    """Where these fields are known each chip is one plain condition; only elsewhere are both rails asked."""
    if not unsure:
        yield from _asked(rules, names)
        return
    yield f"if {' and '.join(f'{names.field(name)} is not None' for name in unsure)}:"
    for rule in rules:
        yield from (f"    {line}" for line in _plainly(_Rule(rule.mask, c.assume_known(rule.core)), names))
    if len(unsure) == 1:
        rules = [_Rule(rule.mask, _lacking(rule.core, unsure[0], names.params)) for rule in rules]
    if lines := [f"    {line}" for line in _asked(rules, names)]:  # chips that are plainly off leave nothing to do
        yield "else:"
        yield from lines


def _lacking(core: c.Core, field: str, params: Mapping[str, Value]) -> c.Core:
    """What a condition comes to on rows without a field."""

    def without(node: c.Core) -> c.Core:
        if isinstance(node, c.Field) and node.name == field:
            return c.Const(node.kind, None)
        return c.rebuild(node, without)

    return normalize(settle(without(core), params))
