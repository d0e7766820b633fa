"""Options of the whole suite."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.internal.conjecture import providers

# The same examples on every run and machine, however slow: what fails here fails everywhere.
settings.register_profile(
    "phenix", derandomize=True, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
settings.load_profile("phenix")
# Nor do they follow the constants of whichever modules of ours happen to be loaded by then; there is no setting for it.
assert hasattr(providers, "is_local_module_file")
providers.is_local_module_file = lambda _: False


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write data-driven cases as the code answers today")


@pytest.fixture
def rewriting(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite"))
