"""Fixtures of the language's tests."""

from __future__ import annotations

import pytest

from phenix.engine.bundle import Bundle, load_bundle


@pytest.fixture(scope="session")
def bundle() -> Bundle:
    loaded, found = load_bundle()
    assert loaded is not None, found
    return loaded
