"""`app.inputs`: adding, reading, changing and deleting pictures."""

import base64
import io

import requests
from clarifai.errors import UserError
from clarifai.rest import Image
from clarifai.rest.client import BoundingBox, Concept, Region, RegionInfo
from clarifai.rest.geo import Geo, GeoPoint
from world import case, refused, rows, settle

READY, PENDING, FAILED = 30000, 30001, 30002
GIVEN = {
    "image_id": "one",
    "concepts": ["striped"],
    "not_concepts": ["dotted"],
    "crop": [0.125, 0.0, 1.0, 0.75],
    "metadata": {"shelf": {"row": 3, "tags": ["a", "b"]}, "none": None, "empty": {}},
}


def one_picture(world, **given):
    """An app with one input, `one`."""
    app = world.app()
    app.inputs.create_image_from_url(world.url("stripes", 0), image_id="one", **given)
    settle(app)
    return app


def labels(image):
    return set(image.concepts or ()), set(image.not_concepts or ())


@rows(
    url=lambda w, i, **given: i.create_image_from_url(w.url("stripes", 0), **given),
    filename=lambda w, i, **given: i.create_image_from_filename(w.file("stripes", 0), **given),
    bytes=lambda w, i, **given: i.create_image_from_bytes(w.bytes("stripes", 0), **given),
    base64=lambda w, i, **given: i.create_image_from_base64(base64.b64encode(w.bytes("stripes", 0)), **given),
)
def create_image_from(world, create):
    app = world.app()
    made = create(world, app.inputs, geo=Geo(GeoPoint(12.5, -7.25)), **GIVEN)
    assert made.status.code in (READY, PENDING)
    settle(app)
    for image in (made, app.inputs.get("one")):
        assert image.input_id == "one"
        assert labels(image) == ({"striped"}, {"dotted"})
        assert image.crop == GIVEN["crop"]
        assert image.metadata == GIVEN["metadata"]
        assert (image.geo.geo_point.longitude, image.geo.geo_point.latitude) == (12.5, -7.25)
    assert app.inputs.get("one").status.code == READY
    picture = requests.get(made.url)
    assert (picture.status_code, picture.content) == (200, world.bytes("stripes", 0)), made.url
    assert {concept.concept_id for concept in app.concepts.get_all()} == {"striped", "dotted"}


@case
def create_image_from_url_echoes_the_url(world):
    app = world.app()
    url = world.url("stripes", 0) + "?a=1&b=%20#part"
    assert app.inputs.create_image_from_url(f" {url} ").url == url
    [found] = app.inputs.get_all()
    assert found.url == url
    assert len(found.input_id) in (22, 32)


@case
def create_image_at_longitude_and_latitude_zero(world):
    app = one_picture(world, geo=Geo(GeoPoint(0, 0)))
    point = app.inputs.get("one").geo.geo_point
    assert (point.longitude, point.latitude) == (0, 0)


@case
def create_image_with_regions(world):
    app = world.app()
    box = RegionInfo(bbox=BoundingBox(0, 0.25, 0.5, 0.75))
    region = Region(region_info=box, concepts=[Concept(concept_id="stripe")], region_id="left")
    made = app.inputs.create_image(Image(url=world.url("stripes", 0), image_id="one", regions=[region]))
    settle(app)
    for image in (made, app.inputs.get("one"), next(iter(app.inputs.get_all()))):
        [found] = image.regions
        assert found.region_id == "left"
        assert found.region_info.dict() == box.dict()
    # Without an id it gets one.
    changed = app.inputs.update(Image(image_id="one", regions=[Region(region_info=box)]), action="overwrite")
    assert [bool(region.region_id) for region in changed.regions] == [True]


@case
def create_image_with_an_id_of_any_letters(world):
    app = world.app()
    for number, id in enumerate(["a b", "我的", "a+b", "ä&b=c;d", "." * 3]):
        app.inputs.create_image_from_url(world.url("discs", number), image_id=id)
        assert app.inputs.get(id).input_id == id
        assert app.inputs.delete(id).code == 10000


