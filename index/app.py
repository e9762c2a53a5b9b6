"""App: one tenant's pictures, labels and models. Everything that it answers: predict, explain, evaluate, search.

Its inputs and labels are in `library.py`, its models and versions in `models.py`. Thread-safe.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..embeddings.base import WorkflowError
from ..embeddings.batcher import Batcher
from ..embeddings.images import ImageError, open_image
from ..embeddings.images import crop as crop_image
from . import evaluation, explanation
from .errors import BadRequest, NotSupported
from .intake import check_vectors
from .models import Models
from .ranking import Ranking, Term, rank
from .records import (
    Crop,
    Evaluation,
    EvaluationState,
    Explanation,
    FloatArray,
    Hit,
    Input,
    KeyArray,
    Matches,
    Model,
    Picture,
    Prediction,
    Scores,
    StoredEvaluation,
    Where,
)
from .segments.state import KeyFilter
from .teacher import LeaveOneOut

_JUDGED = 1000
"""Inputs of an evaluation that are kept one by one."""


class App(Models):
    """Opened by a `Store`, never made directly."""

    def __repr__(self) -> str:
        return f"App({self.name!r}, workflow={self.recipe.workflow!r}, dim={self.dim}, inputs={len(self._collection)})"

    # Predicting

    def embed(self, images: Sequence[Picture], crops: Sequence[Crop | None] | None = None) -> FloatArray:
        """(n, dim) float32 unit vectors of pictures. Raises ImageError, or NotSupported in a `vectors` app."""
        vectors = self.embed_each(images, crops or [None] * len(images))
        for vector in vectors:
            if isinstance(vector, Exception):
                raise vector
        return np.array(vectors, dtype=np.float32).reshape(-1, self.dim)

    def embed_each(self, images: Sequence[Picture], crops: Sequence[Crop | None]) -> "list[FloatArray | Exception]":
        """As `embed`, but a picture that can't be used gives its error in its place and stops none of the others."""
        outcomes: list[Any] = []
        for image, box in zip(images, crops, strict=True):
            try:
                opened = open_image(image).image
                outcomes.append(crop_image(opened, box) if box else opened)
            except ImageError as error:
                outcomes.append(error)
        good = [i for i, outcome in enumerate(outcomes) if not isinstance(outcome, Exception)]
        try:
            vectors: Sequence[FloatArray] = (
                list(self._embedder().embed_images([outcomes[i] for i in good])) if good else []
            )
        except WorkflowError as error:
            return [NotSupported(str(error)) for _ in images]
        for i, vector in zip(good, vectors, strict=True):
            outcomes[i] = vector
        return outcomes

    def base_workflow(self) -> Batcher:
        """The opened model that this app sees with."""
        return self._embedder()

    def check_vectors(self, vectors: object) -> FloatArray:
        """(n, dim) float32 of unit length, as this app would use them. Raises BadVector."""
        return check_vectors(vectors, self.dim)

    def predict(
        self, image: Picture, model: Model | str | None = None, *, version: str | None = None, crop: Crop | None = None
    ) -> list[Prediction]:
        """What a picture shows, best first."""
        return self._predictions(self.embed([image], [crop]), model, version)

    def predict_input(
        self, id: str, model: Model | str | None = None, *, version: str | None = None
    ) -> list[Prediction]:
        """What a stored input shows, best first."""
        return self._predictions(self.vectors([id]), model, version)

    def predict_vectors(
        self, vectors: object, model: Model | str | None = None, *, version: str | None = None
    ) -> Scores:
        """What many vectors (n, dim) of this app's base workflow show."""
        predictor = self._predictor_for(model, version)
        return Scores(list(predictor.concept_ids), predictor.values(check_vectors(vectors, self.dim)))

    def explain(
        self,
        concept: str,
        *,
        image: Picture | None = None,
        input_id: str | None = None,
        vector: object = None,
        model: Model | str | None = None,
        neighbours: int = 5,
    ) -> Explanation:
        """Why this concept gets its value for a picture, an input or a vector."""
        query = self._query(image=image, input_id=input_id, vector=vector)
        if query is None:
            raise BadRequest("explain needs an image, an input_id or a vector")
        return explanation.explain(
            self._predictor_for(model, None), concept, query, neighbours, lambda keys: self._ids(keys)
        )

    def evaluate(self, model: Model | str | None = None) -> Evaluation:
        """Leave-one-out quality over every input with a label for one of the model's concepts."""
        model = self._model(model)
        return self._evaluated(model, self._teacher.labels_of(model.concept_ids), self._teacher.leave_one_out)

    def evaluate_version(self, model: str, version: str) -> Evaluation:
        """The same with the labels that the version was frozen with, and kept with it; see `evaluation`."""
        record = self.version(model, version)
        try:
            if record.frozen:
                labels = self._catalog.labels.at(self.id, record.concept_ids, record.label_seq)
                found = self._evaluated(self.model(model), labels, self._teacher.leave_one_out_with(labels))
            else:
                found = self.evaluate(model)
        except Exception as error:
            reason = {"reason": str(error)}
            self._catalog.evaluations.set(self.id, model, version, EvaluationState.FAILED, reason)
            raise
        self._catalog.evaluations.set(self.id, model, version, EvaluationState.DONE, asdict(found))
        return found

    def request_evaluation(self, model: str, version: str) -> None:
        """Notes that somebody wants `evaluate_version`; whoever serves the app makes it."""
        self._catalog.evaluations.set(self.id, model, version, EvaluationState.QUEUED, None)

    def evaluation(self, model: str, version: str) -> StoredEvaluation | None:
        """What is known of a version's evaluation; None where nobody asked for one. Raises VersionNotFound."""
        return self._catalog.evaluations.get(self.id, model, version)

    def _evaluated(self, model: Model, labels: Mapping[str, Mapping[int, bool]], judge: LeaveOneOut) -> Evaluation:
        keys = np.array(sorted({key for given in labels.values() for key in given}), dtype=np.int64)
        concept_ids, probabilities = judge(model, keys)
        truth = np.zeros(probabilities.shape, dtype=np.int8)
        for column, concept in enumerate(concept_ids):
            given = labels[concept]
            truth[:, column] = [{True: 1, False: -1, None: 0}[given.get(key)] for key in keys.tolist()]
        first = keys[:_JUDGED]
        names = self._ids(first)
        ids = [names.get(key, "") for key in first.tolist()]
        return evaluation.evaluate(model.id, concept_ids, probabilities, truth, ids)

    # Searching

    @property
    def has_text(self) -> bool:
        """Whether the base workflow understands words."""
        return self._embedder().has_text

    def embed_text(self, text: str) -> FloatArray:
        """(dim,) unit vector of words. Raises NotSupported where the base workflow has none."""
        try:
            [vector] = self._embedder().embed_texts([text])
        except WorkflowError as error:
            raise NotSupported(str(error)) from error
        return np.asarray(vector, dtype=np.float32)

    def search(
        self,
        *,
        image: Picture | None = None,
        crop: Crop | None = None,
        text: str | None = None,
        vector: object = None,
        input_id: str | None = None,
        concept: str | None = None,
        k: int = 20,
        where: Where | None = None,
    ) -> list[Hit]:
        """The k best inputs for one of: a picture, words, a vector, another input (cosine), a concept (probability).

        With none of these, the inputs that `where` matches, in the order in which they were added, with score 1.
        """
        _check_k(k)
        query = self._query(image=image, crop=crop, text=text, vector=vector, input_id=input_id, concept=concept)
        if query is not None:
            matches = self.search_vectors(query[None], k, where)
            return [Hit(id, float(score)) for id, score in zip(matches.ids[0], matches.scores[0], strict=False)]
        return self.rank([] if concept is None else [Term(concept=concept)], k, where)

    def search_vectors(self, vectors: object, k: int = 10, where: Where | None = None) -> Matches:
        """The k nearest inputs of many vectors (n, dim)."""
        _check_k(k)
        queries = check_vectors(vectors, self.dim)
        keys, scores = self._collection.search(queries, k, None if where is None else self._matching(where))
        ids = self._ids(np.unique(keys[keys >= 0]))
        # An input deleted since the collection was asked has no id any more.
        return Matches([[ids[key] for key in row if key in ids] for row in keys.tolist()], scores)

    def rank(self, terms: Sequence[Term], k: int = 20, where: Where | None = None, *, offset: int = 0) -> list[Hit]:
        """The best inputs by several terms at once: mean of the terms' scores, each in [0, 1]; all must be known."""
        ranked, scores = self._ranked(terms, k, where, offset)
        ids = self._ids(ranked)
        return [Hit(ids[key], score) for key, score in zip(ranked.tolist(), scores.tolist(), strict=True) if key in ids]

    def rank_inputs(
        self, terms: Sequence[Term], k: int = 20, where: Where | None = None, *, offset: int = 0
    ) -> list[tuple[Input, float]]:
        """As `rank`, with all that is known of the inputs."""
        ranked, scores = self._ranked(terms, k, where, offset)
        found = self._catalog.inputs.by_key(ranked)
        return [
            (found[key], score) for key, score in zip(ranked.tolist(), scores.tolist(), strict=True) if key in found
        ]

    def _ranked(
        self, terms: Sequence[Term], k: int, where: Where | None, offset: int
    ) -> tuple[KeyArray, NDArray[np.float64]]:
        if len(terms) == 1 and terms[0].vector is not None and not terms[0].negate:
            # The collection finds the nearest without looking at all of them.
            chosen = None if where is None else self._matching(where)
            nearest, cosines = self._collection.search(terms[0].vector[None], offset + k, chosen)
            there = nearest[0] >= 0
            return nearest[0, there][offset:], np.clip((1 + cosines[0, there][offset:].astype(np.float64)) / 2, 0, 1)
        keys = self._collection.keys() if where is None else self._catalog.inputs.where(self.id, where)
        ranking = Ranking(self._collection, self._predictor_for(None, None))
        ranked, scores = rank(ranking, terms, keys, offset + k)
        return ranked[offset:], scores[offset:]

    def _matching(self, where: Where) -> KeyFilter:
        return self._collection.filter(self._catalog.inputs.where(self.id, where))

    def _query(
        self,
        *,
        image: Picture | None = None,
        crop: Crop | None = None,
        text: str | None = None,
        vector: object = None,
        input_id: str | None = None,
        concept: str | None = None,
    ) -> FloatArray | None:
        """The query's vector (dim,), None for a concept or nothing."""
        if sum(given is not None for given in (image, text, vector, input_id, concept)) > 1:
            raise BadRequest("give one of image, text, vector, input_id and concept, not several")
        found: Sequence[FloatArray] = []
        if image is not None:
            found = list(self.embed([image], [crop]))
        elif text is not None:
            found = [self.embed_text(text)]
        elif vector is not None:
            found = list(check_vectors([vector], self.dim))
        elif input_id is not None:
            found = list(self.vectors([input_id]))
        return found[0] if found else None

    def _predictions(self, vectors: FloatArray, model: Model | str | None, version: str | None) -> list[Prediction]:
        predictor = self._predictor_for(model, version)
        values = predictor.values(vectors)[0].tolist()
        found = [Prediction(concept, value) for concept, value in zip(predictor.concept_ids, values, strict=True)]
        return sorted(found, key=lambda prediction: (-prediction.value, prediction.concept_id))


def _check_k(k: int) -> None:
    if k < 1:
        raise BadRequest(f"k must be 1 or more, not {k}")
