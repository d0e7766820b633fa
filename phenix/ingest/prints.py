"""Lines of the vendor's trade_quote table as raw rows: what files and the terminal's history share."""

from __future__ import annotations

from collections.abc import Sequence

from phenix.ingest.normalize import Normalizer, RawRow, Refusal
from phenix.ingest.values import Contracts, Minutes, Money, Seconds

__all__ = ["PrintReader"]


class PrintReader:
    """Reads the values of :data:`phenix.ingest.layout.TRADE_QUOTE`, each of its grammar, through one normaliser."""

    def __init__(self, normalizer: Normalizer, minutes: Minutes | None = None, seconds: Seconds | None = None) -> None:
        self._normalizer = normalizer
        self._minutes = minutes or Minutes()
        self._seconds = seconds or Seconds()
        self._money, self._contracts = Money(), Contracts()

    def row(self, values: Sequence[bytes], ingested_at_utc: int) -> RawRow | Refusal:
        """The raw row of a line, or why there is none."""
        root, expiration, strike, right, at, quote_at, sequence, condition, size, exchange, price, bid, ask = values
        minutes, seconds, money = self._minutes, self._seconds, self._money
        try:
            return self._normalizer.row(
                self._contracts[root, expiration, strike, right],
                minutes[at[:16]] + seconds[at[16:]],
                money[price],
                int(size),
                int(condition),
                int(exchange),
                int(sequence),
                money[bid] if bid else None,
                money[ask] if ask else None,
                minutes[quote_at[:16]] + seconds[quote_at[16:]] if quote_at else None,
                ingested_at_utc,
            )
        except ValueError as error:
            return Refusal("time_malformed", str(error))
