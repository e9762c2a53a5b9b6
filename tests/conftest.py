"""Servers that tests start listen on loopback; a proxy that the machine has is for everything else."""

import os

import pytest
from hypothesis import HealthCheck, settings

# The same examples each time, however slow the machine is.
settings.register_profile("same", derandomize=True, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")

for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="random tests with many times the operations, for minutes")


@pytest.fixture
def long(request: pytest.FixtureRequest) -> bool:
    """Whether a random test may take minutes."""
    return bool(request.config.getoption("--long"))
