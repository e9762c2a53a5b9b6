"""Searches by a concept: while inputs come and go, and at what cost."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest

from tenshot.index.app import App
from tenshot.index.app.ranking import Term
from tenshot.index.scoring.predictor import Predictor

COUNT = 4200
A = [Term(concept="a")]


@pytest.fixture
def large(taught: App) -> App:
    """`taught`, and 4,200 inputs z0, z1, ... without labels."""
    vectors = np.random.default_rng(1).normal(size=(COUNT, 8))
    taught.add_vectors(vectors, [f"z{i}" for i in range(COUNT)])
    return taught


@contextmanager
def judged(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """How many rows each call of the predictor was asked about."""
    counts: list[int] = []
    values = Predictor.values

    def counting(predictor: Predictor, vectors: np.ndarray) -> np.ndarray:
        counts.append(len(vectors))
        return values(predictor, vectors)

    with monkeypatch.context() as patch:
        patch.setattr(Predictor, "values", counting)
        yield counts


def check(app: App) -> None:
    """All inputs, with the values that a prediction gives them, best first."""
    ids = [one.id for one in app.inputs(per_page=100_000)]
    scores = app.predict_vectors(app.vectors(ids))
    truth = dict(zip(ids, scores.values[:, scores.concept_ids.index("a")].tolist(), strict=True))
    hits = app.rank(A, k=100_000)
    assert {hit.input_id for hit in hits} == truth.keys()
    np.testing.assert_allclose([hit.score for hit in hits], [truth[hit.input_id] for hit in hits], atol=1e-6)
    assert (np.diff([hit.score for hit in hits]) <= 0).all()


def test_inputs_are_deleted_while_others_search(large: App) -> None:
    errors: list[Exception] = []
    deleted = threading.Event()

    def search() -> None:
        while not deleted.is_set():
            try:
                assert len(large.search(concept="a", k=5)) == 5
                assert len(large.search(concept="a", where={"not": {"label": "b"}}, k=5)) == 5
            except Exception as error:
                errors.append(error)
                return

    searching = threading.Thread(target=search)
    searching.start()
    for i in range(COUNT - 1, COUNT - 81, -1):
        large.delete([f"z{i}"])
    deleted.set()
    searching.join()
    assert not errors
    check(large)


def test_a_further_page_judges_nothing_again(large: App, monkeypatch: pytest.MonkeyPatch) -> None:
    with judged(monkeypatch) as counts:
        first = large.rank(A, k=10)
        assert sum(counts) == COUNT + 60
        counts.clear()
        assert large.rank(A, k=20)[:10] == first
        assert large.rank([Term(concept="a", negate=True)], k=COUNT + 60)[-1].input_id == first[0].input_id
        assert large.search(concept="a", where={"ids": ["z1"]}, k=10)
        assert not counts


def test_only_new_rows_are_judged_until_a_label_changes(large: App, monkeypatch: pytest.MonkeyPatch) -> None:
    large.rank(A)
    with judged(monkeypatch) as counts:
        large.add_vectors(np.eye(8)[:2], ["new0", "new1"])
        large.delete(["z1", "z2"])
        large.rank(A)
        assert counts == [2]
        large.label("new0", {"a": True})
        large.rank(A)
        assert sum(counts) == 2 + COUNT + 60
    check(large)


def test_a_filter_judges_only_what_it_lets_through(large: App, monkeypatch: pytest.MonkeyPatch) -> None:
    with judged(monkeypatch) as counts:
        assert len(large.search(concept="a", where={"ids": ["z1", "z4199"]})) == 2
        assert counts == [2]
    check(large)


def test_values_follow_a_vector_that_is_replaced_and_rows_that_are_moved_together(large: App) -> None:
    check(large)
    keys = large.state().collection.rows().keys
    large.state().collection.upsert(keys[-1:], np.eye(8)[:1])
    check(large)
    large.delete([f"z{i}" for i in range(0, COUNT, 2)])
    large.state().collection.wait()
    check(large)


def test_many_concepts_are_ranked_by_together(taught: App) -> None:
    for number in range(20):
        taught.label(f"x{number}", {f"n{number}": True})
    values = taught.predict_vectors(taught.vectors(["x3"]))
    wanted = np.mean([values.values[0, values.concept_ids.index(f"n{number}")] for number in range(20)])
    terms = [Term(concept=f"n{number}") for number in range(20)]
    for _ in range(2):
        [hit] = taught.rank(terms, where={"ids": ["x3"]})
        assert hit.score == pytest.approx(wanted, abs=1e-6)
