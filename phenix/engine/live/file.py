"""Sealed blocks on disk, mapped into memory: a restart begins with them, and memory holds only what searches touch.

A file is a line of JSON, then arrays, each at a multiple of 64 bytes. It appears under its name when it is whole and
written through. It only ever repeats what the store says: one that does not fit the store is not used.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import orjson

from phenix.engine.flow import meaning
from phenix.engine.live.block import LiveBlock
from phenix.engine.live.tally import Tally
from phenix.engine.live.words import Vocabulary
from phenix.engine.live.zones import Zones
from phenix.engine.targets.arrays import Array

__all__ = ["UnfitError", "blocks_of", "read_block", "write_block"]

_EDITION: Final = 3
_ALIGN: Final = 64


def blocks_of(store: Path) -> Path:
    """The folder in which the blocks of a store's latest session are kept."""
    return store.with_name(f"{store.name}.live")


class UnfitError(Exception):
    """A file that is not a block of this session, these words and this catalog."""


def write_block(path: Path, block: LiveBlock, session: int, words: Vocabulary, told: int, as_of: int) -> None:
    """Write a sealed block with what was cancelled of it up to ``as_of``; the blocks before it hold ``told`` contracts.

    Raises OSError.
    """
    assert block.zones is not None and block.contracts is not None and block.sums is not None
    zones = block.zones
    cancels = sorted(block.cancels.items())
    arrays: dict[str, Array] = {
        **{f"value {name}": array for name, array in block.values.items()},
        **{f"known {name}": array for name, array in block.known.items()},
        **{f"chip {bit}": array for bit, array in zones.chips.items()},
        **{f"rank {name}": array for name, array in zones.ranked.items()},
        **{f"sum {name}": array for name, array in block.sums.arrays().items()},
        "contract": block.contract,
        "contracts": block.contracts,
        "order": zones.order,
        "starts": zones.starts,
        "cancels": np.array(cancels, np.int64).reshape(-1, 2),
    }
    places, at = {}, 0
    for name, array in arrays.items():
        places[name] = (array.dtype.str, array.shape, at)
        at += -(-array.nbytes // _ALIGN) * _ALIGN
    head = {
        "edition": _EDITION, "catalog": meaning(), "session": session, "rows": block.rows, "asOf": as_of,
        "words": {name: list(lexicon.words.words) for name, lexicon in words.texts.items()},
        "told": told, "contracts": words.contracts.known[told:],
        "low": zones.low, "high": zones.high, "arrays": places, "bytes": at,
    }  # fmt: skip
    line = orjson.dumps(head) + b"\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    with part.open("wb") as file:
        file.write(line + b" " * (-len(line) % _ALIGN))
        for array in arrays.values():
            file.write(np.ascontiguousarray(array).data)
            file.write(b"\0" * (-array.nbytes % _ALIGN))
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def read_block(path: Path, session: int, words: Vocabulary, after: int = 0) -> tuple[LiveBlock, int]:
    """A block that was written, and up to which seq its cancels are known; its words are taken into ``words``.

    Raises UnfitError, also when its rows are not after a seq, and OSError when there is no such file.
    """
    with path.open("rb") as file:
        try:
            return _read(path, file, session, words, after)
        except (ValueError, KeyError, TypeError, IndexError) as error:  # its head is not one that was written
            raise UnfitError(path.name) from error


def _read(path: Path, file: BinaryIO, session: int, words: Vocabulary, after: int) -> tuple[LiveBlock, int]:
    line = file.readline()
    start = -(-len(line) // _ALIGN) * _ALIGN
    head = orjson.loads(line)
    fits = (head["edition"], head["catalog"], head["session"]) == (_EDITION, meaning(), session)
    if not fits or path.stat().st_size != start + head["bytes"]:
        raise UnfitError(path.name)
    whole = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
    if not all(lexicon.extend(head["words"].get(name, ())) for name, lexicon in words.texts.items()):
        raise UnfitError(path.name)
    if not words.contracts.extend(head["told"], list(map(tuple, head["contracts"]))):
        raise UnfitError(path.name)
    arrays = dict(_arrays(whole, start, head["arrays"]))
    values, known, chips, ranked, sums = (
        {name.removeprefix(kind): array for name, array in arrays.items() if name.startswith(kind)}
        for kind in ("value ", "known ", "chip ", "rank ", "sum ")
    )
    by_bit = {int(bit): array for bit, array in chips.items()}
    block = LiveBlock(
        values, known, arrays["contract"], arrays["contracts"], head["rows"], words,
        Zones(head["low"], head["high"], by_bit, arrays["order"], arrays["starts"], ranked),
        dict(arrays["cancels"].tolist()), Tally.of_arrays(sums),
    )  # fmt: skip
    if block.seqs[0] <= after:
        raise UnfitError(path.name)
    return block, head["asOf"]


def _arrays(whole: mmap.mmap, start: int, places: Mapping[str, Any]) -> Iterator[tuple[str, Array]]:
    for name, (dtype, shape, at) in places.items():
        length = int(np.prod(shape))
        yield name, np.frombuffer(whole, np.dtype(dtype), length, start + at).reshape(shape)
