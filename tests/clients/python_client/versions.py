"""Training, versions, evaluation and feedback of a model."""

import time

from clarifai.rest import Model
from clarifai.rest.client import (
    BoundingBox,
    Concept,
    Face,
    FaceAgeAppearance,
    FaceGenderAppearance,
    FaceIdentity,
    FaceMulticulturalAppearance,
    FeedbackInfo,
    FeedbackType,
    Region,
    RegionInfo,
)
from world import KINDS, case, refused, rows

UNTRAINED, TRAINED, NO_DATA, NO_POSITIVES, ONE_CLASS = 21102, 21100, 21110, 21111, 21112


def trained(world, id):
    """A model of its own in the gallery, trained."""
    return world.gallery.models.create(id, concepts=list(KINDS)).train()


@case
def train(world):
    app = world.gallery
    model = app.models.create("train", concepts=list(KINDS))
    first = model.train()
    second = first.train(sync=True, timeout=30)
    assert first.model_status_code == second.model_status_code == TRAINED
    assert len({model.model_version, first.model_version, second.model_version}) == 3
    assert app.models.get("train").model_version == second.model_version
    info = second.get_info()["model"]["model_version"]
    assert (info["active_concept_count"], info["total_input_count"]) == (3, 12)


@case
def train_without_waiting(world):
    model = world.gallery.models.create("train-async", concepts=list(KINDS))
    answer = model.train(sync=False)
    assert answer["status"]["code"] == 10000
    version = answer["model"]["model_version"]
    assert version["status"]["code"] in (TRAINED, 21101, 21103)
    assert version["id"] != model.model_version


@case
def create_version(world):
    model = world.gallery.models.create("create-version", concepts=list(KINDS))
    assert model.create_version()["model"]["model_version"]["status"]["code"] in (TRAINED, 21101, 21103)


@case
def train_without_concepts(world):
    with refused(400, 21202):
        world.app().models.create("m").train()
    with refused(404, 21200):
        Model(world.gallery.api, model_id="nobody").train()


@rows(
    no_labels=({}, {}, (NO_DATA, NO_POSITIVES)),
    no_positives=({}, {"not_concepts": ["a", "b"]}, (NO_POSITIVES,)),
    one_exclusive_concept=({"concepts_mutually_exclusive": True}, {"concepts": ["a"]}, (ONE_CLASS,)),
)
def train_with_too_little(world, row):
    config, labels, codes = row
    app = world.app()
    app.inputs.create_image_from_bytes(world.bytes("discs", 0), **labels)
    concepts = ["a"] if config else ["a", "b"]
    model = app.models.create("m", concepts=concepts, **config).train()
    assert model.model_status_code in codes, model.model_status_code
    # The model goes on predicting: by what it was taught, and by the names of its concepts.
    [output] = app.models.get("m").predict_by_bytes(world.bytes("discs", 1))["outputs"]
    assert sorted(concept["id"] for concept in output["data"].get("concepts", [])) == concepts


@case
def a_trained_version_stays_as_it_was(world):
    app = world.app()
    app.inputs.create_image_from_bytes(world.bytes("discs", 0), concepts=["round"])
    app.inputs.create_image_from_bytes(world.bytes("stripes", 0), not_concepts=["round"])
    model = app.models.create("m", concepts=["round"])
    version = model.train()
    ask = world.bytes("checks", 0)

    def value(model):
        return model.predict_by_bytes(ask)["outputs"][0]["data"]["concepts"][0]["value"]

    head, frozen = value(Model(app.api, model_id="m")), value(version)
    app.inputs.create_image_from_bytes(ask, concepts=["round"])
    assert value(version) == frozen
    assert value(Model(app.api, model_id="m")) > head


@case
def list_versions(world):
    model = trained(world, "list-versions")
    versions = model.train().list_versions()["model_versions"]
    assert [version["status"]["code"] for version in versions] == [TRAINED, TRAINED, UNTRAINED]
    stamps = [version["created_at"] for version in versions]
    assert stamps == sorted(stamps, reverse=True)


@case
def get_version(world):
    model = trained(world, "get-version")
    version = model.get_version(model.model_version)["model_version"]
    assert (version["id"], version["status"]["code"]) == (model.model_version, TRAINED)
    with refused(404, 21200):
        model.get_version("nobody")


@case
def delete_version(world):
    model = trained(world, "delete-version")
    assert model.delete_version(model.model_version)["status"]["code"] == 10000
    with refused(404, 21200):
        model.get_version(model.model_version)
    left = model.list_versions()["model_versions"]
    assert [version["status"]["code"] for version in left] == [UNTRAINED]


