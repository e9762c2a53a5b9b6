"""Routes that the page needs beside the wire's own."""

from collections.abc import Callable
from typing import Any


def test_inputs_are_listed_newest_first_and_by_status(taught: Any) -> None:
    newest = taught.call("GET", "/v2/inputs?newest_first=true&per_page=3")["inputs"]
    assert [one["id"] for one in newest] == ["x29", "x28", "x27"]
    assert len(taught.call("GET", "/v2/inputs?status=ready&per_page=100")["inputs"]) == 30
    assert taught.call("GET", "/v2/inputs?status=failed")["inputs"] == []
    taught.call("GET", "/v2/inputs?status=lost", expect=(400, 11100))


def test_concepts_are_counted_by_their_labels(taught: Any) -> None:
    taught.call("PATCH", "/v2/inputs", {"inputs": [{"id": "x0", "data": {"concepts": [{"id": "b", "value": 0}]}}]})
    taught.call("POST", "/v2/concepts", {"concepts": [{"id": "new"}]})
    counts = taught.call("GET", "/v2/concepts/status")["concept_counts"]
    assert {one["id"]: tuple(one["concept_type_count"].values()) for one in counts} == {
        "a": (2, 0),
        "b": (2, 1),
        "c": (2, 0),
        "new": (0, 0),
    }


def test_an_evaluation_names_the_inputs_behind_the_confusion_matrix(taught: Any) -> None:
    assert taught.call("GET", "/v2/models/abc/evaluation")["evaluation"]["judged"] == []
    found = taught.call("GET", "/v2/models/abc/evaluation?judged=true")["evaluation"]
    assert {one["input_id"] for one in found["judged"]} == {"x0", "x1", "x10", "x11", "x20", "x21"}


def test_words_find_pictures_where_the_base_workflow_has_words(tenant_of: Callable[..., Any], taught: Any) -> None:
    asked = {"query": {"ands": [{"output": {"input": {"data": {"text": {"raw": "a banana"}}}}}]}}
    refused = taught.call("POST", "/v2/searches", asked, expect=(400, 40001))
    assert "words are understood by general, general-fast, clip" in refused["status"]["details"]
    # A concept's id or name is found all the same.
    named = {"query": {"ands": [{"output": {"input": {"data": {"text": {"raw": "b"}}}}}]}}
    assert [hit["input"]["id"] for hit in taught.call("POST", "/v2/searches", named)["hits"]][:2] == [
        hit.input_id for hit in taught.app.search(concept="b", k=2)
    ]
    general = tenant_of("general-fast", None)
    if general.call("GET", "/v2/base_workflow")["base_workflow"]["text"]:
        assert general.call("POST", "/v2/searches", asked)["hits"] == []
    assert not taught.call("GET", "/v2/base_workflow")["base_workflow"]["text"]


def test_base_workflows_are_listed_for_a_key_of_no_app(server: Any, taught: Any) -> None:
    with server.client(server.admin) as admin:
        listed = admin.get("/v2/base_workflows").json()["base_workflows"]
    assert listed == taught.call("GET", "/v2/base_workflows")["base_workflows"]
    assert {"general", "vectors"} <= {one["id"] for one in listed}


def test_base_workflows_are_compared_where_there_are_pictures(taught: Any) -> None:
    refused = taught.call("GET", "/v2/base_workflow/comparison?workflow=general-fast", expect=(400, 21202))
    assert "two pictures" in refused["status"]["details"]
