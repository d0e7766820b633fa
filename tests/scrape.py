"""What /metrics says, by name and labels."""

from __future__ import annotations

import urllib.request

from prometheus_client.parser import text_string_to_metric_families

Series = dict[tuple[str, tuple[tuple[str, str], ...]], float]


def scrape(url: str) -> Series:
    """What an address tells."""
    with urllib.request.urlopen(url, timeout=30) as answer:
        return read_text(answer.read().decode())


def read_text(text: str) -> Series:
    """Each series with its value; those of the process itself left out, which always move."""
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if not sample.name.startswith("process_")
    }


def at(series: Series, name: str, **labels: str) -> float | None:
    """The value of one."""
    return series.get((name, tuple(sorted(labels.items()))))
