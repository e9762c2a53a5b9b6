"""What models and workflows of the whole world predict: `model.predict...`, public models, the tag shortcuts."""

import base64

from clarifai.rest import Concept, Image, Model
from clarifai.rest.client import ModelOutputConfig, ModelOutputInfo
from models import COLOR, EMBED, GENERAL
from world import KINDS, case, refused, rows


def values(output):
    # The client drops empty lists.
    return {concept["id"]: concept["value"] for concept in output["data"].get("concepts", [])}


@rows(
    url=lambda w, m: m.predict_by_url(f" {w.url('discs', 5)} "),
    filename=lambda w, m: m.predict_by_filename(w.file("discs", 5)),
    bytes=lambda w, m: m.predict_by_bytes(w.bytes("discs", 5)),
    base64=lambda w, m: m.predict_by_base64(base64.b64encode(w.bytes("discs", 5))),
)
def predict_by(world, predict):
    """By the version that the object carries, and by none."""
    for model in (world.gallery.models.get("kinds"), world.gallery.models.get(model_id="kinds")):
        answer = predict(world, model)
        assert answer["status"]["code"] == 10000
        [output] = answer["outputs"]
        ranked = output["data"]["concepts"]
        assert [concept["id"] for concept in ranked][0] == "discs"
        assert {concept["id"] for concept in ranked} == set(KINDS)
        assert [concept["value"] for concept in ranked] == sorted(values(output).values(), reverse=True)
        assert all(0 <= concept["value"] <= 1 and concept["name"] and concept["app_id"] for concept in ranked)
        assert output["model"]["id"] == "kinds"
        assert output["model"]["model_version"]["id"] == (model.model_version or output["model"]["model_version"]["id"])
        assert output["input"]["data"]["image"]["url"]
        assert output["id"]
        assert output["input"]["id"]


@rows(
    max_concepts=({"max_concepts": 1}, ["discs"]),
    min_value=({"min_value": 0.999999}, []),
    select_concepts=({"select_concepts": [Concept(concept_id="stripes")]}, ["stripes"]),
    select_concepts_by_name=({"select_concepts": [Concept(concept_name="checks")]}, ["checks"]),
    select_two=(
        {"select_concepts": [Concept(concept_id="discs"), Concept(concept_name="stripes")]},
        ["discs", "stripes"],
    ),
    language=({"lang": "en", "max_concepts": 1}, ["discs"]),
    sample_ms=({"sample_ms": 1000, "max_concepts": 1}, ["discs"]),
    zeros=({"max_concepts": 0, "min_value": 0}, list(KINDS)),
)
def predict_with(world, row):
    options, wanted = row
    [output] = world.gallery.models.get("kinds").predict_by_bytes(world.bytes("discs", 5), **options)["outputs"]
    assert sorted(values(output)) == sorted(wanted)


@case
def predict_with_unknown_concepts(world):
    with refused(400, 21202):
        world.gallery.models.get("kinds").predict_by_bytes(
            world.bytes("discs", 5), select_concepts=[Concept(concept_id="unheard-of")]
        )


@case
def predict(world):
    """Many at once, in order, under the given ids."""
    model = world.gallery.models.get("kinds")
    images = [Image(url=world.url(kind, 5), image_id=f"ask {kind}") for kind in KINDS]
    config = ModelOutputInfo(concepts=[Concept(concept_id="discs")], output_config=ModelOutputConfig(max_concepts=2))
    outputs = model.predict(images, config)["outputs"]
    assert [output["input"]["id"] for output in outputs] == [f"ask {kind}" for kind in KINDS]
    assert [output["input"]["data"]["image"]["url"] for output in outputs] == [image.url for image in images]
    assert [max(values(output), key=values(output).get) for output in outputs] == list(KINDS)
    assert [len(values(output)) for output in outputs] == [2, 2, 2]


@case
def predict_a_crop(world):
    model = world.gallery.models.get("kinds")
    crops = ([0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5], None)
    outputs = model.predict([Image(url=world.url("discs", 5), crop=crop) for crop in crops])["outputs"]
    whole, part, plain = map(values, outputs)
    assert all(abs(whole[kind] - plain[kind]) < 1e-4 for kind in KINDS)
    assert part != plain


@case
def predict_with_a_bad_one_among_them(world):
    model = world.gallery.models.get("kinds")
    answer = model.predict([Image(url=world.url("discs", 5)), Image(url=f"{world.pictures}/nowhere.png")])
    assert answer["status"]["code"] == 10010
    good, bad = answer["outputs"]
    assert values(good)
    assert bad["status"]["code"] == 30002
    assert not bad.get("data", {}).get("concepts")


