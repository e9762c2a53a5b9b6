"""Explanations, suggestions, doubts, evaluations, thresholds, comparisons over HTTP: as in-process, and scoped."""

from typing import Any

import numpy as np
import pytest

from tenshot.api.auth.keys import new_key

PATHS = ("suggestions", "doubts", "evaluation", "learning_curve", "thresholds")
QUERY = {"inputs": [{"id": "x5"}, {"data": {"embeddings": [{"vector": np.eye(8)[1].tolist()}]}}]}


def app_of(server: Any, tenant: Any) -> Any:
    return server.store.app(tenant.id)


def test_what_to_label_next(server: Any, taught: Any) -> None:
    answer = taught.call("GET", "/v2/models/abc/suggestions?n=7&strategy=uncertain")
    assert answer["strategy"] == "uncertain"
    found = app_of(server, taught).suggest("abc", 7, strategy="uncertain")
    assert [one["input"]["id"] for one in answer["suggestions"]] == [one.input_id for one in found]
    for one in answer["suggestions"]:
        assert one["strategy"] == "uncertain"
        assert one["input"]["data"]["image"]["url"]
        assert set(one["concept"]) == {"id", "name", "value", "app_id"}
        assert "concepts" not in one["input"]["data"]
    assert len(taught.call("GET", "/v2/models/all/suggestions?n=200")["suggestions"]) == 24
    about = taught.call("GET", "/v2/models/abc/suggestions?strategy=rare&concept_id=b&n=3")["suggestions"]
    assert {one["concept"]["id"] for one in about} == {"b"}
    for query in ("n=0", "n=201", "n=x", "strategy=clever"):
        taught.call("GET", f"/v2/models/abc/suggestions?{query}", expect=(400, 11100))
    taught.call("GET", "/v2/models/abc/suggestions?concept_id=nobody", expect=(404, 11101))


def test_an_app_without_labels_gets_diverse_suggestions(tenant: Any) -> None:
    assert tenant.call("GET", "/v2/models/all/suggestions")["suggestions"] == []
    inputs = [{"data": {"embeddings": [{"vector": row.tolist()}]}} for row in np.eye(8)]
    tenant.call("POST", "/v2/inputs", {"inputs": inputs})
    found = tenant.call("GET", "/v2/models/all/suggestions?n=3")["suggestions"]
    assert [one["strategy"] for one in found] == ["diverse"] * 3
    assert all("concept" not in one for one in found)


