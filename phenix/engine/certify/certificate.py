"""The certificate of a bundle: random rules on random rows, every target asked, every answer compared.

A rule is asked on each target for its three-valued answers, as it was checked and in normal form, and as a filter for
the three parts of the rows: where it holds, where its opposite holds, where neither is known. The reference
interpreter, which reads the tree as it was checked, says what is right. Beside the rules drawn, each set of definitions
brings its own chips, fields and tags, those of the bundle among them.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

from phenix.dsl import core as c
from phenix.dsl.compiler import compile_condition
from phenix.dsl.diagnostics import has_errors
from phenix.dsl.passes import normalize
from phenix.dsl.source import Source
from phenix.dsl.types import Value
from phenix.engine.block_tagger import compile_block_tagger
from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle, compile_bundle
from phenix.engine.certify.engines import DERIVED, Engine
from phenix.engine.certify.rows import draw_rows, plain
from phenix.engine.certify.rules import REFUSALS, RandomRules
from phenix.engine.certify.shrink import shrink
from phenix.engine.flow import INDEX, STORED, Row
from phenix.engine.targets.reference import evaluate

__all__ = ["QUESTIONS", "Certificate", "Mismatch", "Question", "certify", "compare", "define"]

_RULES: Final = 50
"""Rules asked together on the same rows."""
_ROWS: Final = 100
_AS_OF: Final = 50
_AT_TAGGING: Final = -1
"""A print is tagged before any cancel can come."""
_DEFINITIONS: Final = 3
"""Of each sort, drawn anew every few rounds."""
_ROUNDS_A_SCOPE: Final = 5


@dataclass(frozen=True, slots=True)
class Question:
    """One way to ask a rule: the tree asked about, and what is right by the rule's own answer."""

    name: str
    tree: Callable[[c.Core], c.Core]
    right: Callable[[bool | None], bool | None]
    filters: bool
    """Asked as a filter, not for three values."""


QUESTIONS: Final = (
    Question("its answer", lambda core: core, lambda answer: answer, filters=False),
    Question("its answer in normal form", normalize, lambda answer: answer, filters=False),
    Question("where it holds", lambda core: core, lambda answer: answer is True, filters=True),
    Question("where its opposite holds", c.Not, lambda answer: answer is False, filters=True),
    Question("where neither is known", lambda core: c.Is(core, None), lambda answer: answer is None, filters=True),
)


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A target that answered otherwise than the reference: the smallest rule and row found, and the rule as drawn."""

    target: str
    question: str
    rule: str
    row: Mapping[str, Value]
    """What the rule reads of the row, in stored units."""
    expected: str
    found: str
    drawn: str
    definitions: tuple[str, ...] = ()


@dataclass(slots=True)
class Certificate:
    """What was compared, on what, and what came of it."""

    phenix: str
    bundle: str
    checksum: str
    seed: int
    targets: dict[str, str] = field(default_factory=dict)
    skipped: dict[str, str] = field(default_factory=dict)
    rules: int = 0
    refused: int = 0
    """Texts drawn that the checker refuses, for their bounds mostly."""
    rows: int = 0
    pairs: int = 0
    chips: int = 0
    """Chips, fields and scores asked beside the rules."""
    answers: int = 0
    """Answers compared with the reference's, of all targets and questions."""
    mismatches: list[Mismatch] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def clean(self) -> bool:
        """Whether every target agreed."""
        return not self.mismatches

    def to_dict(self) -> dict[str, Any]:
        """As JSON."""
        return asdict(self)

    def text(self) -> str:
        """As people read it."""
        targets = ", ".join(f"{name} ({version})" for name, version in self.targets.items())
        lines = [
            f"bundle {self.bundle}, checksum {self.checksum}",
            f"phenix {self.phenix}, seed {self.seed}, {self.seconds:.1f} s",
            f"targets: {targets}",
            *(f"skipped: {name}: {why}" for name, why in self.skipped.items()),
            f"{self.rules:,} rules ({self.refused:,} more refused by the checker), {self.rows:,} rows",
            f"{self.pairs:,} rule-row pairs, {self.chips:,} chips and fields, {self.answers:,} answers compared",
            f"{len(self.mismatches)} mismatches",
        ]
        for m in self.mismatches:
            row = ", ".join(f"{name}: {value!r}" for name, value in m.row.items())
            lines += ["", f"{m.target}, asked for {m.question}, says {m.found}; the reference {m.expected}",
                      *(f"  {text}" for text in m.definitions), f"  rule  {m.rule}", f"  row   {row}",
                      f"  drawn {m.drawn}"]  # fmt: skip
        return "\n".join(lines)


