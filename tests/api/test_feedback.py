"""What users say of predictions and hits is kept; it teaches where the app is set so."""

import base64
from typing import Any

import pytest
from vectors import vector_input


def _feedback(id: str | None = "x5", **data: Any) -> Any:
    image = {"url": "http://nowhere.example/never-fetched.png"}
    return {"input": {"id": id, "data": {"image": image} | data, "feedback_info": {"event_type": "annotation"}}}


def _value_of_b(tenant: Any) -> float:
    [output] = tenant.call("POST", "/v2/models/abc/outputs", {"inputs": [vector_input(0)]})["outputs"]
    return float(next(one["value"] for one in output["data"]["concepts"] if one["id"] == "b"))


@pytest.fixture
def set_to_teach(server: Any, taught: Any) -> Any:
    with server.client(server.admin) as admin:
        body = {"apps": [{"id": taught.id, "teach_from_feedback": True}]}
        [app] = admin.patch("/v2/users/me/apps", json=body).json()["apps"]
    assert app["teach_from_feedback"] is True
    return taught


SAYS_B = _feedback(concepts=[{"id": "b", "value": 1.0}])


def test_feedback_is_kept_and_by_itself_teaches_nothing(taught: Any) -> None:
    before = _value_of_b(taught)
    taught.call("POST", "/v2/models/abc/feedback", SAYS_B)
    assert _value_of_b(taught) == before
    [kept] = taught.app.feedback()
    assert kept.about == {"model_id": "abc"}
    assert kept.body["input"]["data"]["concepts"][0]["id"] == "b"


def test_where_the_app_is_set_so_the_next_prediction_has_learned_from_it(set_to_teach: Any) -> None:
    before = _value_of_b(set_to_teach)
    set_to_teach.call("POST", "/v2/models/abc/feedback", SAYS_B)
    assert _value_of_b(set_to_teach) > before
    concepts = set_to_teach.call("GET", "/v2/inputs/x5")["input"]["data"]["concepts"]
    assert [(one["id"], one["value"]) for one in concepts] == [("b", 1)]


def test_feedback_about_a_picture_that_the_app_does_not_have_is_kept_only(set_to_teach: Any) -> None:
    before = set_to_teach.call("GET", "/v2/inputs/status")
    for id in ("a stranger's", None):
        set_to_teach.call("POST", "/v2/models/abc/feedback", _feedback(id, concepts=[{"id": "b"}]))
    assert set_to_teach.call("GET", "/v2/inputs/status") == before
    assert len(set_to_teach.app.feedback()) == 2


def test_a_region_without_a_judgement_is_accurate(taught: Any) -> None:
    box = {"bounding_box": {"bottom_row": 0.5, "right_col": 0.5}}
    regions = [{"region_info": box}, {"region_info": {**box, "feedback": "misplaced"}}]
    taught.call("POST", "/v2/models/abc/feedback", _feedback(regions=regions))
    said = [one["region_info"]["feedback"] for one in taught.app.feedback()[0].body["input"]["data"]["regions"]]
    assert said == ["accurate", "misplaced"]
    taught.call(
        "POST", "/v2/models/abc/feedback", _feedback(regions=[{"region_info": {"feedback": "?"}}]), (400, 11100)
    )


def test_the_bytes_of_a_picture_are_not_kept_and_the_rest_is_bounded(taught: Any) -> None:
    picture = {"base64": base64.b64encode(bytes(300_000)).decode()}
    for path in ("/v2/models/abc/feedback", "/v2/searches/feedback"):
        taught.call("POST", path, _feedback(image=picture))
        taught.call("POST", path, _feedback(metadata={"much": "x" * 300_000}), (400, 40001))
    assert [one.body["input"]["data"]["image"] for one in taught.app.feedback()] == [{"allow_duplicate_url": False}] * 2


def test_feedback_names_a_model_and_a_version_that_exist(taught: Any) -> None:
    taught.call("POST", "/v2/models/nobody/feedback", SAYS_B, (404, 21200))
    taught.call("POST", "/v2/models/abc/versions/nobody/feedback", SAYS_B, (404, 21200))
    version = taught.call("POST", "/v2/models/abc/versions")["model"]["model_version"]["id"]
    taught.call("POST", f"/v2/models/abc/versions/{version}/feedback", SAYS_B)
    taught.call("POST", "/v2/models/aaa03c23b3724a16a56b629203edc62c/feedback", SAYS_B)
    assert taught.app.feedback()[0].about == {"model_id": "abc", "version_id": version}


def test_a_chosen_hit_is_kept_whatever_search_it_names(taught: Any) -> None:
    info = {"event_type": "search_click", "search_id": "unknown", "end_user_id": "u", "session_id": "s"}
    taught.call("POST", "/v2/searches/feedback", {"input": {"id": "nobody", "feedback_info": info}})
    [kept] = taught.app.feedback()
    assert (kept.kind, kept.about) == ("search", {"search_id": "unknown"})
