"""Searches over HTTP: each term alone, together, negated."""

from base64 import b64encode
from typing import Any

import open_clip
import pytest
import torch
from pictures import KINDS, png
from vectors import vector_input


def _search(tenant: Any, *terms: Any, **page: int) -> list[tuple[str, float]]:
    body: dict[str, Any] = {"query": {"ands": list(terms)}}
    if page:
        body["pagination"] = page
    answer = tenant.call("POST", "/v2/searches", body)
    assert answer["id"]
    return [(hit["input"]["id"], hit["score"]) for hit in answer["hits"]]


def _cloud(first: int) -> set[str]:
    return {f"x{i}" for i in range(first, first + 10)}


def test_a_stored_input_finds_itself_first(taught: Any) -> None:
    hits = _search(taught, {"output": {"input": {"id": "x3", "data": {"image": {}}}}})
    assert hits[0][0] == "x3"
    assert hits[0][1] == pytest.approx(1, abs=1e-4)
    assert {id for id, _ in hits[:10]} == _cloud(0)
    assert len(hits) == 20


@pytest.mark.parametrize("page", [{"page": 999_999_999}, {"page": 2, "per_page": 10**30}])
def test_a_page_past_the_end_is_empty(taught: Any, page: dict[str, int]) -> None:
    assert _search(taught, {"output": {"input": {"id": "x3"}}}, **page) == []
    assert _search(taught, {"output": {"data": {"concepts": [{"id": "a"}]}}}, **page) == []


def test_a_vector_and_its_negation_rank_opposite_ways(taught: Any) -> None:
    query = {"output": {"input": vector_input(1)}}
    assert {id for id, _ in _search(taught, query, per_page=10)} == _cloud(10)
    assert not {id for id, _ in _search(taught, {**query, "negate": True}, per_page=20)} & _cloud(10)


def test_a_predicted_concept_ranks_and_false_turns_it_round(taught: Any) -> None:
    def concept(value: float) -> Any:
        return {"output": {"data": {"concepts": [{"id": "c", "value": value}]}}}

    assert {id for id, _ in _search(taught, concept(1.0), per_page=10)} == _cloud(20)
    assert not {id for id, _ in _search(taught, concept(0.0), per_page=20)} & _cloud(20)
    assert _search(taught, {"output": {"data": {"concepts": [{"id": "unicorn"}]}}}) == []


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        ({"concepts": [{"id": "a"}]}, [0, 1]),
        ({"concepts": [{"id": "a"}, {"name": "b"}]}, []),
        ({"metadata": {"row": 7.0}}, [7]),
        ({"metadata": {"odd": True}, "concepts": [{"id": "b"}]}, [11]),
        ({"geo": {"geo_point": {"longitude": 5}, "geo_limit": {"type": "withinKilometers", "value": 120}}}, [4, 5, 6]),
        ({"geo": {"geo_point": {}, "geo_limit": {"type": "withinDegrees", "value": 1.5}}}, [0, 1]),
        ({"geo": {"geo_box": [{"geo_point": {"longitude": 3, "latitude": 1}}, {"geo_point": {}}]}}, [0, 1, 2, 3]),
    ],
)
def test_filters_alone_give_creation_order_and_score_one(taught: Any, data: Any, wanted: list[int]) -> None:
    assert _search(taught, {"input": {"data": data}}) == [(f"x{i}", 1) for i in wanted]


def test_a_false_label_finds_whatever_is_not_labelled_with_it(taught: Any) -> None:
    ids = {id for id, _ in _search(taught, {"input": {"data": {"concepts": [{"id": "a", "value": 0}]}}}, per_page=100)}
    assert ids == {f"x{i}" for i in range(2, 30)}


def test_terms_are_anded_and_pages_advance(taught: Any) -> None:
    near = {"output": {"input": {"id": "x0", "data": {"image": {}}}}}
    odd = {"input": {"data": {"metadata": {"odd": True}}}}
    first, second = _search(taught, near, odd, page=1, per_page=5), _search(taught, near, odd, page=2, per_page=5)
    assert {id for id, _ in first} == {"x1", "x3", "x5", "x7", "x9"}
    assert not {id for id, _ in first} & {id for id, _ in second}
    assert _search(taught, near, odd, page=9, per_page=5) == []
    assert len(_search(taught, per_page=100)) == 30


@pytest.mark.parametrize(
    ("term", "expect"),
    [
        ({}, (400, 40002)),
        ({"input": {"data": {}}}, (400, 40002)),
        ({"output": {"data": {}}}, (400, 40002)),
        ({"output": {"input": {"id": "nobody", "data": {"image": {}}}}}, (404, 30102)),
        ({"output": {"input": {"data": {"image": {"base64": "%"}}}}}, (400, 40002)),
        ({"input": {"data": {"geo": {"geo_point": {}}}}}, (400, 40002)),
        ({"input": {"data": {"geo": {"geo_box": []}}}}, (400, 40002)),
    ],
)
def test_a_bad_term_is_refused(taught: Any, term: Any, expect: tuple[int, int]) -> None:
    taught.call("POST", "/v2/searches", {"query": {"ands": [term]}}, expect)


def test_a_term_with_both_a_picture_and_a_label_needs_both(taught: Any) -> None:
    near = {"input": {"id": "x0", "data": {"image": {}}}}
    both = {"output": near, "input": {"data": {"concepts": [{"id": "b"}]}}}
    assert {id for id, _ in _search(taught, both)} == {"x10", "x11"}


def test_what_stands_beside_the_picture_of_a_visual_search_narrows_it(taught: Any) -> None:
    box = {"geo_box": [{"geo_point": {}}, {"geo_point": {"longitude": 9}}]}
    data = {"image": {}, "metadata": {"odd": True}, "geo": box}
    hits = _search(taught, {"output": {"input": {"id": "x0", "data": data}}})
    assert {id for id, _ in hits} == {"x1", "x3", "x5", "x7", "x9"}


def test_negated_filters_find_the_rest(taught: Any) -> None:
    labelled = {"input": {"data": {"concepts": [{"id": "a"}]}}, "negate": True}
    odd = {"input": {"data": {"metadata": {"odd": True}}}, "negate": True}
    assert [id for id, _ in _search(taught, labelled, odd, per_page=5)] == ["x2", "x4", "x6", "x8", "x10"]


def test_a_plain_url_is_a_filter_and_languages_are_ignored_kindly(taught: Any) -> None:
    assert _search(taught, {"input": {"data": {"url": "http://nowhere/x.png"}}}) == []
    body = {"query": {"ands": [], "language": "zh"}}
    assert len(taught.call("POST", "/v2/searches", body)["hits"]) == 20


def test_a_concept_that_only_the_base_workflow_knows_is_searched_by_its_words(
    tenant_of: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A CLIP with random weights: what it says is nonsense, but the same nonsense as a search by words."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = open_clip.create_model("ViT-S-32-alt")
    path = tmp_path_factory.mktemp("clip") / "small.pt"
    torch.save(model.state_dict(), path)
    tenant = tenant_of(f"open_clip:ViT-S-32-alt:{path}", None)
    uploads = [{"id": f"{kind}", "data": {"image": {"base64": b64encode(png(kind, 0)).decode()}}} for kind in KINDS]
    tenant.call("POST", "/v2/inputs", {"inputs": uploads})
    wanted = [hit.input_id for hit in tenant.app.search(text="stripes")]
    term = {"output": {"data": {"concepts": [{"name": "stripes"}]}}}
    assert [id for id, _ in _search(tenant, term)] == wanted
    assert [id for id, _ in _search(tenant, {**term, "negate": True})] == wanted[::-1]
