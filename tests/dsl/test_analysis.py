"""What the analysis proves holds on every row, and what it refutes it shows."""

from __future__ import annotations

import random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from phenix.dsl import core as c
from phenix.dsl.analysis import Analysis, Finding
from phenix.dsl.cells import Range, bounds, names_in
from phenix.dsl.compiler import compile_condition, compile_program
from phenix.dsl.dump import dump
from phenix.dsl.scope import ParamInfo, Scope
from phenix.dsl.source import Source
from phenix.dsl.types import Catalog, Kind, Type
from phenix.engine.bundle import read_rules
from phenix.engine.flow import CATALOG
from phenix.engine.targets.reference import evaluate
from phenix.engine.witness import SAMPLES, in_words, literal
from tests.dsl.corpus import Case, check
from tests.dsl.trees import FIELDS, ROWS, answers, condition

SCOPE = Scope(Catalog(FIELDS), params={
    "p": ParamInfo("p", Type(Kind.INT, 0, 3), 1, None, ""),
})  # fmt: skip
SEEN = {True: "true", False: "false", None: "unknown"}


def program_analysis(ranged: bool) -> tuple[Analysis, Scope]:
    program = compile_program(read_rules(), CATALOG)[0]
    chips = {rule.id: rule.body.core for rule in program.chips}
    return Analysis(program.scope, chips, evaluate, SAMPLES, ranged), program.scope


def shown(found: Finding, scope: Scope) -> str:
    if found.witness is None:
        return "proven" if found.proven else f"open: {found.tried}"
    params = ((name, literal(value, scope.params[name].type)) for name, value in sorted(found.witness.params.items()))
    with_params = "".join(f", ${name} = {value}" for name, value in params)
    return f"refuted: {in_words(found.witness.row)}{with_params}"


def test_questions(rewriting: bool) -> None:
    both = {ranged: program_analysis(ranged) for ranged in (False, True)}

    def answer(case: Case) -> str:
        question, *how = case.directive.split()
        analysis, scope = both["ranged" in how]
        cores = []
        for line in case.input.split("\n"):
            compiled, found = compile_condition(Source("where", line), scope)
            assert compiled is not None, found
            cores.append(compiled.core)
        return shown(getattr(analysis, question)(*cores), scope)

    check("analysis.txt", answer, rewriting)


@pytest.mark.timeout(300)
@settings(max_examples=250, suppress_health_check=list(HealthCheck))
@given(seed=st.integers(0, 2**32))
def test_proofs_hold_and_witnesses_show(seed: int) -> None:
    rng = random.Random(seed)
    cores = [condition(rng, 2), condition(rng, 1)]
    rows = rng.sample([r for r in ROWS if r["m"] in (None, 1, 3)], 120)
    a, b = (answers(core, rows) for core in cores)
    # The trees' chip `on` is their field f, `unsure` a name of its own.
    analysis = Analysis(SCOPE, {"on": c.Field("f", Kind.BOOL, False)}, evaluate)
    for answer in (True, False, None):
        found = analysis.can_be(cores[0], answer)
        if found.proven is False:
            assert answer not in a, (SEEN[answer], dump(cores[0]))
        elif found.proven:
            assert found.witness is not None
    said = {
        "never": (analysis.never(cores[0]), True not in a),
        "always": (analysis.always(cores[0]), set(a) <= {True}),
        "decided": (analysis.decided(cores[0]), None not in a),
        "implies": (analysis.implies(*cores), all(y is True for x, y in zip(a, b, strict=True) if x is True)),
        "disjoint": (analysis.disjoint(*cores), not any(x is y is True for x, y in zip(a, b, strict=True))),
        "same": (analysis.same(*cores), a == b),
    }
    for question, (found, holds_here) in said.items():
        if found.proven:
            assert holds_here, (question, *map(dump, cores))
        assert (found.witness is not None) is (found.proven is False)
        assert bool(found.tried) is (found.proven is None)


def test_conditions_on_one_name_are_decided() -> None:
    for seed in range(300):
        core = condition(random.Random(seed), 2)
        leaves = [
            x for x in c.walk(core) if not isinstance(x, c.And | c.Or | c.Not | c.Is | c.Field | c.Const | c.Chip)
        ]
        if all(len(c.reads(x)) < 2 and not any(isinstance(y, c.Param | c.Arith) for y in c.walk(x)) for x in leaves):
            analysis = Analysis(SCOPE, {"on": c.Field("f", Kind.BOOL, False)}, evaluate)
            assert analysis.never(core).proven is not None, dump(core)


def test_too_large_is_left_open() -> None:
    chips: dict[str, c.Core] = {"c0": c.Field("g", Kind.BOOL, True)}
    for i in range(1, 40):
        chips[f"c{i}"] = c.Or((c.Chip(f"c{i - 1}"), c.IsNull(c.Field("m", Kind.INT, True)), c.Chip(f"c{i - 1}")))
    found = Analysis(SCOPE, chips, evaluate).never(c.Chip("c39"))
    assert found == Finding(None, tried="written out it has more than 2,000 parts, or 200 levels")


