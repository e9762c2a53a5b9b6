"""Models: an app's models and their versions, live or frozen."""

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache, partial
from typing import Any
from uuid import uuid4

import numpy as np

from ..embeddings.base import Recipe
from ..embeddings.batcher import Batcher
from ..embeddings.images import Opener, open_image
from .blobs import Blobs
from .catalog import Catalog
from .collection import Collection
from .errors import BadRequest, ConceptNotFound, ModelNotFound, NothingToLearn, NotSupported, StorageFailed, StoreBusy
from .intake import check_id
from .library import Library, offset
from .records import (
    BUILT_IN_MODEL,
    THRESHOLD,
    AppRecord,
    FloatArray,
    Model,
    ModelChange,
    ModelPatch,
    ModelVersion,
    Workflow,
    WorkflowNode,
)
from .scoring.predictor import Predictor
from .vector_cache import VectorCache

_log = logging.getLogger("tenshot.index")


class Models(Library):
    """The part of an `App` that knows which concepts are scored together, and what was frozen when."""

    def __init__(
        self,
        record: AppRecord,
        catalog: Catalog,
        blobs: Blobs,
        collections: Callable[[AppRecord], Collection],
        embedders: Callable[[Recipe], Batcher],
        opener: Opener = open_image,
        cache: VectorCache | None = None,
    ) -> None:
        super().__init__(record, catalog, blobs, collections, embedders, opener, cache)
        self._changes = catalog.changes.done(self.id)
        # A frozen version never changes, so its predictor is read once.
        self._frozen = lru_cache(maxsize=16)(lambda sha256: Predictor.from_bytes(self._blobs.get(sha256)))
        # Model id -> concept id -> threshold. Never changed in place, so that readers need no lock.
        self._thresholds: Mapping[str, Mapping[str, float]] = catalog.thresholds.all(self.id)

    def _let_go(self) -> None:
        super()._let_go()
        self._frozen.cache_clear()

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

    def advice(self, model: Model | str | None = None, *, concept: str | None = None) -> str:
        """What a model, or a concept, that predicts nothing lacks, and what to do: the end of a sentence for people."""
        model = self._model(model)
        # The built-in model has those that are labelled alone.
        ids = self.concept_names() if model.id == BUILT_IN_MODEL else model.concept_ids
        ids = ids if concept is None else (concept,)
        counts = self.label_counts()
        noes = sum(counts.get(id, (0, 0))[1] for id in ids)
        wanted = f"label an input that shows {'one of its concepts' if concept is None else 'it'} yes"
        if noes:
            return f"all its labels say no ({noes}): {wanted}, too"
        return f"it has no labels yet: {wanted}" if ids else "it has no concepts yet: label an input yes with one"

    def has_model(self, id: str) -> bool:
        """Whether `model` gives one."""
        try:
            self.model(id)
        except ModelNotFound:
            return False
        return True

    def models(self, page: int = 1, per_page: int = 100) -> list[Model]:
        """One page of the models that were made, in that order; the built-in one is not among them."""
        return self._catalog.models.page(self.id, *offset(page, per_page))

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
        change = ModelChange(name, concepts, mutually_exclusive, closed_environment, settings)
        return self.patch_models([(id, lambda _: change)])[0]

    def patch_models(self, patches: Sequence[tuple[str, ModelPatch]]) -> list[Model]:
        """Several models at once, all or none, where what one becomes depends on what it is.

        Of patches of one model each sees the earlier. Raises ModelNotFound or BadRequest.
        """

        def checked(patch: ModelPatch, model: Model) -> ModelChange:
            change = patch(model)
            for concept in change.concept_ids or ():
                check_id(concept, "concept id")
            ids = change.concept_ids
            return replace(
                change,
                concept_ids=None if ids is None else tuple(dict.fromkeys(ids)),
                settings=None if change.settings is None else dict(change.settings),
            )

        with self._lock:
            models = self._catalog.models.update(self.id, [(id, partial(checked, patch)) for id, patch in patches])
            for model in models:
                self._teacher.drop(model.id)
        return models

    def delete_models(self, ids: str | Iterable[str] | None = None) -> int:
        """Deletes models with their versions; None deletes all of them. How many there were."""
        chosen = None if ids is None else [ids] if isinstance(ids, str) else list(ids)
        with self._lock:
            deleted, hashes = self._catalog.models.delete(self.id, chosen)
            for id in deleted:
                self._teacher.drop(id)
            self._thresholds = {id: given for id, given in self._thresholds.items() if id not in deleted}
        self._blobs.delete_unused(hashes, self._catalog.unused_blobs)
        return len(deleted)

    def create_version(self, model_id: str, *, like: str | None = None, untaught: bool = False) -> ModelVersion:
        """Freezes what the model knows now: predictions of this version never change. Raises NothingToLearn.

        like: goes back to an earlier frozen version instead, by a new one that predicts the same. untaught: where there
        is nothing to learn, makes a version that stands for the attempt, and follows the labels.
        """
        model = self.model(model_id)
        if model.id == BUILT_IN_MODEL:
            raise BadRequest("the built-in model follows the labels; make a model of its concepts to freeze it")
        if not model.concept_ids:
            raise NothingToLearn(f"model {model_id!r} has no concepts: give it some, then label inputs")
        if like is not None:
            return self._go_back(model, like)
        with self._lock:
            # Under the lock, so that the labels, their sequence number and the predictor belong to one moment.
            seq = self._catalog.labels.seq(self.id)
            predictor = self._predictor(model)
            usable = bool(predictor.taught.any()) and not (model.mutually_exclusive and len(model.concept_ids) < 2)
            if not usable and not untaught:
                raise NothingToLearn(f"model {model_id!r} {self._missing(model, predictor)}")
            with self._blobs.kept():
                return self._catalog.versions.add(
                    self.id,
                    model_id,
                    label_seq=seq,
                    predictor_sha256=self._blobs.put(predictor.slim().to_bytes()) if usable else None,
                    concept_ids=predictor.concept_ids if usable else model.concept_ids,
                    input_count=len(self._teacher.labelled_keys(model.concept_ids)),
                    thresholds=self._thresholds.get(model_id, {}),
                )

    def _go_back(self, model: Model, version_id: str) -> ModelVersion:
        with self._lock, self._blobs.kept():
            old = self.version(model.id, version_id)
            if old.predictor_sha256 is None:
                raise BadRequest(f"version {version_id!r} follows the labels: there is nothing to go back to")
            self._check_seen_alike(old)
            return self._catalog.versions.add(
                self.id,
                model.id,
                label_seq=old.label_seq,
                predictor_sha256=old.predictor_sha256,
                concept_ids=old.concept_ids,
                input_count=old.input_count,
                thresholds=old.thresholds,
            )

    # Thresholds

    def thresholds(self, model: Model | str | None = None) -> dict[str, float]:
        """Concept id -> the value from which on the model decides that an input shows it; 0.5 where none was set."""
        model = self._model(model)
        given = self._thresholds.get(model.id, {})
        return {concept: given.get(concept, THRESHOLD) for concept in model.concept_ids}

    def set_thresholds(self, thresholds: Mapping[str, float | None], model: Model | str | None = None) -> None:
        """Keeps thresholds in [0, 1] for some of the model's concepts; None goes back to 0.5.

        All of them or, where one is wrong, none. Frozen versions keep those that they were frozen with. Raises
        ConceptNotFound or BadRequest.
        """
        model = self._model(model)
        for concept, value in thresholds.items():
            if concept not in model.concept_ids:
                raise ConceptNotFound(f"model {model.id!r} has no concept {concept!r}")
            if value is not None and not _is_share(value):
                raise BadRequest(f"the threshold of {concept!r} must be a number in [0, 1], not {value!r}")
        with self._lock:
            model = self.model(model.id)
            self._catalog.thresholds.set(self.id, model.id, thresholds)
            known = {**self._thresholds.get(model.id, {}), **thresholds}
            kept = {concept: float(value) for concept, value in known.items() if value is not None}
            self._thresholds = {**self._thresholds, model.id: kept}

    # Workflows

    def create_workflows(self, workflows: Sequence[tuple[str, Sequence[WorkflowNode]]]) -> list[Workflow]:
        """(id, nodes) each: models that run on a picture in one call. All or, where an id is taken, none."""
        for id, nodes in workflows:
            check_id(id, "workflow id")
            if not nodes:
                raise BadRequest(f"workflow {id!r} has no nodes")
            if len({node.id for node in nodes}) < len(nodes):
                raise BadRequest(f"workflow {id!r} has two nodes of the same id")
        with self._lock:
            return self._catalog.workflows.create(self.id, workflows)

    def workflow(self, id: str) -> Workflow:
        """Raises WorkflowNotFound."""
        return self._catalog.workflows.get(self.id, id)

    def workflows(self, page: int = 1, per_page: int = 100) -> list[Workflow]:
        """One page, in the order in which they were made."""
        return self._catalog.workflows.page(self.id, *offset(page, per_page))

    def delete_workflow(self, id: str) -> None:
        """Raises WorkflowNotFound."""
        with self._lock:
            self._catalog.workflows.delete(self.id, id)

    # Versions

    def versions(self, model_id: str, page: int = 1, per_page: int = 100) -> list[ModelVersion]:
        """One page, newest first."""
        return self._catalog.versions.page(self.id, self.model(model_id).id, *offset(page, per_page))

    def version(self, model_id: str, version_id: str) -> ModelVersion:
        """Raises VersionNotFound."""
        return self._catalog.versions.get(self.id, model_id, version_id)

    def delete_version(self, model_id: str, version_id: str) -> None:
        """Raises VersionNotFound."""
        with self._lock:
            hashes = self._catalog.versions.delete(self.id, model_id, version_id)
        self._blobs.delete_unused(hashes, self._catalog.unused_blobs)

    def is_ready(self, model: Model | str | None = None) -> bool:
        """Whether the present labels are worked in already, so that a prediction is a matter of one multiplication."""
        return self._teacher.is_ready(self._model(model))

    def _predictor_for(self, model: Model | str | None, version: str | None) -> Predictor:
        model = self._model(model)
        if version is not None:
            record = self.version(model.id, version)
            # One that had nothing to learn from follows the labels, as the head does.
            if record.predictor_sha256 is not None:
                self._check_seen_alike(record)
                return self._frozen(record.predictor_sha256)
        return self._predictor(model)

    def _thresholds_for(self, model: Model | str | None, version: str | None, concept_ids: Sequence[str]) -> FloatArray:
        """(C,): those of a frozen version, else the present ones."""
        id = model.id if isinstance(model, Model) else model or BUILT_IN_MODEL
        given = self._thresholds.get(id, {})
        if version is not None:
            record = self.version(id, version)
            given = given if record.follows_labels else record.thresholds
        return np.array([given.get(concept, THRESHOLD) for concept in concept_ids], dtype=np.float32)

    def _missing(self, model: Model, predictor: Predictor) -> str:
        if not predictor.taught.any():
            return f"has no concept with a positive label: {self.advice(model)}"
        return "is mutually exclusive, but has one concept: add another that excludes it, or make it not exclusive"

    def _check_seen_alike(self, version: ModelVersion) -> None:
        """Raises NotSupported for one that was frozen among the vectors of another base workflow."""
        later = [one for one in self._changes if one.finished_at and one.finished_at > version.created_at]
        if later and Recipe(**later[0].old_recipe) != self.recipe:
            raise NotSupported(
                f"version {version.id!r} was frozen under the base workflow {later[0].old_recipe['workflow']!r}, and "
                f"the app now sees with {self.recipe.workflow!r}: freeze a new version (the labels are all there), or "
                f"change the base workflow back"
            )

    def _predictor(self, model: Model) -> Predictor:
        workflow, teacher = self.recipe.workflow, self._teacher
        predictor = teacher.predictor(model)
        if (space := teacher.space) is not None and space is not self._space_saved:
            # Only so that a restart gives the same numbers: a full disk or a busy database is no reason not to predict.
            try:
                self._catalog.spaces.save(self.id, space, workflow)
                self._space_saved = space
            except (StorageFailed, StoreBusy) as error:
                _log.info("the space of app %s is not kept yet: %s", self.id, error)
        return predictor

    def _model(self, model: Model | str | None) -> Model:
        if model is not None and not isinstance(model, str | Model):
            raise ModelNotFound(f"a model is named by its id, not by {model!r}")
        return model if isinstance(model, Model) else self.model(model)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and 0 <= float(value) <= 1