@case
def create_image_twice_from_one_url(world):
    app = one_picture(world)
    with refused(400, 10020) as refusal:
        app.inputs.create_image_from_url(world.url("stripes", 0))
    assert [one["status"]["code"] for one in refusal.error.response.json()["inputs"]] == [30100]
    again = app.inputs.create_image_from_url(world.url("stripes", 0), image_id="two", allow_duplicate_url=True)
    assert again.input_id == "two"
    app.inputs.create_image_from_bytes(world.bytes("stripes", 0), image_id="three")
    app.inputs.create_image_from_bytes(world.bytes("stripes", 0), image_id="four")
    assert [image.input_id for image in app.inputs.get_all()] == ["one", "two", "three", "four"]


@case
def create_image_with_a_taken_id(world):
    app = one_picture(world, concepts=["old"])
    with refused(400, 10020) as refusal:
        app.inputs.create_image_from_bytes(world.bytes("discs", 0), image_id="one", concepts=["new"])
    assert refusal.error.response.json()["inputs"][0]["status"]["code"] == 30100
    assert labels(app.inputs.get("one")) == ({"old"}, set())
    assert [concept.concept_id for concept in app.concepts.get_all()] == ["old"]


@rows(
    missing=("nowhere.png", {FAILED}),
    broken=("broken.png", {FAILED, 30300}),
    text=("text.txt", {FAILED, 30101, 30300}),
)
def create_image_from_a_url_without_a_picture(world, row):
    name, codes = row
    app = one_picture(world)
    made = app.inputs.create_image_from_url(f"{world.pictures}/{name}", image_id="bad", concepts=["hopeless"])
    assert made.status.code in {PENDING, *codes}
    settle(app)
    assert app.inputs.get("bad").status.code in codes
    counts = app.inputs.check_status()
    assert (counts.processed, counts.to_process, counts.errors) == (1, 0, 1)
    for listed in (app.inputs.get_all, app.inputs.get_by_page):
        assert [image.input_id for image in listed()] == ["one", "bad"]
        assert [image.input_id for image in listed(ignore_error=True)] == ["one"]
    # Neither searches nor training mind it.
    assert [image.input_id for image in app.inputs.search_by_image(image_id="one")] == ["one"]
    assert app.inputs.search_by_annotated_concepts(concept_id="hopeless") == []
    assert app.inputs.delete("bad").code == 10000
    assert app.inputs.check_status().errors == 0


@case
def create_image_from_bytes_that_are_no_picture(world):
    app = world.app()
    for data in (b"no picture", (world.folder / "broken.png").read_bytes()):
        with refused(400, 10020) as refusal:
            app.inputs.create_image_from_bytes(data)
        assert refusal.error.response.json()["inputs"][0]["status"]["code"] in (30101, 30300)
    assert list(app.inputs.get_all()) == []


@case
def bulk_create_images(world):
    app = world.app()
    made = app.inputs.bulk_create_images(
        [
            Image(url=world.url("stripes", 1), concepts=["striped"]),
            Image(filename=world.file("discs", 1), image_id="dots", not_concepts=["striped"]),
            Image(file_obj=io.BytesIO(world.bytes("checks", 1)), metadata={"n": 1}),
        ]
    )
    assert [image.input_id for image in made][1] == "dots"
    assert [labels(image) for image in made] == [({"striped"}, set()), (set(), {"striped"}), (set(), set())]
    assert made[2].metadata == {"n": 1}
    settle(app)
    assert [image.input_id for image in app.inputs.get_all()] == [image.input_id for image in made]


@case
def bulk_create_images_one_of_them_bad(world):
    app = world.app()
    good, bad = app.inputs.bulk_create_images(
        [Image(url=world.url("stripes", 1)), Image(url=f"{world.pictures}/nowhere.png")]
    )
    settle(app)
    assert [app.inputs.get(one.input_id).status.code for one in (good, bad)] == [READY, FAILED]