@rows(
    missing=("nowhere.png", (30002,)), broken=("broken.png", (30002, 30300)), text=("text.txt", (30002, 30101, 30300))
)
def predict_something_unreadable(world, row):
    name, codes = row
    with refused(400, 10020) as refusal:
        world.gallery.models.get("kinds").predict_by_url(f"{world.pictures}/{name}")
    [output] = refusal.error.response.json()["outputs"]
    assert output["status"]["code"] in codes


@case
def predict_nothing(world):
    with refused(400, 39999, 11100):
        world.gallery.models.get("kinds").predict([])


@case
def predict_by_unknown_models(world):
    api = world.gallery.api
    version = Model(api, model_id="kinds")
    version.model_version = "nobody"
    for model in (Model(api, model_id="nobody"), version):
        with refused(404, 21200):
            model.predict_by_bytes(world.bytes("discs", 5))


@case
def predict_a_video(world):
    with refused(400, 10020) as refusal:
        world.gallery.models.get("kinds").predict_by_url(world.url("discs", 5), is_video=True)
    assert refusal.error.response.json()["outputs"][0]["status"]["code"] == 31101


@case
def predict_at_once_without_training(world):
    """The promise of the product: a model object made before the labels sees each of them."""
    app = world.app()
    model = app.models.create("m", concepts=["round", "straight"])
    app.inputs.create_image_from_bytes(world.bytes("discs", 0), concepts=["round"])
    app.inputs.create_image_from_bytes(world.bytes("stripes", 0), concepts=["straight"])
    [output] = model.predict_by_bytes(world.bytes("discs", 1))["outputs"]
    assert values(output)["round"] > values(output)["straight"]
    app.inputs.create_image_from_bytes(
        world.bytes("discs", 1), image_id="odd", concepts=["straight"], not_concepts=["round"]
    )
    [output] = model.predict_by_bytes(world.bytes("discs", 1))["outputs"]
    assert values(output)["round"] < values(output)["straight"]
    app.inputs.delete("odd")
    [output] = model.predict_by_bytes(world.bytes("discs", 1))["outputs"]
    assert values(output)["round"] > values(output)["straight"]


@case
def predict_exclusive_concepts(world):
    model = world.gallery.models.create(
        "exclusive", concepts=list(KINDS), concepts_mutually_exclusive=True, closed_environment=True
    )
    [output] = model.predict_by_bytes(world.bytes("checks", 5))["outputs"]
    assert abs(sum(values(output).values()) - 1) < 1e-4
    assert max(values(output), key=values(output).get) == "checks"


@case
def general_model(world):
    for model in (world.gallery.public_models.general_model, world.gallery.models.get("general-v1.3")):
        assert model.model_id == GENERAL
        [output] = model.predict_by_url(world.url("discs", 5))["outputs"]
        assert len(values(output)) == 20
        assert all(concept["name"] for concept in output["data"]["concepts"])


@case
def color_model(world):
    [output] = world.gallery.public_models.color_model.predict_by_url(world.url("discs", 5))["outputs"]
    colors = output["data"]["colors"]
    assert 0.5 < sum(color["value"] for color in colors) <= 1.001
    assert all(color["raw_hex"].startswith("#") and color["w3c"]["hex"] and color["w3c"]["name"] for color in colors)


@case
def general_embedding_model(world):
    [output] = world.gallery.public_models.general_embedding_model.predict_by_url(world.url("discs", 5))["outputs"]
    [embedding] = output["data"]["embeddings"]
    assert embedding["num_dimensions"] == len(embedding["vector"]) == 1280


@rows(
    concepts=(lambda api, images: api.predict_concepts(images, lang="en"), GENERAL, "concepts"),
    colors=(lambda api, images: api.predict_colors(images), COLOR, "colors"),
    embed=(lambda api, images: api.predict_embed(images), EMBED, "embeddings"),
)
def api_predict(world, row):
    predict, id, part = row
    outputs = predict(world.gallery.api, [Image(url=world.url(kind, 5)) for kind in KINDS])["outputs"]
    assert len(outputs) == 3
    assert all(output["data"][part] and output["model"]["id"] == id for output in outputs)


@case
def tag_urls(world):
    outputs = world.gallery.tag_urls([world.url("discs", 5), world.url("checks", 5)])["outputs"]
    assert [output["model"]["id"] for output in outputs] == [GENERAL, GENERAL]
    [output] = world.gallery.tag_urls([world.url("discs", 5)], model_id="kinds")["outputs"]
    assert max(values(output), key=values(output).get) == "discs"


@case
def tag_files(world):
    [output] = world.gallery.tag_files([world.file("checks", 5)], model_id="kinds")["outputs"]
    assert max(values(output), key=values(output).get) == "checks"
    [output] = world.gallery.tag_files([world.file("checks", 5)])["outputs"]
    assert output["model"]["id"] == GENERAL
