"""Tagging a block writes what tagging its rows one by one writes, bit for bit."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from phenix.dsl.source import Source
from phenix.engine.block_tagger import PIECE, Tags, compile_block_tagger
from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle, compile_bundle, read_rules
from phenix.engine.flow import INDEX
from tests.dsl.rows import plain, random_rows


def rows_of(bundle: Bundle, count: int, seed: int) -> list[list[Any]]:
    """Random rows, some of them cancel records or compression prints."""
    rng = random.Random(seed)
    rows = random_rows(bundle, count, seed)
    for row in rows:
        row[INDEX[rng.choice(("cancel_record", "compression"))]] = rng.random() < 0.1
    return rows


def agree(bundle: Bundle, rows: list[list[Any]], tags: Tags) -> None:
    known = [True] * len(rows) if tags.score_known is None else tags.score_known.tolist()
    for i, row in enumerate(rows):
        mine = list(row)
        bundle.tag([mine])
        assert int(tags.chips_set[i]) == mine[INDEX["chips_set"]], (i, row)
        assert int(tags.chips_known[i]) == mine[INDEX["chips_known"]], (i, row)
        score = mine[INDEX["sig_score"]]
        assert known[i] is (score is not None)
        if score is not None:
            assert struct.pack("d", tags.score[i]) == struct.pack("d", score)


def test_tags_agree_with_the_row_target(bundle: Bundle) -> None:
    rows = rows_of(bundle, PIECE + 1_000, seed=8)
    tags = compile_block_tagger(bundle)(Block.of_rows(rows))
    agree(bundle, rows, tags)
    assert 0 < sum(tags.score_known.tolist()) < len(rows)  # type: ignore[union-attr]
    assert len(set(tags.chips_set.tolist())) > 1_000


def test_stored_scores_are_taken_where_none_is_computed(bundle: Bundle) -> None:
    rows = rows_of(bundle, 500, seed=9)
    bundle.tag(rows)
    tags = compile_block_tagger(bundle, score=False)(Block.of_rows(rows))
    agree(bundle, rows, tags)


def test_blocks_without_nulls_need_no_masks(bundle: Bundle) -> None:
    row = plain(
        side="ASK", otm_pct=3.0, aggressiveness=1.0, spot=5_000_000, spot_age_ms=5, spot_source="file", oi=3,
        vol_oi_ratio=3.0, repeat3m=2, symbol_vol_baseline_15m=1.0, open_window_baseline=1.0, bullish_ratio_15m=0.5,
        value_pctile=0.5, side_confidence=0.85, opening=False,
    )  # fmt: skip
    tags = compile_block_tagger(bundle)(Block.of_rows([row] * 3))
    agree(bundle, [row] * 3, tags)
    assert tags.score_known is None
    assert tags.chips_known.tolist() == [bundle.known_mask] * 3


def test_pieces_with_and_without_nulls_are_joined(bundle: Bundle) -> None:
    rows = [plain(otm_pct=3.0, vol_oi_ratio=3.0, repeat3m=2, value_pctile=0.5, side_confidence=0.85)] * PIECE
    tags = compile_block_tagger(bundle)(Block.of_rows([*rows, plain()]))
    assert tags.score_known is not None
    assert tags.score_known.tolist() == [True] * PIECE + [False]


def test_an_empty_block_has_no_tags(bundle: Bundle) -> None:
    tags = compile_block_tagger(bundle)(Block.of_rows([]))
    assert [len(part) for part in (tags.chips_set, tags.chips_known, tags.score)] == [0, 0, 0]


EXTRA = """
chip c1 = @whales and not @calls doc "x"
chip c2 = @c1 is unknown or (@urgent or @c3) doc "x"
chip c3 = not (@otm is true) doc "x"
chip c4 = score_quality = complete doc "x"
chip c5 = cancelled doc "x"
chip c6 = dte < 9 and (side = AA or opening) doc "x"
chip c7 = dte <= 9 and size / oi > 0.5 doc "x"
chip c8 = dte < 3 doc "x"
chip d1 = side not in {AA, BID} doc "x"
chip d2 = side is null doc "x"
chip d3 = side is not null and side != MID doc "x"
chip d4 = otm_pct is null doc "x"
chip d5 = opening is null or monthly doc "x"
chip d6 = true doc "x"
chip d7 = symbol like "S*" and not (symbol like "f_none*") doc "x"
chip d8 = (oi ?? 5) * 2 > size - 1 doc "x"
chip d9 = opening and iso doc "x"
chip e1 = right != call doc "x"
chip e2 = opening is null or opening doc "x"
chip e3 = false doc "x"
chip e4 = oi is null doc "x"
chip e5 = oi is not null doc "x"
chip e6 = size / repeat3m > 0.5 doc "x"
chip f0 = price >= $1 doc "x"
chip f1 = price >= $2 doc "x"
chip f2 = price >= $3 doc "x"
chip f3 = price >= $4 doc "x"
chip f4 = price >= $5 doc "x"
chip f5 = price >= $6 doc "x"
chip f6 = price >= $7 doc "x"
chip f7 = price >= $8 doc "x"
chip f8 = price >= $9 doc "x"
chip f9 = price >= $10 doc "x"
chip g1 = strike < $3 doc "x"
chip g2 = strike <= $3 and otm_pct > 0 doc "x"
"""


@pytest.mark.parametrize("scored", [True, False])
def test_rules_of_every_shape(scored: bool, bundle: Bundle) -> None:
    sources = [s for s in read_rules() if scored or s.name != "score.phx"]
    more, found = compile_bundle([*sources, Source("extra.phx", EXTRA)], bundle.bits)
    assert more is not None, [d.message for d in found]
    rows = rows_of(bundle, 2_000, seed=10)
    for n, row in enumerate(rows):
        row[INDEX["price"]], row[INDEX["strike"]] = n % 12 * 10_000, n % 7 * 10_000 + n % 2
        if n % 50 == 0:  # of no member: what an older store may hold
            row[INDEX["side"]] = row[INDEX["right"]] = "OTHER"
    for row in rows[::5]:
        row[INDEX["cancelled_seq"]] = row[INDEX["seq"]] + 1
    tags = compile_block_tagger(more)(Block.of_rows(rows))
    agree(more, rows, tags)
    seen = {b for b in range(62) if any(tags.chips_set >> b & 1)}
    assert more.bits["c5"] not in seen, "nothing is cancelled when it is tagged"
    assert {bit for id_, bit in more.bits.items() if id_ not in bundle.bits} - seen <= {
        more.bits["c5"], more.bits["e3"], *([] if scored else [more.bits["c4"]]),
    }  # fmt: skip


def test_another_score_than_the_packaged_one(bundle: Bundle) -> None:
    sources = [s for s in read_rules() if s.name != "score.phx"]
    own = 'field mine "mine": ratio = 0.5 * (bullish_ratio_15m ?? 0.5) + 0.25 * value_pctile doc "x" provides sig_score'
    more, found = compile_bundle([*sources, Source("own.phx", own)], bundle.bits)
    assert more is not None, [d.message for d in found]
    rows = rows_of(bundle, 300, seed=13)
    agree(more, rows, compile_block_tagger(more)(Block.of_rows(rows)))
    row = plain(value_pctile=0.5, bullish_ratio_15m=None, sig_score=0.1)
    more.tag([row])
    assert row[INDEX["sig_score"]] == 0.375


@pytest.mark.parametrize("rule", ["iso", "spot is not null", "spot is null"])
def test_a_bundle_of_one_chip(rule: str, bundle: Bundle) -> None:
    sources = [s for s in read_rules() if s.name == "params.phx"]
    small, found = compile_bundle([*sources, Source("a.phx", f'chip a = {rule} doc "x"')])
    assert small is not None, [d.message for d in found]
    rows = rows_of(bundle, PIECE + 1, seed=14)
    tags = compile_block_tagger(small, score=False)(Block.of_rows(rows))
    assert set(tags.chips_set.tolist()) == {0, 1}
    for row in rows:
        row[INDEX["sig_score"]] = 0.5
    assert compile_block_tagger(small, score=False)(Block.of_rows(rows)).score_known is None
    agree(small, rows, compile_block_tagger(small)(Block.of_rows(rows)))