@case
def bulk_create_images_of_none(world):
    with refused(400, 39999, 11100):
        world.app().inputs.bulk_create_images([])


@case
def check_status(world):
    app = world.app()
    assert app.inputs.check_status().dict() == {"counts": {"processed": 0, "to_process": 0, "errors": 0}}
    assert world.gallery.inputs.check_status().processed == 13


@case
def get(world):
    image = world.gallery.inputs.get("discs-2")
    assert image.dict()["data"]["image"] == {"url": world.url("discs", 2)}
    assert labels(image) == ({"discs"}, {"stripes"})
    assert image.metadata["seed"] == 2
    assert image.status.code == READY
    with refused(404, 30102):
        world.gallery.inputs.get("nobody")


@case
def get_all(world):
    found = list(world.gallery.inputs.get_all())
    assert [image.input_id for image in found][:2] == ["stripes-0", "stripes-1"]
    assert len(found) == 13
    assert [image.input_id for image in world.gallery.inputs.get_all(ignore_error=True)] == [
        image.input_id for image in found
    ]


@case
def get_by_page(world):
    inputs = world.gallery.inputs
    pages = [[image.input_id for image in inputs.get_by_page(page, 5)] for page in (1, 2, 3, 4)]
    assert [len(page) for page in pages] == [5, 5, 3, 0]
    assert [id for page in pages for id in page] == [image.input_id for image in inputs.get_all()]
    assert inputs.get_by_page(page=999999999, per_page=1000) == []
    assert len(inputs.get_by_page(per_page=1000)) == 13


@case
def delete(world):
    app = world.app()
    app.inputs.bulk_create_images([Image(url=world.url("checks", seed), image_id=f"i{seed}") for seed in range(4)])
    settle(app)
    assert app.inputs.delete("i0").dict()["status"]["code"] == 10000
    with refused(404, 30102):
        app.inputs.delete("i0")
    assert app.inputs.delete(["i1", "i2", "nobody"]).code == 10000
    assert [image.input_id for image in app.inputs.get_all()] == ["i3"]
    assert app.inputs.check_status().processed == 1
    # The URL is free again.
    app.inputs.create_image_from_url(world.url("checks", 0), image_id="i0")


@case
def delete_all(world):
    app = one_picture(world, concepts=["striped"])
    assert app.inputs.delete_all().code == 10000
    app.wait_until_inputs_delete_finish()
    assert list(app.inputs.get_all()) == []
    assert [concept.concept_id for concept in app.concepts.get_all()] == ["striped"]


OLD = {"concepts": ["a"], "not_concepts": ["b"], "metadata": {"k": 1, "deep": {"x": 1, "list": [1]}}}


@rows(
    merge_labels=("merge", {"concepts": ["b", "c"]}, {"a", "b", "c"}, set(), OLD["metadata"]),
    merge_metadata=(
        "merge",
        {"metadata": {"n": 2, "deep": {"y": 2, "list": [2]}}},
        {"a"},
        {"b"},
        {"k": 1, "n": 2, "deep": {"x": 1, "y": 2, "list": [1, 2]}},
    ),
    overwrite_labels=("overwrite", {"concepts": ["c"]}, {"c"}, set(), OLD["metadata"]),
    overwrite_metadata=(
        "overwrite",
        {"metadata": {"k": [3]}},
        {"a"},
        {"b"},
        {"k": [3], "deep": OLD["metadata"]["deep"]},
    ),
    remove_labels=("remove", {"concepts": ["a", "b", "z"]}, set(), set(), OLD["metadata"]),
    remove_metadata=("remove", {"metadata": {"k": 0}}, {"a"}, {"b"}, {"deep": OLD["metadata"]["deep"]}),
)
def update(world, row):
    action, change, yes, no, metadata = row
    app = one_picture(world, **OLD)
    changed = app.inputs.update(Image(image_id="one", **change), action=action)
    for image in (changed, app.inputs.get("one")):
        assert labels(image) == (yes, no)
        assert image.metadata == metadata, image.metadata
        assert image.url == world.url("stripes", 0)
    assert changed.status.code in (30000, 30200)
    # A concept stays when no input has it any more.
    assert {"a", "b"} <= {concept.concept_id for concept in app.concepts.get_all()}


