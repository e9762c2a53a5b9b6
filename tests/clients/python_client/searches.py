"""`app.inputs.search...`: by looks, by predicted concepts, and by what is known of an input."""

import base64

from clarifai.rest import Image
from clarifai.rest.client import (
    FeedbackInfo,
    InputSearchTerm,
    OutputSearchTerm,
    SearchQueryBuilder,
    SearchTerm,
    pagination,
)
from clarifai.rest.geo import Geo, GeoBox, GeoLimit, GeoPoint
from world import KINDS, case, refused, rows

STRIPES, DISCS, CHECKS = ([f"{kind}-{seed}" for seed in range(4)] for kind in KINDS)
EVERY = [*STRIPES, *DISCS, *CHECKS, "plain"]
WHOLE, CORNER = [0.0, 0.0, 1.0, 1.0], [0.0, 0.0, 0.5, 0.5]


def ids(hits):
    return [hit.input_id for hit in hits]


def query(*terms):
    builder = SearchQueryBuilder()
    for term in terms:
        builder.add_term(term)
    return builder


@rows(
    id=lambda w, i: i.search_by_image(image_id="discs-1"),
    url=lambda w, i: i.search_by_image(url=w.url("discs", 1)),
    bytes=lambda w, i: i.search_by_image(imgbytes=w.bytes("discs", 1)),
    base64=lambda w, i: i.search_by_image(base64bytes=base64.b64encode(w.bytes("discs", 1))),
    fileobj=lambda w, i: i.search_by_image(fileobj=open(w.file("discs", 1), "rb")),  # noqa: SIM115
    filename=lambda w, i: i.search_by_image(filename=w.file("discs", 1)),
    image=lambda w, i: i.search_by_image(image=Image(url=w.url("discs", 1))),
    id_cropped=lambda w, i: i.search_by_image(image_id="discs-1", crop=WHOLE),
    url_cropped=lambda w, i: i.search_by_image(url=w.url("discs", 1), crop=WHOLE),
    bytes_cropped=lambda w, i: i.search_by_image(imgbytes=w.bytes("discs", 1), crop=WHOLE),
    term_by_url=lambda w, i: i.search(query(OutputSearchTerm(url=w.url("discs", 1)))),
    term_by_id=lambda w, i: i.search(query(OutputSearchTerm(input_id="discs-1"))),
)
def search_by_image(world, search):
    """Every input, the nearest first; the picture itself has a score of 1."""
    hits = search(world, world.gallery.inputs)
    scores = [hit.score for hit in hits]
    assert ids(hits)[0] == "discs-1"
    assert set(ids(hits)) == set(EVERY)
    assert 0.999 < scores[0] <= 1.0001, scores
    assert scores == sorted(scores, reverse=True)
    assert scores[-1] >= 0


@rows(
    id=lambda w, i: i.search_by_image(image_id="discs-1", crop=CORNER),
    url=lambda w, i: i.search_by_image(url=w.url("discs", 1), crop=CORNER),
    bytes=lambda w, i: i.search_by_image(imgbytes=w.bytes("discs", 1), crop=CORNER),
)
def search_by_part_of_an_image(world, search):
    scores = {hit.input_id: hit.score for hit in search(world, world.gallery.inputs)}
    assert scores["discs-1"] < 0.999
    assert len(scores) == 13


@rows(
    concept=lambda i: i.search_by_predicted_concepts(concept="discs"),
    concept_id=lambda i: i.search_by_predicted_concepts(concept_id="discs"),
    concepts=lambda i: i.search_by_predicted_concepts(concepts=["discs", "stripes"], values=[True, False]),
    concept_ids=lambda i: i.search_by_predicted_concepts(concept_ids=["discs", "checks"], values=[True, False]),
    language=lambda i: i.search_by_predicted_concepts(concept="discs", lang="en"),
    term=lambda i: i.search(query(OutputSearchTerm(concept="discs"))),
)
def search_by_predicted_concepts(world, search):
    hits = search(world.gallery.inputs)
    scores = [hit.score for hit in hits]
    assert set(ids(hits)[:4]) == set(DISCS)
    assert scores == sorted(scores, reverse=True)
    assert all(0 <= score <= 1 for score in scores)


@case
def search_by_predicted_concepts_negated(world):
    hits = world.gallery.inputs.search_by_predicted_concepts(concept="discs", value=False)
    assert set(ids(hits)[-4:]) == set(DISCS)
    assert len(hits) == 13


@case
def search_by_a_predicted_concept_nobody_knows(world):
    assert world.gallery.inputs.search_by_predicted_concepts(concept="unheard-of") == []


