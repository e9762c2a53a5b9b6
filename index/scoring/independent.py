"""Concepts that say nothing of each other: an image may show any number of them, or none (recipe, section 5)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..records import FloatArray, KeyArray
from .concept import ConceptScorer, LargeVotes, Votes, untaught_votes
from .examples import Array, Examples, Labels, Texts
from .large import DUAL_LIMIT
from .large_concept import LargeConceptScorer
from .predictor import LargePart, Predictor, Summary, sparse_columns
from .ridge import FEW
from .text_prior import TextPrior

MOST_VOTERS = 2048
"""Labels of all independent concepts together; with more of them their votes are summarised."""

AnyConceptScorer = ConceptScorer | LargeConceptScorer


class IndependentScorer:
    """A small model for each concept (recipe, section 5): any number of them may be true, or none."""

    def __init__(self, examples: Examples, concept_ids: Sequence[str], labels: Labels) -> None:
        self._examples = examples
        self._labels: dict[str, dict[int, bool]] = {concept: dict(labels.get(concept, {})) for concept in concept_ids}
        self._concepts: dict[str, AnyConceptScorer] = {}
        self._votes: dict[str, Votes] = {}
        self._changed: dict[str, dict[int, bool | None]] = {concept: {} for concept in concept_ids}
        self._texts: dict[str, TextPrior] = {}
        self._summaries: dict[str, tuple[Votes, FloatArray, Array]] = {}

    @property
    def fits(self) -> bool:
        """Each concept has the form that is right for it."""
        return True

    def add_concept(self, concept_id: str) -> None:
        """One more concept, without labels yet. For the built-in model, which has all that there are."""
        self._labels.setdefault(concept_id, {})
        self._changed.setdefault(concept_id, {})

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        if concept_id not in self._labels:
            return
        if value is None:
            self._labels[concept_id].pop(key, None)
        else:
            self._labels[concept_id][key] = value
        self._changed[concept_id][key] = value

    def read(self, texts: Texts) -> None:
        for concept in self._texts.keys() | texts.keys():
            known, said = self._texts.get(concept), texts.get(concept)
            if said is None:
                del self._texts[concept]
            elif known is None or not np.array_equal(known.directions[:, 0], said):
                self._texts[concept] = TextPrior(said[:, None], self._examples.fetch)
            else:
                continue
            self._votes.pop(concept, None)

    def predictor(self) -> Predictor:
        self._refresh()
        return predictor_of(self._examples, self._votes, self._summary)

    def leave_one_out(self, keys: KeyArray) -> Array:
        predictor = self.predictor()
        scores = predictor.scores(self._examples.vectors(keys.tolist()))
        position = {int(key): i for i, key in enumerate(keys)}
        for column, concept in enumerate(predictor.concept_ids):
            scorer = self._concepts.get(concept)
            if scorer is None:
                continue
            without = scorer.leave_one_out() | scorer.background_leave_one_out()
            for key in without.keys() & position.keys():
                scores[position[key], column] = without[key]
        return predictor.probabilities(scores + predictor.text_prior_of(keys, self._examples.fetch))

    def _summary(self, rows: FloatArray) -> Summary | None:
        """Of all votes, where they are so many that each prediction would take long."""
        if sum(len(votes.voters[0]) for votes in self._votes.values()) <= MOST_VOTERS:
            self._summaries = {}
            return None
        background = self._examples.background
        known, self._summaries = self._summaries, {}
        for concept, votes in self._votes.items():
            if concept in known and known[concept][0] is votes:
                self._summaries[concept] = known[concept]
            else:
                scorer = self._concepts.get(concept)
                # Else it has no votes of this kind.
                near = scorer.near_background() if isinstance(scorer, ConceptScorer) else np.zeros(len(background))
                voting, said = votes.voters
                summary = background.summary(rows[voting], said, near)
                self._summaries[concept] = (votes, *summary)
        return Summary(
            prototypes=np.stack([prototype for _, prototype, _ in self._summaries.values()]),
            curved=np.stack([curved for _, _, curved in self._summaries.values()]),
        )

    def _refresh(self) -> None:
        """Brings every concept that has a positive label or a name up to date, and forgets the others."""
        votes: dict[str, Votes] = {}
        for concept, labels in self._labels.items():
            changes, text, kept = self._changed[concept], self._texts.get(concept), self._votes.get(concept)
            if not any(labels.values()):
                if self._concepts.pop(concept, None):
                    kept = None
                if by_name := kept or (untaught_votes(self._examples, text) if text else None):
                    votes[concept] = by_name
            else:
                known = self._concepts.get(concept)
                scorer = self._concepts[concept] = brought_up_to_date(known, self._examples, labels, changes)
                votes[concept] = kept if kept and known is scorer and not changes else scorer.votes(text)
            changes.clear()
        self._votes = votes


def brought_up_to_date(
    scorer: AnyConceptScorer | None,
    examples: Examples,
    labels: Mapping[int, bool],
    changes: Mapping[int, bool | None],
) -> AnyConceptScorer:
    """The scorer of a concept with these labels, at least one yes: the same that knew all but the changes, if it can
    take them in and is still the right form for so many labels.
    """
    if scorer and len(changes) <= FEW:
        # Additions first: at least one yes must remain at every step.
        for key in sorted(changes, key=lambda key: changes[key] is not True):
            scorer.set(key, changes[key])
        if scorer.fits:
            return scorer
    return (ConceptScorer if len(labels) <= DUAL_LIMIT else LargeConceptScorer)(examples, labels)


def predictor_of(
    examples: Examples,
    votes: Mapping[str, Votes],
    summary: Callable[[FloatArray], Summary | None] = lambda rows: None,
) -> Predictor:
    """Of independent concepts, id -> votes; summary: of the votes of all rows, where it is worth one."""
    background, each = examples.background, list(votes.values())
    keys, rows = examples.all()
    return Predictor(
        space=examples.space,
        concept_ids=tuple(votes),
        keys=keys,
        rows=rows,
        votes=sparse_columns([v.voters for v in each], len(keys)),
        background_rows=background.rows,
        background_votes=np.array([v.background for v in each]).reshape(len(each), len(background)).T,
        positive=sparse_columns([(v.rows, v.signs) for v in each], len(keys)),
        temperature=None,
        curves=tuple(v.curve for v in each),
        mutually_exclusive=False,
        low_confidence=np.array([v.low_confidence for v in each], dtype=np.bool_),
        large=_large_part(each, rows),
        summary=summary(rows),
        texts=_texts(each, len(examples.space.mean)),
    )


def _large_part(votes: Sequence[Votes], rows: FloatArray) -> LargePart | None:
    columns = [column for column, v in enumerate(votes) if v.large]
    large = [v.large for v in votes if v.large]
    if not large:
        return None
    cached = np.unique(np.concatenate([v.cached for v in large]))
    return LargePart(
        columns=np.array(columns),
        cached=cached,
        cache=rows[cached],
        prototypes=np.stack([v.prototype for v in large], axis=1).astype(np.float32),
        members=_side(large, 0, cached),
        others=_side(large, 1, cached),
        neighbour_scale=np.array([v.neighbour_scale for v in large]),
        contrast=True,
    )


def _texts(votes: Sequence[Votes], dim: int) -> FloatArray | None:
    """(dim, C), zeros for a concept whose name says nothing."""
    if all(v.text is None for v in votes):
        return None
    return np.stack([np.zeros(dim, dtype=np.float32) if v.text is None else v.text for v in votes], axis=1)


def _side(large: Sequence[LargeVotes], side: int, cached: NDArray[np.int64]) -> csc_array:
    """(k, L): one side of each concept, over the rows (k,) that any of them has in its cache."""
    columns = [v.shares[:, [side]] for v in large]
    places = [np.searchsorted(cached, v.cached[column.indices]) for v, column in zip(large, columns, strict=True)]
    return sparse_columns([(place, column.data) for place, column in zip(places, columns, strict=True)], len(cached))
