"""A seeded share of ``python -m drills machine``: the worker against a simple model, whatever a terminal does."""

from __future__ import annotations

from hypothesis import Phase, settings

from drills.machine import Machine

TestWorker = Machine.TestCase
# What fails is shown as it was found: to shrink it takes longer than a test may.
TestWorker.settings = settings(max_examples=8, stateful_step_count=40, phases=(Phase.generate,))
