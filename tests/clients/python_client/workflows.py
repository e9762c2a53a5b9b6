"""`app.workflows`. The client can't make one; the cases post it."""

import base64
import functools

from clarifai.rest import Concept, Image, Workflow
from models import GENERAL
from world import KINDS, case, refused, rows


@functools.cache
def workflow_app(world):
    """The gallery, with a workflow `sort` of the model `kinds` and the general one."""
    app = world.gallery
    version = app.models.get("kinds").model_version
    nodes = [
        {"id": "mine", "model": {"id": "kinds", "model_version": {"id": version}}},
        {"id": "theirs", "model": {"id": GENERAL, "model_version": {"id": "aa9ca48295b37401f8af92ad1af0d91d"}}},
    ]
    world.post("workflows", {"workflows": [{"id": "sort", "nodes": nodes}]}, app.api.api_key)
    return app


@rows(
    url=lambda w, f, **given: f.predict_by_url(f" {w.url('discs', 5)} ", **given),
    filename=lambda w, f, **given: f.predict_by_filename(w.file("discs", 5), **given),
    bytes=lambda w, f, **given: f.predict_by_bytes(w.bytes("discs", 5), **given),
    base64=lambda w, f, **given: f.predict_by_base64(base64.b64encode(w.bytes("discs", 5)), **given),
)
def predict_by(world, predict):
    answer = predict(world, workflow_app(world).workflows.get("sort"))
    assert answer["status"]["code"] == 10000
    assert answer["workflow"]["id"] == "sort"
    [result] = answer["results"]
    assert result["status"]["code"] == 10000
    assert result["input"]["data"]["image"]["url"]
    mine, theirs = result["outputs"]
    assert (mine["model"]["id"], theirs["model"]["id"]) == ("kinds", GENERAL)
    assert mine["model"]["model_version"]["id"]
    assert mine["data"]["concepts"][0]["id"] == "discs"
    assert len(theirs["data"]["concepts"]) == 20


@rows(
    max_concepts=({"max_concepts": 2}, [2, 2]),
    min_value=({"min_value": 0.999999}, [0, 0]),
    language=({"lang": "en"}, [3, 20]),
)
def predict_with(world, row):
    options, counts = row
    [result] = workflow_app(world).workflows.get("sort").predict_by_url(world.url("discs", 5), **options)["results"]
    assert [len(output.get("data", {}).get("concepts", [])) for output in result["outputs"]] == counts


@case
def predict_with_selected_concepts(world):
    workflow = workflow_app(world).workflows.get("sort")
    [result] = workflow.predict_by_url(world.url("discs", 5), select_concepts=[Concept(concept_id="checks")])["results"]
    assert [concept["id"] for concept in result["outputs"][0]["data"]["concepts"]] == ["checks"]


@case
def predict(world):
    workflow = Workflow(workflow_app(world).api, workflow_id="sort")
    results = workflow.predict([Image(url=world.url(kind, 5), image_id=kind) for kind in KINDS])["results"]
    assert [result["input"]["id"] for result in results] == list(KINDS)
    assert [result["outputs"][0]["data"]["concepts"][0]["id"] for result in results] == list(KINDS)


@case
def predict_with_a_bad_one_among_them(world):
    answer = (
        workflow_app(world)
        .workflows.get("sort")
        .predict([Image(url=world.url("discs", 5)), Image(url=f"{world.pictures}/nowhere.png")])
    )
    assert answer["status"]["code"] == 10010
    assert [result["status"]["code"] for result in answer["results"]] == [10000, 30002]


@case
def predict_too_many(world):
    image = Image(url=world.url("discs", 5))
    with refused(400, 39999, 40001):
        workflow_app(world).workflows.get("sort").predict([image] * 33)


@case
def predict_by_an_unknown_workflow(world):
    with refused(404, 22102):
        Workflow(world.gallery.api, workflow_id="nobody").predict_by_url(world.url("discs", 5))


@case
def get(world):
    app = workflow_app(world)
    workflow = app.workflows.get("sort")
    assert [(node.node_id, node.model_id) for node in workflow.nodes] == [("mine", "kinds"), ("theirs", GENERAL)]
    assert workflow.dict() == {"id": "sort", "nodes": [node.dict() for node in workflow.nodes]}
    with refused(404, 22102):
        app.workflows.get("nobody")


@case
def get_a_public_one(world):
    workflow = world.app().workflows.get("General")
    assert GENERAL in [node.model_id for node in workflow.nodes]
    [result] = workflow.predict_by_url(world.url("discs", 5))["results"]
    assert result["outputs"][0]["data"]["concepts"]


@case
def get_all(world):
    assert "sort" in [workflow.wf_id for workflow in workflow_app(world).workflows.get_all()]
    assert list(world.app().workflows.get_all(public_only=True)) is not None


@case
def get_all_of_many(world):
    app = world.app()
    app.models.create("m", concepts=["a"])
    for number in range(25):
        body = {"id": f"w{number}", "nodes": [{"id": "concepts", "model": {"id": "m"}}]}
        world.post("workflows", {"workflows": [body]}, app.api.api_key)
    assert {f"w{number}" for number in range(25)} <= {workflow.wf_id for workflow in app.workflows.get_all()}


@case
def get_by_page(world):
    found = workflow_app(world).workflows.get_by_page()
    assert "sort" in [workflow.wf_id for workflow in found]
    public = world.app().workflows.get_by_page(public_only=True)
    assert "sort" not in [workflow.wf_id for workflow in public]
