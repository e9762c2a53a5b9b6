"""What an app sees with, over the wire: listed, changed, cancelled."""

import time
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest
from pictures import png


@pytest.fixture
def seeing(tenant_of: Callable[..., Any]) -> Any:
    """An app of six pictures on `general`."""
    tenant = tenant_of("general", None)
    inputs = [
        {
            "id": f"x{i}",
            "data": {"image": {"base64": b64encode(png("discs", i)).decode()}, "concepts": [{"id": "disc"}]},
        }
        for i in range(6)
    ]
    tenant.call("POST", "/v2/inputs", {"inputs": inputs})
    return tenant


def ended(tenant: Any) -> Any:
    """The app's base workflow when no change is running any more."""
    while True:
        now = tenant.call("GET", "/v2/base_workflow")["base_workflow"]
        if not now["change"] or now["change"]["state"] != "running":
            return now
        time.sleep(0.02)


def test_they_are_listed_with_what_works_here(tenant: Any) -> None:
    listed = {one["id"]: one for one in tenant.call("GET", "/v2/workflows")["base_workflows"]}
    assert listed["general"]["availability"].startswith("works offline here")
    assert listed["general"]["ready"]
    assert "downloads about 605 MB on first use" in listed["clip"]["availability"] or listed["clip"]["ready"]
    assert {"fashion", "medical", "satellite", "vectors"} <= set(listed)
    assert all(one["licence"] and one["good_for"] for one in listed.values())
    assert "food" in listed["general"]["clarifai"]
    assert listed["fashion"]["clarifai"] == ["apparel"]


def test_it_is_changed_while_the_app_serves(seeing: Any) -> None:
    assert ended(seeing) == {"id": "general", "dim": 1280, "text": seeing.app.has_text, "change": None}
    begun = seeing.call("POST", "/v2/base_workflow", {"base_workflow": {"id": "general-fast"}})["base_workflow"]
    assert begun["change"]["id"] == "general-fast"
    now = ended(seeing)
    assert now["id"] == "general-fast"
    assert (now["change"]["state"], now["change"]["done"], now["change"]["total"]) == ("done", 6, 6)
    assert seeing.call("GET", "/v2/inputs/x1")["input"]["data"]["concepts"][0]["id"] == "disc"


def test_they_are_compared_side_by_side_with_advice(tenant_of: Callable[..., Any]) -> None:
    tenant = tenant_of("general-fast", None)
    inputs = [
        {"data": {"image": {"base64": b64encode(png(kind, i)).decode()}, "concepts": [{"id": kind}]}}
        for kind in ("discs", "stripes")
        for i in range(4)
    ]
    tenant.call("POST", "/v2/inputs", {"inputs": inputs})
    path = "/v2/base_workflow/comparison"
    found = tenant.call("GET", f"{path}?workflow=general-fast&workflow=general")["comparison"]
    assert [one["workflow"] for one in found["workflows"]] == ["general-fast", "general"]
    expected = tenant.app.compare_workflows(["general-fast", "general"])
    for ours, theirs in zip(found["workflows"], expected.workflows, strict=True):
        assert ours["accuracy"] == theirs.accuracy
        assert ours["mean_accuracy"] == theirs.mean_accuracy
        assert ours["ms_per_image"] > 0
    assert found["recommended"] in ("general", "general-fast")
    assert found["advice"].startswith(f"Recommended: {found['recommended']}")
    tenant.call("GET", path, expect=(400, 11100))
    refused = tenant.call("GET", f"{path}?workflow=general&workflow=vectors", expect=(400, 40001))
    assert "made elsewhere" in refused["status"]["details"]


def test_a_change_is_cancelled(seeing: Any) -> None:
    seeing.call("POST", "/v2/base_workflow", {"base_workflow": {"id": "general-fast"}})
    cancelled = seeing.call("DELETE", "/v2/base_workflow")["base_workflow"]
    assert cancelled["change"]["state"] in ("cancelled", "done")
    assert cancelled["id"] == ("general" if cancelled["change"]["state"] == "cancelled" else "general-fast")


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"base_workflow": {"id": "nonsense"}}, 40001),
        ({"base_workflow": {"id": "vectors"}}, 40001),
        ({"base_workflow": {}}, 11100),
        ({}, 11100),
    ],
)
def test_what_can_not_be_is_refused(tenant: Any, body: Any, code: int) -> None:
    tenant.call("POST", "/v2/base_workflow", body, (400, code))
    assert tenant.call("GET", "/v2/base_workflow")["base_workflow"]["change"] is None


@pytest.mark.parametrize("id", ["open_clip:ViT-B-32:/etc/hostname", "open_clip:hf-hub:someone/model", "timm:resnet10t"])
def test_a_key_of_an_app_names_no_files_and_no_downloads_of_the_server(server: Any, tenant: Any, id: str) -> None:
    refused = tenant.call("POST", "/v2/base_workflow", {"base_workflow": {"id": id}}, (403, 11007))
    assert "admin key" in refused["status"]["details"]
    tenant.call("GET", f"/v2/base_workflow/comparison?workflow={quote(id)}", expect=(403, 11007))
    assert tenant.call("GET", "/v2/base_workflow")["base_workflow"]["change"] is None
    with server.client(server.admin) as admin:
        path = f"/v2/users/me/apps/{tenant.id}/base_workflow"
        answer = admin.post(path, json={"base_workflow": {"id": "open_clip:ViT-B-32:/nowhere"}})
        assert (answer.status_code, answer.json()["status"]["code"]) == (400, 40001)


def test_a_comparison_by_the_app_s_own_key_downloads_nothing(seeing: Any) -> None:
    refused = seeing.call("GET", "/v2/base_workflow/comparison?workflow=clip", expect=(403, 11007))
    assert "downloads about 605 MB" in refused["status"]["details"]
    too_many = "&".join(["workflow=general"] * 100)
    seeing.call("GET", f"/v2/base_workflow/comparison?{too_many}", expect=(400, 11100))