# What fits, in the order in which it was added, with a score of 1.
@rows(
    original_url=(lambda w, i: i.search_by_original_url(w.url("checks", 2)), ["checks-2"]),
    another_url=(lambda w, i: i.search_by_original_url(w.url("checks", 5)), []),
    concept=(lambda w, i: i.search_by_annotated_concepts(concept="stripes"), STRIPES),
    concept_id=(lambda w, i: i.search_by_annotated_concepts(concept_id="stripes"), STRIPES),
    concept_negated=(
        lambda w, i: i.search_by_annotated_concepts(concept="stripes", value=False),
        [*DISCS, *CHECKS, "plain"],
    ),
    concepts=(lambda w, i: i.search_by_annotated_concepts(concepts=["stripes", "discs"], values=[True, True]), []),
    concepts_negated=(
        lambda w, i: i.search_by_annotated_concepts(concepts=["stripes", "discs"], values=[False, False]),
        [*CHECKS, "plain"],
    ),
    concept_ids=(
        lambda w, i: i.search_by_annotated_concepts(concept_ids=["checks", "discs"], values=[True, False]),
        CHECKS,
    ),
    unknown_concept=(lambda w, i: i.search_by_annotated_concepts(concept="unheard-of"), []),
    metadata=(lambda w, i: i.search_by_metadata({"kind": "discs", "seed": 2}), ["discs-2"]),
    metadata_deep=(
        lambda w, i: i.search_by_metadata({"deep": {"even": False}}),
        [id for id in EVERY if id[-1] in "13"],
    ),
    metadata_list=(lambda w, i: i.search_by_metadata({"deep": {"tags": ["checks"]}}), CHECKS),
    metadata_other=(lambda w, i: i.search_by_metadata({"kind": "dots"}), []),
    geo_miles=(
        lambda w, i: i.search_by_geo(GeoPoint(10, 1), GeoLimit("mile", 80)),
        ["discs-0", "discs-1", "discs-2"],
    ),
    geo_kilometers=(lambda w, i: i.search_by_geo(GeoPoint(10, 1), GeoLimit("kilometer", 80)), ["discs-1"]),
    geo_degrees=(lambda w, i: i.search_by_geo(GeoPoint(20, 3), GeoLimit("degree", 1.5)), ["checks-2", "checks-3"]),
    geo_radians=(lambda w, i: i.search_by_geo(GeoPoint(20, 3), GeoLimit("radian", 0.02)), ["checks-2", "checks-3"]),
    geo_zero=(lambda w, i: i.search_by_geo(GeoPoint(0, 0), GeoLimit("kilometer", 1)), ["stripes-0"]),
    geo_box=(
        lambda w, i: i.search_by_geo(geo_box=GeoBox(GeoPoint(-1, 0.5), GeoPoint(11, 1.5))),
        ["stripes-1", "discs-1"],
    ),
    geo_box_other_corners=(
        lambda w, i: i.search_by_geo(geo_box=GeoBox(GeoPoint(11, 0), GeoPoint(0, 1))),
        ["stripes-0", "stripes-1", "discs-0", "discs-1"],
    ),
    term_id=(lambda w, i: i.search(query(InputSearchTerm(input_id="checks-0"))), ["checks-0"]),
    term_concept=(lambda w, i: i.search(query(InputSearchTerm(concept="checks", value=1.0))), CHECKS),
    terms=(
        lambda w, i: i.search(
            query(
                InputSearchTerm(concept_id="discs", value=False),
                InputSearchTerm(metadata={"seed": 3}),
                InputSearchTerm(geo=Geo(geo_box=GeoBox(GeoPoint(5, 0), GeoPoint(25, 5)))),
            )
        ),
        ["checks-3"],
    ),
    nothing=(lambda w, i: i.search(query()), EVERY),
)
def search_by(world, row):
    search, wanted = row
    hits = search(world, world.gallery.inputs)
    assert ids(hits) == wanted, ids(hits)
    assert all(hit.score == 1 for hit in hits)


@case
def search_by_looks_among_what_fits(world):
    hits = world.gallery.inputs.search(query(OutputSearchTerm(input_id="discs-1"), InputSearchTerm(concept="checks")))
    assert set(ids(hits)) == set(CHECKS)


@case
def search_in_pages(world):
    inputs = world.gallery.inputs
    for search in (inputs.search_by_image, lambda image_id, **page: inputs.search(query(), **page)):
        pages = [ids(search(image_id="discs-1", page=page, per_page=5)) for page in (1, 2, 3, 4)]
        assert [len(page) for page in pages] == [5, 5, 3, 0]
        assert {id for page in pages for id in page} == set(EVERY)


@case
def search_raw(world):
    raw = world.gallery.inputs.search_by_image(image_id="discs-1", per_page=1, raw=True)
    assert raw["status"]["code"] == 10000
    assert raw["id"]
    [hit] = raw["hits"]
    assert hit["input"]["id"] == "discs-1"
    assert {"created_at", "modified_at", "status", "data"} <= set(hit["input"])


@case
def search_sees_a_new_label_at_once(world):
    app = world.app()
    app.inputs.create_image_from_bytes(world.bytes("discs", 0), image_id="one")
    app.inputs.add_concepts("one", ["fresh"])
    assert ids(app.inputs.search_by_annotated_concepts(concept="fresh")) == ["one"]
    app.inputs.delete_concepts("one", ["fresh"])
    assert app.inputs.search_by_annotated_concepts(concept="fresh") == []


@case
def search_by_an_unknown_image(world):
    with refused(404, 30102):
        world.gallery.inputs.search_by_image(image_id="nobody")


@rows(missing="nowhere.png", broken="broken.png", text="text.txt")
def search_by_an_unreadable_image(world, name):
    with refused(400, 40002, 43003):
        world.gallery.inputs.search_by_image(url=f"{world.pictures}/{name}")


@case
def send_search_feedback(world):
    inputs = world.gallery.inputs
    search_id = inputs.search_by_image(image_id="discs-1", raw=True)["id"]
    for input_id, about in (("discs-2", search_id), ("nobody", "unheard-of")):
        info = FeedbackInfo("user", "session", "search_click", search_id=about)
        assert inputs.send_search_feedback(input_id, info)["status"]["code"] == 10000
    assert inputs.send_search_feedback("discs-2")["status"]["code"] == 10000


@case
def what_terms_and_pages_are_made_of(world):
    """Bases of the client's own; nothing is sent."""
    assert SearchTerm().dict() is None
    assert pagination(2, 5).dict() == {"page": 2, "per_page": 5}