def test_the_bundle_is_decided_where_the_catalog_says_so() -> None:
    # One definition of what may be unknown, two ways to it: on the bundle they agree.
    analysis, _ = program_analysis(ranged=True)
    for chip, core in analysis.chips.items():
        assert analysis.decided(core).proven is not c.nullable(core), chip


def test_words_of_several_names() -> None:
    w, v = c.Field("w", Kind.SYMBOL, True), c.Field("v", Kind.SYMBOL, False)
    g, f = c.Field("g", Kind.BOOL, True), c.Field("f", Kind.BOOL, False)
    either, flag = c.Coalesce(w, v), c.Coalesce(g, f)
    analysis = Analysis(SCOPE, {}, evaluate)
    for asked in (c.InSet(either, ("A",)), c.Like(either, "prefix", "A"), flag):
        assert analysis.never(c.And((asked, c.Not(asked)))).proven
        assert analysis.decided(asked).proven
        shown = analysis.can_be(c.And((asked, c.IsNull(w))) if asked is not flag else asked, True)
        assert shown.witness is not None or shown.tried


def test_a_search_ends() -> None:
    # Products of different fields: nothing to prove by bounds, and more cases than are looked at.
    names = ("bid", "ask", "price", "spot", "strike")
    money = [c.Field(name, Kind.MONEY, name in ("bid", "ask", "spot")) for name in names]
    parts = [
        c.Or((c.Compare(">", c.Arith("+", a, b), c.Arith("+", x, y)), c.Compare("=", c.Arith("+", a, x), b)))
        for a in money for b in money for x in money for y in money if len({id(a), id(b), id(x), id(y)}) == 4
    ]  # fmt: skip
    analysis, _ = program_analysis(ranged=False)
    assert analysis.never(c.And(tuple(parts))).tried.startswith(("gave up after", "tried"))


def test_a_chip_is_looked_into_once(monkeypatch: pytest.MonkeyPatch) -> None:
    chips: dict[str, c.Core] = {"c0": c.Field("g", Kind.BOOL, True), "c1": c.Field("f", Kind.BOOL, False)}
    for i in range(2, 25):
        chips[f"c{i}"] = c.And((c.Chip(f"c{i - 1}"), c.Or((c.Chip(f"c{i - 2}"), c.Chip("unsure")))))
    asked = []
    monkeypatch.setattr("phenix.dsl.analysis.names_in", lambda node: asked.append(node) or names_in(node))
    assert Analysis(SCOPE, chips, evaluate).names(c.Chip("c24")) == {"f", "g", "@unsure"}
    assert len(asked) == len(chips) + 1


def nested(levels: int, inner: c.Core) -> c.Core:
    m = c.Field("m", Kind.INT, True)
    for i in range(levels):
        inner = (c.Or, c.And)[i % 2]((inner, c.Compare("=", m, c.Const(Kind.INT, i % 4))))
    return inner


def test_what_is_too_deep_is_left_open() -> None:
    chips = {f"c{i}": nested(20, c.Chip(f"c{i - 1}")) for i in range(1, 40)}
    chips["c0"] = c.Field("g", Kind.BOOL, True)
    analysis = Analysis(SCOPE, chips, evaluate)
    assert analysis.never(c.Chip("c39")).tried == "written out it has more than 2,000 parts, or 200 levels"
    for first, last in ((0, 10), (9, 10), (10, 9)):  # whichever is asked for first
        analysis = Analysis(SCOPE, chips, evaluate)
        assert [analysis.whole(c.Chip(f"c{i}")) is None for i in (first, last)] == [first == 10, last == 10]
    row = {f"r{i}": c.Chip(f"r{i - 1}") for i in range(1, 3_000)} | {"r0": c.Field("g", Kind.BOOL, True)}
    assert Analysis(SCOPE, row, evaluate).whole(c.Chip("r2999")) == c.Field("g", Kind.BOOL, True)


def test_a_tent_goes_up_to_one() -> None:
    compiled, _ = compile_condition(Source("where", "tent(otm_pct, 0, 10, 30) + 0.5 > 3"), program_analysis(False)[1])
    assert compiled is not None and isinstance(compiled.core, c.Compare)
    for lo, hi, most in ((-1e9, 1e9, 1.5), (-1e9, 5.0, 1.0), (20.0, 1e9, 1.0), (9.0, 11.0, 1.5), (40.0, 50.0, 0.5)):
        found = bounds(compiled.core.left, {"otm_pct": Range(lo, hi, null=True)})
        assert found.hi == pytest.approx(most, abs=1e-12)
        assert found.null
