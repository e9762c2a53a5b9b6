"""Models: sets of concepts scored together (contract, section 7)."""

import fnmatch
import re
from collections.abc import Sequence
from functools import partial
from typing import Annotated
from urllib.parse import unquote

from fastapi import Query

from ...index.app import predictors
from ...index.errors import ModelNotFound, NotFound
from ...index.records import Model, ModelChange
from ..wire.body import check_some
from ..wire.patch import Action, action_of
from ..wire.requests import ConceptIn, CreateModelIn, DeleteIn, ModelIn, ModelSearchIn, OutputConfigIn, PatchModelsIn
from ..wire.responses import Json, model_out, ok
from ..wire.schemas import Answer, InputsAnswer, ModelAnswer, ModelOut, ModelsAnswer
from ..wire.status import INVALID_REQUEST, MODEL_BAD, WireError
from .dependencies import Page, Paged, Reader, RequestContext, Writer, page_of
from .public_models import PUBLIC, PUBLIC_IDS, PublicModel, check_version, public_model, public_out
from .route import new_router

router = new_router("/v2/models", "models")
_ALL = 1_000_000


@router.post("", response_model=ModelAnswer)
def create(body: CreateModelIn, context: Writer) -> Json:
    """A set of concepts scored together. It is never trained: its head version predicts from the labels as they are."""
    model_in = body.model
    if model_in.id in PUBLIC_IDS:
        raise WireError(MODEL_BAD, f"the model {model_in.id!r} is a public one")
    config = model_in.output_info.output_config or OutputConfigIn()
    concepts = model_in.output_info.data and model_in.output_info.data.concepts
    model = context.app.create_model(
        model_in.id or None,
        _concept_ids(concepts or []),
        name=model_in.name or None,
        mutually_exclusive=bool(config.concepts_mutually_exclusive),
        closed_environment=bool(config.closed_environment),
        settings=config.hyper_params,
    )
    return ok(model=full_model_out(context, model))


@router.get("", response_model=ModelsAnswer)
def page(context: Reader, page: Paged) -> Json:
    """The app's own, then the public ones. Past the end: an empty list."""
    return ok(models=_page(context, [*context.app.models(per_page=_ALL), *PUBLIC], page))


@router.patch("", response_model=ModelsAnswer)
def change(body: PatchModelsIn, context: Writer) -> Json:
    """Names, concepts and flags. action: merge, overwrite or remove (of concepts)."""
    action = action_of(body.action)
    check_some(body.models, "models")
    changed = context.app.patch_models([(_id(item), partial(_change, item, action=action)) for item in body.models])
    return ok(models=[full_model_out(context, item) for item in changed])


@router.delete("", response_model=Answer)
def delete_many(body: DeleteIn, context: Writer) -> Json:
    """By ids, or all that were made with delete_all; unknown ids are ignored."""
    if body.delete_all:
        context.app.delete_models()
    elif body.ids:
        # One client escapes ids inside the body too.
        context.app.delete_models([*body.ids, *(unquote(id) for id in body.ids)])
    else:
        raise WireError(INVALID_REQUEST, "give ids, or delete_all: true")
    return ok()


@router.post("/searches", response_model=ModelsAnswer)
def search(body: ModelSearchIn, context: Reader) -> Json:
    """By name, where * stands for any run of characters, and by output type."""
    query = body.model_query
    page = page_of(body.pagination.page, body.pagination.per_page)
    every: list[Model | PublicModel] = [*context.app.models(per_page=_ALL), *PUBLIC]
    return ok(models=_page(context, [model for model in every if _matches(model, query.name, query.type)], page))


@router.get("/{id}", response_model=ModelAnswer)
def get(id: str, context: Reader, version_id: Annotated[str | None, Query()] = None) -> Json:
    """With the version asked for, else the newest."""
    return ok(model=_one(context, id, version_id))


@router.get("/{id}/output_info", response_model=ModelAnswer)
def output_info(id: str, context: Reader) -> Json:
    """With its concepts."""
    return ok(model=_one(context, id))


@router.get("/{id}/versions/{version_id}/output_info", response_model=ModelAnswer)
def version_output_info(id: str, version_id: str, context: Reader) -> Json:
    """With its concepts and this version."""
    return ok(model=_one(context, id, version_id))


@router.delete("/{id}", response_model=Answer)
def delete(id: str, context: Writer) -> Json:
    """With its versions."""
    if not context.app.delete_models(id):
        raise ModelNotFound(f"no model {id!r}")
    return ok()


@router.get("/{id}/inputs", response_model=InputsAnswer)
def inputs(id: str, context: Reader, page: Paged) -> Json:
    """Inputs that have a label for one of the model's concepts."""
    return inputs_of(context, context.app.model(id).concept_ids, page)


def full_model_out(context: RequestContext, model: Model, version_id: str | None = None) -> ModelOut:
    """A model for the wire, with its concepts, and a version: the one asked for, else the newest."""
    return model_out(model, predictors.version_of(context.state, model, version_id), context.concepts(), context.app.id)


def _one(context: RequestContext, id: str, version_id: str | None = None) -> ModelOut:
    if public := public_model(context.state, id):
        check_version(public, version_id)
        return public_out(public)
    return full_model_out(context, context.app.model(id), version_id)


def _page(context: RequestContext, models: Sequence[Model | PublicModel], page: Page) -> list[ModelOut]:
    return [
        public_out(model) if isinstance(model, PublicModel) else full_model_out(context, model)
        for model in models[page.start : page.end]
    ]


def _change(item: ModelIn, model: Model, *, action: Action) -> ModelChange:
    info, config = item.output_info, item.output_info.output_config
    concepts = None
    if info.data is not None:
        named = _concept_ids(info.data.concepts or [])
        # An empty list replaces what is there; `data: {}` does so in an overwrite, the only way that one client has.
        if action == "overwrite" or (action == "merge" and info.data.concepts == []):
            concepts = named
        elif action == "remove":
            concepts = [id for id in model.concept_ids if id not in named]
        else:
            concepts = [*model.concept_ids, *(id for id in named if id not in model.concept_ids)]
    exclusive = None if config is None else config.concepts_mutually_exclusive
    closed = None if config is None else config.closed_environment
    if action == "overwrite" and config is not None:
        # A client can't send false: its empty configuration means that both are.
        exclusive, closed = bool(exclusive), bool(closed)
    return ModelChange(item.name or None, concepts, exclusive, closed, None if config is None else config.hyper_params)


def inputs_of(context: RequestContext, concept_ids: Sequence[str], page: Page) -> Json:
    """A page of the inputs that have a label for one of these concepts."""
    if not concept_ids:
        return ok(inputs=[])
    labelled = [{"label": id, "value": value} for id in concept_ids for value in (True, False)]
    ranked = context.app.rank_inputs([], page.per_page, {"or": labelled}, offset=page.start)
    return ok(inputs=context.page(record for record, _ in ranked))


def _matches(model: Model | PublicModel, name: str | None, kind: str | None) -> bool:
    if kind is not None and kind != (model.type if isinstance(model, PublicModel) else "concept"):
        return False
    pattern = "*".join(re.sub(r"([\[?])", r"[\1]", part) for part in (name or "*").lower().split("*"))
    return fnmatch.fnmatchcase(model.name.lower(), pattern)


def _concept_ids(concepts: Sequence[ConceptIn]) -> list[str]:
    ids = []
    for concept in concepts:
        if not concept.key:
            raise WireError(MODEL_BAD, "a concept needs an id")
        ids.append(concept.key)
    return ids


def _id(item: ModelIn) -> str:
    if not item.id:
        raise NotFound("a model needs an id")
    return item.id
