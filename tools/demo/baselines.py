"""The alternatives: scikit-learn on the same vectors, refitted whenever a label changes."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

from .episodes import Episode

NAMES = ("logistic regression", "5-NN vote")

Values = NDArray[np.float64]


@dataclass(frozen=True)
class Baseline:
    """A few-shot classifier to compare with."""

    name: str
    values: Callable[[Episode], Values]
    """(queries, labels) values; greater is more likely."""
    probabilities: bool = True
    """Whether the values are probabilities; otherwise they only rank."""


def fitted(name: str, vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> Any:
    """A classifier with `predict`, with scikit-learn's default settings."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.neighbors import KNeighborsClassifier

    if name == "logistic regression":
        return LogisticRegression(max_iter=2000).fit(vectors, labels)
    return KNeighborsClassifier(n_neighbors=min(5, len(vectors))).fit(vectors, labels)


def _nearest(episode: Episode) -> Values:
    """The cosine with the nearest picture of each label."""
    cosines = episode.queries @ episode.train.T
    return np.stack([cosines[:, episode.labels == c].max(axis=1) for c in range(episode.count)], axis=1)


def _vote(episode: Episode) -> Values:
    """Votes of the five nearest, weighted by their nearness, which also breaks ties."""
    from sklearn.neighbors import KNeighborsClassifier

    classifier = KNeighborsClassifier(n_neighbors=min(5, len(episode.labels)), weights="distance")
    return np.asarray(classifier.fit(episode.train, episode.labels).predict_proba(episode.queries))


def _class_mean(episode: Episode) -> Values:
    """The cosine with each label's mean, centred on all pictures but the queries (CL2N, Wang et al. 2019)."""
    centre = np.concatenate([episode.train, episode.background]).mean(axis=0)
    train, queries = _unit(episode.train - centre), _unit(episode.queries - centre)
    means = np.stack([train[episode.labels == c].mean(axis=0) for c in range(episode.count)])
    return np.asarray(queries @ _unit(means).T, dtype=np.float64)


def _logistic(episode: Episode) -> Values:
    from sklearn.linear_model import LogisticRegression

    train, queries = _in_span(episode)
    return np.asarray(LogisticRegression(max_iter=2000).fit(train, episode.labels).predict_proba(queries))


def _logistic_cross_validated(episode: Episode) -> Values:
    """C from ten values by log loss over at most five folds; with one picture per label the default C."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV

    if episode.shots < 2:
        return _logistic(episode)
    train, queries = _in_span(episode)
    search = GridSearchCV(
        LogisticRegression(max_iter=500),
        {"C": np.logspace(-4, 4, 10)},
        scoring="neg_log_loss",
        cv=min(5, episode.shots),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return np.asarray(search.fit(train, episode.labels).predict_proba(queries))


def _support_vectors(episode: Episode) -> Values:
    """A linear SVM, with the softmax of its margins as probabilities."""
    from sklearn.svm import LinearSVC

    train, queries = _in_span(episode)
    margins = LinearSVC().fit(train, episode.labels).decision_function(queries)
    if margins.ndim == 1:
        margins = np.stack([-margins, margins], axis=1)
    return np.asarray(softmax(margins, axis=1))


BASELINES = (
    Baseline("5-NN vote", _vote),
    Baseline("1-NN", _nearest, probabilities=False),
    Baseline("nearest class mean", _class_mean, probabilities=False),
    Baseline("logistic regression", _logistic),
    Baseline("logistic regression, cross-validated", _logistic_cross_validated),
    Baseline("linear SVM", _support_vectors),
)


def _in_span(episode: Episode) -> tuple[Values, Values]:
    """Coordinates (n, n) and (q, n) in the span of the training vectors.

    A linear model with an L2 penalty stays in it (representer theorem), so this only saves time.
    """
    basis = np.linalg.qr(episode.train.T.astype(np.float64))[0]
    return episode.train @ basis, episode.queries @ basis


def _unit(rows: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12), dtype=np.float32)
