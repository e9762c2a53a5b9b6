"""`app.models`, and what a model says of itself and its concepts."""

from clarifai.rest import Model
from world import KINDS, case, refused, rows

GENERAL, COLOR, EMBED = (
    "aaa03c23b3724a16a56b629203edc62c",
    "eeed0b6733a644cea07cf4c60f87ebb7",
    "bbb5f41425b8468d9b7a554ff10f8581",
)


def names(model):
    return [concept.concept_id for concept in model.concepts]


def own(app):
    return [model.model_id for model in app.models.get_all(private_only=True)]


@rows(
    plain={"model_id": "m"},
    named={"model_id": "m", "model_name": "My model"},
    with_concepts={"model_id": "m", "concepts": ["cat", "dog"]},
    exclusive={"model_id": "m", "concepts": ["cat"], "concepts_mutually_exclusive": True},
    closed={"model_id": "m", "closed_environment": True},
    with_parameters={"model_id": "m", "hyper_parameters": {"epochs": 3, "deep": {"rate": 0.5, "on": True}}},
    any_letters={"model_id": "我的/model 1+&", "concepts": ["猫"]},
)
def create(world, given):
    app = world.app()
    made = app.models.create(**given)
    id = given["model_id"]
    for model in (made, app.models.get(id)):
        assert model.model_id == id
        assert model.model_name == given.get("model_name", id)
        assert names(model) in ([], given.get("concepts", []))
        assert model.concepts_mutually_exclusive is given.get("concepts_mutually_exclusive", False)
        assert model.closed_environment is given.get("closed_environment", False)
        assert model.hyper_parameters == given.get("hyper_parameters")
        assert model.model_status_code == 21102
        assert model.model_version
        assert model.app_id not in ("", "main")
    assert made.get_concept_ids() == given.get("concepts", [])
    assert [one.concept_id for one in app.concepts.get_all()] == given.get("concepts", [])
    assert own(app) == [id]
    assert app.models.delete(id)["status"]["code"] == 10000
    assert own(app) == []


@case
def create_with_a_taken_id(world):
    app = world.app()
    app.models.create("m", concepts=["cat"])
    with refused(400, 21202, 40010):
        app.models.create("m", concepts=["dog"])
    assert app.models.get("m").get_concept_ids() == ["cat"]


@case
def get(world):
    app = world.gallery
    assert app.models.get("kinds").model_version
    # By its id alone there is no request, and no name.
    assert app.models.get(model_id="kinds").get_info()["model"]["name"] == "kinds"


@case
def get_by_name(world):
    app = world.app()
    app.models.create("m1", model_name="Birds of Bavaria")
    assert app.models.get("Birds of Bavaria").model_id == "m1"
    with refused(404, 21200):
        app.models.get("Birds of nowhere")


@case
def get_all(world):
    app = world.app()
    wanted = [f"m{number}" for number in range(23)]
    for id in wanted:
        app.models.create(id)
    assert own(app) == wanted
    everything = [model.model_id for model in app.models.get_all()]
    assert len(everything) == len(set(everything))
    assert set(wanted) < set(everything)


@case
def get_all_public(world):
    public = {model.model_id: model for model in world.app().models.get_all(public_only=True)}
    assert {GENERAL, COLOR, EMBED} <= set(public)
    assert public[GENERAL].model_name == "general-v1.3"
    assert public[GENERAL].output_info["type"] == "concept"


@case
def init_model_cache(world):
    app = world.app()
    app.models.clear_model_cache()
    assert app.models.model_id_cache == {}
    cache = app.models.init_model_cache()
    assert cache[("general-v1.3", "concept")] == cache[("general-v1.3", None)] == GENERAL
    assert cache[("color", "color")] == COLOR


@case
def get_by_page(world):
    app = world.app()
    for number in range(3):
        app.models.create(f"m{number}")
    pages = [[model.model_id for model in app.models.get_by_page(page=page, per_page=2)] for page in range(1, 6)]
    flat = [id for page in pages for id in page]
    assert len(pages[0]) == 2
    assert {"m0", "m1", "m2"} <= set(flat)
    assert len(flat) == len(set(flat))
    assert app.models.get_by_page(page=999999999, per_page=1000) == []


@case
def delete(world):
    app = world.app()
    app.models.create("m")
    assert app.models.delete("m")["status"]["code"] == 10000
    with refused(404, 21200):
        app.models.delete("m")
    with refused(404, 21200):
        app.models.get("m")


@case
def delete_a_version(world):
    app = world.app()
    model = app.models.create("m", concepts=["cat"])
    assert app.models.delete("m", version_id=model.model_version)["status"]["code"] == 10000
    assert app.models.get("m").model_status_code == 21102


@case
def bulk_delete(world):
    app = world.app()
    for id in ("a/b", "c", "d"):
        app.models.create(id)
    assert app.models.bulk_delete(["a/b", "c", "nobody"])["status"]["code"] == 10000
    assert own(app) == ["d"]


