"""Options of the whole suite."""

from __future__ import annotations

from typing import Any, Final

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

DIED: Final = pytest.StashKey[bool]()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--rewrite", action="store_true", help="write data-driven cases as the code answers today")


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """A worker died: the run is none, for its other tests were left out, and is not to be made up for by a second."""
    if error:
        node.config.stash[DIED] = True


def pytest_sessionfinish(session: pytest.Session) -> None:
    if session.config.stash.get(DIED, False):
        session.exitstatus = pytest.ExitCode.INTERNAL_ERROR


@pytest.fixture
def rewriting(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--rewrite"))
