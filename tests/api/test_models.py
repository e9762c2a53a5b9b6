"""Concepts, models, versions and predictions over HTTP."""

import time
from typing import Any

import pytest
from pydantic import TypeAdapter
from vectors import vector_input

from tenshot.api.wire.evaluation_metrics import MetricsOut

QUERY = {"inputs": [vector_input(axis) for axis in range(3)]}


def _values(answer: Any) -> list[dict[str, float]]:
    return [{concept["id"]: concept["value"] for concept in out["data"]["concepts"]} for out in answer["outputs"]]


def test_a_label_is_in_the_next_prediction(taught: Any) -> None:
    before = _values(taught.call("POST", "/v2/models/abc/outputs", QUERY))
    assert [max(values, key=values.__getitem__) for values in before] == ["a", "b", "c"]
    patch = {"inputs": [{"id": "x0", "data": {"concepts": [{"id": "a", "value": 0}]}}]}
    taught.call("PATCH", "/v2/inputs", patch)
    after = _values(taught.call("POST", "/v2/models/abc/outputs", QUERY))
    assert after[0]["a"] < before[0]["a"] - 0.05


def test_the_untrained_head_predicts_live_and_a_frozen_version_never_changes(taught: Any) -> None:
    model = taught.call("GET", "/v2/models/abc")["model"]
    head = model["model_version"]
    assert (head["status"]["code"], head["active_concept_count"]) == (21102, 3)
    frozen = taught.call("POST", "/v2/models/abc/versions")["model"]["model_version"]
    assert (frozen["status"]["code"], frozen["total_input_count"]) == (21100, 6)
    path = f"/v2/models/abc/versions/{frozen['id']}/outputs"
    before = _values(taught.call("POST", path, QUERY))
    patch = {"inputs": [{"id": f"x{i}", "data": {"concepts": [{"id": "a", "value": i > 20}]}} for i in range(30)]}
    taught.call("PATCH", "/v2/inputs", patch)
    assert _values(taught.call("POST", path, QUERY)) == before
    live = _values(taught.call("POST", f"/v2/models/abc/versions/{head['id']}/outputs", QUERY))
    assert live == _values(taught.call("POST", "/v2/models/abc/outputs", QUERY))
    assert live != before
    listed = taught.call("GET", "/v2/models/abc/versions")["model_versions"]
    assert [version["id"] for version in listed] == [frozen["id"], head["id"]]
    taught.call("DELETE", f"/v2/models/abc/versions/{frozen['id']}")
    taught.call("GET", f"/v2/models/abc/versions/{frozen['id']}", expect=(404, 21200))


def test_exclusive_closed_models_share_out_one(taught: Any) -> None:
    config = {"concepts_mutually_exclusive": True, "closed_environment": True, "hyper_params": {"k": [1]}}
    info = {"data": {"concepts": [{"id": id} for id in "abc"]}, "output_config": config}
    model = taught.call("POST", "/v2/models", {"model": {"id": "one/of", "output_info": info}})["model"]
    assert model["output_info"]["output_config"]["hyper_params"] == {"k": [1]}
    for values in _values(taught.call("POST", "/v2/models/one%2Fof/outputs", QUERY)):
        assert sum(values.values()) == pytest.approx(1, abs=1e-4)


def test_outputs_can_be_selected_limited_and_cut(taught: Any) -> None:
    def ask(**config: Any) -> list[dict[str, float]]:
        body = QUERY | {"model": {"output_info": {"output_config": config}}}
        return _values(taught.call("POST", "/v2/models/abc/outputs", body))

    assert [len(values) for values in ask(max_concepts=1)] == [1, 1, 1]
    assert [set(values) for values in ask(select_concepts=[{"id": "b"}, {"name": "nobody"}])] == [{"b"}] * 3
    assert all(value >= 0.3 for values in ask(min_value=0.3) for value in values.values())
    body = QUERY | {"model": {"output_info": {"output_config": {"select_concepts": [{"id": "nobody"}]}}}}
    taught.call("POST", "/v2/models/abc/outputs", body, (400, 21202))


def test_a_stored_input_can_be_predicted_and_failures_stand_beside_successes(taught: Any) -> None:
    answer = taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "x12"}, {"id": "nobody"}]}, (207, 10010))
    assert answer["outputs"][0]["data"]["concepts"][0]["id"] == "b"
    assert answer["outputs"][0]["input"]["id"] == "x12"
    assert (answer["outputs"][1]["status"]["code"], answer["outputs"][1]["data"]) == (30102, {})
    taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "nobody"}]}, (400, 10020))
    taught.call("POST", "/v2/models/abc/outputs", {"inputs": []}, (400, 39999))
    taught.call("POST", "/v2/models/nobody/outputs", QUERY, (404, 21200))
    taught.call("POST", "/v2/models/abc/versions/nobody/outputs", QUERY, (404, 21200))


