"""A number or a text that a caller gives sizes no memory and no loop without a bound, and what is none is refused."""

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from tenshot.index.app import App
from tenshot.index.app.ranking import Term
from tenshot.index.errors import BadRequest

ROW = np.eye(8)[0]
HUGE = 10**9
LEFT_AS_MUCH_AS_THERE_IS: dict[str, tuple[Callable[[App, Any], Any], int]] = {
    "search by vector": (lambda app, n: app.search(vector=ROW, k=n), 60),
    "search by concept": (lambda app, n: app.search(concept="a", k=n), 60),
    "search by filter": (lambda app, n: app.search(where={"label": "a"}, k=n), 5),
    "search_vectors": (lambda app, n: app.search_vectors([ROW], k=n).ids[0], 60),
    "search_vectors, filtered": (lambda app, n: app.search_vectors([ROW], k=n, where={"label": "a"}).ids[0], 5),
    "nearest_inputs": (lambda app, n: app.nearest_inputs(ROW[None].astype(np.float32), n)[0], 60),
    "rank": (lambda app, n: app.rank([Term(concept="a")], n), 60),
    "rank_inputs": (lambda app, n: app.rank_inputs([Term(vector=ROW.astype(np.float32))], n), 60),
    "inputs": (lambda app, n: app.inputs(per_page=n), 60),
    "concepts": (lambda app, n: app.concepts(per_page=n), 3),
    "models": (lambda app, n: app.models(per_page=n), 1),
    "workflows": (lambda app, n: app.workflows(per_page=n), 0),
    "versions": (lambda app, n: app.versions("m", per_page=n), 1),
    "feedback": (lambda app, n: app.feedback(per_page=n), 0),
}
BEYOND_THE_END: list[Callable[[App, Any], Any]] = [
    lambda app, n: app.inputs(page=n),
    lambda app, n: app.concepts(page=n),
    lambda app, n: app.models(page=n),
    lambda app, n: app.workflows(page=n),
    lambda app, n: app.versions("m", page=n),
    lambda app, n: app.feedback(page=n),
    lambda app, n: app.rank([Term(vector=ROW.astype(np.float32))], 5, offset=n),
    lambda app, n: app.rank([Term(concept="a")], 5, offset=n),
]
REFUSED: list[Callable[[App, Any], Any]] = [
    lambda app, n: app.suggest(n=n),
    lambda app, n: app.doubts(n=n),
    lambda app, n: app.compare("m", "none", n=n),
    lambda app, n: app.learning_curve(draws=n),
    lambda app, n: app.explain("a", vector=ROW, neighbours=n),
    lambda app, n: app.explain_vector(ROW, most=n),
    lambda app, n: app.compare_workflows(["general-fast"], draws=n),
    lambda app, n: app.compare_workflows(["general-fast"], shots=[n]),
    lambda app, n: app.compare_workflows(["general-fast"], shots=[1] * 100),
]


@pytest.fixture
def app(taught: App) -> App:
    taught.create_model("m", concepts=["a", "b", "c"])
    return taught


@pytest.mark.parametrize("n", [HUGE, 10**30, np.int64(HUGE)])
def test_more_than_there_is_gives_what_there_is(app: App, n: Any) -> None:
    for name, (ask, there) in LEFT_AS_MUCH_AS_THERE_IS.items():
        ask(app, 1)
        tracemalloc.start()
        try:
            assert len(ask(app, n)) == there, name
            assert tracemalloc.get_traced_memory()[1] < 2_000_000, name
        finally:
            tracemalloc.stop()


def test_a_page_far_past_the_end_is_empty(app: App) -> None:
    for ask in BEYOND_THE_END:
        assert ask(app, HUGE) == ask(app, 10**30) == []


def test_more_work_than_one_question_may_cost_is_refused(app: App) -> None:
    for ask in REFUSED:
        with pytest.raises(BadRequest, match="between"):
            ask(app, HUGE)


@pytest.mark.parametrize("n", [-1, True, 2.0, "7", None, float("nan")])
def test_what_is_no_count_is_refused(app: App, n: Any) -> None:
    for ask in [ask for ask, _ in LEFT_AS_MUCH_AS_THERE_IS.values()] + BEYOND_THE_END + REFUSED[:-1]:
        with pytest.raises(BadRequest):
            ask(app, n)


def test_the_scores_of_a_search_are_padded_to_k_while_that_costs_nothing(app: App) -> None:
    assert app.search_vectors([ROW], k=500).scores.shape == (1, 500)
    assert app.search_vectors([ROW], k=HUGE).scores.shape == (1, 1000)
    assert np.isneginf(app.search_vectors([ROW], k=500).scores[:, 60:]).all()


def test_more_scores_than_memory_should_hold_are_refused(app: App) -> None:
    with pytest.raises(BadRequest, match="too many at once"):
        app.search_vectors(np.broadcast_to(ROW, (70_000, 8)), k=1000)


@pytest.mark.parametrize("dim", [0, 1, 65537, HUGE, 2.5, True, "8"])
def test_vectors_of_an_absurd_length_are_refused(store: Any, dim: Any) -> None:
    from tenshot.embeddings.base.embedder import WorkflowError

    with pytest.raises(WorkflowError, match="dim from 2 to 65536"):
        store.create_app("x", "vectors", dim=dim)


@pytest.mark.parametrize("name", ["a" * 60_000, "*" * 60_000, "%" * 60_000])
def test_a_long_name_is_no_pattern(app: App, name: str) -> None:
    with pytest.raises(BadRequest, match=r"60,000 characters long, more than the 1,000 allowed"):
        app.concepts(name=name)


@pytest.mark.parametrize("name", ["*a" * 500, "%" * 1000, "_" * 1000, "*" * 1000])
def test_the_longest_names_that_may_be_searched_for_are_soon_looked_up(app: App, name: str) -> None:
    app.create_concepts([("a" * 200, "a" * 200)])
    app.concepts(name=name)


def test_words_to_search_by_are_bounded(app: App) -> None:
    with pytest.raises(BadRequest, match="a text to search by is 60,000 characters long"):
        app.search(text="x" * 60_000)
    with pytest.raises(BadRequest, match="must be a text"):
        app.search(text=7)  # type: ignore[arg-type]
