"""What was read from SQL is remembered while it holds, and no longer."""

import json
import pickle
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from contextvars import copy_context
from copy import deepcopy
from dataclasses import asdict, is_dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest
from known import known

from tenshot.index.app import App
from tenshot.index.app.ranking import Term
from tenshot.index.catalog import Catalog, read_cache
from tenshot.index.catalog.read_cache import size_of
from tenshot.index.errors import NotFound
from tenshot.index.records import Concept, InputChange, KeyRecord, WorkflowNode


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'tenshot.db'}"


@pytest.fixture
def catalog(url: str) -> Iterator[Catalog]:
    with Catalog.open(url) as catalog:
        yield catalog


@pytest.fixture
def other(url: str) -> Iterator[Catalog]:
    """As another process has it."""
    with Catalog.open(url) as catalog:
        yield catalog


def _add(catalog: Catalog, hash: str) -> KeyRecord:
    return catalog.api_keys.add(f"id-{hash}", hash, None, "", ["All"])


def test_what_is_remembered_is_the_same_object(catalog: Catalog) -> None:
    _add(catalog, "h")
    assert catalog.api_keys.find("h") is catalog.api_keys.find("h")


def test_a_commit_by_anybody_is_seen_by_the_next_read(catalog: Catalog, other: Catalog) -> None:
    assert catalog.api_keys.find("h") is None
    _add(other, "h")
    assert catalog.api_keys.find("h") is not None
    other.api_keys.revoke("id-h")
    found = catalog.api_keys.find("h")
    assert found is not None
    assert found.revoked_at is not None


def test_a_moment_sees_its_own_process_at_once_and_others_from_the_next_moment_on(
    catalog: Catalog, other: Catalog
) -> None:
    def request() -> None:
        catalog.begin_read_snapshot()
        assert catalog.api_keys.find("theirs") is None
        _add(other, "theirs")
        assert catalog.api_keys.find("theirs") is None
        _add(catalog, "ours")
        assert catalog.api_keys.find("ours") is not None
        assert catalog.api_keys.find("theirs") is not None

    def next_request() -> None:
        catalog.begin_read_snapshot()
        assert catalog.api_keys.find("theirs") is not None

    copy_context().run(request)
    copy_context().run(next_request)


def test_a_write_that_failed_leaves_what_holds(catalog: Catalog) -> None:
    with pytest.raises(NotFound):
        catalog.api_keys.revoke("nobody")
    assert catalog.api_keys.find("nobody") is None


def test_what_is_remembered_takes_no_more_than_its_room_and_what_is_asked_for_stays(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch
) -> None:
    app = catalog.apps.create("a" * 32, "app", {"workflow": "vectors"}, 8).id
    catalog.concepts.create(app, [(f"concept {i}", "n" * 200) for i in range(100)])
    catalog.concepts.page(app, 0, 100, "*")
    one = sum(size for _, size in catalog._database._cache._answers._young.values())
    assert one > 100 * 200
    monkeypatch.setattr(read_cache, "_MOST_BYTES", 12 * one)
    first = catalog.concepts.page(app, 0, 100, "*")[0]
    for number in range(100):
        catalog.concepts.page(app, 0, 100, "*" * (number + 2))
        assert catalog.concepts.page(app, 0, 100, "*")[0] is first
    answers = catalog._database._cache._answers
    assert sum(size for half in (answers._young, answers._old) for _, size in half.values()) <= 12 * one
    monkeypatch.setattr(read_cache, "_MOST_BYTES", one)
    large = [catalog.concepts.page(app, 0, 100, "c*") for _ in range(2)]
    assert large[0] == large[1]
    assert len(answers._young) < 10


def test_a_value_is_about_as_large_as_the_memory_that_it_takes() -> None:
    made: list[object] = []

    def make() -> None:
        made.append([Concept(f"concept {i}", "n" * 100, datetime.now(UTC)) for i in range(5000)])
        made.append({"metadata": [{"key": f"value {i}", "number": i + 1000.5} for i in range(5000)]})

    tracemalloc.start()
    try:
        make()
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert 0.7 * taken < size_of(made) < 1.5 * taken


def _spoil(answer: Any) -> None:
    """Changes what can be changed of an answer, however deep."""
    inside: list[Any] = []
    if isinstance(answer, np.ndarray):
        if answer.flags.writeable:
            answer.fill(0)
    elif isinstance(answer, dict):
        inside = [*answer, *answer.values()]
        with suppress(TypeError):
            answer.clear()
    elif isinstance(answer, list):
        inside = list(answer)
        with suppress(TypeError):
            answer.clear()
    elif isinstance(answer, tuple):
        inside = list(answer)
    elif is_dataclass(answer):
        inside = list(vars(answer).values())
    for one in inside:
        _spoil(one)


