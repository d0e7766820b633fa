"""The packaged data tables, read as JSON from ``phenix/engine/data``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

__all__ = ["DATA", "read_table"]

DATA = Path(__file__).parents[1] / "data"
"""Folder of the packaged tables."""


def read_table(name: str) -> Any:
    """The content of ``phenix/engine/data/NAME.json``. Raises OSError or ValueError when the installation is broken."""
    return json.loads((DATA / f"{name}.json").read_text(encoding="utf-8"))