@case
def get_inputs(world):
    model = trained(world, "get-inputs")
    for version in (None, model.model_version):
        pages = [model.get_inputs(version, page, 5)["inputs"] for page in (1, 2, 3, 4)]
        assert [len(page) for page in pages] == [5, 5, 2, 0]
        assert {one["id"] for page in pages for one in page} == {f"{kind}-{n}" for kind in KINDS for n in range(4)}


@case
def evaluate(world):
    model = trained(world, "evaluate")
    first = model.evaluate()["model_version"]
    assert first["id"] == model.model_version
    assert first["metrics"]["status"]["code"] in (21300, 21301, 21303)
    deadline = time.monotonic() + 30
    while True:
        metrics = model.get_version(model.model_version)["model_version"]["metrics"]
        if metrics["status"]["code"] not in (21301, 21303):
            break
        assert time.monotonic() < deadline, metrics["status"]
        time.sleep(0.1)
    assert metrics["status"]["code"] == 21300, metrics["status"]
    summary = metrics["summary"]
    assert 0.5 < summary["macro_avg_roc_auc"] <= 1
    assert 0 < summary["macro_avg_f1_score"] <= 1
    assert sorted(
        one["concept"]["id"] if isinstance(one["concept"], dict) else one["concept"]
        for one in metrics["binary_metrics"]
    ) == sorted(KINDS)
    for one in metrics["binary_metrics"]:
        assert (one["num_pos"], one["num_neg"], one["num_tot"]) == (4, 8, 12)
        assert len(one["roc_curve"]["fpr"]) == len(one["roc_curve"]["tpr"]) == len(one["roc_curve"]["thresholds"])
    assert {
        one["concept_name"]: one["count"] for one in metrics["label_counts"]["positive_label_counts"]
    } == dict.fromkeys(KINDS, 4)
    assert sorted(metrics["confusion_matrix"]["concept_ids"]) == sorted(KINDS)
    assert {
        (one["row"], one["col"]): one["count"] for one in metrics["cooccurrence_matrix"]["matrix"] if one.get("count")
    } == {(kind, kind): 4 for kind in KINDS}
    assert {one["id"] for one in metrics["test_set"]} == {f"{kind}-{n}" for kind in KINDS for n in range(4)}


@rows(one_concept=(["stripes"], 21315), no_labels=(["heard", "of"], 21316))
def evaluate_with_too_little(world, row):
    concepts, code = row
    model = world.gallery.models.create(f"evaluate-{len(concepts)}", concepts=concepts)
    metrics = model.evaluate()["model_version"]["metrics"]
    deadline = time.monotonic() + 30
    while metrics["status"]["code"] in (21301, 21303) and time.monotonic() < deadline:
        time.sleep(0.1)
        metrics = model.get_version(model.model_version)["model_version"]["metrics"]
    assert metrics["status"]["code"] == code, metrics["status"]


INFO = FeedbackInfo("user", "session", "annotation", output_id="output")


@rows(
    version=lambda app: app.models.get("kinds"),
    unversioned=lambda app: app.models.get(model_id="kinds"),
)
def send_concept_feedback(world, get):
    model = get(world.gallery)
    url = world.url("discs", 5)
    for id, info in (("discs-1", INFO), ("nobody", None)):
        answer = model.send_concept_feedback(id, url, ["discs"], ["stripes"], info)
        assert answer["status"]["code"] == 10000
    # The picture isn't added, and no label changes.
    assert world.gallery.inputs.search_by_original_url(url) == []
    assert world.gallery.inputs.get("discs-1").concepts == ["discs"]


@case
def send_concept_feedback_to_an_unknown_model(world):
    with refused(404, 21200):
        Model(world.gallery.api, model_id="nobody").send_concept_feedback("x", world.url("discs", 5), ["a"])


def region(feedback, **data):
    return Region(RegionInfo(BoundingBox(0, 0.25, 0.5, 1), feedback), **data)


def person(name):
    return [Concept(concept_id=name, value=True)]


@rows(
    accurate=lambda: region(FeedbackType.accurate, concepts=person("discs")),
    misplaced=lambda: region("misplaced", concepts=person("discs")),
    not_detected=lambda: region(FeedbackType.not_detected, concepts=person("discs")),
    false_positive=lambda: region(FeedbackType.false_positive, concepts=person("discs")),
    face=lambda: region(
        FeedbackType.accurate,
        face=Face(
            FaceIdentity(person("ann")),
            FaceAgeAppearance(person("30")),
            FaceGenderAppearance(person("feminine")),
            FaceMulticulturalAppearance(person("any")),
        ),
    ),
)
def send_region_feedback(world, make):
    answer = world.gallery.models.get("kinds").send_region_feedback(
        "discs-1", world.url("discs", 5), ["discs"], ["stripes"], [make()], INFO
    )
    assert answer["status"]["code"] == 10000
