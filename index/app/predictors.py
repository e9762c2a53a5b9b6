"""Which predictor answers for a model or a version, and what it says of vectors."""

import logging
from collections.abc import Sequence

import numpy as np

from ...embeddings.base.embedder import Recipe
from ...runtime.trace import stage
from ..errors import ModelNotFound, NotSupported, StorageFailed, StoreBusy
from ..records import BUILT_IN_MODEL, THRESHOLD, FloatArray, Model, ModelVersion, Scores
from ..scoring.predictor import Predictor
from .state import AppState

_log = logging.getLogger("tenshot.index")


def model(state: AppState, id: str | None = None) -> Model:
    """None gives the built-in model of all concepts. Raises ModelNotFound."""
    if id is not None and id != BUILT_IN_MODEL:
        return state.catalog.models.get(state.id, id)
    return Model(
        id=BUILT_IN_MODEL,
        name=BUILT_IN_MODEL,
        concept_ids=tuple(state.teacher.concept_ids()),
        mutually_exclusive=False,
        closed_environment=False,
        settings={},
        created_at=state.record.created_at,
    )


def model_of(state: AppState, named: Model | str | None) -> Model:
    """The same for what a caller names it by."""
    if named is not None and not isinstance(named, str | Model):
        raise ModelNotFound(f"a model is named by its id, not by {named!r}")
    return named if isinstance(named, Model) else model(state, named)


def has_model(state: AppState, id: str) -> bool:
    """Whether `model` gives one."""
    try:
        model(state, id)
    except ModelNotFound:
        return False
    return True


def advice(state: AppState, model: Model | str | None = None, *, concept: str | None = None) -> str:
    """What a model, or a concept, that predicts nothing lacks, and what to do: the end of a sentence for people."""
    model = model_of(state, model)
    # The built-in model has those that are labelled alone.
    ids = state.catalog.concepts.names(state.id) if model.id == BUILT_IN_MODEL else model.concept_ids
    ids = ids if concept is None else (concept,)
    counts = state.catalog.labels.counts(state.id)
    noes = sum(counts.get(id, (0, 0))[1] for id in ids)
    wanted = f"label an input that shows {'one of its concepts' if concept is None else 'it'} yes"
    if noes:
        return f"all its labels say no ({noes}): {wanted}, too"
    return f"it has no labels yet: {wanted}" if ids else "it has no concepts yet: label an input yes with one"


def version(state: AppState, model_id: str, version_id: str) -> ModelVersion:
    """Raises VersionNotFound."""
    return state.catalog.versions.get(state.id, model_id, version_id)


def version_of(state: AppState, model: Model, version_id: str | None = None) -> ModelVersion:
    """The version of this id, else the newest; the built-in model has a head only. Raises VersionNotFound."""
    if version_id is not None:
        return version(state, model.id, version_id)
    if model.id != BUILT_IN_MODEL and (newest := state.catalog.versions.page(state.id, model.id, 0, 1)):
        return newest[0]
    return ModelVersion(f"{model.id}-head", model.id, False, 0, None, (), 0, model.created_at)


def is_ready(state: AppState, model: Model | str | None = None) -> bool:
    """Whether the present labels are worked in already, so that a prediction is a matter of one multiplication."""
    return state.teacher.is_ready(model_of(state, model))


def scores(state: AppState, vectors: FloatArray, model: Model, version: str | None = None) -> Scores:
    """What unit vectors (n, dim) of the app's base workflow show; they are not checked again."""
    with stage("score"):
        predictor = predictor_for(state, model, version)
        concepts = list(predictor.concept_ids)
        return Scores(concepts, predictor.values(vectors), _thresholds(state, model.id, version, concepts))


def predictor_for(state: AppState, model: Model | str | None, version_id: str | None) -> Predictor:
    """Of the labels of this moment, or of a frozen version. Raises ModelNotFound, VersionNotFound or NotSupported."""
    model = model_of(state, model)
    if version_id is not None:
        record = version(state, model.id, version_id)
        # One that had nothing to learn from follows the labels, as the head does.
        if record.predictor_sha256 is not None:
            check_seen_alike(state, record)
            return state.frozen(record.predictor_sha256)
    return predictor_of(state, model)


def predictor_of(state: AppState, model: Model) -> Predictor:
    """Of the labels of this moment."""
    teacher = state.teacher
    predictor = teacher.predictor(model)
    if (space := teacher.space) is not None and space is not teacher.kept_space:
        # Only so that a restart gives the same numbers: a full disk or a busy database is no reason not to predict.
        try:
            state.catalog.space_snapshots.save(state.id, space, state.recipe.workflow)
            teacher.kept_space = space
        except (StorageFailed, StoreBusy) as error:
            _log.info("the space of app %s is not kept yet: %s", state.id, error)
    return predictor


def check_seen_alike(state: AppState, version: ModelVersion) -> None:
    """Raises NotSupported for a version that was frozen among the vectors of another base workflow."""
    later = [change for change in state.changes if change.finished_at and change.finished_at > version.created_at]
    if later and Recipe(**later[0].old_recipe) != state.recipe:
        raise NotSupported(
            f"version {version.id!r} was frozen under the base workflow {later[0].old_recipe['workflow']!r}, and "
            f"the app now sees with {state.recipe.workflow!r}: freeze a new version (the labels are all there), or "
            f"change the base workflow back"
        )


def _thresholds(state: AppState, model_id: str, version_id: str | None, concept_ids: Sequence[str]) -> FloatArray:
    """(C,): those of a frozen version, else the present ones."""
    thresholds = state.thresholds.get(model_id, {})
    if version_id is not None:
        record = version(state, model_id, version_id)
        thresholds = thresholds if record.follows_labels else record.thresholds
    return np.array([thresholds.get(concept, THRESHOLD) for concept in concept_ids], dtype=np.float32)