@case
def delete_all(world):
    app = world.app()
    app.models.create("m", concepts=["cat"])
    assert app.models.delete_all()["status"]["code"] == 10000
    app.wait_until_models_delete_finish()
    assert own(app) == []
    assert [one.concept_id for one in app.concepts.get_all()] == ["cat"]


@rows(
    name=(("Birds", None), ["m1"]),
    wildcard=(("Bi*", None), ["m1", "m2"]),
    case=(("birds", None), ["m1"]),
    type=(("Bi*", "concept"), ["m1", "m2"]),
    another_type=(("Bi*", "embed"), None),
    nothing=(("nowhere*", None), None),
)
def search(world, row):
    asked, wanted = row
    app = world.app()
    app.models.create("m1", model_name="Birds")
    app.models.create("m2", model_name="Bicycles")
    app.models.create("m3", model_name="Trees")
    found = app.models.search(*asked)
    assert (found and [model.model_id for model in found]) == wanted


@rows(general=("general-v1.3", "concept", GENERAL), color=("color", "color", COLOR), embed=("general*", "embed", EMBED))
def search_public(world, row):
    name, kind, id = row
    assert id in [model.model_id for model in world.app().models.search(name, kind)]


@case
def get_info(world):
    model = world.gallery.models.get("kinds")
    plain = model.get_info()["model"]
    assert (plain["id"], plain["model_version"]["id"]) == ("kinds", model.model_version)
    info = model.get_info(verbose=True)["model"]
    assert [concept["id"] for concept in info["output_info"]["data"]["concepts"]] == list(KINDS)
    assert info["output_info"]["type"] == info["output_info"]["type_ext"] == "concept"
    assert info["model_version"]["active_concept_count"] == 3


@case
def get_concept_ids(world):
    assert world.gallery.models.get("kinds").get_concept_ids() == list(KINDS)
    assert world.app().models.create("empty").get_concept_ids() == []


@case
def model_dict(world):
    model = world.app().models.create("m", closed_environment=True)
    config = {"concepts_mutually_exclusive": False, "closed_environment": True}
    assert model.dict() == {"model": {"id": "m", "name": "m", "output_info": {"output_config": config}}}


@rows(
    merge_concepts=(lambda m: m.merge_concepts(["c"]), ["a", "b", "c"]),
    merge_known_concepts=(lambda m: m.merge_concepts(["b"]), ["a", "b"]),
    overwrite_concepts=(lambda m: m.merge_concepts(["c", "a"], overwrite=True), ["c", "a"]),
    overwrite_with_none=(lambda m: m.merge_concepts([], overwrite=True), []),
    add_concepts=(lambda m: m.add_concepts(["c", "d"]), ["a", "b", "c", "d"]),
    delete_concepts=(lambda m: m.delete_concepts(["a", "never"]), ["b"]),
    update=(lambda m: m.update(concept_ids=["c"]), ["a", "b", "c"]),
)
def change_concepts(world, row):
    change, wanted = row
    app = world.app()
    changed = change(app.models.create("m", concepts=["a", "b"]))
    assert sorted(names(changed)) == sorted(wanted)
    assert sorted(app.models.get("m").get_concept_ids()) == sorted(wanted)
    version = changed.get_info()["model"]["model_version"]
    assert version.get("active_concept_count", 0) == len(wanted)


@rows(
    name=({"model_name": "new"}, "new", True, True),
    exclusive=({"concepts_mutually_exclusive": True}, "m", True, True),
    not_exclusive=({"concepts_mutually_exclusive": False, "action": "overwrite"}, "m", False, False),
    merged=({"closed_environment": False, "action": "merge"}, "m", True, True),
    all_of_it=({"model_name": "new", "closed_environment": True, "action": "overwrite"}, "new", False, True),
    nothing=({}, "m", True, True),
)
def update(world, row):
    change, name, exclusive, closed = row
    app = world.app()
    model = app.models.create("m", concepts=["a"], concepts_mutually_exclusive=True, closed_environment=True)
    for changed in (model.update(**change), app.models.get("m")):
        assert changed.model_name == name
        assert (changed.concepts_mutually_exclusive, changed.closed_environment) == (exclusive, closed)
        assert changed.get_concept_ids() == ["a"]


@case
def update_an_unknown_model(world):
    app = world.app()
    with refused(404, 21200):
        Model(app.api, model_id="nobody").update(model_name="new")


@case
def public_models_stay_as_they_are(world):
    app = world.app()
    before = own(app), len(list(app.models.get_all(public_only=True)))
    app.models.delete_all()
    assert (own(app), len(list(app.models.get_all(public_only=True)))) == before
    for refuse in (lambda: app.models.delete(GENERAL), lambda: app.public_models.general_model.update(model_name="x")):
        try:
            refuse()
        except Exception as error:
            assert 400 <= error.response.status_code < 500, error  # noqa: PT017
            continue
        raise AssertionError("expected a refusal")
