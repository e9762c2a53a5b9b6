"""Exclusive concepts where it may be that none is shown: open-set recognition (Scheirer et al., IEEE PAMI 35, 2013).

Two questions in turn: is it any of them, and if so, which? The first is one independent concept, taught with the labels
of all against the app's background; the second is what a closed environment asks. So
P(concept) = P(any) P(concept | any), and what is left of one is the probability of none.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..records import KeyArray
from .concept import Votes
from .examples import Array, Examples, Labels, Later, Texts
from .exclusive import ExclusiveScorer
from .independent import AnyConceptScorer, IndependentScorer, brought_up_to_date, predictor_of
from .link import Curves
from .predictor import Predictor

ANY = "any"


class OpenSetScorer:
    """Before any label says yes, the concepts whose names say something are judged by those, each on its own."""

    def __init__(self, examples: Examples, concept_ids: Sequence[str], labels: Labels) -> None:
        self._examples = examples
        self._labels = {concept: dict(labels.get(concept, {})) for concept in concept_ids}
        self._yes = {concept: {key for key, value in given.items() if value} for concept, given in self._labels.items()}
        self._which = ExclusiveScorer(examples, concept_ids, labels)
        self._named = IndependentScorer(examples, concept_ids, {})
        self._any: AnyConceptScorer | None = None
        keys = sorted({key for given in self._labels.values() for key in given})
        self._shown = {key: shown for key in keys if (shown := self._shows_any(key)) is not None}
        self._changed: dict[int, bool | None] = {}
        self._votes: Votes | None = None

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        if concept_id not in self._labels:
            return
        self._which.set(key, concept_id, value)
        (self._yes[concept_id].add if value else self._yes[concept_id].discard)(key)
        if value is None:
            self._labels[concept_id].pop(key, None)
        else:
            self._labels[concept_id][key] = value
        self._changed[key] = shown = self._shows_any(key)
        if shown is None:
            self._shown.pop(key, None)
        else:
            self._shown[key] = shown

    def read(self, texts: Texts) -> None:
        self._which.read(texts)
        self._named.read(texts)

    def predictor(self) -> Predictor:
        if not any(self._yes.values()):
            self._any = self._votes = None
            self._changed.clear()
            named = self._named.predictor()
            assert isinstance(named.link, Curves)
            return replace(named, link=replace(named.link, at_most_one=True))
        return replace(self._which.predictor(), known=predictor_of(self._examples, {ANY: self._any_votes()}))

    def leave_one_out(self, keys: KeyArray) -> Later:
        predictor = self.predictor()
        known = predictor.known
        if known is None:
            return lambda: predictor.values(self._examples.fetch(keys)).astype(np.float64)
        assert self._any
        which, labelled = self._which.leave_one_out(keys), self._any.leave_one_out()
        background = self._any.background_leave_one_out()

        def judged() -> Array:
            scores, without = known.scores(self._examples.vectors(keys.tolist())), labelled() | background
            for place, key in enumerate(keys.tolist()):
                scores[place] = without.get(key, scores[place, 0])
            return which() * known.probabilities(scores)

        return judged

    def _any_votes(self) -> Votes:
        if self._votes is None or self._changed:
            self._any = brought_up_to_date(self._any, self._examples, self._shown, self._changed)
            self._changed.clear()
            self._votes = self._any.votes(union=self._alone())
        return self._votes

    def _shows_any(self, key: int) -> bool | None:
        """No where every concept is said to be absent; None where that is not known."""
        said = [given.get(key) for given in self._labels.values()]
        return True if True in said else None if None in said else False

    def _alone(self) -> list[int]:
        """The only image of a concept: those of others can't say how well it is recognised."""
        return sorted(set().union(*(keys for keys in self._yes.values() if len(keys) == 1)))
