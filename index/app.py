"""App: one tenant's pictures, labels and models. What it answers about pictures: predict, explain, search.

Its inputs and labels are in `library.py`, its models and versions in `models.py`, what it makes of them in `review.py`.
Thread-safe.
"""

import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..embeddings.base import Recipe, WorkflowError
from ..embeddings.batcher import Batcher
from ..embeddings.stages import stage
from ..embeddings.zero_shot import zero_shot
from . import explanation
from .bounds import check_count, check_text
from .errors import BadRequest, NothingToLearn, NotSupported
from .intake import check_id, check_vectors
from .ranking import Ranking, Term, rank
from .records import (
    THRESHOLD,
    Crop,
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
    Where,
)
from .scoring.predictor import Predictor
from .segments.state import KeyFilter
from .sight import Sight
from .transfer.archive import Members, tar_stream, write_folder
from .transfer.exporting import ExportFormat, export

_MOST_NEIGHBOURS = 100


class App(Sight):
    """Opened by a `Store`, never made directly."""

    def __repr__(self) -> str:
        memory = self._memory
        rows = "closed" if self._closed else f"inputs={len(memory.collection)}" if memory else "not in memory"
        return f"App({self.name!r}, workflow={self.recipe.workflow!r}, dim={self.dim}, {rows})"

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
        try:
            return list(self.eye().embed_each(list(zip(images, crops, strict=True))))
        except WorkflowError as error:
            return [NotSupported(str(error)) for _ in images]

    def classify_each(
        self, images: Sequence[Picture], crops: Sequence[Crop | None], recipe: Recipe
    ) -> "list[FloatArray | Exception]":
        """(C,) probabilities of the classes that a base workflow has of its own, be it this app's or not; errors as in
        `embed_each`.
        """
        return list(self.eye(recipe).classify_each(list(zip(images, crops, strict=True))))

    def base_workflow(self) -> Batcher:
        """The opened model that this app sees with."""
        return self._embedder()

    def check_vectors(self, vectors: object) -> FloatArray:
        """(n, dim) float32 of unit length, as this app would use them. Raises BadVector."""
        self._check_open()
        return check_vectors(vectors, self.dim)

    def predict(
        self, image: Picture, model: Model | str | None = None, *, version: str | None = None, crop: Crop | None = None
    ) -> list[Prediction]:
        """What a picture shows, best first."""
        return self._steadily(lambda: self._predictions(self.embed([image], [crop]), model, version))

    def zero_shot(self, image: Picture, names: Sequence[str], *, crop: Crop | None = None) -> list[Prediction]:
        """Which of these names a picture shows, untaught, best first. NotSupported by a base workflow without words."""
        for name in names:
            check_id(name, "name")
        if not names:
            return []

        def named() -> list[Prediction]:
            try:
                [values] = zero_shot(self._embedder(), self.embed([image], [crop]), names)
            except WorkflowError as error:
                raise NotSupported(str(error)) from error
            found = [
                Prediction(name, value, value >= THRESHOLD) for name, value in zip(names, values.tolist(), strict=True)
            ]
            return sorted(found, key=lambda prediction: (-prediction.value, prediction.concept_id))

        return self._steadily(named)

    def predict_input(
        self, id: str, model: Model | str | None = None, *, version: str | None = None
    ) -> list[Prediction]:
        """What a stored input shows, best first."""
        return self._steadily(lambda: self._predictions(self.vectors([id]), model, version))

    def predict_vectors(
        self, vectors: object, model: Model | str | None = None, *, version: str | None = None
    ) -> Scores:
        """What many vectors (n, dim) of this app's base workflow show."""
        return self.scores(check_vectors(vectors, self.dim), self._model(model), version)

    def explain(
        self,
        concept: str | None = None,
        *,
        image: Picture | None = None,
        input_id: str | None = None,
        vector: object = None,
        model: Model | str | None = None,
        version: str | None = None,
        neighbours: int = 5,
    ) -> Explanation:
        """Why this concept (None: the best one) gets its value for a picture, an input or a vector."""

        def explained() -> list[Explanation]:
            query = self._query(image=image, input_id=input_id, vector=vector)
            if query is None:
                raise BadRequest("explain needs an image, an input_id or a vector")
            wanted = None if concept is None else [concept]
            return self._explained(query, wanted, self._predictor_for(model, version), neighbours, 1)

        found = self._steadily(explained)
        if not found:
            raise NothingToLearn(
                f"the model has no concept with a positive label, so there is nothing to explain: {self.advice(model)}"
            )
        return found[0]

    def explain_vector(
        self,
        vector: object,
        concepts: Sequence[str] | None = None,
        model: Model | str | None = None,
        *,
        version: str | None = None,
        neighbours: int = 5,
        most: int = 5,
    ) -> list[Explanation]:
        """The same for several concepts at once, (None: the best ones, at most so many), in that order."""
        [query] = check_vectors([vector], self.dim)
        return self._explained(query, concepts, self._predictor_for(model, version), neighbours, most)

    def _explained(
        self, query: FloatArray, concepts: Sequence[str] | None, predictor: Predictor, neighbours: int, most: int
    ) -> list[Explanation]:
        check_count(neighbours, "neighbours", _MOST_NEIGHBOURS, least=0)
        check_count(most, "most", _MOST_NEIGHBOURS)
        for concept in concepts or ():
            if concept not in predictor.concept_ids and self.label_counts().get(concept, (0, 0))[1]:
                raise NothingToLearn(f"concept {concept!r} can't be explained: {self.advice(concept=concept)}")
        if concepts is None:
            best = np.argsort(-predictor.values(query[None])[0], kind="stable")[:most]
            concepts = [predictor.concept_ids[column] for column in best]
        return explanation.explain(predictor, concepts, query, neighbours, self._ids)

    # Searching

    @property
    def has_text(self) -> bool:
        """Whether the base workflow understands words."""
        return self._embedder().has_text

    def embed_text(self, text: str) -> FloatArray:
        """(dim,) unit vector of words, at most 1,000 characters. Raises BadRequest; NotSupported without words."""
        check_text(text, "a text to search by")
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

        Where the base workflow has no words, a concept's id or name finds what the concept would.

        With none of these, the inputs that `where` matches, in the order in which they were added, with score 1.
        """
        check_count(k, "k")

        def found() -> list[Hit]:
            if text is not None and (named := self.concept_for(text)):
                return self.rank([Term(concept=named)], k, where)
            query = self._query(image=image, crop=crop, text=text, vector=vector, input_id=input_id, concept=concept)
            if query is not None:
                matches = self.search_vectors(query[None], k, where)
                ids, scores = matches.ids[0], matches.scores[0]
                return [Hit(id, score) for id, score in zip(ids, scores[: len(ids)].tolist(), strict=True)]
            return self.rank([] if concept is None else [Term(concept=concept)], k, where)

        return self._steadily(found)

    def concept_for(self, text: str) -> str | None:
        """The concept of this id or name where the base workflow has no words: then that is all words can find."""
        if self.has_text:
            return None
        return next((one.id for one in self.concepts(per_page=1_000_000) if text in (one.id, one.name)), None)

    def search_vectors(self, vectors: object, k: int = 10, where: Where | None = None) -> Matches:
        """The k nearest inputs of many vectors (n, dim), padded; a k beyond all inputs, and beyond 1,000, is less."""
        queries = check_vectors(vectors, self.dim)
        with stage("search"):
            keys, scores = self._collection.search(queries, k, None if where is None else self._matching(where))
        wanted = np.unique(keys[keys >= 0])
        ids = self._ids(wanted)
        if len(ids) < len(wanted):
            # An input deleted since the collection was asked has no id any more: its score goes with it.
            gone = ~np.isin(keys, np.fromiter(ids, dtype=np.int64, count=len(ids)))
            order = np.argsort(gone, axis=1, kind="stable")
            keys = np.take_along_axis(keys, order, axis=1)
            scores = np.take_along_axis(np.where(gone, -np.inf, scores).astype(scores.dtype), order, axis=1)
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
        return _scored(self._catalog.inputs.by_key(ranked), ranked.tolist(), scores.tolist())

    def nearest_inputs(self, vectors: FloatArray, k: int) -> list[list[tuple[Input, float]]]:
        """For each unit vector (n, dim) what `rank_inputs` gives for it alone."""
        with stage("search"):
            keys, cosines = self._collection.search(vectors, k)
        found = self._catalog.inputs.by_key(np.unique(keys[keys >= 0]))
        scores = _in_unit(cosines)
        return [_scored(found, *row) for row in zip(keys.tolist(), scores.tolist(), strict=True)]

    def _ranked(
        self, terms: Sequence[Term], k: int, where: Where | None, offset: int
    ) -> tuple[KeyArray, NDArray[np.float64]]:
        check_count(k, "k")
        check_count(offset, "offset", least=0)
        if len(terms) == 1 and terms[0].vector is not None and not terms[0].negate:
            # The collection finds the nearest without looking at all of them.
            chosen = None if where is None else self._matching(where)
            # A page far past the end needs no room for what isn't there.
            end = max(min(offset + k, len(self._collection)), 1)
            with stage("search"):
                nearest, cosines = self._collection.search(terms[0].vector[None], end, chosen)
            count = int(np.count_nonzero(nearest[0] >= 0))
            return nearest[0, offset:count], _in_unit(cosines[0, offset:count])
        keys = self._collection.keys() if where is None else self._catalog.inputs.where(self.id, where)
        memory = self._up_to_date()
        ranking = Ranking(memory.collection, self._predictor_for(None, None), memory.probabilities)
        with stage("search"):
            ranked, scores = rank(ranking, terms, keys, offset + k)
        return ranked[offset:], scores[offset:]

    # Exporting

    def export(self, folder: str | os.PathLike[str], format: ExportFormat | str = ExportFormat.FOLDER) -> None:
        """Writes the app into a folder: all of it, or (`coco`, `imagefolder`, `csv`) its pictures and labels.

        `Store.import_app` makes the same app again of a `folder`. Raises BadRequest for an unknown format.
        """
        write_folder(Path(folder), self._members(format))

    def export_stream(self, format: ExportFormat | str = ExportFormat.FOLDER) -> Generator[bytes, None, None]:
        """The same files as one tar, in blocks; what they hold belongs to one moment. Raises BadRequest.

        The first blocks are empty, while rows are gathered. Who wants no more of it closes it.
        """
        return tar_stream(self._members(format))

    def _members(self, format: ExportFormat | str) -> Members:
        try:
            wanted = ExportFormat(format)
        except ValueError:
            raise BadRequest(f"there is no format {format!r}, only {', '.join(ExportFormat)}") from None
        self._check_open()
        return self._while_open(export(self._catalog, self._blobs, self.id, wanted))

    def _while_open(self, members: Members) -> Members:
        """The same, as long as the store is open; the app may be deleted meanwhile."""
        with closing(members):
            for member in members:
                self._blobs.check_open()
                yield member

    def _matching(self, where: Where) -> KeyFilter:
        return self._catalog.inputs.matching(self.id, where, self._collection.filter)

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
        scores = self.scores(vectors, self._model(model), version)
        found = [
            Prediction(concept, value, decision)
            for concept, value, decision in zip(
                scores.concept_ids, scores.values[0].tolist(), scores.decisions[0].tolist(), strict=True
            )
        ]
        return sorted(found, key=lambda prediction: (-prediction.value, prediction.concept_id))


def _scored(found: Mapping[int, Input], keys: Sequence[int], scores: Sequence[float]) -> list[tuple[Input, float]]:
    """Inputs with their scores; one that was deleted since it was ranked has no record any more."""
    return [(found[key], score) for key, score in zip(keys, scores, strict=True) if key in found]


def _in_unit(cosines: FloatArray) -> NDArray[np.float64]:
    """Scores in [0, 1], of the same shape."""
    return np.minimum(np.maximum((1 + cosines.astype(np.float64)) / 2, 0), 1)
