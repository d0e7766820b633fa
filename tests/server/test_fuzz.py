"""Whatever is asked, it is answered: a request or a refusal, never an exception."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from phenix.engine.bundle import Bundle
from phenix.engine.predicate import Predicate
from phenix.engine.query.page import compile_filter
from phenix.engine.query.request import Refusal
from phenix.server.errors import problem
from phenix.server.params import PARAMETERS, Asked, read

WORDS = st.one_of(
    st.text(max_size=40),
    st.integers().map(str),
    st.floats().map(str),
    st.decimals(allow_nan=False).map(str),
    st.integers(-(10**39), 10**39).map(str),
    st.dates().map(str),
    st.datetimes().map(str),
    st.sampled_from(["", ",", "-", "0", "1", "SPY,-QQQ", "CALL", "whales", "ask", "seq", "value >= 1", "@otm"]),
)  # fmt: skip
PAIRS = st.lists(st.tuples(st.sampled_from(sorted(PARAMETERS)), WORDS), max_size=6)


@settings(max_examples=200)
@given(PAIRS)
def test_reading_never_fails(bundle: Bundle, pairs: list[tuple[str, str]]) -> None:
    asked = read(pairs, bundle)
    if isinstance(asked, Asked):
        compiled = compile_filter(asked.request.parts, bundle)
        if isinstance(compiled, Predicate):
            sql, params = compiled.sql(5)
            assert sql.count("?") == len(params)
            return
        asked = compiled
    assert isinstance(asked, Refusal)
    body = problem(asked)
    assert body["detail"]
    assert all(found["message"] and found["source"] for found in body["errors"])


@settings(max_examples=150)
@given(st.sampled_from(sorted(PARAMETERS)), WORDS)
def test_each_parameter_alone(bundle: Bundle, name: str, text: str) -> None:
    test_reading_never_fails.hypothesis.inner_test(bundle, [(name, text)])  # type: ignore[attr-defined]
