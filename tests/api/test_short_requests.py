"""What is over in a moment is answered where requests are read; what may take longer goes to a thread of a pool."""

import threading
from collections.abc import Callable
from typing import Any

import pytest

from tenshot.index.app import App

NEAR_X3 = {"output": {"input": {"id": "x3"}}}


@pytest.fixture
def where(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Watches a method of apps: the names of the threads on which it is called from now on."""

    def watch(method: str) -> list[str]:
        threads: list[str] = []
        original = getattr(App, method)

        def noted(*given: Any, **options: Any) -> Any:
            threads.append("pool" if "worker" in threading.current_thread().name else "loop")
            return original(*given, **options)

        monkeypatch.setattr(App, method, noted)
        return threads

    return watch


def test_a_prediction_works_new_labels_in_on_a_thread_and_is_short_from_then_on(
    taught: Any, where: Callable[[str], list[str]]
) -> None:
    threads = where("scores")

    def predict() -> dict[str, float]:
        body = {"inputs": [{"id": "x25"}]}
        [output] = taught.call("POST", "/v2/models/abc/outputs", body)["outputs"]
        return {one["id"]: one["value"] for one in output["data"]["concepts"]}

    before = predict()
    assert predict() == before
    assert threads == ["pool", "loop"]
    taught.app.label("x25", {"c": False})
    after = predict()
    assert after["c"] < before["c"]
    assert predict() == after
    assert threads == ["pool", "loop", "pool", "loop"]


@pytest.mark.parametrize(
    "inputs", [[{"id": f"x{i}"} for i in range(20)], [{"data": {"embeddings": [{"vector": [1.0] * 8}]}}]]
)
def test_many_inputs_are_no_short_prediction_and_a_vector_is_one(
    taught: Any, where: Callable[[str], list[str]], inputs: list[Any]
) -> None:
    taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "x1"}]})
    threads = where("scores")
    taught.call("POST", "/v2/models/abc/outputs", {"inputs": inputs})
    assert threads == ["loop" if len(inputs) == 1 else "pool"]


@pytest.mark.parametrize(
    ("terms", "expected"),
    [
        ([NEAR_X3], "loop"),
        ([{"output": {"input": {"data": {"embeddings": [{"vector": [1.0] * 8}]}}}}], "loop"),
        ([NEAR_X3, {"input": {"data": {"concepts": [{"id": "a"}]}}}], "pool"),
        ([{"output": {"input": {"id": "x3", "data": {"metadata": {"odd": True}}}}}], "pool"),
        ([{"output": {"data": {"concepts": [{"id": "a"}]}}}], "pool"),
        ([{"input": {"data": {"metadata": {"odd": True}}}}], "pool"),
    ],
)
def test_only_a_search_for_what_is_near_is_short(
    taught: Any, where: Callable[[str], list[str]], terms: list[Any], expected: str
) -> None:
    threads = where("rank_inputs")
    taught.call("POST", "/v2/searches", {"query": {"ands": terms}})
    assert threads == [expected]


def test_errors_of_short_requests_are_those_of_others(taught: Any) -> None:
    taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "x1"}]})
    taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "nobody"}]}, expect=(400, 10020))
    taught.call("POST", "/v2/models/nothing/outputs", {"inputs": [{"id": "x1"}]}, expect=(404, 21200))
    unknown = {"output": {"input": {"id": "nobody"}}}
    taught.call("POST", "/v2/searches", {"query": {"ands": [unknown]}}, expect=(404, 30102))
