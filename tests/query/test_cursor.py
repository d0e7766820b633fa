"""Cursors: what is written is read back, everything else is refused."""

from __future__ import annotations

import base64

from hypothesis import given
from hypothesis import strategies as st

from phenix.engine.query.cursor import Cursor, filter_hash

KEYS = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**62), 2**62), st.floats(allow_nan=False, allow_infinity=False), st.text()
)
SEQS = st.integers(0, 2**53)
CURSORS = st.builds(Cursor, st.text(max_size=20), st.text(max_size=12), SEQS, SEQS, KEYS, SEQS)


@given(CURSORS)
def test_round_trip(cursor: Cursor) -> None:
    text = cursor.encode()
    assert len(text) > 1024 or Cursor.decode(text) == cursor
    assert set(text) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")


@given(st.text())
def test_any_text_is_refused(text: str) -> None:
    assert Cursor.decode(text) is None


@given(CURSORS, st.data())
def test_a_changed_cursor_is_refused(cursor: Cursor, data: st.DataObject) -> None:
    raw = bytearray(base64.urlsafe_b64decode(cursor.encode() + "=="))
    at = data.draw(st.integers(0, len(raw) - 1))
    raw[at] ^= data.draw(st.integers(1, 255))
    assert Cursor.decode(base64.urlsafe_b64encode(raw).rstrip(b"=").decode()) is None


def test_long_and_foreign_texts() -> None:
    assert Cursor.decode("A" * 100_000) is None
    assert Cursor.decode("") is None
    assert Cursor.decode("é") is None


def test_the_hash_tells_queries_apart() -> None:
    assert filter_hash("a", 1) != filter_hash("a", 2)
    assert filter_hash("a", "b") != filter_hash("ab", "")
    assert filter_hash("a", 1) == filter_hash("a", 1)
