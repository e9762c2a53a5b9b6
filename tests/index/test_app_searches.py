"""Searches by vector, input, concept and filter, alone and together."""

import numpy as np
import pytest

from tenshot import Store
from tenshot.index.app import App
from tenshot.index.app.ranking import Term
from tenshot.index.errors import BadRequest, InputNotFound, NotSupported
from tenshot.index.records import Matches

QUERY = np.eye(8)[:3]


def test_the_nearest_by_a_vector_are_its_own_cloud(taught: App) -> None:
    matches = taught.search_vectors(QUERY, k=20)
    assert matches.scores.shape == (3, 20)
    for cloud, ids in enumerate(matches.ids):
        assert set(ids) == {f"x{i}" for i in range(20 * cloud, 20 * cloud + 20)}
    assert (np.diff(matches.scores, axis=1) <= 0).all()


def test_an_input_is_the_first_hit_of_a_search_by_itself(taught: App) -> None:
    hits = taught.search(input_id="x7", k=3)
    assert hits[0].input_id == "x7"
    assert hits[0].score == pytest.approx(1, abs=1e-5)


def test_a_concept_ranks_by_its_predicted_value(taught: App) -> None:
    hits = taught.search(concept="b", k=20)
    assert {hit.input_id for hit in hits} == {f"x{i}" for i in range(20, 40)}
    assert all(0 <= hit.score <= 1 for hit in hits)


def test_an_untaught_concept_matches_nothing(taught: App) -> None:
    assert taught.search(concept="unicorn") == []


@pytest.mark.parametrize(
    ("where", "wanted"),
    [
        ({"label": "a"}, [0, 1, 2, 3, 4]),
        ({"and": [{"label": "a"}, {"metadata": {"odd": True}}]}, [1, 3]),
        ({"ids": ["x59", "x3", "nobody"]}, [3, 59]),
        ({"not": {"metadata": {"odd": True}}, "ids": ["x1", "x2"]}, [2]),
        ({"metadata": {"row": 7.0}}, [7]),
    ],
)
def test_a_filter_alone_gives_creation_order_and_a_score_of_one(
    taught: App, where: dict[str, object], wanted: list[int]
) -> None:
    hits = taught.search(where=where, k=100)
    assert [hit.input_id for hit in hits] == [f"x{i}" for i in wanted]
    assert {hit.score for hit in hits} == {1.0}


def test_a_filter_narrows_a_visual_search_and_a_ranking(taught: App) -> None:
    odd = {"metadata": {"odd": True}}
    for hits in (taught.search(vector=QUERY[0], where=odd, k=30), taught.search(concept="a", where=odd, k=30)):
        assert len(hits) == 30
        assert all(int(hit.input_id[1:]) % 2 for hit in hits)


def test_terms_combine_and_negate(taught: App) -> None:
    hits = taught.rank([Term(vector=QUERY[0].astype(np.float32)), Term(concept="a", negate=True)], k=60)
    assert len(hits) == 60
    assert all(0 <= hit.score <= 1 for hit in hits)
    away = taught.rank([Term(concept="a", negate=True)], k=40)
    assert {int(hit.input_id[1:]) // 20 for hit in away} == {1, 2}


def test_an_added_input_is_found_by_the_very_next_search_and_a_deleted_one_never_again(taught: App) -> None:
    vector = np.eye(8)[5]
    taught.add_vectors([vector], ["fresh"])
    assert taught.search(vector=vector, k=1)[0].input_id == "fresh"
    taught.delete("fresh")
    assert taught.search(vector=vector, k=1)[0].input_id != "fresh"


def test_what_cannot_be_searched_is_refused(taught: App) -> None:
    with pytest.raises(NotSupported):
        taught.search(text="a dog")
    with pytest.raises(InputNotFound):
        taught.search(input_id="nobody")
    with pytest.raises(BadRequest):
        taught.search(vector=QUERY[0], concept="a")
    with pytest.raises(BadRequest):
        taught.search_vectors(QUERY, k=0)


def test_where_there_are_no_words_a_concepts_name_finds_what_the_concept_does(taught: App) -> None:
    assert taught.search(text="b", k=5) == taught.search(concept="b", k=5)
    with pytest.raises(NotSupported, match="words are understood by general, general-fast, clip"):
        taught.search(text="something else")


def test_a_hit_keeps_its_own_score_while_others_are_deleted(store: Store, taught: App) -> None:
    before = taught.search_vectors(QUERY, k=20)
    scores = [dict(zip(ids, row.tolist(), strict=True)) for ids, row in zip(before.ids, before.scores, strict=True)]
    gone = {before.ids[0][0], before.ids[0][7], before.ids[1][19]}
    # A search in the middle of a deletion: SQL knows of it, the collection doesn't yet.
    store.catalog.inputs.delete(taught.id, sorted(gone))
    after = taught.search_vectors(QUERY, k=20)
    for row, old in enumerate(scores):
        left = len(after.ids[row])
        assert left == 20 - len(gone & old.keys())
        assert after.scores[row, :left].tolist() == [old[id] for id in after.ids[row]]
        assert np.isneginf(after.scores[row, left:]).all()
        hits = taught.search(vector=QUERY[row], k=20)
        assert [(hit.input_id, hit.score) for hit in hits] == [(id, old[id]) for id in after.ids[row]]


def test_likeness_is_a_cosine_by_search_and_a_match_between_0_and_1_wherever_terms_are_ranked(taught: App) -> None:
    vector = (np.eye(8)[0] - np.eye(8)[1]).astype(np.float32)
    vector /= np.linalg.norm(vector)
    cosines = {hit.input_id: hit.score for hit in taught.search(vector=vector, k=60)}
    assert cosines == dict(zip(*(part[0] for part in _lists(taught.search_vectors([vector], k=60))), strict=True))
    assert min(cosines.values()) < -0.5
    matches = {id: (1 + cosine) / 2 for id, cosine in cosines.items()}
    near = Term(vector=vector)
    assert {hit.input_id: hit.score for hit in taught.rank([near], k=60)} == pytest.approx(matches, abs=1e-6)
    assert {one.id: score for one, score in taught.rank_inputs([near], k=60)} == pytest.approx(matches, abs=1e-6)
    [alone] = taught.nearest_inputs(vector[None], 60)
    assert {one.id: score for one, score in alone} == pytest.approx(matches, abs=1e-6)
    likely = {hit.input_id: hit.score for hit in taught.search(concept="a", k=60)}
    both = {hit.input_id: hit.score for hit in taught.rank([near, Term(concept="a")], k=60)}
    assert both == pytest.approx({id: (matches[id] + likely[id]) / 2 for id in matches}, abs=1e-6)


def _lists(matches: Matches) -> tuple[list[list[str]], list[list[float]]]:
    return matches.ids, matches.scores.tolist()
