"""The official npm client works unchanged: each of its public methods, on a live server."""

import re
from pathlib import Path
from typing import Any

import pytest

SCRIPT = (Path(__file__).parent / "node_client" / "run.js").read_text()
CASES = re.findall(r"^  async '(.+)'\(\)", SCRIPT, re.MULTILINE)


@pytest.mark.parametrize("name", CASES)
def test_the_npm_client(node_report: Any, name: str) -> None:
    if node_report.cases[name] != "ok":
        pytest.fail(node_report.cases[name], pytrace=False)


def test_every_case_that_ran_is_reported(node_report: Any) -> None:
    assert set(node_report.cases) == set(CASES)


def test_every_public_method_of_the_npm_client_is_called(node_report: Any, limits: Any) -> None:
    excused = {method for limit in limits("npm") for method in limit.get("never_called", ())}
    assert excused <= set(node_report.methods)
    assert set(node_report.methods) - set(node_report.called) == excused
