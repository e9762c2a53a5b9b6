"""Why a concept got its value: parts that add up, neighbours with their share, the labels behind the calibration."""

import numpy as np
import pytest

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.errors import BadRequest, ConceptNotFound, InputNotFound, NothingToLearn, VersionNotFound
from tenshot.index.records import Confidence, Explanation

FORMS = {"independent": (False, False), "exclusive": (True, False), "closed": (True, True)}
QUERY = np.eye(8)[0] + 0.3 * np.eye(8)[1]


@pytest.fixture(params=FORMS)
def model(taught: App, request: pytest.FixtureRequest) -> str:
    exclusive, closed = FORMS[request.param]
    return taught.create_model("m", list("abc"), mutually_exclusive=exclusive, closed_environment=closed).id


def check(why: Explanation, value: float) -> None:
    assert why.value == pytest.approx(value, abs=1e-5)
    assert why.value <= why.any_shown <= 1
    assert why.score == pytest.approx(why.prototype + why.neighbours + why.background + why.text_prior)
    assert why.text_prior == 0
    shares = [one.share for one in why.nearest]
    assert all(0 <= share <= 1 for share in shares)
    assert sum(shares) <= 1 + 1e-9
    similarities = [one.similarity for one in why.nearest]
    assert similarities == sorted(similarities, reverse=True)


def test_it_adds_up_and_names_who_voted(taught: App, model: str) -> None:
    values = {one.concept_id: one.value for one in taught.predict_input("x7", model)}
    for concept in "abc":
        why = taught.explain(concept, input_id="x7", model=model, neighbours=4)
        check(why, values[concept])
        assert why.positives == 5
        assert len(why.nearest) == 4
        for one in why.nearest:
            [shown] = one.concept_ids
            assert taught.input(one.input_id).concepts == {shown: True}
            assert one.label is (concept == shown)


def test_all_votes_are_shared_out_among_all_labelled_neighbours(taught: App) -> None:
    taught.create_model("m", list("abc"), mutually_exclusive=True, closed_environment=True)
    why = taught.explain("a", vector=QUERY, model="m", neighbours=15)
    assert len(why.nearest) == 15
    assert sum(one.share for one in why.nearest) == pytest.approx(1)
    assert {one.concept_ids for one in why.nearest} == {("a",), ("b",), ("c",)}
    assert [one.label for one in why.nearest[:5]] == [True] * 5


def test_without_a_concept_the_best_one_is_explained(taught: App, model: str) -> None:
    best = taught.predict_vectors([QUERY], model)
    found = taught.explain_vector(QUERY, model=model, most=2)
    assert [one.concept_id for one in found] == [best.concept_ids[i] for i in np.argsort(-best.values[0])[:2]]
    assert taught.explain(vector=QUERY, model=model) == found[0]


def test_a_frozen_version_explains_itself(taught: App, model: str) -> None:
    version = taught.create_version(model)
    before = taught.explain("a", vector=QUERY, model=model)
    taught.label_many({f"x{i}": {"b": True, "a": None} for i in range(4)})
    assert taught.explain("a", vector=QUERY, model=model, version=version.id) == before
    assert taught.explain("a", vector=QUERY, model=model) != before
    taught.delete("x4")
    after = taught.explain("a", vector=QUERY, model=model, version=version.id, neighbours=100)
    # Its votes still count, but it has no name any more.
    assert "x4" not in {one.input_id for one in after.nearest}
    assert after.value == before.value


def test_confidence_follows_the_labels(app: App) -> None:
    app.add_vectors(np.eye(8)[[0, 0, 0]] + 0.01 * np.eye(8)[:3], list("xyz"), [{"a": True}] * 3)
    app.delete(["y", "z"])
    assert app.explain("a", vector=QUERY).calibration.confidence in (Confidence.NONE, Confidence.LOW)
    rng = np.random.default_rng(0)
    for count, wanted in ((4, Confidence.LOW), (10, Confidence.MEDIUM), (30, Confidence.HIGH)):
        app.delete_all()
        rows = np.repeat(np.eye(8)[:2], 40, axis=0) + 0.1 * rng.normal(size=(80, 8))
        labels: list[dict[str, bool]] = [{"a": True}] * count + [{}] * (76 - count) + [{"a": False}] * 4
        app.add_vectors(rows, concepts=labels)
        basis = app.explain("a", vector=QUERY).calibration
        assert (basis.confidence, basis.labels, basis.background) == (wanted, count + 4, 80)


def test_of_exclusive_concepts_all_labels_stand_behind_the_one_temperature(taught: App) -> None:
    taught.create_model("m", list("abc"), mutually_exclusive=True, closed_environment=True)
    basis = taught.explain("a", vector=QUERY, model="m").calibration
    assert (basis.labels, basis.background) == (15, 0)


@pytest.mark.parametrize("form", FORMS)
def test_with_very_many_labels_near_ones_still_have_their_share(store: Store, form: str) -> None:
    app = store.create_app("large", workflow="vectors", dim=8)
    rng = np.random.default_rng(0)
    rows = np.repeat(np.eye(8)[:2], 1100, axis=0) + 0.2 * rng.normal(size=(2200, 8))
    app.add_vectors(rows, [f"x{i}" for i in range(2200)], [{"ab"[i // 1100]: True} for i in range(2200)])
    exclusive, closed = FORMS[form]
    app.create_model("m", ["a", "b"], mutually_exclusive=exclusive, closed_environment=closed)
    value = app.predict_vectors([QUERY], "m").values[0]
    why = app.explain("a", vector=QUERY, model="m", neighbours=20)
    check(why, float(value[0]))
    assert (why.positives, why.negatives) == (1100, 0)
    assert all(one.share > 0 for one in why.nearest)
    assert sum(one.share for one in why.nearest) > 20 / 2200


def test_bad_requests_are_refused(taught: App, model: str) -> None:
    for count in (-1, 101):
        with pytest.raises(BadRequest, match="neighbours"):
            taught.explain("a", vector=QUERY, neighbours=count)
    with pytest.raises(InputNotFound):
        taught.explain("a", input_id="nobody")
    with pytest.raises(VersionNotFound):
        taught.explain("a", vector=QUERY, model=model, version="nobody")
    with pytest.raises(ConceptNotFound):
        taught.explain_vector(QUERY, ["a", "nobody"], model)
    taught.create_model("untaught", ["never labelled"])
    assert taught.explain_vector(QUERY, model="untaught") == []
    with pytest.raises(NothingToLearn):
        taught.explain(vector=QUERY, model="untaught")
    with pytest.raises(ConceptNotFound, match="no labels for"):
        taught.explain("never labelled", vector=QUERY, model="untaught")
