"""Modules of ours run in processes of their own."""

from __future__ import annotations

import os
import sys

__all__ = ["child"]


def child(module: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Command and environment that run a module with what this process imports, whatever folder either is in."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    return [sys.executable, "-P", "-m", module, *arguments], environ
