"""Greeks as the stand-in has them: Black and Scholes without dividends, volatility solved from a price.

Journal of Political Economy 81, 1973. Units are those of the vendor's examples: theta is a day's, as are the others
that are about time; vega and rho are for a change of 1.00. A price no volatility explains has volatility 0 and error
100.
"""

from __future__ import annotations

from math import erf, exp, log, pi, sqrt
from typing import Final, NamedTuple

from phenix.ingest.terminal.layouts import wall_at
from phenix.ingest.terminal.protocol import MONEY_SCALE, Contract

__all__ = ["FIRST_ORDER", "HIGHER_ORDER", "Option", "first_order", "higher_order", "implied"]

FIRST_ORDER: Final = ("delta", "theta", "vega", "rho", "epsilon", "lambda")
"""Columns of :func:`first_order`."""
HIGHER_ORDER: Final = (
    "gamma", "vanna", "charm", "vomma", "veta", "vera", "speed", "zomma", "color", "ultima", "d1", "d2", "dual_delta",
    "dual_gamma",
)  # fmt: skip
"""Columns of :func:`higher_order`."""
UNSOLVED: Final = (0.0, 100.0)
_CLOSE_MS: Final = 16 * 3_600_000
_YEAR_MS: Final = 365 * 86_400_000
_HIGHEST: Final = 10.0


class Option(NamedTuple):
    """A contract at a moment: money in dollars, time in years, ``rate`` a yearly share."""

    call: bool
    strike: float
    spot: float
    years: float
    rate: float

    @classmethod
    def at(cls, contract: Contract, wall: int, spot: int, rate: float) -> Option:
        """A contract at a wall time with its underlying at ``spot`` (ten-thousandths); it ends at 16:00."""
        left = max(wall_at(contract.expiration, _CLOSE_MS) - wall, 60_000) / _YEAR_MS
        return cls(contract.right == "CALL", contract.strike / MONEY_SCALE, spot / MONEY_SCALE, left, rate)


def _normal(x: float) -> float:
    return 0.5 * (1 + erf(x / sqrt(2)))


def _d(option: Option, volatility: float) -> tuple[float, float]:
    deviation = volatility * sqrt(option.years)
    drift = log(option.spot / option.strike) + option.rate * option.years
    return drift / deviation + deviation / 2, drift / deviation - deviation / 2


def _value(option: Option, volatility: float) -> float:
    d1, d2 = _d(option, volatility)
    discounted = option.strike * exp(-option.rate * option.years)
    call = option.spot * _normal(d1) - discounted * _normal(d2)
    return call if option.call else call - option.spot + discounted


def implied(option: Option, price: int) -> tuple[float, float]:
    """Volatility at which the option is worth ``price`` (ten-thousandths), and the relative error that is left."""
    wanted = price / MONEY_SCALE
    low, high = 0.001, _HIGHEST
    if price <= 0 or option.spot <= 0 or not _value(option, low) <= wanted <= _value(option, high):
        return UNSOLVED
    for _ in range(60):
        middle = (low + high) / 2
        if _value(option, middle) < wanted:
            low = middle
        else:
            high = middle
    return round(middle, 4), round((_value(option, round(middle, 4)) - wanted) / wanted, 4)


def first_order(option: Option, volatility: float, price: int) -> tuple[float, ...]:
    """:data:`FIRST_ORDER` at a volatility, four decimals; zeros where there is none."""
    if not volatility:
        return (0.0,) * len(FIRST_ORDER)
    d1, d2 = _d(option, volatility)
    sign = 1 if option.call else -1
    density = exp(-d1 * d1 / 2) / sqrt(2 * pi)
    discounted = option.strike * exp(-option.rate * option.years)
    delta = sign * _normal(sign * d1)
    decay = option.spot * density * volatility / (2 * sqrt(option.years))
    theta = (-decay - sign * option.rate * discounted * _normal(sign * d2)) / 365
    vega = option.spot * sqrt(option.years) * density
    rho = sign * option.years * discounted * _normal(sign * d2)
    epsilon = -option.years * option.spot * delta
    return tuple(
        round(value, 4) for value in (delta, theta, vega, rho, epsilon, delta * option.spot * MONEY_SCALE / price)
    )


def higher_order(option: Option, volatility: float) -> tuple[float, ...]:
    """:data:`HIGHER_ORDER` at a volatility, four decimals; zeros where there is none."""
    if not volatility:
        return (0.0,) * len(HIGHER_ORDER)
    d1, d2 = _d(option, volatility)
    spot, years = option.spot, option.years
    deviation, discount = volatility * sqrt(years), exp(-option.rate * years)
    density, density_2 = exp(-d1 * d1 / 2) / sqrt(2 * pi), exp(-d2 * d2 / 2) / sqrt(2 * pi)
    later = (option.rate + volatility**2 / 2) / deviation - d1 / (2 * years)  # of d1, by years
    vega, gamma = spot * sqrt(years) * density, density / (spot * deviation)
    values = (
        gamma,
        -density * d2 / volatility,
        -density * later / 365,
        vega * d1 * d2 / volatility,
        -vega * (1 / (2 * years) - d1 * later) / 365,
        -option.strike * years * discount * density_2 * d1 / volatility,
        -gamma / spot * (d1 / deviation + 1),
        gamma * (d1 * d2 - 1) / volatility,
        gamma * (d1 * later + 1 / (2 * years)) / 365,
        -vega / volatility**2 * (d1 * d2 * (1 - d1 * d2) + d1 * d1 + d2 * d2),
        d1,
        d2,
        -discount * _normal(d2) if option.call else discount * _normal(-d2),
        discount * density_2 / (option.strike * deviation),
    )
    return tuple(round(value, 4) for value in values)
