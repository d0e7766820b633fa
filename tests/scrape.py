"""What /metrics says, by name and labels."""

from __future__ import annotations

import urllib.request

from phenix.engine import metrics
from phenix.engine.metrics import Series


def scrape(url: str) -> Series:
    """What an address tells."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return read_text(answer.read().decode())


def read_text(text: str) -> Series:
    """Each series with its value; those of the process itself left out, which always move."""
    return {key: value for key, value in metrics.read_text(text).items() if not key[0].startswith("process_")}


def at(series: Series, name: str, **labels: str) -> float | None:
    """The value of one."""
    return series.get((name, tuple(sorted(labels.items()))))
