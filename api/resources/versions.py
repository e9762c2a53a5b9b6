"""Versions of models, frozen or following the labels, and how good they are (contract, section 8)."""

from collections.abc import Collection, Mapping, Sequence
from typing import Annotated

from fastapi import Query
from pydantic import Field

from ...index.records import EvaluationState, Model, ModelVersion, StoredEvaluation
from ..wire.body import Body, Text
from ..wire.evaluation_metrics import PARTS, metrics_out
from ..wire.responses import Json, ok, version_out
from ..wire.schemas import Answer, InputsAnswer, ModelAnswer, VersionAnswer, VersionOut, VersionsAnswer
from .dependencies import Paged, Reader, RequestContext, Writer
from .models import full_model_out, inputs_of
from .public_models import check_version, public_model, public_out
from .route import new_router

router = new_router("/v2/models/{id}/versions", "versions")


class VersionIn(Body):
    from_version_id: Text | None = None
    """Goes back: the new version predicts as this earlier one."""


class FieldsIn(Body):
    """Parts of the metrics."""

    summary: bool = Field(False, alias="fields.summary")
    confusion_matrix: bool = Field(False, alias="fields.confusion_matrix")
    cooccurrence_matrix: bool = Field(False, alias="fields.cooccurrence_matrix")
    label_counts: bool = Field(False, alias="fields.label_counts")
    binary_metrics: bool = Field(False, alias="fields.binary_metrics")
    test_set: bool = Field(False, alias="fields.test_set")

    def wanted(self) -> list[str]:
        return [part for part, is_asked in self if is_asked]


@router.post("", response_model=ModelAnswer)
def freeze(id: str, body: VersionIn, context: Writer) -> Json:
    """Freezes the labels of this moment as a version whose predictions never change. Done when this answers.

    With `from_version_id` it goes back: the new version predicts as that earlier one does.
    """
    version = context.app.create_version(id, like=body.from_version_id, untaught=True)
    return ok(model=full_model_out(context, context.app.model(id), version.id))


@router.get("", response_model=VersionsAnswer)
def page(id: str, context: Reader, page: Paged) -> Json:
    """Newest first."""
    if public := public_model(context.state, id):
        return ok(model_versions=[public_out(public)["model_version"]] if page.page == 1 else [])
    model = context.app.model(id)
    return ok(
        model_versions=[
            _shown(context, model, version) for version in context.app.versions(id, page.page, page.per_page)
        ]
    )


@router.get("/{version_id}", response_model=VersionAnswer)
def get(id: str, version_id: str, context: Reader) -> Json:
    """With its metrics, where they were asked for."""
    if public := public_model(context.state, id):
        check_version(public, version_id)
        return ok(model_version=public_out(public)["model_version"])
    return ok(model_version=_shown(context, context.app.model(id), context.app.version(id, version_id)))


@router.delete("/{version_id}", response_model=Answer)
def delete(id: str, version_id: str, context: Writer) -> Json:
    """A model never is without a version: in the place of the last one comes one that follows the labels."""
    context.app.delete_version(id, version_id)
    return ok()


@router.get("/{version_id}/inputs", response_model=InputsAnswer)
def inputs(id: str, version_id: str, context: Reader, page: Paged) -> Json:
    """Inputs that have a label for one of the version's concepts."""
    version = context.app.version(id, version_id)
    return inputs_of(context, version.concept_ids if version.frozen else context.app.model(id).concept_ids, page)


@router.post("/{version_id}/metrics", response_model=VersionAnswer)
def evaluate(id: str, version_id: str, _body: Body, context: Writer) -> Json:
    """Asks for an evaluation by leave-one-out; GET has it when it is made."""
    model, version = context.app.model(id), context.app.version(id, version_id)
    context.app.request_evaluation(id, version_id)
    context.service.evaluations.wake()
    queued = StoredEvaluation(EvaluationState.QUEUED, None)
    return ok(model_version=_with_metrics(context, model, version, queued))


@router.get("/{version_id}/metrics", response_model=VersionAnswer)
def metrics(id: str, version_id: str, context: Reader, fields: Annotated[FieldsIn, Query()]) -> Json:
    """How good the version is: each labelled input judged by the others. All of it, or the `fields.` that are true."""
    model, version = context.app.model(id), context.app.version(id, version_id)
    stored = context.app.evaluation(id, version_id)
    return ok(model_version=_with_metrics(context, model, version, stored, fields.wanted() or PARTS))


def _shown(context: RequestContext, model: Model, version: ModelVersion) -> VersionOut:
    stored = context.app.evaluation(model.id, version.id)
    if stored is None:
        return version_out(version, model)
    return _with_metrics(context, model, version, stored)


def _with_metrics(
    context: RequestContext,
    model: Model,
    version: ModelVersion,
    stored: StoredEvaluation | None,
    parts: Collection[str] = PARTS,
) -> VersionOut:
    def url_of(ids: Sequence[str]) -> Mapping[str, str]:
        return {id: context.url(record) for id, record in context.app.inputs_by_id(ids).items()}

    count = len(version.concept_ids if version.frozen else model.concept_ids)
    metrics = metrics_out(stored, count, context.names(), context.app.id, url_of, parts)
    return {**version_out(version, model), "metrics": metrics}