def test_models_are_listed_found_changed_and_deleted(taught: Any) -> None:
    taught.call("POST", "/v2/models", {"model": {"id": "plain"}})
    assert "data" not in taught.call("GET", "/v2/models/plain/output_info")["model"]["output_info"]
    assert [model["id"] for model in taught.call("GET", "/v2/models?page=1&per_page=2")["models"]] == ["abc", "plain"]
    assert taught.call("GET", "/v2/models?page=2&per_page=20")["models"] == []
    found = taught.call("POST", "/v2/models/searches", {"model_query": {"name": "PL*n", "type": None}})["models"]
    assert [model["id"] for model in found] == ["plain"]
    taught.call("POST", "/v2/models", {"model": {"id": "plain"}}, (400, 21202))

    def patch(action: str, **change: Any) -> Any:
        return taught.call("PATCH", "/v2/models", {"action": action, "models": [{"id": "abc", **change}]})["models"][0]

    def concepts(model: Any) -> list[str]:
        return [concept["id"] for concept in model["output_info"].get("data", {}).get("concepts", [])]

    assert concepts(patch("merge", output_info={"data": {"concepts": [{"id": "d"}]}})) == ["a", "b", "c", "d"]
    assert concepts(patch("remove", output_info={"data": {"concepts": [{"id": "a"}]}})) == ["b", "c", "d"]
    renamed = patch("merge", name="letters", output_info={})
    assert (renamed["name"], concepts(renamed), renamed["model_version"]["active_concept_count"]) == (
        "letters",
        ["b", "c", "d"],
        3,
    )
    assert concepts(patch("overwrite", output_info={"data": {}})) == []
    taught.call("POST", "/v2/models/abc/versions", expect=(400, 21202))
    taught.call("PATCH", "/v2/models", {"models": [{"id": "nobody"}]}, (404, 21200))
    taught.call("DELETE", "/v2/models/plain")
    taught.call("DELETE", "/v2/models/plain", expect=(404, 21200))
    taught.call("DELETE", "/v2/models", {}, (400, 40001))
    taught.call("DELETE", "/v2/models", {"delete_all": True})
    assert {model["app_id"] for model in taught.call("GET", "/v2/models")["models"]} == {"main"}


def test_inputs_of_a_model_are_those_labelled_for_it(taught: Any) -> None:
    ids = [one["id"] for one in taught.call("GET", "/v2/models/abc/inputs")["inputs"]]
    assert ids == ["x0", "x1", "x10", "x11", "x20", "x21"]


def test_concepts_are_made_found_and_renamed(taught: Any) -> None:
    made = taught.call("POST", "/v2/concepts", {"concepts": [{"id": "dog", "name": "Dog"}, {"id": "我"}]})["concepts"]
    assert [(concept["id"], concept["name"], concept["app_id"]) for concept in made] == [
        ("dog", "Dog", taught.id),
        ("我", "我", taught.id),
    ]
    taught.call("POST", "/v2/concepts", {"concepts": [{"id": "new"}, {"id": "dog"}]}, (400, 40003))
    taught.call("GET", "/v2/concepts/new", expect=(404, 11101))
    assert taught.call("GET", "/v2/concepts/%E6%88%91")["concept"]["id"] == "我"
    for pattern, wanted in (("d*", ["dog"]), ("DOG", ["dog"]), ("do", []), ("*", ["a", "b", "c", "dog", "我"])):
        body = {"concept_query": {"name": pattern, "language": None}}
        found = taught.call("POST", "/v2/concepts/searches", body)["concepts"]
        assert [concept["id"] for concept in found] == wanted
    renamed = taught.call(
        "PATCH", "/v2/concepts", {"action": "overwrite", "concepts": [{"id": "dog", "name": "Hound"}]}
    )
    assert renamed["concepts"][0]["name"] == "Hound"
    taught.call("PATCH", "/v2/concepts", {"action": "merge", "concepts": [{"id": "dog", "name": "x"}]}, (400, 40001))


