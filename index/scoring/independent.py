"""Concepts that say nothing of each other: an image may show any number of them, or none (recipe, section 5)."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ...runtime.cancellation import check_cancelled
from ..records import FloatArray, KeyArray
from .concept import ConceptScorer, Votes, untaught_votes
from .examples import Array, Examples, Labels, Later, Texts
from .landmark_concept import LandmarkConceptScorer
from .landmarks import LANDMARKS
from .link import Curves
from .predictor import Predictor, sparse_columns
from .terms import BackgroundVotes, KernelVotes, Summary, TextTerm
from .text_prior import TextPrior

MOST_VOTERS = 4096
"""Images that vote on any concept; beyond, a summary stands in for those of concepts with few labels each, wholly from
twice as many on. What a prediction costs grows with the images, hardly with how many concepts each votes on.
"""

AnyConceptScorer = ConceptScorer | LandmarkConceptScorer


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

    def leave_one_out(self, keys: KeyArray) -> Later:
        predictor = self.predictor()
        known = [(column, self._concepts.get(concept)) for column, concept in enumerate(predictor.concept_ids)]
        without = [
            (column, scorer.leave_one_out(), scorer.background_leave_one_out()) for column, scorer in known if scorer
        ]

        def judged() -> Array:
            scores = predictor.scores(self._examples.vectors(keys.tolist()))
            position = {int(key): i for i, key in enumerate(keys)}
            for column, labelled, background in without:
                check_cancelled()
                left_out = labelled() | background
                for key in left_out.keys() & position.keys():
                    scores[position[key], column] = left_out[key]
            return predictor.probabilities(scores + predictor.prior_of(keys, self._examples.fetch))

        return judged

    def _summary(self, rows: FloatArray, count: int) -> Summary | None:
        """Of the votes on concepts with few labels each, where count, images that vote, makes predictions take long."""
        small = {id: concept for id, concept in self._concepts.items() if isinstance(concept, ConceptScorer)}
        known, self._summaries = self._summaries, {}
        if count <= MOST_VOTERS:
            return None
        background, dim = self._examples.background, len(self._examples.space.mean)
        nothing = np.zeros(dim, dtype=np.float32), np.zeros(len(background))
        for concept, scorer in small.items():
            votes = self._votes[concept]
            if concept in known and known[concept][0] is votes:
                self._summaries[concept] = known[concept]
            else:
                summary = background.summary(rows[votes.rows], votes.votes, scorer.near_background())
                self._summaries[concept] = (votes, *summary)
        each = [self._summaries[concept][1:] if concept in small else nothing for concept in self._votes]
        return Summary(
            prototypes=np.stack([prototype for prototype, _ in each]),
            curved=np.stack([curved for _, curved in each]),
            share=np.where([concept in small for concept in self._votes], min(count / MOST_VOTERS - 1, 1.0), 0.0),
            background=background.rows,
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
    if scorer and len(changes) <= scorer.few:
        # Additions first: at least one yes must remain at every step.
        for key in sorted(changes, key=lambda key: changes[key] is not True):
            scorer.set(key, changes[key])
        if scorer.fits:
            return scorer
    return (ConceptScorer if len(labels) <= LANDMARKS else LandmarkConceptScorer)(examples, labels)


def predictor_of(
    examples: Examples,
    votes: Mapping[str, Votes],
    summary: Callable[[FloatArray, int], Summary | None] = lambda rows, count: None,
) -> Predictor:
    """Of independent concepts, id -> votes; summary: of the votes of all rows, of which so many vote."""
    background, each = examples.background, list(votes.values())
    keys, rows = examples.all()
    said = [v.voters for v in each]
    place = np.zeros(len(keys), dtype=np.int64)
    for voting, _ in said:
        place[voting] = 1
    voters = np.flatnonzero(place)
    # In the order of keys: after a restart the same sums are made.
    voters = voters[np.argsort(keys[voters], kind="stable")]
    place[voters] = np.arange(len(voters))
    by_name = [v.text for v in each if v.text is not None]
    none = np.zeros(len(examples.space.mean), dtype=np.float32)
    return Predictor(
        space=examples.space,
        concept_ids=tuple(votes),
        keys=keys,
        rows=rows,
        positive=sparse_columns([(v.rows, v.signs) for v in each], len(keys)),
        terms=(
            *([BackgroundVotes(background.rows, np.stack([v.background for v in each], axis=1))] if each else []),
            KernelVotes(
                rows=rows,
                voters=voters,
                votes=sparse_columns([(place[voting], votes) for voting, votes in said], len(voters)),
                summary=summary(rows, len(voters)),
            ),
            *([TextTerm(np.stack([none if v.text is None else v.text for v in each], axis=1))] if by_name else []),
        ),
        link=Curves(tuple(v.curve for v in each)),
        low_confidence=np.array([v.low_confidence for v in each], dtype=np.bool_),
    )
