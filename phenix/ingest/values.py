"""Texts of the vendor's tables as typed values, with the answers remembered: a day repeats its prices and minutes.

Every text given here already has its column's grammar (:mod:`phenix.ingest.layout`); what can still be wrong is a date
or a time that does not exist, which raises ValueError with a sentence.
"""

from __future__ import annotations

from decimal import ROUND_HALF_EVEN, Decimal
from typing import Final

from phenix.engine.enrich.clock import day_of_date, utc_of, wall_of
from phenix.ingest.contract import Contract

__all__ = ["Contracts", "Dates", "HalfEvenMoney", "Minutes", "Money", "Seconds"]

_KEPT: Final = 500_000
_RIGHTS: Final = {b"CALL": "CALL", b"C": "CALL", b"PUT": "PUT", b"P": "PUT"}
_MINUTE: Final = 60_000


class _Remembered(dict[bytes, int]):
    """A function of a text that keeps its answers, up to a bound."""

    def __missing__(self, text: bytes) -> int:
        if len(self) >= _KEPT:
            self.clear()
        value = self[text] = self.compute(text)
        return value

    def compute(self, text: bytes) -> int:
        raise NotImplementedError


class Money(_Remembered):
    """Dollars of at most four decimals as ten-thousandths, exactly."""

    def compute(self, text: bytes) -> int:
        whole, _, decimals = text.partition(b".")
        return int(whole + decimals.ljust(4, b"0"))


class HalfEvenMoney(_Remembered):
    """Dollars of any number of decimals as ten-thousandths, rounded half-even."""

    def compute(self, text: bytes) -> int:
        return int((Decimal(text.decode("ascii")) * 10_000).to_integral_value(ROUND_HALF_EVEN))


class Dates(_Remembered):
    """``2024-11-08`` or ``20241108`` as YYYYMMDD."""

    def compute(self, text: bytes) -> int:
        date = int(text.replace(b"-", b""))
        try:
            day_of_date(date)
        except ValueError:
            raise ValueError(f"{text.decode('ascii')} is not a day of the calendar") from None
        return date


class Minutes(_Remembered):
    """``2024-11-04T09:30``, New York, as UTC milliseconds. Of a time that occurs twice the first is meant."""

    def compute(self, text: bytes) -> int:
        shown = text.decode("ascii", "replace")
        digits = text[:4] + text[5:7] + text[8:10] + text[11:13] + text[14:16]
        if len(text) != 16 or not digits.isdigit() or text[4:5] + text[7:8] + text[10:11] + text[13:14] != b"--T:":
            raise ValueError(f"{shown!a} is not a time such as 2024-11-04T09:30")
        date, hour, minute = int(digits[:8]), int(digits[8:10]), int(digits[10:])
        if hour > 23 or minute > 59:
            raise ValueError(f"{shown} is not a time of day")
        ms = (hour * 60 + minute) * _MINUTE
        try:
            day = day_of_date(date)
        except ValueError:
            raise ValueError(f"{shown[:10]} is not a day of the calendar") from None
        utc = utc_of(date, ms)
        if wall_of(utc) != day * 86_400_000 + ms:
            raise ValueError(f"{shown} does not exist in New York: the clocks went forward over it")
        return utc


class Seconds(_Remembered):
    """The rest of a time, ``:00.471`` with 0 to 3 decimals, as milliseconds."""

    def compute(self, text: bytes) -> int:
        whole, point, decimals = text[1:].partition(b".")
        fine = text[:1] == b":" and len(whole) == 2 and whole.isdigit() and int(whole) < 60
        if not fine or (point and not (decimals.isdigit() and len(decimals) <= 3)):
            raise ValueError(f"{text.decode('ascii', 'replace')!a} are not seconds such as :00.471")
        return int(whole) * 1000 + int(decimals.ljust(3, b"0"))


class Contracts(dict[tuple[bytes, bytes, bytes, bytes], Contract]):
    """The four contract columns as a contract."""

    def __init__(self) -> None:
        super().__init__()
        self._money = Money()
        self._dates = Dates()

    def __missing__(self, texts: tuple[bytes, bytes, bytes, bytes]) -> Contract:
        root, expiration, strike, right = texts
        contract = Contract(root.decode("ascii"), self._dates[expiration], self._money[strike], _RIGHTS[right])
        if len(self) >= _KEPT:
            self.clear()
        self[texts] = contract
        return contract
