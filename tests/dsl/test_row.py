"""The row target on core trees that no text gives: targets are right on trees that are in no normal form, too."""

from __future__ import annotations

import random
import struct
from typing import Any

import pytest

from phenix.dsl import core as c
from phenix.engine.bundle import Bundle
from phenix.engine.flow import BY_NAME, INDEX
from phenix.engine.targets.reference import evaluate
from phenix.engine.targets.row import Names, false_rail, true_rail, value
from tests.dsl.rows import random_rows, read
from tests.dsl.test_columns import CONDITIONS, VALUES
from tests.dsl.test_targets import AS_OF, reference


@pytest.fixture(scope="module")
def rows(bundle: Bundle) -> list[list[Any]]:
    made = random_rows(bundle, 400, seed=31)
    rng = random.Random(8)
    bundle.tag(made)
    for row in made:
        if rng.random() < 0.2:
            row[INDEX["cancelled_seq"]] = rng.choice((AS_OF, AS_OF + 1))
    return made


def names_of(bundle: Bundle) -> Names:
    on, known = f"row[{INDEX['chips_set']}]", f"row[{INDEX['chips_known']}]"
    return Names(
        field=lambda name: BY_NAME[name].source,
        chip_true=lambda chip: f"({on} & {1 << bundle.bits[chip]})",
        chip_false=lambda chip: f"({known} & ~{on} & {1 << bundle.bits[chip]})",
        params=bundle.params,
    )


def compiled(text: str, names: Names) -> Any:
    return eval(f"lambda row, as_of: {text}", names.constants)


@pytest.mark.parametrize("name", CONDITIONS)
def test_trees_agree(name: str, rows: list[list[Any]], bundle: Bundle) -> None:
    for core in (CONDITIONS[name], c.Not(CONDITIONS[name])):
        names = names_of(bundle)
        true, false = compiled(true_rail(core, names), names), compiled(false_rail(core, names), names)
        for row in rows:
            answer = True if true(row, AS_OF) else False if false(row, AS_OF) else None
            assert answer == reference(core, row, bundle)
            assert not (true(row, AS_OF) and false(row, AS_OF))


@pytest.mark.parametrize("name", VALUES)
def test_values_agree_bit_for_bit(name: str, rows: list[list[Any]], bundle: Bundle) -> None:
    core, names = VALUES[name], names_of(bundle)
    run = compiled(value(core, names), names)
    for row in rows:
        by_reference = evaluate(core, lambda field, r=row: read(r, field, AS_OF), bundle.params, lambda _: None)
        by_row = run(row, AS_OF)
        assert (by_row is None) is (by_reference is None)
        assert by_row is None or struct.pack("d", by_row) == struct.pack("d", by_reference)


def test_a_condition_is_no_number_and_a_number_no_condition(bundle: Bundle) -> None:
    with pytest.raises(TypeError, match="not a value"):
        value(c.And(()), names_of(bundle))
    with pytest.raises(TypeError, match="not a condition"):
        true_rail(c.Abs(c.TRUE), names_of(bundle))