def test_an_app_s_own_model_comes_before_a_public_one_of_that_name(taught: Any) -> None:
    assert taught.call("GET", "/v2/models/general")["model"]["app_id"] == "main"
    info = {"data": {"concepts": [{"id": "a"}]}}
    taught.call("POST", "/v2/models", {"model": {"id": "general", "output_info": info}})
    assert taught.call("GET", "/v2/models/general")["model"]["app_id"] == taught.id
    [output] = taught.call("POST", "/v2/models/general/outputs", {"inputs": [vector_input(0)]})["outputs"]
    assert [concept["id"] for concept in output["data"]["concepts"]] == ["a"]


def test_the_ids_of_public_models_and_workflows_are_taken(taught: Any) -> None:
    taught.call("POST", "/v2/models", {"model": {"id": "aaa03c23b3724a16a56b629203edc62c"}}, (400, 21202))
    workflow = {"id": "General", "nodes": [{"id": "n", "model": {"id": "abc"}}]}
    taught.call("POST", "/v2/workflows", {"workflows": [workflow]}, (400, 40010))


def test_a_predicted_input_is_answered_with_where_its_picture_is(taught: Any) -> None:
    there = taught.call("GET", "/v2/inputs/x0")["input"]["data"]["image"]
    [output] = taught.call("POST", "/v2/models/abc/outputs", {"inputs": [{"id": "x0"}]})["outputs"]
    assert output["input"] == {"id": "x0", "data": {"image": there}}


def _evaluated(taught: Any, path: str) -> Any:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        metrics = taught.call("GET", path)["model_version"]["metrics"]
        if metrics["status"]["code"] != 21303:
            return metrics
        time.sleep(0.02)
    raise AssertionError("not evaluated")


def test_metrics_are_asked_for_made_in_the_background_and_given_in_parts(taught: Any) -> None:
    version = taught.call("POST", "/v2/models/abc/versions")["model"]["model_version"]["id"]
    path = f"/v2/models/abc/versions/{version}/metrics"
    assert taught.call("GET", path)["model_version"]["metrics"]["status"]["code"] == 21302
    asked = taught.call("POST", path, {})["model_version"]["metrics"]
    assert asked["status"]["code"] == 21303
    metrics = _evaluated(taught, path)
    assert TypeAdapter(MetricsOut).validate_python(metrics, strict=True) == metrics
    assert metrics["summary"]["top1_accuracy"] == 1
    counts = {(cell["actual"], cell["predicted"]): cell["value"] for cell in metrics["confusion_matrix"]["matrix"]}
    assert counts["a", "a"] == 2
    assert sum(counts.values()) == 6
    assert [one["count"] for one in metrics["label_counts"]["positive_label_counts"]] == [2, 2, 2]
    assert [(one["num_pos"], one["num_neg"], one["num_tot"]) for one in metrics["binary_metrics"]] == [(2, 4, 6)] * 3
    assert {one["id"]: one["ground_truth_concepts"][0]["id"] for one in metrics["test_set"]}["x10"] == "b"
    assert all(one["url"].startswith("http") for one in metrics["test_set"])
    some = taught.call("GET", f"{path}?fields.summary=true&fields.test_set=false")["model_version"]["metrics"]
    assert some == {"status": metrics["status"], "summary": metrics["summary"]}
    whole = taught.call("GET", f"/v2/models/abc/versions/{version}")["model_version"]
    assert whole["metrics"] == metrics


@pytest.mark.parametrize(("concepts", "code"), [(["a"], 21315), (["a", "z"], 21316)])
def test_too_little_to_evaluate_is_said(taught: Any, concepts: list[str], code: int) -> None:
    info = {"data": {"concepts": [{"id": id} for id in concepts]}}
    taught.call("POST", "/v2/models", {"model": {"id": "small", "output_info": info}})
    version = taught.call("GET", "/v2/models/small")["model"]["model_version"]["id"]
    path = f"/v2/models/small/versions/{version}/metrics"
    taught.call("POST", path, {})
    assert _evaluated(taught, path)["status"]["code"] == code


def test_going_back_is_a_new_version_that_predicts_as_the_old_one(taught: Any) -> None:
    def freeze(**body: str) -> str:
        return str(taught.call("POST", "/v2/models/abc/versions", body)["model"]["model_version"]["id"])

    def values(version: str) -> Any:
        return _values(taught.call("POST", f"/v2/models/abc/versions/{version}/outputs", QUERY))

    old = freeze()
    taught.call("PATCH", "/v2/inputs", {"inputs": [{"id": "x0", "data": {"concepts": [{"id": "a", "value": 0}]}}]})
    new = freeze()
    assert values(new) != values(old)
    back = freeze(from_version_id=old)
    assert len({old, new, back}) == 3
    assert values(back) == values(old)
    taught.call("POST", "/v2/models/abc/versions", {"from_version_id": "nobody"}, (404, 21200))
