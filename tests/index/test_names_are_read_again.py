"""A model that can't read the names of concepts now does so later, and never at the cost of a prediction."""

import threading
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from tenshot import Store
from tenshot.embeddings.base.batcher import Batcher
from tenshot.embeddings.base.embedder import FloatArray, Recipe, WorkflowError
from tenshot.embeddings.models.zero_shot import NAMES_AT_ONCE
from tenshot.errors import Busy
from tenshot.index.app import App
from tenshot.index.app.concept_texts import Names

RECIPE = Recipe("letters", "letters", "none", 27, nonnegative=True)


class Letters:
    """Reads: a text's vector counts its letters. Says `fault` instead, where one is set."""

    recipe = RECIPE
    has_text = True
    classes = ("letters",)
    text_scale = 10.0
    least_side = None
    shrink = None
    fault: Exception | None = None

    def __init__(self) -> None:
        self.calls: list[int] = []
        self.going_on = threading.Event()
        self.going_on.set()
        self.asked = threading.Event()

    def embed_texts(self, texts: Sequence[str]) -> FloatArray:
        self.calls.append(len(texts))
        self.asked.set()
        assert self.going_on.wait(30)
        if self.fault:
            raise self.fault
        counts = [[1 + text.lower().count(letter) for letter in "abcdefghijklmnopqrstuvwxyz "] for text in texts]
        rows = np.array(counts, dtype=np.float32)
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def prepare(self, image: Any) -> Any: ...
    def embed_pixels(self, pixels: Any) -> Any: ...
    def embed_with_classes(self, pixels: Any) -> Any: ...
    def embed_images(self, images: Any) -> Any: ...
    def unload(self) -> None: ...
    def close(self) -> None: ...


@pytest.fixture
def letters() -> Letters:
    return Letters()


@pytest.fixture
def mine(store: Store) -> App:
    app = store.create_app("letters", "vectors", dim=27)
    app.create_model("animals", ["owl", "lynx"])
    return app


def names_of(app: App, letters: Letters) -> Names:
    return Names(app.id, RECIPE, app.state().catalog, lambda _: letters)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(
    "fault", [WorkflowError("no weights"), RuntimeError("CUDA"), Busy("1,024 wait"), MemoryError()]
)
def test_a_failure_silences_them_for_a_moment_only(mine: App, letters: Letters, fault: Exception) -> None:
    names = names_of(mine, letters)
    letters.fault = fault
    assert names.said(["owl", "lynx"]) == {}
    # Nobody waits for a model that has just failed.
    asked = len(letters.calls)
    assert names.are_read(["owl", "lynx"])
    assert names.said(["owl", "lynx"]) == {}
    assert len(letters.calls) == asked
    letters.fault = None
    names._retry_at = 0
    assert not names.are_read(["owl", "lynx"])
    assert names.said(["owl", "lynx"]).keys() == {"owl", "lynx"}


def test_more_names_than_a_queue_has_room_for_are_read(mine: App, letters: Letters) -> None:
    batcher = Batcher(letters, max_queue=64)
    letters.going_on.clear()
    waiting = [threading.Thread(target=batcher.embed_texts, args=(["x"],)) for _ in range(2)]
    for thread in waiting:
        thread.start()
    assert letters.asked.wait(10)
    names = Names(mine.id, RECIPE, mine.state().catalog, lambda _: batcher)
    threading.Timer(0.1, letters.going_on.set).start()
    many = [f"concept {number}" for number in range(170)]
    try:
        assert names.said(many).keys() == set(many)
    finally:
        batcher.close()


def test_what_was_read_before_the_queue_was_full_counts(mine: App, letters: Letters) -> None:
    names = names_of(mine, letters)
    many = [f"concept {number:03}" for number in range(NAMES_AT_ONCE + 1)]
    embed = letters.embed_texts

    def full(texts: Sequence[str]) -> FloatArray:
        letters.fault = Busy("full") if letters.calls else None
        return embed(texts)

    letters.embed_texts = full  # type: ignore[method-assign]
    assert names.said(many).keys() == set(many[:-1])


def test_a_concept_renamed_while_its_old_name_is_read_gets_the_new_one(mine: App, letters: Letters) -> None:
    names = mine.state().teacher.names = names_of(mine, letters)
    letters.going_on.clear()
    reading = threading.Thread(target=names.said, args=(["owl"],))
    reading.start()
    assert letters.asked.wait(10)
    mine.rename_concepts([("owl", "zebra")])
    letters.going_on.set()
    reading.join()
    expected = 10 * letters.embed_texts(["zebra"])[0]
    np.testing.assert_allclose(names.said(["owl"])["owl"], expected, atol=1e-5)


def test_numbers_that_are_not_finite_are_not_believed(
    mine: App, letters: Letters, monkeypatch: pytest.MonkeyPatch
) -> None:
    names = names_of(mine, letters)
    with monkeypatch.context() as patch:
        patch.setattr(letters, "embed_texts", lambda texts: np.full((len(texts), 27), np.nan, dtype=np.float32))
        assert names.said(["owl"]) == {}
    names._retry_at = 0
    assert names.said(["owl"]).keys() == {"owl"}
