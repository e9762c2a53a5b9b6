"""App: one tenant's pictures, labels and models. Add, label, predict, search, evaluate; thread-safe.

Writes hold the app's lock and go in one order: picture bytes, one SQL transaction, the collection, the labels in
memory, the answer. Reads never wait for that lock, and no lock is held while a model runs.
"""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from typing import Any
from uuid import uuid4

import numpy as np

from ..embeddings.base import Recipe, WorkflowError
from ..embeddings.batcher import Batcher
from ..embeddings.images import ImageError
from ..embeddings.images import crop as crop_image
from . import evaluation, explanation
from .batch import Batch
from .blobs import Blobs
from .catalog import Catalog
from .collection import Collection, KeyFilter
from .errors import (
    BadRequest,
    InputNotFound,
    ModelNotFound,
    NothingToLearn,
    NotSupported,
    VersionNotFound,
)
from .intake import (
    check_concepts,
    check_geo,
    check_id,
    check_metadata,
    check_vectors,
    open_picture,
)
from .ranking import Ranking, Term, rank
from .records import (
    BUILT_IN_MODEL,
    AddRequest,
    AddResult,
    AppRecord,
    Concept,
    Evaluation,
    Explanation,
    FloatArray,
    Geo,
    Hit,
    Input,
    InputChange,
    InputStatus,
    KeyArray,
    LabelSource,
    Matches,
    Model,
    ModelVersion,
    NewInput,
    Picture,
    Prediction,
    Progress,
    Scores,
    StoredPicture,
    Where,
)
from .scoring.predictor import Predictor
from .teacher import LabelChange, Teacher

Crop = tuple[float, float, float, float]

_BATCH = 32
"""Pictures that `add_many` decodes, embeds and commits together."""


