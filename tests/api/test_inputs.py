"""Inputs over HTTP."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from pictures import png
from vectors import vector_input


def _upload(kind: str, seed: int, **data: Any) -> dict[str, Any]:
    return {"data": {"image": {"base64": base64.b64encode(png(kind, seed)).decode()}, **data}}


def test_an_uploaded_picture_is_ready_at_once_and_served_without_a_key(tenant_of: Callable[..., Any]) -> None:
    tenant = tenant_of("general-fast", None)
    answer = tenant.call("POST", "/v2/inputs", {"inputs": [_upload("stripes", 1, concepts=[{"id": "striped"}])]})
    [one] = answer["inputs"]
    assert one["status"]["code"] == 30000
    assert len(one["id"]) == 32
    assert one["data"]["concepts"] == [{"id": "striped", "name": "striped", "value": 1, "app_id": tenant.id}]
    client = tenant.client
    picture = client.get(one["data"]["image"]["url"], headers={"Authorization": ""})
    assert picture.content == png("stripes", 1)
    assert picture.headers["content-type"] == "image/png"
    assert tenant.call("GET", f"/v2/inputs/{one['id']}")["input"] == one


def test_a_data_uri_prefix_lines_and_a_crop_are_understood(tenant_of: Callable[..., Any]) -> None:
    tenant = tenant_of("general-fast", None)
    upload = _upload("checks", 1)
    inline = upload["data"]["image"]["base64"]
    upload["data"]["image"]["base64"] = f"data:image/png;base64,{inline[:76]}\r\n{inline[76:]}\n"
    upload["data"]["image"]["crop"] = [0.0, 0.0, 0.5, 0.5]
    [one] = tenant.call("POST", "/v2/inputs", {"inputs": [upload]})["inputs"]
    assert one["data"]["image"]["crop"] == [0.0, 0.0, 0.5, 0.5]


def test_each_of_a_batch_has_its_own_status_and_a_bad_one_adds_nothing(taught: Any) -> None:
    bad = [
        ({"data": {"image": {"base64": "%%%"}}}, 30300),
        ({"data": {"image": {"base64": base64.b64encode(b"no picture").decode()}}}, 30101),
        ({"data": {}}, 30104),
        ({"id": "short", "data": {"embeddings": [{"vector": [1.0]}]}}, 30104),
        ({"id": "zero", "data": {"embeddings": [{"vector": [0.0] * 8}]}}, 30104),
        (vector_input(0, id="x0"), 30100),
    ]
    answer = taught.call(
        "POST", "/v2/inputs", {"inputs": [vector_input(4, id="good"), *(one for one, _ in bad)]}, (207, 10010)
    )
    assert [one["status"]["code"] for one in answer["inputs"]] == [30000, *(code for _, code in bad)]
    assert all(isinstance(one["status"].get("details", ""), str) for one in answer["inputs"])
    assert taught.call("GET", "/v2/inputs/status")["counts"]["processed"] == 31
    for one, code in bad:
        [failed] = taught.call("POST", "/v2/inputs", {"inputs": [one]}, (400, 10020))["inputs"]
        assert failed["status"]["code"] == code


@pytest.mark.parametrize("count", [0, 129])
def test_a_request_has_one_to_128_inputs(tenant: Any, count: int) -> None:
    tenant.call("POST", "/v2/inputs", {"inputs": [vector_input(0)] * count}, (400, 39999))


def test_pages_advance_in_creation_order_and_end_empty(taught: Any) -> None:
    pages = [taught.call("GET", f"/v2/inputs?page={page}&per_page=12")["inputs"] for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [12, 12, 6, 0]
    assert [one["id"] for page in pages for one in page] == [f"x{i}" for i in range(30)]
    assert taught.call("GET", "/v2/inputs?page=999999999999999999999&per_page=1000000")["inputs"] == []
    assert all(one["data"]["image"]["url"] for page in pages for one in page)


def test_merge_overwrite_and_remove_change_labels_and_metadata(taught: Any) -> None:
    def patch(action: str | None, data: dict[str, Any]) -> Any:
        body = {"inputs": [{"id": "x0", "data": data}]} | ({"action": action} if action else {})
        return taught.call("PATCH", "/v2/inputs", body)["inputs"][0]["data"]

    def labels(data: Any) -> dict[str, int]:
        return {concept["id"]: concept["value"] for concept in data.get("concepts", [])}

    assert labels(patch(None, {"concepts": [{"id": "b", "value": 0}]})) == {"a": 1, "b": 0}
    assert labels(patch("remove", {"concepts": [{"id": "b"}]})) == {"a": 1}
    assert labels(patch("overwrite", {"concepts": [{"id": "c"}]})) == {"c": 1}
    assert patch("merge", {"metadata": {"deep": {"one": 1}}})["metadata"]["row"] == 0
    assert patch("merge", {"metadata": {"deep": {"two": 2}}})["metadata"]["deep"] == {"one": 1, "two": 2}
    assert patch("remove", {"metadata": {"deep": {"one": 1}}})["metadata"]["deep"] == {"two": 2}
    assert patch("overwrite", {"metadata": {"new": True}})["metadata"]["new"] is True
    assert patch("merge", {"geo": {"geo_point": {"latitude": 3}}})["geo"]["geo_point"] == {
        "longitude": 0,
        "latitude": 3,
    }
    taught.call("PATCH", "/v2/inputs", {"action": "destroy", "inputs": []}, (400, 40001))
    taught.call("PATCH", "/v2/inputs", {"inputs": [{"id": "nobody", "data": {}}]}, (404, 30102))
    both = [{"id": "x1", "data": {"concepts": [{"id": "z"}]}}, {"id": "nobody", "data": {}}]
    taught.call("PATCH", "/v2/inputs", {"inputs": both}, (400, 10020))
    assert labels(taught.call("GET", "/v2/inputs/x1")["input"]["data"]) == {"a": 1}
    assert taught.call("PATCH", "/v2/inputs", {"action": "merge"})["inputs"] == []


def test_inputs_are_deleted_one_by_one_by_ids_or_all(taught: Any) -> None:
    taught.call("DELETE", "/v2/inputs/x0")
    taught.call("DELETE", "/v2/inputs/x0", expect=(404, 30102))
    taught.call("DELETE", "/v2/inputs", {"ids": ["x1", "x2", "nobody"]})
    assert taught.call("GET", "/v2/inputs/status")["counts"]["processed"] == 27
    for body in (None, {}, {"ids": []}):
        taught.call("DELETE", "/v2/inputs", body, (400, 39999))
    taught.call("DELETE", "/v2/inputs", {"delete_all": True})
    assert taught.call("GET", "/v2/inputs")["inputs"] == []


def test_ids_with_slashes_and_other_scripts_travel_in_paths(tenant: Any) -> None:
    for id, path in (("a/b", "a%2Fb"), ("我", "%E6%88%91"), ("50%", "50%25"), ("two words", "two%20words")):
        tenant.call("POST", "/v2/inputs", {"inputs": [vector_input(1, id=id)]})
        assert tenant.call("GET", f"/v2/inputs/{path}")["input"]["id"] == id


def test_inputs_are_looked_up_by_several_ids_in_their_order(taught: Any) -> None:
    found = taught.call("GET", "/v2/inputs?ids=x7&ids=nobody&ids=x3&ids=x7")["inputs"]
    assert [one["id"] for one in found] == ["x7", "x3"]


def test_a_crop_that_is_none_is_a_bad_argument(tenant_of: Callable[..., Any]) -> None:
    upload = _upload("checks", 1)
    upload["data"]["image"]["crop"] = [0.5, 0.5, 0.2, 0.9]
    answer = tenant_of("general-fast", None).call("POST", "/v2/inputs", {"inputs": [upload]}, (400, 10020))
    assert answer["inputs"][0]["status"]["code"] == 30104


def test_a_batch_takes_an_id_and_a_url_once(tenant: Any) -> None:
    answer = tenant.call(
        "POST", "/v2/inputs", {"inputs": [vector_input(0, id="x"), vector_input(1, id="x")]}, (207, 10010)
    )
    assert [one["status"]["code"] for one in answer["inputs"]] == [30000, 30100]
    [stored] = tenant.call("POST", "/v2/searches", {"query": {"ands": []}})["hits"]
    assert stored["input"]["id"] == "x"


def test_zeros_that_a_client_dropped_are_zeros(tenant: Any) -> None:
    one = vector_input(0, id="x")
    one["data"] |= {"geo": {"geo_point": {}}, "regions": [{"region_info": {"bounding_box": {"right_col": 0.5}}}]}
    [made] = tenant.call("POST", "/v2/inputs", {"inputs": [one]})["inputs"]
    assert made["data"]["geo"] == {"geo_point": {"longitude": 0, "latitude": 0}}
    box = {"top_row": 0, "left_col": 0, "bottom_row": 0, "right_col": 0.5}
    assert made["data"]["regions"][0]["region_info"]["bounding_box"] == box
    assert made["data"]["regions"][0]["id"]


def test_null_is_absent(tenant: Any) -> None:
    one = vector_input(0, id=None)
    one["data"] |= {"image": None, "concepts": [{"id": "k", "name": None, "value": None}], "geo": None, "regions": None}
    [made] = tenant.call("POST", "/v2/inputs", {"inputs": [one]})["inputs"]
    assert [(label["id"], label["value"]) for label in made["data"]["concepts"]] == [("k", 1)]
    assert not {"geo", "regions", "metadata"} & made["data"].keys()


def test_whole_numbers_of_any_length_come_back_as_they_were(taught: Any) -> None:
    numbers = {"long": 2**70, "longer": -(10**40), "short": 7}
    one = {**vector_input(0), "id": "numbers"}
    one["data"] = {**one["data"], "metadata": numbers}
    [stored] = taught.call("POST", "/v2/inputs", {"inputs": [one]})["inputs"]
    assert stored["data"]["metadata"] == numbers
    assert taught.call("GET", "/v2/inputs/numbers")["input"]["data"]["metadata"] == numbers