def test_labels_that_look_wrong(taught: Any) -> None:
    assert taught.call("GET", "/v2/models/abc/doubts")["doubts"] == []
    wrong = [{"id": f"x{i}", "data": {"concepts": [{"id": "abc"[i // 10]}]}} for i in range(30) if i % 10 < 7]
    wrong[3]["data"] = {"concepts": [{"id": "b"}]}
    taught.call("PATCH", "/v2/inputs", {"action": "overwrite", "inputs": wrong})
    [found] = taught.call("GET", "/v2/models/abc/doubts")["doubts"]
    assert (found["input"]["id"], found["concept"]["id"], found["concept"]["value"]) == ("x3", "b", 1)
    assert found["instead"] == {"id": "a", "name": "a"}
    assert 0 <= found["probability"] < 0.2
    for query in ("n=0", "limit=0", "limit=2", "limit=nan"):
        taught.call("GET", f"/v2/models/abc/doubts?{query}", expect=(400, 11100))


def test_why_a_value_is_what_it_is(taught: Any) -> None:
    answer = taught.call("POST", "/v2/models/abc/explanations", QUERY | {"neighbours": 3})
    assert [one["explanations"][0]["concept_id"] for one in answer["outputs"]] == ["a", "b"]
    predicted = taught.call("POST", "/v2/models/abc/outputs", QUERY)["outputs"]
    for one, output in zip(answer["outputs"], predicted, strict=True):
        assert len(one["explanations"]) == 3
        values = {concept["id"]: concept["value"] for concept in output["data"]["concepts"]}
        for why in one["explanations"]:
            assert why["value"] == pytest.approx(values[why["concept_id"]], abs=1e-5)
            parts = why["prototype"] + why["neighbours"] + why["background"] + why["text_prior"]
            assert why["score"] == pytest.approx(parts)
            assert len(why["nearest"]) <= 3
            assert why["calibration"]["confidence"] == "low"
            assert why["calibration"]["labels"] == 2
    config = {"model": {"output_info": {"output_config": {"select_concepts": [{"id": "c"}]}}}}
    [only, _] = taught.call("POST", "/v2/models/abc/explanations", QUERY | config)["outputs"]
    assert [why["concept_id"] for why in only["explanations"]] == ["c"]
    mixed = {"inputs": [{"id": "x5"}, {"id": "nobody"}]}
    good, bad = taught.call("POST", "/v2/models/abc/explanations", mixed, (207, 10010))["outputs"]
    assert (len(good["explanations"]), bad["explanations"], bad["status"]["code"]) == (3, [], 30102)
    config["model"]["output_info"]["output_config"]["select_concepts"] = [{"id": "nobody"}]
    taught.call("POST", "/v2/models/abc/explanations", QUERY | config, (400, 21202))
    taught.call("POST", "/v2/models/abc/explanations", QUERY | {"neighbours": 101}, (400, 11100))
    taught.call("POST", "/v2/models/abc/versions/nobody/explanations", QUERY, (404, 21200))
    version = taught.call("POST", "/v2/models/abc/versions", {})["model"]["model_version"]["id"]
    taught.call("PATCH", "/v2/inputs", {"inputs": [{"id": "x5", "data": {"concepts": [{"id": "b"}]}}]})
    [frozen, _] = taught.call("POST", f"/v2/models/abc/versions/{version}/explanations", QUERY)["outputs"]
    assert frozen["explanations"][0]["value"] == answer["outputs"][0]["explanations"][0]["value"]


def test_how_good_it_is(server: Any, taught: Any) -> None:
    found = taught.call("GET", "/v2/models/abc/evaluation?precision=0.8")["evaluation"]
    known = app_of(server, taught).evaluate("abc", precision=0.8)
    assert (found["inputs"], found["accuracy"], found["wanted_precision"]) == (6, known.accuracy, 0.8)
    assert [one["concept_id"] for one in found["concepts"]] == list("abc")
    assert found["confusion"] == [list(row) for row in known.confusion]
    assert found["judged"] == []
    curve = taught.call("GET", "/v2/models/abc/learning_curve?draws=2")["learning_curve"]
    assert [point["labels"] for point in curve["points"]] == [1]
    assert curve["more_helps"] is None
    taught.call("GET", "/v2/models/abc/evaluation?precision=0", expect=(400, 11100))
    taught.call("GET", "/v2/models/abc/learning_curve?draws=21", expect=(400, 11100))


def test_models_without_anything_are_judged_too(tenant: Any) -> None:
    config = {"concepts_mutually_exclusive": True, "closed_environment": True}
    for id, given in (("empty", {}), ("closed", config)):
        concepts = {"concepts": [{"id": "never"}]} if given else {}
        info = {"data": concepts, "output_config": given}
        tenant.call("POST", "/v2/models", {"model": {"id": id, "output_info": info}})
        for path in PATHS:
            tenant.call("GET", f"/v2/models/{id}/{path}")
        explained = tenant.call("POST", f"/v2/models/{id}/explanations", {"inputs": QUERY["inputs"][1:]})
        assert explained["outputs"][0]["explanations"] == []


def test_thresholds_are_set_and_decide(taught: Any) -> None:
    def decided() -> dict[str, bool]:
        [output, _] = taught.call("POST", "/v2/models/abc/outputs", QUERY)["outputs"]
        return {concept["id"]: concept["decision"] for concept in output["data"]["concepts"]}

    assert decided()["c"] is False
    body = {"thresholds": [{"id": "c", "threshold": 0}, {"id": "a", "threshold": 1}]}
    found = taught.call("PATCH", "/v2/models/abc/thresholds", body)["thresholds"]
    assert {one["id"]: one["threshold"] for one in found} == {"a": 1, "b": 0.5, "c": 0}
    assert decided() == {"a": False, "b": False, "c": True}
    taught.call("PATCH", "/v2/models/abc/thresholds", {"thresholds": [{"id": "c", "threshold": None}]})
    assert taught.call("GET", "/v2/models/abc/thresholds")["thresholds"][2] == {
        "id": "c",
        "name": "c",
        "threshold": 0.5,
    }
    taught.call("PATCH", "/v2/models/abc/thresholds", {"precision": 0.9})
    for wrong, code in (
        ({}, 40001),
        ({"precision": 0.9, "thresholds": [{"id": "a"}]}, 40001),
        ({"precision": 2}, 11100),
        ({"thresholds": [{"id": "a", "threshold": 1.5}]}, 11100),
    ):
        taught.call("PATCH", "/v2/models/abc/thresholds", wrong, (400, code))
    unknown = {"thresholds": [{"id": "nobody", "threshold": 0.1}]}
    taught.call("PATCH", "/v2/models/abc/thresholds", unknown, (404, 11101))


def test_versions_are_compared_on_the_same_inputs(taught: Any) -> None:
    old = taught.call("POST", "/v2/models/abc/versions", {})["model"]["model_version"]["id"]
    taught.call(
        "PATCH", "/v2/inputs", {"inputs": [{"id": f"x{i}", "data": {"concepts": [{"id": "c"}]}} for i in (5, 6)]}
    )
    found = taught.call("GET", f"/v2/models/abc/comparison?before={old}")["comparison"]
    assert (found["before"], found["after"], found["inputs"]) == (old, "labels", 30)
    assert found["changed"] >= len(found["changes"]) > 0
    assert set(found["quality_before"]) == {
        "accuracy",
        "mean_average_precision",
        "mean_roc_auc",
        "expected_calibration_error",
    }
    back = taught.call("POST", "/v2/models/abc/versions", {"from_version_id": old})["model"]["model_version"]["id"]
    same = taught.call("GET", f"/v2/models/abc/comparison?before={old}&after={back}")["comparison"]
    assert (same["changed"], same["quality_before"]) == (0, same["quality_after"])
    taught.call("GET", "/v2/models/abc/comparison", expect=(400, 11100))
    taught.call("GET", f"/v2/models/abc/comparison?before={old}&after=nobody", expect=(404, 21200))
    taught.call("GET", f"/v2/models/abc/comparison?before={old}&n=0", expect=(400, 11100))


def test_unknown_models_and_missing_scopes_are_refused(server: Any, taught: Any) -> None:
    for path in (*PATHS, "comparison?before=x"):
        taught.call("GET", f"/v2/models/nobody/{path}", expect=(404, 21200))
    taught.call("POST", "/v2/models/nobody/explanations", QUERY, (404, 21200))
    taught.call("PATCH", "/v2/models/nobody/thresholds", {"precision": 0.9}, (404, 21200))
    reader = server.client(new_key(server.store.catalog, taught.id, scopes=("Read",)).secret)
    assert all(reader.get(f"/v2/models/abc/{path}").status_code == 200 for path in PATHS)
    assert reader.post("/v2/models/abc/explanations", json=QUERY).status_code == 200
    assert reader.patch("/v2/models/abc/thresholds", json={"precision": 0.9}).status_code == 403
    reader.close()
