"""Base workflows compared: the one whose view of the world is nearer needs fewer labels."""

import numpy as np
import pytest
from pictures import KINDS, png

from tenshot import AddRequest, Store
from tenshot.index.app import App
from tenshot.index.errors import NothingToLearn
from tenshot.index.records import WorkflowComparison
from tenshot.index.workflow_comparison import accuracies, recommended


def clouds(noise: float, count: int = 120, dim: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """(n, dim) unit vectors round four directions, and the number of each one's."""
    rng = np.random.default_rng(0)
    labels = np.arange(count) % 4
    vectors = np.eye(dim)[labels] + noise * rng.normal(size=(count, dim))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def test_accuracy_grows_with_labels_and_falls_with_noise() -> None:
    clear, _ = accuracies(*clouds(0.05), 1.0, [1, 5], draws=3)
    blurred, halves = accuracies(*clouds(0.6), 1.0, [1, 20], draws=10)
    assert clear == [1.0, 1.0]
    assert blurred[0] is not None
    assert blurred[1] is not None
    assert 0.3 < blurred[0] < blurred[1] < 1
    assert all(half is not None and 0 < half < 0.2 for half in halves)


def test_it_is_the_same_every_time_and_none_where_inputs_are_too_few() -> None:
    vectors, labels = clouds(0.6)
    assert accuracies(vectors, labels, 1.0, [2], 5) == accuracies(vectors, labels, 1.0, [2], 5)
    assert accuracies(vectors, labels, 1.0, [30], 5) == ([None], [None])


def compared(workflow: str, accuracy: list[float | None], ms: float) -> WorkflowComparison:
    return WorkflowComparison(workflow, 8, 10, 2, [1] * len(accuracy), accuracy, [0.0] * len(accuracy), ms)


def test_the_more_accurate_is_recommended_and_of_equals_the_faster() -> None:
    slow, fast = compared("slow", [0.8, 0.9], 50), compared("fast", [0.6, 0.8], 5)
    assert recommended([fast, slow]) is slow
    near = compared("near", [0.795, 0.9], 5)
    assert recommended([slow, near]) is near
    assert recommended([compared("unjudged", [None], 1)]) is None
    assert recommended([]) is None


@pytest.fixture
def drawn(store: Store) -> App:
    app = store.create_app("drawn", "general-fast")
    requests = [AddRequest(png(kind, seed), f"{kind}-{seed}", {kind: True}) for kind in KINDS for seed in range(6)]
    requests.append(AddRequest(png("discs", 99), "both", {"discs": True, "checks": True}))
    assert all(result.error is None for result in app.add_many(requests))
    return app


def test_an_apps_own_inputs_are_judged_under_each_workflow(drawn: App) -> None:
    fast, general = drawn.compare_workflows(["general-fast", "general"], shots=[1, 3], draws=4)
    assert (fast.workflow, general.workflow) == ("general-fast", "general")
    for one in (fast, general):
        assert (one.inputs, one.concepts) == (18, 3)
        assert all(value is not None and 0.5 < value <= 1 for value in one.accuracy)
        assert one.ms_per_image > 0
    assert drawn.recipe.workflow == "general-fast"


def test_without_labels_there_is_nothing_to_compare(store: Store) -> None:
    with pytest.raises(NothingToLearn, match="two concepts need two pictures each"):
        store.create_app("empty", "general-fast").compare_workflows(["general-fast"])
