"""Frozen versions never change; one may go back to them."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from sqlalchemy import insert

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.catalog import schema
from tenshot.index.errors import BadRequest, ModelNotFound, NothingToLearn, VersionNotFound
from tenshot.index.records import ChangeState

QUERIES = np.random.default_rng(1).normal(size=(5, 8))


@pytest.fixture(params=[(False, False), (True, False), (True, True)], ids=["independent", "exclusive", "closed"])
def model(taught: App, request: pytest.FixtureRequest) -> str:
    exclusive, closed = request.param
    return taught.create_model("m", list("abc"), mutually_exclusive=exclusive, closed_environment=closed).id


def test_a_frozen_version_predicts_the_same_whatever_happens(taught: App, model: str) -> None:
    version = taught.create_version(model)
    frozen = taught.predict_vectors(QUERIES, model, version=version.id).values
    assert np.array_equal(frozen, taught.predict_vectors(QUERIES, model).values)
    taught.label_many({f"x{i}": {"a": False, "b": True} for i in range(10)})
    taught.delete([f"x{i}" for i in range(40, 60)])
    taught.update_model(model, concepts=["a"])
    assert np.array_equal(taught.predict_vectors(QUERIES, model, version=version.id).values, frozen)
    assert not np.array_equal(taught.predict_vectors(QUERIES, model).values, frozen)


def test_the_head_follows_the_labels_and_is_listed_last(taught: App, model: str) -> None:
    [head] = taught.versions(model)
    first, second = taught.create_version(model), taught.create_version(model)
    assert [one.id for one in taught.versions(model)] == [second.id, first.id, head.id]
    assert [one.id for one in taught.versions(model, page=2, per_page=1)] == [first.id]
    taught.label("x5", {"b": True})
    assert np.array_equal(
        taught.predict_vectors(QUERIES, model, version=head.id).values, taught.predict_vectors(QUERIES, model).values
    )


def test_going_back_makes_a_new_version_that_predicts_as_the_old_one(taught: App, model: str) -> None:
    old = taught.create_version(model)
    taught.label("x5", {"b": True})
    taught.create_version(model)
    back = taught.create_version(model, like=old.id)
    assert taught.versions(model)[0].id == back.id
    assert np.array_equal(
        taught.predict_vectors(QUERIES, model, version=back.id).values,
        taught.predict_vectors(QUERIES, model, version=old.id).values,
    )
    with pytest.raises(BadRequest, match="follows the labels"):
        taught.create_version(model, like=taught.versions(model)[-1].id)


def test_an_evaluation_of_a_version_uses_the_labels_of_its_moment(taught: App, model: str) -> None:
    version = taught.create_version(model)
    before = taught.evaluate(model)
    taught.label_many({f"x{i}": {"a": False, "b": True} for i in range(10)})
    assert taught.evaluation(model, version.id) is None
    found = taught.evaluate_version(model, version.id)
    assert (found.inputs, found.accuracy, found.confusion) == (before.inputs, before.accuracy, before.confusion)
    stored = taught.evaluation(model, version.id)
    assert stored
    assert stored.result
    assert stored.result["inputs"] == found.inputs == 15


def test_where_there_is_nothing_to_learn_nothing_is_frozen(app: App, taught: App, model: str) -> None:
    taught.create_model("empty")
    taught.create_model("unknown", ["never labelled"])
    taught.create_model("one", ["a"], mutually_exclusive=True)
    for id in ("empty", "unknown", "one"):
        with pytest.raises(NothingToLearn):
            taught.create_version(id)
    with pytest.raises(BadRequest):
        taught.create_version("all")
    with pytest.raises(ModelNotFound):
        taught.create_version("nobody")
    with pytest.raises(VersionNotFound):
        taught.predict_vectors(QUERIES, model, version="nobody")


def test_in_the_place_of_the_last_version_comes_a_fresh_head(taught: App, model: str) -> None:
    [head] = taught.versions(model)
    taught.delete_version(model, head.id)
    [fresh] = taught.versions(model)
    assert fresh.id != head.id
    assert not fresh.frozen


def test_a_version_frozen_after_the_clock_was_set_back_is_as_good_as_any(store: Store, taught: App, model: str) -> None:
    """The base workflow was changed, and by the clock that was tomorrow."""
    moment = datetime.now(UTC) + timedelta(days=1)
    old = asdict(taught.recipe) | {"dim": 9}
    change = {"app_id": taught.id, "old_recipe": old, "recipe": asdict(taught.recipe), "state": ChangeState.DONE.value}
    with store.catalog._database.write() as connection:
        row = change | {"created_at": moment, "finished_at": moment}
        connection.execute(insert(schema.workflow_changes).values(row))
    taught.rest()
    version = taught.create_version(model)
    assert taught.predict_vectors(QUERIES, model, version=version.id).values.shape == (5, 3)
