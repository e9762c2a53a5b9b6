"""The contract of every kind of term: files bring back what they were given, and nothing hostile is believed."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import csc_array

from tenshot.index.scoring.older import PrimalForm
from tenshot.index.scoring.predictor import TERMS
from tenshot.index.scoring.space import unit
from tenshot.index.scoring.terms import BackgroundVotes, KernelVotes, Summary, Term, TextTerm

CONCEPTS, DIM = 3, 8
rng = np.random.default_rng(0)
ROWS = unit(rng.normal(size=(20, DIM)).astype(np.float32))
FILE = {"rows": ROWS, "concept_ids": np.array(list("abc")), "sharpness": np.float64(1)}
"""What terms share."""
BACKGROUND = BackgroundVotes(ROWS[:5], rng.normal(size=(5, CONCEPTS)))
SUMMARY = Summary(
    rng.normal(size=(CONCEPTS, DIM)).astype(np.float32), rng.normal(size=(CONCEPTS, 5)), np.full(3, 0.4), ROWS[:5]
)
CACHE = csc_array(np.full((4, 2), 0.25))
INSTANCES: list[Term] = [
    BACKGROUND,
    KernelVotes(ROWS, np.arange(3, 9), csc_array(rng.normal(size=(6, CONCEPTS))), summary=SUMMARY),
    PrimalForm(
        concepts=CONCEPTS,
        columns=np.array([0, 2]),
        prototypes=ROWS[:2].T,
        cached=np.arange(4),
        cache=ROWS[:4],
        members=CACHE,
        others=CACHE,
        neighbour_scale=np.ones(2),
        contrast=True,
    ),
    TextTerm(ROWS[:3].T),
]


def test_there_is_one_of_every_kind_here_and_no_two_have_an_array_in_common() -> None:
    assert [type(term) for term in INSTANCES] == list(TERMS)
    names = Counter(name for term in INSTANCES for name in term.arrays())
    assert max(names.values()) == 1


@pytest.mark.parametrize("term", INSTANCES, ids=lambda term: type(term).__name__)
def test_a_term_comes_back_from_a_file_and_has_the_parts_of_its_scores(term: Term) -> None:
    arrays = FILE | BACKGROUND.arrays() | term.arrays()
    again = type(term).from_arrays(arrays)
    assert again
    again.check(len(ROWS), CONCEPTS, DIM)
    np.testing.assert_array_equal(again.scores(ROWS), term.scores(ROWS))
    assert again.scores(ROWS).shape == (len(ROWS), CONCEPTS)
    parts = term.parts(ROWS)
    np.testing.assert_allclose(parts.prototype + parts.neighbours + parts.background, term.scores(ROWS), atol=1e-6)
    kept = np.union1d(term.needed, [15])
    np.testing.assert_array_equal(term.of_rows(kept, ROWS[kept]).scores(ROWS), term.scores(ROWS))
    assert term.votes_of(0, ROWS @ ROWS[0]).shape == (len(ROWS),)


@pytest.mark.parametrize("term", INSTANCES, ids=lambda term: type(term).__name__)
def test_a_term_of_another_shape_or_with_rows_that_are_not_there_is_refused(term: Term) -> None:
    with pytest.raises(ValueError, match="shape"):
        replace(term, **{wide(term): np.zeros((3, 1, 1))}).check(len(ROWS), CONCEPTS, DIM)
    if len(term.needed):
        with pytest.raises(ValueError, match="not there"):
            term.check(int(term.needed.max()), CONCEPTS, DIM)


def wide(term: Term) -> str:
    """One of its arrays."""
    return next(name for name in ("votes", "prototypes", "directions") if hasattr(term, name))