@case
def update_an_unknown_input(world):
    app = one_picture(world)
    with refused(404, 30102):
        app.inputs.update(Image(image_id="nobody", concepts=["a"]))
    with refused(400, 10020):
        app.inputs.bulk_update([Image(image_id=id, concepts=["a"]) for id in ("one", "nobody")])
    assert app.inputs.get("one").concepts is None


@case
def bulk_update(world):
    app = two_pictures(world)
    changed = app.inputs.bulk_update(
        [Image(image_id="y", concepts=["a"], metadata={"n": 1}), Image(image_id="x", not_concepts=["a"])]
    )
    assert [(image.input_id, *labels(image)) for image in changed] == [
        ("y", {"old", "a"}, set()),
        ("x", {"old"}, {"a"}),
    ]
    assert app.inputs.get("y").metadata == {"n": 1}
    # The client leaves out inputs that it has nothing to say of.
    assert app.inputs.bulk_update([Image(image_id="x")]) == []


def two_pictures(world):
    """An app with `x` and `y`, both labelled with `old`."""
    app = world.app()
    app.inputs.bulk_create_images(
        [Image(url=world.url("checks", n), image_id=id, concepts=["old"]) for n, id in enumerate("xy")]
    )
    settle(app)
    return app


@case
def bulk_merge_concepts(world):
    app = two_pictures(world)
    changed = app.inputs.bulk_merge_concepts(["x", "y"], [[("a", True), ("b", False)], [("old", False)]])
    assert [labels(image) for image in changed] == [({"old", "a"}, {"b"}), (set(), {"old"})]


@case
def bulk_delete_concepts(world):
    app = two_pictures(world)
    changed = app.inputs.bulk_delete_concepts(["x", "y"], [["old"], ["never"]])
    assert [labels(image) for image in changed] == [(set(), set()), ({"old"}, set())]


@case
def merge_concepts(world):
    app = one_picture(world, **OLD)
    assert labels(app.inputs.merge_concepts("one", ["c"], ["a"])) == ({"c"}, {"a", "b"})
    assert labels(app.inputs.merge_concepts("one", ["d"], ["e"], overwrite=True)) == ({"d"}, {"e"})


@case
def add_concepts(world):
    app = one_picture(world, **OLD)
    assert labels(app.inputs.add_concepts("one", ["c"], ["d"])) == ({"a", "c"}, {"b", "d"})


@case
def delete_concepts(world):
    app = one_picture(world, **OLD)
    assert labels(app.inputs.delete_concepts("one", ["b", "never"])) == ({"a"}, set())
    assert labels(app.inputs.delete_concepts("one", ["a"])) == (set(), set())


@case
def merge_metadata(world):
    app = one_picture(world)
    assert app.inputs.merge_metadata("one", {"a": {"b": 1.5}}).metadata == {"a": {"b": 1.5}}
    assert app.inputs.merge_metadata("one", {"a": {"c": "我"}, "t": True}).metadata == {
        "a": {"b": 1.5, "c": "我"},
        "t": True,
    }


@case
def wait_until_inputs_upload_finish(world):
    assert world.gallery.wait_until_inputs_upload_finish() is None


@case
def a_wrong_key(world):
    with refused(401, 11009):
        world.app("0" * 32)


@case
def the_client_refuses_by_itself(world):
    inputs = world.gallery.inputs
    for wrong in (
        lambda: inputs.create_image_from_url(world.url("discs", 0), image_id="a/b"),
        lambda: inputs.bulk_create_images([Image(url=world.url("discs", 0))] * 129),
        lambda: inputs.update(Image(image_id="plain", concepts=["a"]), action="replace"),
    ):
        try:
            wrong()
        except UserError:
            continue
        raise AssertionError("expected a UserError")