class App:
    """Opened by a `Store`, never made directly."""

    def __init__(
        self, record: AppRecord, recipe: Recipe, catalog: Catalog, blobs: Blobs, embedder: Callable[[], Batcher]
    ) -> None:
        """embedder opens the base workflow; it is called when the first picture or words come."""
        self.id, self.name, self.recipe, self.dim = record.id, record.name, recipe, record.dim
        self.created_at: datetime = record.created_at
        self._catalog = catalog
        self._blobs = blobs
        self._embedder = embedder
        self._lock = threading.RLock()
        self._collection = Collection(record.dim)
        for keys, vectors in catalog.vectors.scan(self.id, recipe.workflow):
            self._collection.upsert(keys, vectors)
        self._collection.applied_seq = record.seq
        table = catalog.labels.all(self.id)
        self._teacher = Teacher(self._collection, _power(recipe), table.by_concept())
        self._space_saved: object = None
        if space := catalog.spaces.load(self.id):
            self._teacher.resume(space)
            self._space_saved = space
        # A frozen version never changes, so its predictor is read once.
        self._frozen = lru_cache(maxsize=16)(lambda sha256: Predictor.from_bytes(self._blobs.get(sha256)))

    def __repr__(self) -> str:
        return f"App({self.name!r}, workflow={self.recipe.workflow!r}, dim={self.dim}, inputs={len(self._collection)})"

    # Adding

    def add(
        self,
        image: Picture,
        id: str | None = None,
        concepts: Mapping[str, bool] | None = None,
        metadata: Mapping[str, Any] | None = None,
        *,
        geo: Geo | None = None,
        url: str | None = None,
        crop: Crop | None = None,
        allow_duplicate_url: bool = False,
        source: LabelSource = LabelSource.USER,
    ) -> Input:
        """Stores, embeds and labels one picture. Raises InputExists, DuplicateUrl, ImageError or BadRequest."""
        request = AddRequest(image, id, concepts or {}, metadata, geo, url, allow_duplicate_url, crop, source=source)
        [result] = self.add_many([request])
        if result.error:
            raise result.error
        assert result.input
        return result.input

    def add_many(
        self, requests: Iterable[AddRequest], progress: Callable[[Progress], None] | None = None
    ) -> Iterator[AddResult]:
        """Adds as the results are read: one result for each request, in order; a bad one doesn't stop the others.

        Requests are taken from the iterable in batches, so it may be longer than memory. What a result tells is
        committed. progress is called after each batch.
        """
        total = len(requests) if isinstance(requests, Sequence) else None
        source, done, failed = iter(requests), 0, 0
        while batch := list(islice(source, _BATCH)):
            results = self._add_batch(batch)
            done, failed = done + len(results), failed + sum(result.error is not None for result in results)
            if progress:
                progress(Progress(done, failed, total))
            yield from results

    def add_vectors(
        self,
        vectors: object,
        ids: Sequence[str] | None = None,
        concepts: Sequence[Mapping[str, bool]] | None = None,
        metadata: Sequence[Mapping[str, Any] | None] | None = None,
    ) -> list[Input]:
        """Stores vectors of this app's base workflow that were made elsewhere, (n, dim); all of them or none.

        ids, concepts, metadata: n each. Raises BadVector, InputExists or BadRequest.
        """
        rows = check_vectors(vectors, self.dim, ids)
        for name, given in (("ids", ids), ("concepts", concepts), ("metadata", metadata)):
            if given is not None and len(given) != len(rows):
                raise BadRequest(f"{len(given)} {name} were given for {len(rows)} vectors")
        new = []
        for i, row in enumerate(rows):
            labels = concepts[i] if concepts else {}
            facts = metadata[i] if metadata else None
            check_concepts(labels)
            check_metadata(facts)
            input_id = check_id(ids[i], "input id") if ids else uuid4().hex
            new.append(NewInput(id=input_id, vector=row, concepts=labels, metadata=facts))
        with self._lock:
            return self._store(new)

    def _add_batch(self, requests: Sequence[AddRequest]) -> list[AddResult]:
        batch = Batch(requests, self.dim)
        # Before the model runs, so that no time goes into what can't be stored; and again under the lock.
        self._refuse_taken(batch)
        batch.embed(self._embedder)
        for data in batch.pictures():
            self._blobs.put(data)
        with self._lock:
            self._refuse_taken(batch)
            return batch.results(self._store(batch.new_inputs()))

    def _refuse_taken(self, batch: Batch) -> None:
        ids, urls = batch.ids_and_urls()
        batch.refuse_taken(self._catalog.inputs.taken_ids(self.id, ids), self._catalog.inputs.taken_urls(self.id, urls))

    def _store(self, new: Sequence[NewInput]) -> list[Input]:
        if not new:
            return []
        inputs = self._catalog.inputs.add(self.id, new)
        self._collection.upsert(
            np.array([one.key for one in inputs], dtype=np.int64), np.stack([one.vector for one in new])
        )
        self._teacher.apply(
            LabelChange(one.key, concept, value) for one in inputs for concept, value in one.concepts.items()
        )
        return inputs

    # Labels and other changes

    def label(self, id: str, concepts: Mapping[str, bool | None], *, source: LabelSource = LabelSource.USER) -> None:
        """Says what an input shows (True), doesn't (False), or takes that back (None). The next prediction knows it."""
        self.label_many({id: concepts}, source=source)

    def label_many(
        self, labels: Mapping[str, Mapping[str, bool | None]], *, source: LabelSource = LabelSource.USER
    ) -> None:
        """Labels of several inputs in one transaction: all of them or, with an unknown input, none."""
        for concepts in labels.values():
            check_concepts(concepts)
        with self._lock:
            changes = self._catalog.labels.set(self.id, labels, source)
            self._teacher.apply(LabelChange(*change) for change in changes)

    def update_many(self, changes: Sequence[InputChange], source: LabelSource = LabelSource.USER) -> list[Input]:
        """New metadata, place and labels of several inputs in one transaction: all of them or none."""
        for change in changes:
            check_concepts(change.concepts)
            check_metadata(change.metadata)
            check_geo(change.geo)
        with self._lock:
            labels = self._catalog.inputs.update(self.id, changes, source)
            self._teacher.apply(LabelChange(*label) for label in labels)
        found = self.inputs_by_id([change.id for change in changes])
        return [found[change.id] for change in changes]

    def delete(self, ids: str | Iterable[str]) -> int:
        """Deletes inputs with their pictures, vectors and labels; unknown ids don't count. How many there were."""
        return self._delete([ids] if isinstance(ids, str) else list(ids))

    def delete_all(self) -> int:
        """Deletes every input of the app; concepts and models stay."""
        return self._delete(None)

    def _delete(self, ids: list[str] | None) -> int:
        with self._lock:
            deleted = self._catalog.inputs.delete(self.id, ids)
            self._collection.delete(deleted.keys)
            self._teacher.forget(deleted.keys.tolist())
        for sha256 in deleted.orphans:
            self._blobs.delete(sha256)
        return len(deleted.keys)

    # Looking things up

    def input(self, id: str) -> Input:
        """Raises InputNotFound."""
        found = self.inputs_by_id([id])
        if id not in found:
            raise _no_input(id)
        return found[id]

    def inputs_by_id(self, ids: Iterable[str]) -> dict[str, Input]:
        """Those that exist."""
        return self._catalog.inputs.get(self.id, list(ids))

    def picture_by_hash(self, sha256: str) -> StoredPicture:
        """The picture's file, for who knows its hash. Raises InputNotFound."""
        media_type = self._catalog.inputs.media_type(self.id, sha256)
        if media_type is None:
            raise InputNotFound(f"no picture {sha256}")
        return StoredPicture(self._blobs.get(sha256), media_type)

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Those of the ids that are taken."""
        return self._catalog.inputs.taken_ids(self.id, ids)

    def inputs(self, page: int = 1, per_page: int = 100, status: InputStatus | None = None) -> list[Input]:
        """One page, in the order in which they were added; pages count from 1, past the end they are empty."""
        return self._catalog.inputs.page(self.id, *_offset(page, per_page), status)

    def counts(self) -> Mapping[InputStatus, int]:
        return self._catalog.inputs.counts(self.id)

    def picture(self, id: str) -> bytes:
        """The picture's file as it was added. Raises InputNotFound also where there is only a vector."""
        sha256 = self.input(id).sha256
        if sha256 is None:
            raise InputNotFound(f"input {id!r} has a vector, but no picture")
        return self._blobs.get(sha256)

    def vectors(self, ids: Sequence[str]) -> FloatArray:
        """(n, dim) float32 unit vectors of inputs. Raises InputNotFound."""
        found = self.inputs_by_id(ids)
        for id in ids:
            if id not in found:
                raise _no_input(id)
        return self._collection.get(np.array([found[id].key for id in ids], dtype=np.int64))

    def concepts(self, page: int = 1, per_page: int = 1000, name: str | None = None) -> list[Concept]:
        """One page, in the order in which they were made; name may have * for any run of characters."""
        return self._catalog.concepts.page(self.id, *_offset(page, per_page), name)

    def concept(self, id: str) -> Concept:
        """Raises ConceptNotFound."""
        return self._catalog.concepts.get(self.id, id)

    def create_concepts(self, concepts: Sequence[tuple[str, str]]) -> list[Concept]:
        """Makes concepts of (id, name): all of them or, where an id is taken, none (ConceptExists)."""
        for concept, name in concepts:
            check_id(concept, "concept id")
            check_id(name, "concept name")
        with self._lock:
            return self._catalog.concepts.create(self.id, concepts)

    def rename_concepts(self, concepts: Sequence[tuple[str, str]]) -> list[Concept]:
        """New names for (id, name). Raises ConceptNotFound, and then renames none."""
        for _, name in concepts:
            check_id(name, "concept name")
        with self._lock:
            return self._catalog.concepts.rename(self.id, concepts)

    # Models

    def create_model(
        self,
        id: str | None = None,
        concepts: Sequence[str] = (),
        *,
        name: str | None = None,
        mutually_exclusive: bool = False,
        closed_environment: bool = False,
        settings: Mapping[str, Any] | None = None,
    ) -> Model:
        """A set of concepts scored together; concepts that don't exist are made. Raises ModelExists.

        mutually_exclusive: at most one is true of an image. closed_environment: every image shows one of them.
        """
        id = uuid4().hex if id is None else check_id(id, "model id")
        if id == BUILT_IN_MODEL:
            raise BadRequest(f"{id!r} is the model of all concepts that every app has")
        for concept in concepts:
            check_id(concept, "concept id")
        with self._lock:
            return self._catalog.models.create(
                self.id,
                id,
                name=name or id,
                concept_ids=tuple(dict.fromkeys(concepts)),
                mutually_exclusive=mutually_exclusive,
                closed_environment=closed_environment,
                settings=settings or {},
            )

    def model(self, id: str | None = None) -> Model:
        """None gives the built-in model of all concepts. Raises ModelNotFound."""
        if id is not None and id != BUILT_IN_MODEL:
            return self._catalog.models.get(self.id, id)
        return Model(
            id=BUILT_IN_MODEL,
            name=BUILT_IN_MODEL,
            concept_ids=tuple(self._teacher.concept_ids()),
            mutually_exclusive=False,
            closed_environment=False,
            settings={},
            created_at=self.created_at,
        )

    def models(self, page: int = 1, per_page: int = 100) -> list[Model]:
        """One page of the models that were made, in that order; the built-in one is not among them."""
        return self._catalog.models.page(self.id, *_offset(page, per_page))

    def update_model(
        self,
        id: str,
        *,
        name: str | None = None,
        concepts: Sequence[str] | None = None,
        mutually_exclusive: bool | None = None,
        closed_environment: bool | None = None,
        settings: Mapping[str, Any] | None = None,
    ) -> Model:
        """What is None stays. Raises ModelNotFound."""
        for concept in concepts or ():
            check_id(concept, "concept id")
        with self._lock:
            model = self._catalog.models.update(
                self.id,
                id,
                name=name,
                concept_ids=None if concepts is None else tuple(dict.fromkeys(concepts)),
                mutually_exclusive=mutually_exclusive,
                closed_environment=closed_environment,
                settings=settings,
            )
            self._teacher.drop(id)
        return model

    def delete_models(self, ids: str | Iterable[str] | None = None) -> int:
        """Deletes models with their versions; None deletes all of them. How many there were."""
        chosen = None if ids is None else [ids] if isinstance(ids, str) else list(ids)
        with self._lock:
            deleted = self._catalog.models.delete(self.id, chosen)
            for id in deleted:
                self._teacher.drop(id)
        return len(deleted)

    def create_version(self, model_id: str) -> ModelVersion:
        """Freezes what the model knows now: predictions of this version never change. Raises NothingToLearn."""
        model = self.model(model_id)
        if model.id == BUILT_IN_MODEL:
            raise BadRequest("the built-in model follows the labels; make a model of its concepts to freeze it")
        if not model.concept_ids:
            raise NothingToLearn(f"model {model_id!r} has no concepts")
        with self._lock:
            # Under the lock, so that the labels, their sequence number and the predictor belong to one moment.
            seq = self._catalog.labels.seq(self.id)
            predictor = self._predictor(model)
            if not predictor.concept_ids:
                raise NothingToLearn(f"no concept of model {model_id!r} has a positive label")
            return self._catalog.versions.add(
                self.id,
                model_id,
                label_seq=seq,
                predictor_sha256=self._blobs.put(predictor.to_bytes()),
                concept_ids=predictor.concept_ids,
                input_count=len(self._teacher.labelled_keys(model.concept_ids)),
            )

    def versions(self, model_id: str, page: int = 1, per_page: int = 100) -> list[ModelVersion]:
        """One page, newest first."""
        return self._catalog.versions.page(self.id, self.model(model_id).id, *_offset(page, per_page))

    def version(self, model_id: str, version_id: str) -> ModelVersion:
        """Raises VersionNotFound."""
        return self._catalog.versions.get(self.id, model_id, version_id)

    def delete_version(self, model_id: str, version_id: str) -> None:
        """Raises VersionNotFound."""
        with self._lock:
            self._catalog.versions.delete(self.id, model_id, version_id)

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
                opened = open_picture(image)[1].image
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
        keys = self._teacher.labelled_keys(model.concept_ids)
        concept_ids, probabilities = self._teacher.leave_one_out(model, keys)
        truth = np.zeros(probabilities.shape, dtype=np.int8)
        for column, concept in enumerate(concept_ids):
            labels = self._teacher.labels(concept)
            truth[:, column] = [{True: 1, False: -1, None: 0}[labels.get(key)] for key in keys.tolist()]
        return evaluation.evaluate(model.id, concept_ids, probabilities, truth)

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
        keys = self._collection.keys() if where is None else self._catalog.inputs.where(self.id, where)
        ranking = Ranking(self._collection, self._predictor_for(None, None))
        ranked, scores = rank(ranking, terms, keys, offset + k)
        ranked, scores = ranked[offset:], scores[offset:]
        ids = self._ids(ranked)
        return [Hit(ids[key], score) for key, score in zip(ranked.tolist(), scores.tolist(), strict=True) if key in ids]

    def close(self) -> None:
        self._collection.close()

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

    def _predictor_for(self, model: Model | str | None, version: str | None) -> Predictor:
        model = self._model(model)
        if version is not None:
            record = self.version(model.id, version)
            if record.frozen:
                if record.predictor_sha256 is None:
                    raise VersionNotFound(f"version {version!r} of model {model.id!r} keeps no predictor")
                return self._frozen(record.predictor_sha256)
        return self._predictor(model)

    def _predictor(self, model: Model) -> Predictor:
        predictor = self._teacher.predictor(model)
        if (space := self._teacher.space) is not None and space is not self._space_saved:
            self._catalog.spaces.save(self.id, space)
            self._space_saved = space
        return predictor

    def _model(self, model: Model | str | None) -> Model:
        if model is not None and not isinstance(model, str | Model):
            raise ModelNotFound(f"a model is named by its id, not by {model!r}")
        return model if isinstance(model, Model) else self.model(model)

    def _ids(self, keys: KeyArray) -> dict[int, str]:
        return self._catalog.inputs.ids(self.id, keys)


def _power(recipe: Recipe) -> float | None:
    return None if recipe.nonnegative is None else 0.5 if recipe.nonnegative else 1.0


def _check_k(k: int) -> None:
    if k < 1:
        raise BadRequest(f"k must be 1 or more, not {k}")


def _offset(page: int, per_page: int) -> tuple[int, int]:
    if page < 1 or per_page < 1:
        raise BadRequest(f"page and per_page count from 1, not {page} and {per_page}")
    return (page - 1) * per_page, per_page


def _no_input(id: str) -> InputNotFound:
    return InputNotFound(f"no input {id!r}")
