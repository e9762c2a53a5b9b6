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
from .dependencies import Caller, Page, Paged, Reader, Writer, page_of
from .public_models import PUBLIC, PUBLIC_IDS, PublicModel, check_version, public_model, public_out
from .route import new_router

router = new_router("/v2/models", "models")
_ALL = 1_000_000


@router.post("", response_model=ModelAnswer)
def create(body: CreateModelIn, caller: Writer) -> Json:
    """A set of concepts scored together. It is never trained: its head version predicts from the labels as they are."""
    given = body.model
    if given.id in PUBLIC_IDS:
        raise WireError(MODEL_BAD, f"the model {given.id!r} is a public one")
    config = given.output_info.output_config or OutputConfigIn()
    concepts = given.output_info.data and given.output_info.data.concepts
    model = caller.app.create_model(
        given.id or None,
        _concept_ids(concepts or []),
        name=given.name or None,
        mutually_exclusive=bool(config.concepts_mutually_exclusive),
        closed_environment=bool(config.closed_environment),
        settings=config.hyper_params,
    )
    return ok(model=shown(caller, model))


@router.get("", response_model=ModelsAnswer)
def page(caller: Reader, page: Paged) -> Json:
    """The app's own, then the public ones. Past the end: an empty list."""
    return ok(models=_page(caller, [*caller.app.models(per_page=_ALL), *PUBLIC], page))


@router.patch("", response_model=ModelsAnswer)
def change(body: PatchModelsIn, caller: Writer) -> Json:
    """Names, concepts and flags. action: merge, overwrite or remove (of concepts)."""
    action = action_of(body.action)
    check_some(body.models, "models")
    changed = caller.app.patch_models([(_id(one), partial(_change, one, action=action)) for one in body.models])
    return ok(models=[shown(caller, one) for one in changed])


@router.delete("", response_model=Answer)
def delete_many(body: DeleteIn, caller: Writer) -> Json:
    """By ids, or all that were made with delete_all; unknown ids are ignored."""
    if body.delete_all:
        caller.app.delete_models()
    elif body.ids:
        # One client escapes ids inside the body too.
        caller.app.delete_models([*body.ids, *(unquote(id) for id in body.ids)])
    else:
        raise WireError(INVALID_REQUEST, "give ids, or delete_all: true")
    return ok()


@router.post("/searches", response_model=ModelsAnswer)
def search(body: ModelSearchIn, caller: Reader) -> Json:
    """By name, where * stands for any run of characters, and by output type."""
    wanted = body.model_query
    page = page_of(body.pagination.page, body.pagination.per_page)
    every: list[Model | PublicModel] = [*caller.app.models(per_page=_ALL), *PUBLIC]
    return ok(models=_page(caller, [one for one in every if _matches(one, wanted.name, wanted.type)], page))


@router.get("/{id}", response_model=ModelAnswer)
def get(id: str, caller: Reader, version_id: Annotated[str | None, Query()] = None) -> Json:
    """With the version asked for, else the newest."""
    return ok(model=_one(caller, id, version_id))


@router.get("/{id}/output_info", response_model=ModelAnswer)
def output_info(id: str, caller: Reader) -> Json:
    """With its concepts."""
    return ok(model=_one(caller, id))


@router.get("/{id}/versions/{version_id}/output_info", response_model=ModelAnswer)
def version_output_info(id: str, version_id: str, caller: Reader) -> Json:
    """With its concepts and this version."""
    return ok(model=_one(caller, id, version_id))


@router.delete("/{id}", response_model=Answer)
def delete(id: str, caller: Writer) -> Json:
    """With its versions."""
    if not caller.app.delete_models(id):
        raise ModelNotFound(f"no model {id!r}")
    return ok()


@router.get("/{id}/inputs", response_model=InputsAnswer)
def inputs(id: str, caller: Reader, page: Paged) -> Json:
    """Inputs that have a label for one of the model's concepts."""
    return inputs_of(caller, caller.app.model(id).concept_ids, page)


def shown(caller: Caller, model: Model, version_id: str | None = None) -> ModelOut:
    """A model for the wire, with its concepts, and a version: the one asked for, else the newest."""
    return model_out(model, predictors.version_of(caller.state, model, version_id), caller.concepts(), caller.app.id)


def _one(caller: Caller, id: str, version_id: str | None = None) -> ModelOut:
    if public := public_model(caller.state, id):
        check_version(public, version_id)
        return public_out(public)
    return shown(caller, caller.app.model(id), version_id)


def _page(caller: Caller, models: Sequence[Model | PublicModel], page: Page) -> list[ModelOut]:
    return [
        public_out(one) if isinstance(one, PublicModel) else shown(caller, one) for one in models[page.start : page.end]
    ]


def _change(one: ModelIn, model: Model, *, action: Action) -> ModelChange:
    info, config = one.output_info, one.output_info.output_config
    concepts = None
    if info.data is not None:
        given = _concept_ids(info.data.concepts or [])
        # An empty list replaces what is there; `data: {}` does so in an overwrite, the only way that one client has.
        if action == "overwrite" or (action == "merge" and info.data.concepts == []):
            concepts = given
        elif action == "remove":
            concepts = [id for id in model.concept_ids if id not in given]
        else:
            concepts = [*model.concept_ids, *(id for id in given if id not in model.concept_ids)]
    exclusive = None if config is None else config.concepts_mutually_exclusive
    closed = None if config is None else config.closed_environment
    if action == "overwrite" and config is not None:
        # A client can't send false: its empty configuration means that both are.
        exclusive, closed = bool(exclusive), bool(closed)
    return ModelChange(one.name or None, concepts, exclusive, closed, None if config is None else config.hyper_params)


def inputs_of(caller: Caller, concept_ids: Sequence[str], page: Page) -> Json:
    """A page of the inputs that have a label for one of these concepts."""
    if not concept_ids:
        return ok(inputs=[])
    labelled = [{"label": id, "value": value} for id in concept_ids for value in (True, False)]
    found = caller.app.rank_inputs([], page.per_page, {"or": labelled}, offset=page.start)
    return ok(inputs=caller.page(one for one, _ in found))


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


def _id(one: ModelIn) -> str:
    if not one.id:
        raise NotFound("a model needs an id")
    return one.id
