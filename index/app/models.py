"""An app's models, their thresholds, and workflows: models that run on a picture in one call."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any
from uuid import uuid4

import numpy as np

from ..bounds import page_bounds
from ..errors import BadRequest, ConceptNotFound
from ..ingest.validation import check_id
from ..records import BUILT_IN_MODEL, THRESHOLD, Model, ModelChange, ModelPatch, Workflow, WorkflowNode
from .predictors import model_of
from .state import AppState, Current


def create_model(
    app: Current,
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
    with app.writers:
        return app.catalog.models.create(
            app.id,
            id,
            name=name or id,
            concept_ids=tuple(dict.fromkeys(concepts)),
            mutually_exclusive=mutually_exclusive,
            closed_environment=closed_environment,
            settings=settings or {},
        )


def models(app: Current, page: int = 1, per_page: int = 100) -> list[Model]:
    """One page of the models that were made, in that order; the built-in one is not among them."""
    return app.catalog.models.page(app.id, *page_bounds(page, per_page))


def update_model(
    app: Current,
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
    return patch_models(app, [(id, lambda _: change)])[0]


def patch_models(app: Current, patches: Sequence[tuple[str, ModelPatch]]) -> list[Model]:
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

    with app.writers:
        models = app.catalog.models.update(app.id, [(id, partial(checked, patch)) for id, patch in patches])
        teacher = app.take().teacher
        for model in models:
            teacher.drop(model.id)
    return models


def delete_models(app: Current, ids: str | Iterable[str] | None = None) -> int:
    """Deletes models with their versions; None deletes all of them. How many there were."""
    chosen = None if ids is None else [ids] if isinstance(ids, str) else list(ids)
    with app.writers:
        deleted, hashes = app.catalog.models.delete(app.id, chosen)
        state = app.take()
        for id in deleted:
            state.teacher.drop(id)
        kept = {id: thresholds for id, thresholds in state.thresholds.items() if id not in deleted}
        app.publish(replace(state, thresholds=kept))
    app.blobs.delete_unused(hashes, app.catalog.unused_blobs)
    return len(deleted)


def thresholds(state: AppState, model: Model | str | None = None) -> dict[str, float]:
    """Concept id -> the value from which on the model decides that an input shows it; 0.5 where none was set."""
    model = model_of(state, model)
    chosen = state.thresholds.get(model.id, {})
    return {concept: chosen.get(concept, THRESHOLD) for concept in model.concept_ids}


def set_thresholds(app: Current, thresholds: Mapping[str, float | None], model: Model | str | None = None) -> None:
    """Keeps thresholds in [0, 1] for some of the model's concepts; None goes back to 0.5.

    All of them or, where one is wrong, none. Frozen versions keep those that they were frozen with. Raises
    ConceptNotFound or BadRequest.
    """
    model = model_of(app.take(), model)
    for concept, value in thresholds.items():
        if concept not in model.concept_ids:
            raise ConceptNotFound(f"model {model.id!r} has no concept {concept!r}")
        if value is not None and not _is_share(value):
            raise BadRequest(f"the threshold of {concept!r} must be a number in [0, 1], not {value!r}")
    with app.writers:
        state = app.take()
        model = model_of(state, model.id)
        app.catalog.thresholds.set(app.id, model.id, thresholds)
        chosen = {**state.thresholds.get(model.id, {}), **thresholds}
        kept = {concept: float(value) for concept, value in chosen.items() if value is not None}
        app.publish(replace(state, thresholds={**state.thresholds, model.id: kept}))


def create_workflows(app: Current, workflows: Sequence[tuple[str, Sequence[WorkflowNode]]]) -> list[Workflow]:
    """(id, nodes) each: models that run on a picture in one call. All or, where an id is taken, none."""
    for id, nodes in workflows:
        check_id(id, "workflow id")
        if not nodes:
            raise BadRequest(f"workflow {id!r} has no nodes")
        if len({node.id for node in nodes}) < len(nodes):
            raise BadRequest(f"workflow {id!r} has two nodes of the same id")
    with app.writers:
        return app.catalog.workflows.create(app.id, workflows)


def workflow(app: Current, id: str) -> Workflow:
    """Raises WorkflowNotFound."""
    return app.catalog.workflows.get(app.id, id)


def workflows(app: Current, page: int = 1, per_page: int = 100) -> list[Workflow]:
    """One page, in the order in which they were made."""
    return app.catalog.workflows.page(app.id, *page_bounds(page, per_page))


def delete_workflow(app: Current, id: str) -> None:
    """Raises WorkflowNotFound."""
    with app.writers:
        app.catalog.workflows.delete(app.id, id)


def _is_share(value: object) -> bool:
    return isinstance(value, int | float | np.number) and not isinstance(value, bool) and 0 <= float(value) <= 1