def test_who_changes_an_answer_changes_no_other_answer(taught: App) -> None:
    taught.update_many([InputChange("x0", regions=[{"id": "r", "boxes": [1, 2]}], metadata={"a": {"b": [1]}})])
    taught.create_model("m", ["a", "b"], settings={"s": [1]})
    taught.set_thresholds({"a": 0.4}, "m")
    version = taught.create_version("m")
    taught.create_workflows([("w", [WorkflowNode("n", "m")])])
    taught.keep_feedback("model", {"model": "m"}, {"said": ["yes"]})
    taught.evaluate_version("m", version.id)
    row = np.eye(8, dtype=np.float32)[:1]
    key = taught.input("x0").key
    answers: dict[str, Callable[[], Any]] = {
        "concepts": taught.concepts,
        "concepts by name": lambda: taught.concepts(name="*"),
        "concepts_by_id": taught.concepts_by_id,
        "concept_names": taught.concept_names,
        "concept": lambda: taught.concept("a"),
        "input": lambda: taught.input("x0"),
        "inputs": taught.inputs,
        "inputs_by_id": lambda: taught.inputs_by_id(["x0"]),
        "more inputs_by_id": lambda: taught.inputs_by_id(["x0", "x1"]),
        "pending_keys": lambda: taught.pending_keys([key]),
        "rank_inputs": lambda: taught.rank_inputs([Term(vector=row[0])], 60),
        "nearest_inputs": lambda: taught.nearest_inputs(row, 60),
        "search": lambda: taught.search(vector=row[0]),
        "search by concept": lambda: taught.search(concept="a"),
        "search_vectors": lambda: taught.search_vectors(row),
        "filtered": lambda: taught.search_vectors(row, where={"label": "a"}),
        "counts": taught.counts,
        "label_counts": taught.label_counts,
        "vectors": lambda: taught.vectors(["x0"]),
        "existing": lambda: taught.existing(["x0"]),
        "model": lambda: taught.model("m"),
        "built-in model": taught.model,
        "models": taught.models,
        "versions": lambda: taught.versions("m"),
        "version": lambda: taught.version("m", version.id),
        "thresholds": lambda: taught.thresholds("m"),
        "workflows": taught.workflows,
        "feedback": taught.feedback,
        "evaluation": lambda: taught.evaluation("m", version.id),
        "evaluate": taught.evaluate,
        "scores": lambda: taught.predict_vectors(row),
        "scores of a version": lambda: taught.predict_vectors(row, "m", version=version.id),
        "predict_input": lambda: taught.predict_input("x0"),
        "explain": lambda: taught.explain(vector=row[0]),
        "suggest": taught.suggest,
        "doubts": lambda: taught.doubts(limit=1),
        "apps": lambda: taught.state().catalog.apps.list(),
        "all inputs": lambda: taught.state().catalog.input_counts(),
        "all labels": lambda: taught.state().catalog.label_counts(),
    }
    for _ in range(2):  # what is remembered is asked for by the second
        before = {name: deepcopy(ask()) for name, ask in answers.items()}
        for ask in answers.values():
            _spoil(ask())
        for name, ask in answers.items():
            np.testing.assert_equal(_plain(ask()), _plain(before[name]), name)


def _plain(answer: Any) -> Any:
    """For comparisons of arrays in dataclasses."""
    if is_dataclass(answer):
        return {name: _plain(value) for name, value in vars(answer).items()}
    if isinstance(answer, list | tuple):
        return [_plain(one) for one in answer]
    return answer


def test_an_answer_that_others_have_too_is_plain_data_and_says_that_it_can_not_be_changed(taught: App) -> None:
    taught.update_many([InputChange("x0", metadata={"a": {"b": [1, None]}})])
    metadata = taught.input("x0").metadata
    assert metadata == {"a": {"b": [1, None]}}
    assert json.loads(json.dumps(metadata)) == orjson.loads(orjson.dumps(metadata)) == metadata
    with pytest.raises(TypeError, match="change a copy of it"):
        known(metadata)["a"]["b"].append(2)
    for own in (deepcopy(metadata), pickle.loads(pickle.dumps(metadata)), asdict(taught.input("x0"))["metadata"]):
        assert own == metadata
    mine = deepcopy(known(metadata))
    mine["a"]["b"].append(2)  # type: ignore[index]
    assert taught.input("x0").metadata == metadata
