"""The official Python client works unchanged: each of its public methods, on a live server."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).parent / "python_client"


def cases() -> list[str]:
    """Read, not imported: the scripts run under the client's own interpreter. `@case` is one, `@rows(...)` many."""
    return [name for path in sorted(FOLDER.glob("*.py")) for name in _cases(path)]


def _cases(path: Path) -> Iterator[str]:
    for function in ast.parse(path.read_text()).body:
        for decorator in function.decorator_list if isinstance(function, ast.FunctionDef) else ():
            assert isinstance(function, ast.FunctionDef)
            match decorator:
                case ast.Name(id="case"):
                    yield f"{path.stem}.{function.name}"
                case ast.Call(func=ast.Name(id="rows"), keywords=table):
                    yield from (f"{path.stem}.{function.name}[{row.arg}]" for row in table)


@pytest.mark.parametrize("name", cases())
def test_the_python_client(python_report: Any, name: str) -> None:
    if python_report.cases[name] != "ok":
        pytest.fail(python_report.cases[name], pytrace=False)


def test_every_case_that_ran_is_reported(python_report: Any) -> None:
    assert set(python_report.cases) == set(cases())


def test_every_public_method_of_the_python_client_is_called(python_report: Any, limits: Any) -> None:
    excused = {method for limit in limits("python") for method in limit.get("never_called", ())}
    assert excused <= set(python_report.methods)
    assert set(python_report.methods) - set(python_report.called) == excused


def test_each_limit_of_the_python_client_is_shown(limits: Any) -> None:
    shown = {name.partition(".")[2] for name in cases() if name.startswith("limits.")}
    assert shown == {limit["id"] for limit in limits("python")}
