"""Judging a model ends between two steps when nobody waits for it, and leaves everything as it was."""

from collections.abc import Callable
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.scoring.landmarks import LANDMARKS
from tenshot.runtime.cancellation import Cancelled, cancellable, check_cancelled

MODELS = {
    "independent": {},
    "exclusive": {"mutually_exclusive": True},
    "closed": {"mutually_exclusive": True, "closed_environment": True},
}


def _app(store: Store, labels: int, model: str) -> App:
    """With two concepts, so many labels, and a model."""
    app = store.create_app("a", "vectors", dim=8)
    rng = np.random.default_rng(0)
    shown = np.arange(labels) % 2
    rows = np.eye(8)[shown] + 0.3 * rng.normal(size=(labels, 8))
    app.add_vectors(rows, concepts=[{"ab"[which]: True} for which in shown])
    app.create_model(model, concepts=["a", "b"], **MODELS[model])
    return app


def _ends_at_each_step(work: Callable[[], Any]) -> int:
    """How many steps the work has; at each of them it ends if nobody waits for it any more."""
    asked = count(1)
    with cancellable(lambda: next(asked) > 0):
        result = work()
    steps = next(asked) - 1
    for wanted in range(steps):
        with cancellable(partial(next, iter([True] * wanted + [False]))), pytest.raises(Cancelled):
            work()
    assert work() == result
    return steps


@pytest.mark.parametrize("model", MODELS)
def test_each_step_of_judging_a_model_may_be_the_last(tmp_path: Path, model: str) -> None:
    with Store.open(tmp_path) as store:
        app = _app(store, 24, model)
        version = app.create_version(model)
        assert _ends_at_each_step(lambda: app.evaluate(model)) >= 2
        assert _ends_at_each_step(lambda: app.learning_curve(model, draws=2)) >= 6
        assert _ends_at_each_step(lambda: app.compare(model, version.id)) >= 4


def test_a_large_model_is_judged_in_steps(tmp_path: Path) -> None:
    with Store.open(tmp_path) as store:
        app, query = _app(store, LANDMARKS + 100, "exclusive"), np.eye(8, dtype=np.float32)
        before = app.predict_vectors(query, "exclusive").values
        steps = iter([True, False])
        with cancellable(lambda: next(steps)), pytest.raises(Cancelled):
            app.evaluate("exclusive")
        np.testing.assert_array_equal(app.predict_vectors(query, "exclusive").values, before)


def test_work_that_somebody_waits_for_is_asked_nothing() -> None:
    check_cancelled()
    with cancellable(lambda: False), pytest.raises(Cancelled):
        check_cancelled()
    check_cancelled()
