"""Several models on an input in one call."""

from typing import Any

import pytest
from vectors import vector_input


def _nodes(*models: str) -> Any:
    return [{"id": f"n{place}", "model": {"id": model}} for place, model in enumerate(models)]


def _create(tenant: Any, id: str, *models: str, expect: tuple[int, int] = (200, 10000)) -> Any:
    return tenant.call("POST", "/v2/workflows", {"workflows": [{"id": id, "nodes": _nodes(*models)}]}, expect)


@pytest.fixture
def two(taught: Any) -> Any:
    """A workflow `two` of the models `abc` and `ab`."""
    info = {"data": {"concepts": [{"id": "a"}, {"id": "b"}]}}
    taught.call("POST", "/v2/models", {"model": {"id": "ab", "output_info": info}})
    _create(taught, "two", "abc", "ab")
    return taught


def test_all_models_answer_for_each_input_in_the_order_of_the_nodes(two: Any) -> None:
    answer = two.call("POST", "/v2/workflows/two/results", {"inputs": [vector_input(0), {"id": "x12"}]})
    assert [one["input"]["id"] for one in answer["results"]][1] == "x12"
    for result, best in zip(answer["results"], "ab", strict=True):
        assert [output["model"]["id"] for output in result["outputs"]] == ["abc", "ab"]
        assert [output["data"]["concepts"][0]["id"] for output in result["outputs"]] == [best, best]
        assert all(output["model"]["model_version"]["id"] for output in result["outputs"])


def test_what_is_wanted_of_the_outputs_stands_beside_the_inputs(two: Any) -> None:
    config = {"max_concepts": 1, "select_concepts": [{"id": "c"}]}
    body = {"inputs": [vector_input(0)], "output_config": config}
    [result] = two.call("POST", "/v2/workflows/two/results", body)["results"]
    assert [[one["id"] for one in output["data"]["concepts"]] for output in result["outputs"]] == [["c"], []]


def test_one_bad_input_stops_none_of_the_others(two: Any) -> None:
    body = {"inputs": [{"id": "nobody"}, vector_input(1)]}
    answer = two.call("POST", "/v2/workflows/two/results", body, (207, 10010))
    assert [one["status"]["code"] for one in answer["results"]] == [30102, 10000]
    two.call("POST", "/v2/workflows/two/results", {"inputs": body["inputs"][:1]}, (400, 10020))


def test_a_node_may_stand_on_a_frozen_version(two: Any) -> None:
    version = two.call("POST", "/v2/models/abc/versions")["model"]["model_version"]["id"]
    node = {"id": "frozen", "model": {"id": "abc", "model_version": {"id": version}}}
    made = two.call("POST", "/v2/workflows", {"workflows": [{"id": "pinned", "nodes": [node]}]})["workflows"][0]
    assert made["nodes"] == [node]

    def values() -> Any:
        body = {"inputs": [vector_input(0)]}
        [result] = two.call("POST", "/v2/workflows/pinned/results", body)["results"]
        return result["outputs"][0]["data"]

    before = values()
    two.call("PATCH", "/v2/inputs", {"inputs": [{"id": "x0", "data": {"concepts": [{"id": "a", "value": 0}]}}]})
    assert values() == before


def test_a_workflow_has_one_to_five_models_that_exist_and_a_request_32_inputs(two: Any) -> None:
    _create(two, "five", *["abc"] * 5)
    _create(two, "six", *["abc"] * 6, expect=(400, 22104))
    _create(two, "none", expect=(400, 22104))
    _create(two, "ghost", "nobody", expect=(404, 21200))
    _create(two, "two", "abc", expect=(400, 40010))
    two.call("POST", "/v2/workflows/five/results", {"inputs": [vector_input(0)] * 32})
    two.call("POST", "/v2/workflows/five/results", {"inputs": [vector_input(0)] * 33}, (400, 39999))
    assert [one["id"] for one in two.call("GET", "/v2/workflows")["workflows"]] == ["two", "five"]


def test_workflows_are_listed_found_and_deleted(two: Any) -> None:
    assert two.call("GET", "/v2/workflows?page=2&per_page=1")["workflows"] == []
    two.call("DELETE", "/v2/workflows/two")
    two.call("GET", "/v2/workflows/two", expect=(404, 22102))
    [general] = two.call("GET", "/v2/public_workflows")["workflows"]
    assert two.call("GET", "/v2/workflows/General")["workflow"] == general
