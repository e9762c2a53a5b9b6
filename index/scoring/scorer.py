"""Labels in, predictors out: what a model of concepts knows, kept exact under every label change. Nothing is trained.

Three scorers answer to one protocol. All are kernel ridge regression, the mean of a Gaussian process, whose limits are
prototype scoring (much noise) and kNN (a narrow kernel); see ProKeR (Bendou et al., CVPR 2025).
"""

from collections.abc import Sequence
from typing import Protocol

from ..records import KeyArray
from .examples import Examples, Labels, Later, Texts
from .exclusive import ExclusiveScorer
from .independent import IndependentScorer
from .open_set import OpenSetScorer
from .predictor import Predictor


class Scorer(Protocol):
    """What a model knows. One thread at a time may change it; predictors that it gave stay as they were."""

    def set(self, key: int, concept_id: str, value: bool | None) -> None:
        """One label was made, changed or (None) removed. Concepts that the model doesn't have are ignored."""

    def read(self, texts: Texts) -> None:
        """The names of concepts say this; replaces what was read before."""

    def predictor(self) -> Predictor:
        """The state of this moment."""

    def leave_one_out(self, keys: KeyArray) -> Later:
        """(n, C) probabilities of labelled inputs, each by the model without it; columns as in the predictor.

        What is called to get them works on the state of this moment, whatever changes meanwhile, in any thread.
        """


def scorer_of(
    examples: Examples,
    concept_ids: Sequence[str],
    labels: Labels,
    *,
    mutually_exclusive: bool,
    closed_environment: bool,
) -> Scorer:
    """The scorer for a model with these flags."""
    if not mutually_exclusive:
        return IndependentScorer(examples, concept_ids, labels)
    return (ExclusiveScorer if closed_environment else OpenSetScorer)(examples, concept_ids, labels)
