"""Base workflows compared: the one whose view of the world is nearer needs fewer labels."""

from pathlib import Path

import numpy as np
import pytest
from pictures import KINDS, png

from tenshot import AddRequest, Store
from tenshot.embeddings.base.embedder import WorkflowError
from tenshot.embeddings.workflows import recipe_of
from tenshot.index.analysis.workflow_benchmark import accuracies, with_advice
from tenshot.index.app import App
from tenshot.index.errors import BadRequest, NothingToLearn
from tenshot.index.records import WorkflowComparison

SHOTS = (1, 2, 5, 10)


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
    known = [value for value in accuracy if value is not None]
    mean = sum(known) / len(known) if known else None
    return WorkflowComparison(workflow, 8, 10, 2, SHOTS[: len(accuracy)], accuracy, [0.0] * len(accuracy), mean, ms)


def test_the_more_accurate_is_recommended_and_of_equals_the_faster() -> None:
    slow, fast = compared("slow", [0.8, 0.9], 50), compared("fast", [0.6, 0.8], 5)
    assert with_advice([fast, slow]).recommended == "slow"
    near = compared("near", [0.795, 0.9], 5)
    assert with_advice([slow, near]).recommended == "near"
    assert with_advice([compared("unjudged", [None], 1), fast]).recommended == "fast"


def test_the_advice_says_how_many_labels_are_saved_at_what_cost() -> None:
    slow, fast = compared("slow", [0.5, 0.8, 0.9, None], 50), compared("fast", [0.4, 0.6, 0.8, None], 5)
    found = with_advice([fast, slow])
    assert found.workflows == [fast, slow]
    assert found.advice == (
        "Recommended: slow, ahead of fast (0.733 and 0.600 over all), 50 ms per image instead of 5. "
        "With 2 labels per concept it is where fast is with 5."
    )
    near = compared("near", [0.5, 0.7, 0.895, None], 5)
    assert with_advice([slow, near]).advice.startswith("Recommended: slow, ahead of near")
    near = compared("near", [0.5, 0.795, 0.895, None], 5)
    assert with_advice([slow, near]).advice == (
        "Recommended: near, as good as slow (0.730 and 0.733 over all), 5 ms per image instead of 50."
    )
    assert with_advice([fast]).advice == "fast: mean accuracy 0.600."


@pytest.mark.parametrize("nothing", [[], [compared("unjudged", [None], 1)]])
def test_nothing_is_recommended_where_nothing_could_be_judged(nothing: list[WorkflowComparison]) -> None:
    found = with_advice(nothing)
    assert (found.recommended, found.advice) == (None, "Too few labelled inputs to recommend one.")


@pytest.fixture
def drawn(store: Store) -> App:
    app = store.create_app("drawn", "general-fast")
    requests = [AddRequest(png(kind, seed), f"{kind}-{seed}", {kind: True}) for kind in KINDS for seed in range(6)]
    requests.append(AddRequest(png("discs", 99), "both", {"discs": True, "checks": True}))
    assert all(result.error is None for result in app.add_many(requests))
    return app


def test_an_apps_own_inputs_are_judged_under_each_workflow(drawn: App) -> None:
    told: list[tuple[int, int]] = []
    # "Food" is one of Clarifai's names for `general`: once is enough.
    names = ["general-fast", "general", "Food"]
    found = drawn.compare_workflows(names, shots=[1, 3], draws=4, progress=lambda *done: told.append(done))
    fast, general = found.workflows
    assert (fast.workflow, general.workflow) == ("general-fast", "general")
    for one in (fast, general):
        assert (one.inputs, one.concepts) == (18, 3)
        assert all(value is not None and 0.5 < value <= 1 for value in one.accuracy)
        assert one.mean_accuracy == pytest.approx(np.mean(one.accuracy))
        assert one.ms_per_image > 0
    assert found.recommended in ("general", "general-fast")
    assert found.advice.startswith(f"Recommended: {found.recommended}")
    assert told == [(18, 36), (36, 36)]
    assert drawn.recipe.workflow == "general-fast"


def test_what_can_not_see_the_pictures_is_told_before_any_is_embedded(drawn: App, tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"no checkpoint")
    told: list[tuple[int, int]] = []
    for other, why in (
        (f"open_clip:ViT-S-32-alt:{tmp_path / 'x.pt'}", "could not be loaded"),
        ("Face", "no counterpart"),
        ("vectors", "made elsewhere can't be compared"),
    ):
        with pytest.raises((WorkflowError, BadRequest), match=why):
            drawn.compare_workflows(["general", other], progress=lambda *done: told.append(done))
    assert told == []


def test_what_was_embedded_to_compare_is_not_embedded_again(drawn: App, monkeypatch: pytest.MonkeyPatch) -> None:
    first = drawn.compare_workflows(["general"], shots=[1, 3], draws=2).workflows[0]
    embedder = drawn.picture_embedder(recipe_of("general")).embedder

    def refuse(*_: object) -> None:
        raise AssertionError("embedded twice")

    # `embed_pixels` is what an image's time is measured with.
    monkeypatch.setattr(embedder, "embed_with_classes", refuse)
    again = drawn.compare_workflows(["general"], shots=[1, 3], draws=2).workflows[0]
    assert again.accuracy == first.accuracy


def test_without_labels_there_is_nothing_to_compare(store: Store) -> None:
    with pytest.raises(NothingToLearn, match="two concepts need two pictures each"):
        store.create_app("empty", "general-fast").compare_workflows(["general-fast"])
