"""What takes long for one model is done where neither others nor its own readers wait for it."""

import threading
from collections.abc import Callable

import numpy as np
import pytest

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.records import FloatArray, KeyArray
from tenshot.index.vectors.collection import Collection

PATIENCE = 60.0
"""Seconds for what takes none."""


class Held:
    """A collection that hands some vectors out only when it is let go."""

    def __init__(self, collection: Collection, wanted: Callable[[KeyArray], bool]) -> None:
        self._present = collection.present
        self._wanted = wanted
        self.reached, self.let_go = threading.Event(), threading.Event()

    def present(self, keys: KeyArray) -> tuple[KeyArray, FloatArray]:
        if self._wanted(keys):
            self.reached.set()
            assert self.let_go.wait(PATIENCE)
        return self._present(keys)


def hold(app: App, wanted: Callable[[KeyArray], bool]) -> Held:
    held = Held(app.state().collection, wanted)
    app.state().collection.present = held.present  # type: ignore[method-assign]
    return held


def meanwhile(held: Held, slow: Callable[[], object], quick: Callable[[], object]) -> None:
    """quick ends while slow is held."""
    first, second = threading.Thread(target=slow), threading.Thread(target=quick)
    first.start()
    try:
        assert held.reached.wait(PATIENCE)
        second.start()
        second.join(PATIENCE / 4)
        assert not second.is_alive()
    finally:
        held.let_go.set()
        first.join(PATIENCE)
        if second.ident:
            second.join(PATIENCE)


@pytest.fixture
def crowd(store: Store) -> App:
    """1,100 inputs labelled a or b, of which an exclusive model tells, and a few with another label."""
    app = store.create_app("crowd", workflow="vectors", dim=8)
    rows = np.random.default_rng(0).normal(size=(1110, 8))
    rows[:1100:2, 0] += 3
    labels = [{"ab"[i % 2]: True} for i in range(1100)] + [{"other": i % 2 == 0} for i in range(10)]
    app.add_vectors(rows, [f"x{i}" for i in range(1110)], labels)
    app.create_model("many", ["a", "b"], mutually_exclusive=True, closed_environment=True)
    app.create_model("few", ["other"])
    app.predict_vectors(rows[:1], "few")
    return app


def test_a_large_model_is_built_while_others_are_labelled_and_predict(crowd: App) -> None:
    held = hold(crowd, lambda keys: len(keys) > 200)

    def another() -> None:
        crowd.label("x1100", {"other": None})
        crowd.predict_vectors(np.eye(8)[:1], "few")

    meanwhile(held, lambda: crowd.predict_vectors(np.eye(8)[:1], "many"), another)


def test_a_model_predicts_and_is_labelled_while_it_is_evaluated(taught: App) -> None:
    # Nothing is taught by a no alone: so its vector is asked for by the evaluation.
    taught.label("x59", {"d": False})
    taught.create_model("m", list("abcd"))
    taught.predict_vectors(np.eye(8)[:1], "m")
    [key] = taught.state().teacher.labelled_keys(["d"])
    held = hold(taught, lambda keys: key in keys)

    def another() -> None:
        taught.label("x6", {"a": True})
        taught.predict_vectors(np.eye(8)[:1], "m")

    meanwhile(held, lambda: taught.evaluate("m"), another)


def test_the_space_of_a_large_exclusive_model_is_renewed_beside_its_predictions(crowd: App) -> None:
    before = crowd.predict_vectors(np.eye(8)[:1], "many").values
    crowd.add_vectors(np.random.default_rng(1).normal(size=(400, 8)))
    held = hold(crowd, lambda keys: len(keys) > 1200)
    seen: list[FloatArray] = []
    meanwhile(
        held,
        lambda: crowd.predict_vectors(np.eye(8)[:1], "few"),
        lambda: seen.append(crowd.predict_vectors(np.eye(8)[:1], "many").values),
    )
    np.testing.assert_array_equal(seen[0], before)
