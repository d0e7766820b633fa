"""A bundle compiled to tag blocks: what ``Bundle.tag`` writes into each row, as arrays."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from phenix.engine.blocks import Block
from phenix.engine.bundle import Bundle
from phenix.engine.tagger import BEFORE, by_reference
from phenix.engine.targets.arrays import Column, Known, Mask, Words
from phenix.engine.targets.columns import Unit, compile_value

__all__ = ["PIECE", "Tags", "compile_block_tagger"]

PIECE: Final = 16_384
"""Rows computed at a time: the masks of all chips then stay in the second-level cache."""


_Run = Callable[[Block, int], Any]
_Rate = Callable[[Block], tuple[NDArray[np.float64], Known]]
_Decide = Callable[[Block], tuple[NDArray[np.int64], NDArray[np.int64]]]


class Tags(NamedTuple):
    """Tags of a block's rows; scores where not known are of no consequence."""

    chips_set: NDArray[np.int64]
    chips_known: NDArray[np.int64]
    score: NDArray[np.float64]
    score_known: Known


def compile_block_tagger(bundle: Bundle, *, score: bool = True) -> Callable[[Block], Tags]:
    """One function of a block, which can be sent to another process.

    Without ``score`` the block's stored scores are taken as they are.
    """
    rate = _compile_score(bundle) if score else _stored_score
    return partial(_tag, rate, _compile_chips(bundle))


def _tag(rate: _Rate, decide: _Decide, block: Block) -> Tags:
    pieces = [_piece(rate, decide, block[at : at + PIECE]) for at in range(0, max(block.rows, 1), PIECE)]
    return pieces[0] if len(pieces) == 1 else _joined(pieces)


def _piece(rate: _Rate, decide: _Decide, block: Block) -> Tags:
    values, known = rate(block)
    quality = np.ones(block.rows, np.uint8) if known is None else known.view(np.uint8)
    block = block.with_columns({
        "sig_score": Column(values, known),
        "score_quality": Column(quality, None, _QUALITY),
    })  # fmt: skip
    chips_set, chips_known = decide(block)
    return Tags(chips_set, chips_known, values, known)


_QUALITY: Final = Words(("partial", "complete"))


def _stored_score(block: Block) -> tuple[NDArray[np.float64], Known]:
    column = block.stored("sig_score")
    return column.values, column.known


def _no_score(block: Block) -> tuple[NDArray[np.float64], Known]:
    return np.zeros(block.rows), np.zeros(block.rows, np.bool_)


def _compile_score(bundle: Bundle) -> _Rate:
    if bundle.score is None:
        return _no_score
    return partial(_rated, compile_value(bundle.score.core, bundle.params, bundle.bits))


def _rated(run: _Run, block: Block) -> tuple[NDArray[np.float64], Known]:
    own = Column(np.zeros(block.rows), np.zeros(block.rows, np.bool_))  # unknown while it is computed
    values, known = run(block.with_columns({"sig_score": own}), BEFORE)
    return values, known


def _compile_chips(bundle: Bundle) -> _Decide:
    unit = Unit(bundle.params, bundle.bits, {chip.id: chip.core for chip in bundle.chips})
    places: list[int] = []
    masks: list[str] = []
    for chip in by_reference(bundle.chips):
        places.append(chip.bit)
        masks += [unit.mask(chip.core, True, sure=True), unit.mask(chip.core, True, sure=False)]
    return partial(_decided, unit.function(masks), places, bundle.known_mask)


def _decided(
    run: _Run, places: Sequence[int], known_mask: int, block: Block
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    found = run(block, BEFORE)
    on = dict(zip(places, found[::2], strict=True))
    unknown = {
        bit: maybe > sure  # and not sure
        for bit, sure, maybe in zip(places, found[::2], found[1::2], strict=True)
        if maybe is not sure
    }
    chips_set, chips_known = _packed(on, block.rows), known_mask ^ _packed(unknown, block.rows)
    chipless = np.flatnonzero(block.stored("cancel_record").values | block.stored("compression").values)
    chips_set[chipless] = 0
    chips_known[chipless] = known_mask
    return chips_set, chips_known


def _packed(masks: Mapping[int, Mask], rows: int) -> NDArray[np.int64]:
    """One integer a row from a mask a bit.

    Eight bits at a time in bytes, doubling as Horner does: passes over bytes cost an eighth of passes over integers.
    """
    whole = np.zeros(rows, np.int64)
    lanes = whole.view(np.uint8).reshape(rows, 8)
    for lane in range(8):
        bits = [bit for bit in masks if bit >> 3 == lane]
        if not bits:
            continue
        top = max(bits)
        byte = masks[top].view(np.uint8).copy()
        for bit in range(top - 1, 8 * lane - 1, -1):
            np.add(byte, byte, out=byte)
            if bit in masks:
                np.bitwise_or(byte, masks[bit].view(np.uint8), out=byte)
        lanes[:, lane if sys.byteorder == "little" else 7 - lane] = byte
    return whole


def _joined(pieces: Sequence[Tags]) -> Tags:
    known: Known = None
    if any(piece.score_known is not None for piece in pieces):
        ones = np.ones(PIECE, np.bool_)
        known = np.concatenate([ones[: len(p.score)] if p.score_known is None else p.score_known for p in pieces])
    sets, knowns, scores, _ = zip(*pieces, strict=True)
    return Tags(np.concatenate(sets), np.concatenate(knowns), np.concatenate(scores), known)
