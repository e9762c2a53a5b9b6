"""What is over in a moment is answered where requests are read; what may take longer goes to a thread of a pool."""

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import httpx
import numpy as np
import pytest
from loops import run

from tenshot.api.resources import searches
from tenshot.api.settings import Settings
from tenshot.api.work.coalescing import SearchCoalescer
from tenshot.index.app import predictors, search
from tenshot.index.app.ranking import Term
from tenshot.index.errors import BadVector

NEAR_X3 = {"output": {"input": {"id": "x3"}}}


@pytest.fixture
def where(monkeypatch: pytest.MonkeyPatch) -> Callable[[ModuleType, str], list[str]]:
    """Watches a function of a module: the names of the threads on which it is called from now on."""

    def watch(module: ModuleType, function: str) -> list[str]:
        threads: list[str] = []
        original = getattr(module, function)

        def noted(*given: Any, **options: Any) -> Any:
            threads.append("pool" if "worker" in threading.current_thread().name else "loop")
            return original(*given, **options)

        monkeypatch.setattr(module, function, noted)
        return threads

    return watch


def test_a_prediction_works_new_labels_in_on_a_thread_and_is_short_from_then_on(
    taught: Any, where: Callable[[ModuleType, str], list[str]]
) -> None:
    threads = where(predictors, "scores")

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
    taught: Any, where: Callable[[ModuleType, str], list[str]], inputs: list[Any]
) -> None:
    taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "x1"}]})
    threads = where(predictors, "scores")
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
        ([{**NEAR_X3, "negate": True}], "pool"),
        ([NEAR_X3, NEAR_X3], "pool"),
        ([], "pool"),
    ],
)
def test_only_a_search_for_what_is_near_is_short(
    taught: Any, where: Callable[[ModuleType, str], list[str]], terms: list[Any], expected: str
) -> None:
    together, alone = where(search, "nearest_inputs"), where(searches, "rank_inputs")
    taught.call("POST", "/v2/searches", {"query": {"ands": terms}})
    assert (together, alone) == ((["loop"], []) if expected == "loop" else ([], ["pool"]))


def test_searches_that_come_at_once_are_answered_together_each_as_if_alone(
    taught: Any, where: Callable[[ModuleType, str], list[str]]
) -> None:
    app, calls = taught.app, where(search, "nearest_inputs")
    vectors = app.vectors([f"x{i}" for i in range(12)])
    alone = [app.rank_inputs([Term(vector=vector)], k) for k, vector in enumerate(vectors, 1)]

    async def all_at_once() -> list[Any]:
        turns = SearchCoalescer()
        asked = [asyncio.ensure_future(turns.nearest(app.state(), vector, k)) for k, vector in enumerate(vectors, 1)]
        asked[4].cancel()
        found = await asyncio.gather(*asked, return_exceptions=True)
        assert await turns.nearest(app.state(), vectors[0], 1) == alone[0]
        return found

    found = run(all_at_once())
    assert len(calls) == 2
    assert isinstance(found[4], asyncio.CancelledError)
    assert found[:4] + found[5:] == alone[:4] + alone[5:]


def test_where_a_search_fails_all_that_came_with_it_are_told(taught: Any) -> None:
    async def wrong() -> list[Any]:
        turns = SearchCoalescer()
        nothing = np.zeros(8, dtype=np.float32)
        return await asyncio.gather(
            *(turns.nearest(taught.app.state(), nothing, 3) for _ in range(2)), return_exceptions=True
        )

    assert [type(error) for error in run(wrong())] == [BadVector, BadVector]


def test_errors_of_short_requests_are_those_of_others(taught: Any) -> None:
    taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "x1"}]})
    taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "nobody"}]}, expect=(400, 10020))
    taught.call("POST", "/v2/models/nothing/outputs", {"inputs": [{"id": "x1"}]}, expect=(404, 21200))
    unknown = {"output": {"input": {"id": "nobody"}}}
    taught.call("POST", "/v2/searches", {"query": {"ands": [unknown]}}, expect=(404, 30102))


def test_the_openapi_document_is_made_beside_the_event_loop(serving: Any, tmp_path: Path) -> None:
    with serving(Settings(data=tmp_path)) as server:
        made, threads = server.service.openapi, []

        def noted() -> Any:
            threads.append(threading.current_thread().name)
            return made()

        server.service.openapi = noted
        documents = [httpx.get(f"{server.url}/openapi.json").json() for _ in range(2)]
    assert documents == [made()] * 2
    assert len(threads) == 1
    assert "worker" in threads[0]
