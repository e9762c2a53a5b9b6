"""Frozen versions of models: predictions that never change."""

from ..bounds import page_bounds
from ..errors import BadRequest, NothingToLearn
from ..records import BUILT_IN_MODEL, Model, ModelVersion
from ..scoring.predictor import Predictor
from .predictors import advice, check_seen_alike, predictor_of, version
from .predictors import model as model_named
from .state import AppState, Current


def create_version(app: Current, model_id: str, *, like: str | None = None, untaught: bool = False) -> ModelVersion:
    """Freezes what the model knows now: predictions of this version never change. Raises NothingToLearn.

    like: goes back to an earlier frozen version instead, by a new one that predicts the same. untaught: where there
    is nothing to learn, makes a version that stands for the attempt, and follows the labels.
    """
    model = model_named(app.take(), model_id)
    if model.id == BUILT_IN_MODEL:
        raise BadRequest("the built-in model follows the labels; make a model of its concepts to freeze it")
    if not model.concept_ids:
        raise NothingToLearn(f"model {model_id!r} has no concepts: give it some, then label inputs")
    if like is not None:
        return _go_back(app, model, like)
    with app.writers:
        # Under the lock, so that the labels, their sequence number and the predictor belong to one moment.
        state = app.take()
        seq = app.catalog.labels.seq(app.id)
        predictor = predictor_of(state, model)
        usable = bool(predictor.taught.any()) and not (model.mutually_exclusive and len(model.concept_ids) < 2)
        if not usable and not untaught:
            raise NothingToLearn(f"model {model_id!r} {_missing(state, model, predictor)}")
        with app.blobs.deletion_paused():
            return app.catalog.versions.add(
                app.id,
                model_id,
                label_seq=seq,
                predictor_sha256=app.blobs.put(predictor.slim().to_bytes()) if usable else None,
                concept_ids=predictor.concept_ids if usable else model.concept_ids,
                input_count=len(state.teacher.labelled_keys(model.concept_ids)),
                thresholds=state.thresholds.get(model_id, {}),
            )


def versions(app: Current, model_id: str, page: int = 1, per_page: int = 100) -> list[ModelVersion]:
    """One page, newest first."""
    return app.catalog.versions.page(app.id, model_named(app.take(), model_id).id, *page_bounds(page, per_page))


def delete_version(app: Current, model_id: str, version_id: str) -> None:
    """Raises VersionNotFound."""
    with app.writers:
        hashes = app.catalog.versions.delete(app.id, model_id, version_id)
    app.blobs.delete_unused(hashes, app.catalog.unused_blobs)


def _go_back(app: Current, model: Model, version_id: str) -> ModelVersion:
    with app.writers, app.blobs.deletion_paused():
        state = app.take()
        old = version(state, model.id, version_id)
        if old.predictor_sha256 is None:
            raise BadRequest(f"version {version_id!r} follows the labels: there is nothing to go back to")
        check_seen_alike(state, old)
        return app.catalog.versions.add(
            app.id,
            model.id,
            label_seq=old.label_seq,
            predictor_sha256=old.predictor_sha256,
            concept_ids=old.concept_ids,
            input_count=old.input_count,
            thresholds=old.thresholds,
        )


def _missing(state: AppState, model: Model, predictor: Predictor) -> str:
    if not predictor.taught.any():
        return f"has no concept with a positive label: {advice(state, model)}"
    return "is mutually exclusive, but has one concept: add another that excludes it, or make it not exclusive"
