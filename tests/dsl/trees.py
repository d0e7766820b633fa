"""Random core trees over few values, so that every coincidence happens, and all rows they can see."""

from __future__ import annotations

import random
from dataclasses import dataclass
from itertools import product
from typing import Any

from phenix.dsl import core as c
from phenix.dsl.types import Kind, Type
from phenix.engine.targets.reference import evaluate

NUMBERS = (c.Field("n", Kind.INT, False), c.Field("m", Kind.INT, True))
REALS = (c.Field("r", Kind.RATIO, True),)
WORDS = (c.Field("w", Kind.SYMBOL, True), c.Field("v", Kind.SYMBOL, False))
FLAGS = (c.Field("f", Kind.BOOL, False), c.Field("g", Kind.BOOL, True))
OPS = ("=", "!=", "<", "<=", ">", ">=")


@dataclass(frozen=True)
class Field:
    name: str
    type: Type
    nullable: bool = False
    doc: str = ""
    filterable: bool = True
    label: str = ""
    noun: str = ""
    says: str = ""


FIELDS = (
    Field("n", Type(Kind.INT, 0, 2)), Field("m", Type(Kind.INT, 1, 3), True),
    Field("r", Type(Kind.RATIO, 0.0, 2.5), True),
    Field("w", Type(Kind.SYMBOL), True), Field("v", Type(Kind.SYMBOL)),
    Field("f", Type(Kind.BOOL)), Field("g", Type(Kind.BOOL), True),
)  # fmt: skip
"""The catalog of these trees."""


def value(rng: random.Random, kind: Kind, depth: int) -> c.Core:
    fields: tuple[c.Core, ...] = {Kind.INT: NUMBERS, Kind.RATIO: REALS, Kind.SYMBOL: WORDS}[kind]
    if kind is Kind.SYMBOL:
        return c.Const(kind, rng.choice("AB")) if rng.random() < 0.1 else rng.choice(fields)
    number: int | float = rng.choice((0, 1, 2, 3)) if kind is Kind.INT else rng.choice((0.0, 0.1, 1.0, 2.5))
    shape = rng.randrange(5 if depth == 0 else 13)
    if shape < 3:
        return rng.choice(fields)
    if shape < 5:
        return c.Param("p", kind) if kind is Kind.INT and shape == 3 else c.Const(kind, number)
    one, two = value(rng, kind, depth - 1), value(rng, kind, depth - 1)
    return [
        c.Arith("+", one, two), c.Arith("-", one, two), c.Arith("*", one, two), c.Negate(one), c.Abs(one),
        c.Extreme("min", (one, two)), c.Extreme("max", (one, two)),
        c.Coalesce(one, two) if kind is Kind.INT else rng.choice(
            (c.Divide(one, two), c.Coalesce(one, two), c.Real(value(rng, Kind.INT, depth - 1), 1))),
    ][shape - 5]  # fmt: skip


def condition(rng: random.Random, depth: int) -> c.Core:
    shape = rng.randrange(7 if depth == 0 else 15)
    kind = rng.choice((Kind.INT, Kind.INT, Kind.RATIO, Kind.SYMBOL))
    operand = value(rng, kind, 1) if rng.random() < 0.3 else value(rng, kind, 0)
    if shape < 3:
        words = kind is Kind.SYMBOL
        literal = c.Const(kind, rng.choice("AB" if words else (0, 1, 2, 3) if kind is Kind.INT else (0.0, 0.1, 2.5)))
        right = literal if rng.random() < 0.7 else value(rng, kind, 1)
        return c.Compare(rng.choice(OPS[:2] if words else OPS), operand, right)
    if shape == 3:
        pool: tuple[Any, ...] = (
            ("A", "B", "C") if kind is Kind.SYMBOL else (0, 1, 2) if kind is Kind.INT else (0.0, 2.5)
        )
        values = tuple(rng.sample(pool, rng.randrange(len(pool) + 1)))
        return c.InSet(operand, values, rng.random() < 0.5)
    if shape == 4:
        how = rng.choice(("prefix", "suffix", "contains", "whole"))
        return c.Like(value(rng, Kind.SYMBOL, 0), how, rng.choice("AB"), rng.random() < 0.5)
    if shape == 5:
        return c.IsNull(operand, rng.random() < 0.5)
    if shape == 6:
        return rng.choice((*FLAGS, c.Chip("on"), c.Chip("unsure"), c.TRUE, c.FALSE))
    inner = condition(rng, depth - 1)
    if shape < 9:
        return c.Not(inner)
    if shape == 9:
        return c.Is(inner, rng.choice((True, False, None)), rng.random() < 0.5)
    args = (inner, *(condition(rng, depth - 1) for _ in range(rng.randrange(4))))
    return c.And(args) if shape % 2 else c.Or(args)


ROWS = [
    dict(zip(("n", "m", "r", "w", "v", "f", "g", "unsure"), values, strict=True))
    for values in product(
        (0, 1, 2), (None, 1, 3), (None, 0.0, 2.5), (None, "A", "AB"), ("B", "C"), (True, False), (None, False),
        (None, True),
    )
]  # fmt: skip


def answers(core: c.Core, rows: list[dict[str, Any]]) -> list[Any]:
    chips = {"on": lambda row: row["f"], "unsure": lambda row: row["unsure"]}
    found = [evaluate(core, row.__getitem__, {"p": 1}, lambda name, row=row: chips[name](row)) for row in rows]
    return [None if a is None else bool(a) for a in found]
