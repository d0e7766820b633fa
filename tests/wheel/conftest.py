"""The wheel, built once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.wheel.building import ROOT, run


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", out, cwd=ROOT)
    (file,) = out.glob("*.whl")
    return file