def certify(
    bundle: Bundle,
    engines: Sequence[Engine],
    *,
    pairs: int,
    seed: int,
    skipped: Mapping[str, str] | None = None,
    most: int = 5,
    progress: Callable[[int], None] = lambda _: None,
) -> Certificate:
    """Compare ``engines``, the reference first, on at least that many rule-row pairs; ``progress`` is told how many.

    Ends early after ``most`` mismatches: each costs a search for its smallest form.
    """
    from phenix import __version__

    begun = time.monotonic()
    made = Certificate(__version__, bundle.version, bundle.checksum, seed, skipped=dict(skipped or {}))
    rng = random.Random(seed)  # noqa: S311 - a run that can be repeated, no secret
    run = _Run(made, engines, rng, most)
    rounds = 0
    while made.pairs < pairs and len(made.mismatches) < most:
        if rounds % _ROUNDS_A_SCOPE == 0:
            run.new_scope(bundle, plain=rounds == 0)
        run.round()
        rounds += 1
        progress(made.pairs)
    made.targets = {engine.name: engine.version for engine in engines}
    made.seconds = round(time.monotonic() - begun, 2)
    return made


def define(bundle: Bundle, drawn: Sequence[str]) -> tuple[Bundle, tuple[str, ...]]:
    """The bundle with definitions drawn beside its own, and those it took: what the checker refuses is left out."""
    kept = list(drawn)
    while True:
        text, starts = "", []
        for statement in kept:
            starts.append(len(text))
            text += statement + "\n"
        source = Source("drawn.phx", text)
        made, found = compile_bundle([*bundle.program.sources, source], bundle.bits)
        if made is not None:
            return made, tuple(kept)
        errors = [d for d in found if d.severity == "error"]
        assert all(d.source.name == source.name for d in errors), errors
        refused = {sum(start <= d.span.start for start in starts) - 1 for d in errors}
        kept = [statement for i, statement in enumerate(kept) if i not in refused]


def compare(engines: Sequence[Engine], cores: Sequence[c.Core]) -> list[tuple[int, int, str, Question, Any, Any]]:
    """Where targets disagree with the first: (condition, row, target, question, right, found), rows counted from 0.

    A target that raises is wrong about every row: ``found`` is the error.
    """
    reference, *others = engines
    truth = reference.answers(cores)
    out: list[tuple[int, int, str, Question, Any, Any]] = []
    for question in QUESTIONS:
        trees = [question.tree(core) for core in cores]
        # Filters of the reference are its answers; its normal form is asked apart.
        for engine in others if question.filters else engines:
            for i, per_row in enumerate(_asked(engine, trees, question)):
                right = [question.right(answer) for answer in truth[i]]
                if isinstance(per_row, Exception):
                    out.append((i, 0, engine.name, question, right[0], per_row))
                elif per_row != right:
                    row = next(r for r, (a, b) in enumerate(zip(right, per_row, strict=True)) if a is not b)
                    out.append((i, row, engine.name, question, right[row], per_row[row]))
    return out


def _asked(engine: Engine, trees: Sequence[c.Core], question: Question) -> Sequence[Sequence[bool | None] | Exception]:
    ask = engine.matches if question.filters else engine.answers
    try:
        return ask(trees)
    except Exception as error:  # noqa: BLE001 - whatever a target raises is what is looked for
        if len(trees) == 1:
            return [error]
        return [answer for tree in trees for answer in _asked(engine, [tree], question)]


