"""Merge, overwrite and remove: of plain JSON, of inputs and of models."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from vectors import vector_input

from tenshot.api.wire.patch import Action, patched

ANN, BO, BEA = {"id": "1", "n": "Ann"}, {"id": "2", "n": "Bo"}, {"id": "2", "n": "Bea"}
OLD: dict[str, Any] = {"a": 1, "deep": {"x": 1, "y": 2}, "tags": ["p", "q"], "people": [ANN, BO]}
ACTIONS: list[Action] = ["merge", "overwrite", "remove"]


@pytest.mark.parametrize(
    ("action", "change", "wanted"),
    [
        ("merge", {"deep": {"y": 3, "z": 4}}, {**OLD, "deep": {"x": 1, "y": 3, "z": 4}}),
        ("merge", {"tags": ["q", "r"]}, {**OLD, "tags": ["p", "q", "q", "r"]}),
        ("merge", {"people": [BEA, {"id": "3"}]}, {**OLD, "people": [ANN, BEA, {"id": "3"}]}),
        ("merge", {"a": None, "deep": None}, OLD),
        ("merge", {"deep": {}, "tags": []}, {**OLD, "deep": {}, "tags": []}),
        ("merge", {}, {}),
        ("overwrite", {"tags": ["r"], "deep": {"y": 3}}, {**OLD, "tags": ["r"], "deep": {"x": 1, "y": 3}}),
        ("remove", {"a": 7, "deep": {"x": 0}}, {"deep": {"y": 2}, "tags": OLD["tags"], "people": OLD["people"]}),
        ("remove", {"tags": ["p"], "people": [{"id": "1"}]}, {**OLD, "tags": ["q"], "people": [BO]}),
        ("remove", {"tags": [], "deep": {}}, {"a": 1, "people": OLD["people"]}),
        ("remove", {}, OLD),
    ],
)  # fmt: skip
def test_plain_json_is_patched(action: Action, change: Any, wanted: Any) -> None:
    assert patched(OLD, change, action) == wanted


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abcd"), inner, max_size=3),
    max_leaves=8,
)
OBJECT = st.dictionaries(st.sampled_from("abcd"), JSON, max_size=3)


@given(OBJECT, OBJECT, st.sampled_from(ACTIONS))
def test_a_patch_changes_neither_what_is_there_nor_what_comes(old: Any, new: Any, action: Action) -> None:
    before = repr(old), repr(new)
    patched(old, new, action)
    assert (repr(old), repr(new)) == before


@given(OBJECT, OBJECT)
def test_overwriting_twice_is_overwriting_once(old: Any, new: Any) -> None:
    once = patched(old, new, "overwrite")
    assert patched(once, new, "overwrite") == once


@given(OBJECT)
def test_removing_what_is_there_leaves_nothing(old: Any) -> None:
    flat = {key: value for key, value in old.items() if not isinstance(value, list)}
    assert patched(flat, dict.fromkeys(flat), "remove") == {}


def _patch(tenant: Any, action: str, **data: Any) -> Any:
    body = {"action": action, "inputs": [{"id": "x0", "data": data}]}
    return tenant.call("PATCH", "/v2/inputs", body)["inputs"][0]["data"]


def _box(id: str, right: float) -> Any:
    box = {"top_row": 0.0, "left_col": 0.0, "bottom_row": 0.5, "right_col": right}
    return {"id": id, "region_info": {"bounding_box": box}}


def test_regions_are_united_replaced_and_removed_by_their_ids(taught: Any) -> None:
    both = [_box("r1", 0.1), _box("r2", 0.2)]
    assert _patch(taught, "merge", regions=both)["regions"] == both
    assert _patch(taught, "merge", regions=[_box("r2", 0.3)])["regions"] == [_box("r1", 0.1), _box("r2", 0.3)]
    assert _patch(taught, "remove", regions=[{"id": "r1"}])["regions"] == [_box("r2", 0.3)]
    assert _patch(taught, "overwrite", regions=[_box("r3", 0.4)])["regions"] == [_box("r3", 0.4)]
    assert "regions" not in _patch(taught, "merge", regions=[])


def test_a_place_is_set_and_taken_away(taught: Any) -> None:
    assert _patch(taught, "merge", geo={"geo_point": {"latitude": 3}})["geo"]["geo_point"]["latitude"] == 3
    assert _patch(taught, "merge", metadata={"n": 1})["geo"]["geo_point"]["latitude"] == 3
    assert "geo" not in _patch(taught, "remove", geo={"geo_point": {}})


def test_an_empty_list_of_concepts_replaces_them_and_an_absent_one_leaves_them(taught: Any) -> None:
    assert _patch(taught, "merge", metadata={"n": 1})["concepts"]
    assert "concepts" not in _patch(taught, "merge", concepts=[])


def test_an_empty_list_takes_a_model_s_concepts_away_and_an_empty_object_only_when_it_overwrites(taught: Any) -> None:
    def patch(action: str, data: Any) -> Any:
        body = {"action": action, "models": [{"id": "abc", "output_info": {"data": data}}]}
        return taught.call("PATCH", "/v2/models", body)["models"][0]["output_info"]

    assert len(patch("merge", {})["data"]["concepts"]) == 3
    assert "data" not in patch("merge", {"concepts": []})
    assert len(patch("merge", {"concepts": [{"id": "a"}]})["data"]["concepts"]) == 1
    assert "data" not in patch("overwrite", {})


def test_what_is_removed_teaches_no_more(taught: Any) -> None:
    query = {"inputs": [vector_input(0)]}

    def value() -> float:
        concepts = taught.call("POST", "/v2/models/abc/outputs", query)["outputs"][0]["data"]["concepts"]
        return float(next(one["value"] for one in concepts if one["id"] == "a"))

    before = value()
    _patch(taught, "remove", concepts=[{"id": "a"}])
    assert value() < before


def _at_once(work: Callable[[int], Any]) -> list[Any]:
    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(work, range(40)))


def test_patches_that_come_at_once_lose_nothing_of_one_another(taught: Any) -> None:
    def merge(n: int) -> None:
        data = {"metadata": {f"k{n}": n}, "regions": [_box(f"r{n}", 0.5)]}
        taught.call("PATCH", "/v2/inputs", {"action": "merge", "inputs": [{"id": "x0", "data": data}]})
        concepts = {"output_info": {"data": {"concepts": [{"id": f"c{n}"}]}}}
        taught.call("PATCH", "/v2/models", {"action": "merge", "models": [{"id": "abc", **concepts}]})

    _at_once(merge)
    there = taught.app.input("x0")
    assert {f"k{n}": n for n in range(40)}.items() <= there.metadata.items()
    assert {region["id"] for region in there.regions} == {f"r{n}" for n in range(40)}
    assert set(taught.app.model("abc").concept_ids) == {"a", "b", "c"} | {f"c{n}" for n in range(40)}


def test_an_id_that_comes_twice_in_one_request_counts_twice_in_order(taught: Any) -> None:
    changes = [{"metadata": {"p": 1, "q": 1}, "concepts": [{"id": "new"}]}, {"metadata": {"q": 2}}]
    body = {"action": "merge", "inputs": [{"id": "x0", "data": data} for data in changes]}
    for answer in taught.call("PATCH", "/v2/inputs", body)["inputs"]:
        assert {"p": 1, "q": 2}.items() <= answer["data"]["metadata"].items()
    assert taught.app.input("x0").concepts["new"] is True
    info = [{"data": {"concepts": [{"id": id}]}} for id in ("d", "e")]
    models = {"action": "merge", "models": [{"id": "abc", "output_info": one} for one in info]}
    taught.call("PATCH", "/v2/models", models)
    assert taught.app.model("abc").concept_ids[-2:] == ("d", "e")


def test_models_are_patched_all_or_none(taught: Any) -> None:
    taught.app.create_model("other", ["a", "b"])
    bad = {"id": "other", "output_info": {"data": {"concepts": [{"id": "x" * 300}]}}}
    body = {"action": "merge", "models": [{"id": "abc", "name": "new"}, bad]}
    taught.call("PATCH", "/v2/models", body, expect=(400, 40001))
    assert taught.app.model("abc").name != "new"


def test_a_patch_beside_a_deletion_finds_the_input_or_says_that_there_is_none(taught: Any) -> None:
    ids = [f"x{n}" for n in range(40)]

    def patch(n: int) -> tuple[int, int]:
        if n % 2:
            taught.client.delete(f"/v2/inputs/{ids[n // 2]}")
        body = {"action": "merge", "inputs": [{"id": ids[n // 2], "data": {"metadata": {"n": n}}}]}
        answer = taught.client.patch("/v2/inputs", json=body)
        return answer.status_code, answer.json()["status"]["code"]

    assert set(_at_once(patch)) <= {(200, 10000), (404, 30102)}


def test_a_patch_that_is_refused_costs_nobody_else_anything(taught: Any) -> None:
    memory = taught.app.state()
    for wrong in ({"concepts": [{"value": 1}]}, {"metadata": {"x": "y" * 1_000_001}}):
        body = {
            "action": "merge",
            "inputs": [{"id": "x0", "data": {"metadata": {"new": 1}}}, {"id": "x1", "data": wrong}],
        }
        assert taught.client.patch("/v2/inputs", json=body).status_code == 400
    assert "new" not in (taught.app.input("x0").metadata or {})
    # What is remembered is not read again: nothing was half done.
    assert taught.app.state() is memory
