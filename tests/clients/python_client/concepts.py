"""`app.concepts`."""

from world import case, refused, rows


def fruit(world):
    """An app with four concepts."""
    app = world.app()
    app.concepts.bulk_create(["a", "b", "c", "我"], ["apple", "apricot", "pineapple", "苹果"])
    return app


@case
def create(world):
    app = world.app()
    made = app.concepts.create("cat", "Cat")
    assert (made.concept_id, made.concept_name) == ("cat", "Cat")
    assert made.app_id
    assert made.created_at.endswith("Z")
    assert app.concepts.create("dog").concept_name == "dog"
    with refused(400, 40003):
        app.concepts.create("cat")
    assert app.concepts.get("cat").concept_name == "Cat"


@case
def bulk_create(world):
    app = world.app()
    made = app.concepts.bulk_create(["x", "y"], ["the x", None])
    assert [(one.concept_id, one.concept_name) for one in made] == [("x", "the x"), ("y", "y")]
    with refused(400, 40003):
        app.concepts.bulk_create(["z", "x"], ["z", "x"])
    assert [one.concept_id for one in app.concepts.get_all()] == ["x", "y"]


@case
def get(world):
    app = fruit(world)
    assert app.concepts.get("我").dict() == {
        "id": "我",
        "name": "苹果",
        "app_id": app.concepts.get("a").app_id,
        "created_at": app.concepts.get("我").created_at,
    }
    with refused(404, 11101):
        app.concepts.get("nobody")


@case
def get_all(world):
    app = world.app()
    names = [f"c{number}" for number in range(45)]
    app.concepts.bulk_create(names, [None] * 45)
    assert [one.concept_id for one in app.concepts.get_all()] == names


@case
def get_by_page(world):
    app = fruit(world)
    pages = [[one.concept_id for one in app.concepts.get_by_page(page, 3)] for page in (1, 2, 3)]
    assert pages == [["a", "b", "c"], ["我"], []]
    assert app.concepts.get_by_page(999999999, 1000) == []


@rows(
    whole=("apple", ["a"]),
    start=("ap*", ["a", "b"]),
    end=("*apple", ["a", "c"]),
    middle=("*p*i*", ["b", "c"]),
    case=("APPLE", ["a"]),
    chinese=("苹*", ["我"]),
    nothing=("plum*", []),
    no_pattern=("[a]pple", []),
)
def search(world, row):
    term, wanted = row
    assert sorted(one.concept_id for one in fruit(world).concepts.search(term)) == wanted


@case
def search_in_a_language(world):
    assert [one.concept_id for one in fruit(world).concepts.search("苹*", lang="zh")] == ["我"]


@case
def search_goes_through_all_pages(world):
    app = world.app()
    app.concepts.bulk_create([f"c{number}" for number in range(45)], [None] * 45)
    assert len({one.concept_id for one in app.concepts.search("c*")}) == 45


@case
def update(world):
    app = fruit(world)
    renamed = app.concepts.update("a", "Apfel")
    assert (renamed.concept_id, renamed.concept_name) == ("a", "Apfel")
    assert app.concepts.get("a").concept_name == "Apfel"
    with refused(404, 11101):
        app.concepts.update("nobody", "name")


@case
def bulk_update(world):
    app = fruit(world)
    renamed = app.concepts.bulk_update(["b", "a"], ["B", "A"])
    assert [(one.concept_id, one.concept_name) for one in renamed] == [("b", "B"), ("a", "A")]
    assert [one.concept_name for one in app.concepts.get_all()] == ["A", "B", "pineapple", "苹果"]


@case
def a_new_name_shows_on_inputs(world):
    app = world.app()
    app.inputs.create_image_from_bytes(world.bytes("discs", 0), image_id="one", concepts=["dots"])
    app.concepts.update("dots", "Dots")
    assert app.inputs.get("one").concepts == ["Dots"]
    assert [hit.input_id for hit in app.inputs.search_by_annotated_concepts(concept="Dots")] == ["one"]
