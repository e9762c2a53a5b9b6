"""Feedback on predictions and on searches (contract, section 10): kept, and taught from where the app is set so."""

from typing import Any

from pydantic_core import to_json

from ...index.app import predictors
from ...index.records import LabelSource
from ..wire.requests import FeedbackIn
from ..wire.responses import Json, ok
from ..wire.schemas import Answer
from ..wire.status import INVALID_REQUEST, WireError
from .dependencies import RequestContext, Writer
from .inputs import labels_of
from .public_models import check_version, public_model
from .route import new_router

router = new_router("/v2", "feedback")
_MOST_BYTES = 1 << 18
"""Of what is kept of one, for it is kept for good."""


@router.post("/models/{id}/feedback", response_model=Answer)
def on_model(id: str, body: FeedbackIn, context: Writer) -> Json:
    """What a picture really shows, or where. It need not be an input of the app.

    Where the app teaches from feedback, the concepts of an input that it has become labels.
    """
    return _keep(context, {"model_id": id}, body)


@router.post("/models/{id}/versions/{version_id}/feedback", response_model=Answer)
def on_version(id: str, version_id: str, body: FeedbackIn, context: Writer) -> Json:
    """The same on a version."""
    return _keep(context, {"model_id": id, "version_id": version_id}, body)


@router.post("/searches/feedback", response_model=Answer)
def on_search(body: FeedbackIn, context: Writer) -> Json:
    """Which hit of a search was chosen."""
    info = body.input.feedback_info
    context.app.keep_feedback("search", {"search_id": info.search_id}, _kept(body))
    return ok()


def _keep(context: RequestContext, about: dict[str, Any], body: FeedbackIn) -> Json:
    model_id, version_id = about["model_id"], about.get("version_id")
    if public := public_model(context.state, model_id):
        check_version(public, version_id)
    else:
        predictors.version_of(context.state, context.app.model(model_id), version_id)
    labels, kept = labels_of(body.input.data.concepts), _kept(body)
    context.app.keep_feedback("model", about, kept)
    id = body.input.id
    if (
        labels
        and id
        and context.service.store.catalog.apps.get(context.app.id).teach_from_feedback
        and context.app.existing([id])
    ):
        context.app.label(id, labels, source=LabelSource.FEEDBACK)
    return ok()


def _kept(body: FeedbackIn) -> dict[str, Any]:
    """What is remembered of it: not the bytes of a picture. Raises WireError where the rest is large."""
    kept = body.model_dump(exclude_none=True, exclude={"input": {"data": {"image": {"base64"}}}})
    if len(to_json(kept)) > _MOST_BYTES:
        raise WireError(INVALID_REQUEST, f"feedback may have {_MOST_BYTES >> 10} KB beside its picture: send less")
    return kept