class _Run:
    """The state of one certificate in the making."""

    def __init__(self, made: Certificate, engines: Sequence[Engine], rng: random.Random, most: int) -> None:
        self.made, self.engines, self.rng, self.most = made, engines, rng, most

    def new_scope(self, bundle: Bundle, *, plain: bool) -> None:
        """Definitions for the rounds to come: those of the bundle alone, or with others drawn."""
        rules = RandomRules(self.rng, bundle.scope)
        drawn = rules.statements(0 if plain else _DEFINITIONS)
        self.bundle, self.definitions = define(bundle, drawn)
        self.rules = RandomRules(self.rng, self.bundle.scope)
        rows = self._rows([chip.core for chip in self.bundle.chips])
        self._tags(rows)
        self._load(rows)
        self._compare([chip.core for chip in self.bundle.chips], [chip.rule for chip in self.bundle.chips], rows)
        self._values(rows)
        self.made.chips += len(self.bundle.chips)

    def round(self) -> None:
        """One batch of rules on one batch of rows."""
        texts: list[str] = []
        cores: list[c.Core] = []
        while len(cores) < _RULES:
            text = self.rules.rule()
            condition, found = compile_condition(Source("rule", text), self.bundle.scope)
            if condition is None or has_errors(found):
                codes = {d.code for d in found if d.severity == "error"}
                assert codes <= REFUSALS, (text, [d.message for d in found])
                self.made.refused += 1
            else:
                texts.append(text)
                cores.append(condition.core)
        rows = self._rows(cores)
        self.bundle.tag(rows)
        for row in rows:
            self._retag(row)
        self.rng.shuffle(rows)
        self._load(rows)
        rows.sort(key=lambda row: int(row[INDEX["seq"]]))
        self._compare(cores, texts, rows)
        self.made.rules += len(cores)
        self.made.rows += len(rows)
        self.made.pairs += len(cores) * len(rows)

    def _rows(self, cores: Sequence[c.Core]) -> list[list[Any]]:
        return draw_rows(self.rng, _ROWS, cores, self.bundle.params, _AS_OF)

    def _load(self, rows: Sequence[Row]) -> None:
        for engine in self.engines:
            engine.load(rows, _AS_OF, self.bundle)

    def _retag(self, row: list[Any]) -> None:
        """Half of the rows as another rule version might have tagged them."""
        if self.rng.random() < 0.5:
            known = self.rng.getrandbits(62) & self.bundle.known_mask
            row[INDEX["chips_known"]], row[INDEX["chips_set"]] = known, known & self.rng.getrandbits(62)

    def _compare(self, cores: Sequence[c.Core], texts: Sequence[str], rows: Sequence[Row]) -> None:
        self.made.answers += len(cores) * len(rows) * (1 + len(QUESTIONS) * (len(self.engines) - 1))
        shown: set[tuple[int, str]] = set()
        for i, r, target, question, right, found in compare(self.engines, cores):
            if (i, target) in shown or len(self.made.mismatches) >= self.most:
                continue
            shown.add((i, target))
            self._mismatch(texts[i], rows[r], target, question, right, found)
        if shown:
            self._load(rows)

    def _mismatch(self, text: str, row: Row, target: str, question: Question, right: Any, found: Any) -> None:
        suspects = [e for e in self.engines if e is self.engines[0] or e.name == target]
        last = right, found

        def stays(shorter: str, changed: Row) -> bool:
            nonlocal last
            condition, diagnostics = compile_condition(Source("rule", shorter), self.bundle.scope)
            if condition is None or has_errors(diagnostics):
                return False
            rows = [*(plain(seq=i, trade_id=i) for i in range(1, changed[INDEX["seq"]])), changed]
            for engine in suspects:
                engine.load(rows, _AS_OF, self.bundle)
            for _, r, name, asked, should, did in compare(suspects, [condition.core]):
                here = r == len(rows) - 1 or isinstance(did, Exception)
                if here and (name, asked) == (target, question) and type(did) is type(found):
                    last = should, did
                    return True
            return False

        first = list(row)
        first[INDEX["seq"]] = first[INDEX["trade_id"]] = 1
        # Most rules do not read seq: then the row stands alone.
        start = next((start for start in (first, row) if stays(text, start)), None)
        rule, least = shrink(text, start, self.bundle.scope, stays) if start else (text, row)
        condition, _ = compile_condition(Source("rule", rule), self.bundle.scope)
        known = _read_of(least, [condition.core] if condition else [])
        named = tuple(s for s in self.definitions if len(words := s.split()) > 1 and words[1].rstrip(":") in rule)
        self.made.mismatches.append(
            Mismatch(target, question.name, rule, known, _shown(last[0]), _shown(last[1]), text, named)
        )

    # -- what a bundle computes beside conditions

    def _tags(self, rows: Sequence[list[Any]]) -> None:
        """Chips and score as the bundle's own function writes them into a row."""
        chips = {chip.id: chip.core for chip in self.bundle.chips}
        wrong: set[str] = set()
        self.bundle.tag(rows)
        for row in rows:
            tagged = list(row)

            def field_(name: str, row: Row = tagged) -> Value:
                derived = DERIVED.get(name)
                found: Value = derived(row, _AT_TAGGING) if derived else row[INDEX[name]]
                return found

            def chip(name: str, read: Callable[[str], Value] = field_) -> Value:
                return evaluate(chips[name], read, self.bundle.params, lambda other: chip(other, read))

            for one in self.bundle.chips:
                known, on = (bool(row[INDEX[name]] >> one.bit & 1) for name in ("chips_known", "chips_set"))
                found = on if known else None
                right = False if row[INDEX["cancel_record"]] or row[INDEX["compression"]] else chip(one.id)
                if one.id not in wrong and (found is not right or (on and not known)):
                    wrong.add(one.id)
                    self._other("the tag of a chip", one.rule, row, right, found)
            score = self.bundle.score
            if score is not None:
                right = evaluate(score.core, field_, self.bundle.params, chip)
                if row[INDEX["sig_score"]] != right:
                    self._other("the score", score.text, row, right, row[INDEX["sig_score"]])
        self._block_tags(rows)
        self.made.answers += len(rows) * (len(chips) + 1) * 2

    def _block_tags(self, rows: Sequence[Row]) -> None:
        """Whole blocks are tagged as rows are."""
        tags = compile_block_tagger(self.bundle)(Block.of_rows(list(rows)))
        scored = [True] * len(rows) if tags.score_known is None else tags.score_known.tolist()
        for i, row in enumerate(rows):
            found = int(tags.chips_set[i]), int(tags.chips_known[i]), float(tags.score[i]) if scored[i] else None
            right = tuple(row[INDEX[name]] for name in ("chips_set", "chips_known", "sig_score"))
            if found != right:
                self._other("the tags of a block", "", row, right, found, "columns")

    def _values(self, rows: Sequence[Row]) -> None:
        """Derived fields, to the last bit."""
        fields = [one for one in self.bundle.program.fields if one.kind != "bool"]
        cores = [one.core for one in fields]
        reference, *others = self.engines
        right = reference.values(cores)
        for engine in others:
            for one, expected, found in zip(fields, right, engine.values(cores), strict=True):
                for row, a, b in zip(rows, expected, found, strict=True):
                    if a != b:
                        self._other("the value of a field", one.text, row, a, b, engine.name)
                        break
        self.made.answers += sum(map(len, right)) * len(others)
        self.made.chips += len(fields)

    def _other(self, what: str, rule: str, row: Row, right: Any, found: Any, target: str = "row") -> None:
        if len(self.made.mismatches) < self.most:
            known = {f.name: v for f, v in zip(STORED, row, strict=False) if v is not None}
            self.made.mismatches.append(
                Mismatch(target, what, rule, known, _shown(right), _shown(found), rule, self.definitions)
            )


def _read_of(row: Row, cores: Sequence[c.Core]) -> dict[str, Value]:
    """What conditions read of a row, in stored units."""
    nodes = [x for core in cores for x in c.walk(core)]
    names = {x.name for x in nodes if isinstance(x, c.Field)}
    names |= {"chips_set", "chips_known"} if any(isinstance(x, c.Chip) for x in nodes) else set()
    under = {"time_et": "trade_ts_et", "cancelled": "cancelled_seq"}
    return {name: row[INDEX[under.get(name, name)]] for name in sorted(names)}


def _shown(answer: Any) -> str:
    if isinstance(answer, Exception):
        return f"{type(answer).__name__}: {str(answer)[:300]}"
    return "unknown" if answer is None else str(answer).lower() if isinstance(answer, bool) else repr(answer)
