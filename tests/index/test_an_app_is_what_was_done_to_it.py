"""Whatever is done to an app, in whatever order, reopened in between: it is what a plain dictionary says it is."""

import math
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.errors import AlreadyExists, BadRequest, InputNotFound, NothingToLearn, TenshotError

DIM = 4
IDS = st.sampled_from(["a", "b", "c/d", "é", "e f", "%2F", "0"]) | st.text("xyz", min_size=1, max_size=2)
CONCEPTS = st.sampled_from(["red", "grün", "a/b", "x"])
VECTORS = st.lists(st.integers(-3, 3), min_size=DIM, max_size=DIM).filter(any)
BAD_VECTORS = st.sampled_from(
    [[0.0] * DIM, [math.nan] * DIM, [math.inf, 0, 0, 0], [1e39, 0, 0, 0], [1.0], [], ["x"] * DIM]
)
BAD_IDS = st.sampled_from(["", " ", "a\0", "x" * 201, "\ud800", "a\nb", 7, None])
LABELS = st.dictionaries(CONCEPTS, st.booleans(), max_size=3)


@dataclass
class Known:
    """An input as it should be."""

    vector: np.ndarray
    labels: dict[str, bool]


@dataclass
class Truth:
    inputs: dict[str, Known] = field(default_factory=dict)
    concepts: set[str] = field(default_factory=set)


class Life(RuleBasedStateMachine):
    """What may happen to an app for vectors."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.truth = Truth()
        self.store = Store.open(Path(self.folder.name) / "data")
        self.app: App = self.store.create_app("app", "vectors", dim=DIM)

    @rule(ids=st.lists(IDS, min_size=1, max_size=4), vectors=st.lists(VECTORS, min_size=4, max_size=4), labels=LABELS)
    def add(self, ids: list[str], vectors: list[list[int]], labels: dict[str, bool]) -> None:
        """All of them or, where an id is taken or comes twice, none."""
        rows = vectors[: len(ids)]
        try:
            self.app.add_vectors(rows, ids=ids, concepts=[labels] * len(ids))
        except AlreadyExists:
            assert len(set(ids)) < len(ids) or set(ids) & self.truth.inputs.keys()
            return
        assert len(set(ids)) == len(ids)
        assert not set(ids) & self.truth.inputs.keys()
        for id, row in zip(ids, rows, strict=True):
            self.truth.inputs[id] = Known(np.array(row) / np.linalg.norm(row), dict(labels))
        self.truth.concepts |= labels.keys()

    @rule(id=IDS, bad=BAD_VECTORS)
    def add_what_is_no_vector(self, id: str, bad: list[Any]) -> None:
        with pytest.raises(BadRequest):
            self.app.add_vectors([[1, 0, 0, 0], bad], ids=[id, f"{id}2"])

    @rule(bad=BAD_IDS)
    def add_under_what_is_no_id(self, bad: Any) -> None:
        with pytest.raises(BadRequest):
            self.app.add_vectors([[1, 0, 0, 0]], ids=[bad])

    @rule(id=IDS, labels=st.dictionaries(CONCEPTS, st.none() | st.booleans(), min_size=1, max_size=3))
    def label(self, id: str, labels: dict[str, bool | None]) -> None:
        known = self.truth.inputs.get(id)
        if known is None:
            with pytest.raises(InputNotFound):
                self.app.label(id, labels)
            return
        self.app.label(id, labels)
        for concept, value in labels.items():
            if value is None:
                known.labels.pop(concept, None)
            else:
                known.labels[concept] = value
                self.truth.concepts.add(concept)

    @rule(labels=st.dictionaries(IDS, LABELS, min_size=1, max_size=4))
    def label_many(self, labels: dict[str, dict[str, bool]]) -> None:
        """All of them or, with an unknown one, none."""
        if not labels.keys() <= self.truth.inputs.keys():
            with pytest.raises(InputNotFound):
                self.app.label_many(labels)
            return
        self.app.label_many(labels)
        for id, given in labels.items():
            self.truth.inputs[id].labels |= given
            self.truth.concepts |= given.keys()

    @rule(ids=st.lists(IDS, max_size=3))
    def delete(self, ids: list[str]) -> None:
        there = set(ids) & self.truth.inputs.keys()
        assert self.app.delete(ids) == len(there)
        for id in there:
            del self.truth.inputs[id]

    @rule()
    def reopen(self) -> None:
        self.store.close()
        self.store = Store.open(Path(self.folder.name) / "data")
        self.app = self.store.app("app")

    @precondition(lambda self: self.truth.inputs)
    @rule(query=VECTORS, concept=CONCEPTS)
    def search(self, query: list[int], concept: str) -> None:
        unit = np.array(query) / np.linalg.norm(query)
        labelled = {id for id, known in self.truth.inputs.items() if known.labels.get(concept)}
        for where, wanted in ((None, set(self.truth.inputs)), ({"label": concept}, labelled)):
            truth = {id: float(self.truth.inputs[id].vector @ unit) for id in wanted}
            matches = self.app.search_vectors([query], k=50, where=where)
            found = dict(zip(matches.ids[0], matches.scores[0].tolist(), strict=False))
            assert found.keys() == truth.keys()
            for id, score in truth.items():
                assert abs(found[id] - score) < 1e-5
            assert list(found.values()) == sorted(found.values(), reverse=True)

    @rule(query=VECTORS)
    def predict(self, query: list[int]) -> None:
        try:
            scores = self.app.predict_vectors([query])
        except NothingToLearn:
            return
        assert set(scores.concept_ids) <= self.truth.concepts
        assert np.isfinite(scores.values).all()
        assert ((scores.values >= 0) & (scores.values <= 1)).all()
        np.testing.assert_array_equal(scores.values, self.app.predict_vectors([query]).values)

    @invariant()
    def it_is_what_was_done(self) -> None:
        inputs = self.app.inputs(per_page=1000)
        assert {one.id: dict(one.concepts) for one in inputs} == {
            id: known.labels for id, known in self.truth.inputs.items()
        }
        assert len(inputs) == len({one.id for one in inputs})
        assert {one.id for one in self.app.concepts()} == self.truth.concepts
        if inputs:
            rows = self.app.vectors([one.id for one in inputs])
            wanted = np.stack([self.truth.inputs[one.id].vector for one in inputs])
            np.testing.assert_allclose(rows, wanted, atol=1e-6)

    def teardown(self) -> None:
        if hasattr(self, "store"):
            self.store.close()
            self.folder.cleanup()


def test_an_app_is_what_was_done_to_it(long: bool) -> None:
    run_state_machine_as_test(
        Life,
        settings=settings(
            max_examples=400 if long else 12,
            stateful_step_count=60 if long else 25,
            deadline=None,
            derandomize=not long,
            suppress_health_check=list(HealthCheck),
        ),
    )


@pytest.mark.parametrize("where", [{"nothing": 1}, {"label": 7}, {"and": "x"}, [], "x", {"not": None}])
def test_a_filter_that_is_none_is_an_error(tmp_path: Path, where: Any) -> None:
    with Store.open(tmp_path) as store:
        app = store.create_app("v", "vectors", dim=DIM)
        app.add_vectors([[1, 0, 0, 0]])
        with pytest.raises(TenshotError):
            app.search_vectors([[1, 0, 0, 0]], where=where)
