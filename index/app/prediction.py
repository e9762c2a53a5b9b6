"""What pictures, inputs and vectors show, and why."""

from collections.abc import Iterable, Sequence

import numpy as np

from ...embeddings.base.embedder import WorkflowError
from ...embeddings.models.zero_shot import zero_shot as shares
from ..analysis import explanation
from ..bounds import check_count
from ..errors import BadRequest, NothingToLearn, NotSupported
from ..ingest.validation import check_id, check_vectors
from ..records import THRESHOLD, Crop, Explanation, FloatArray, Model, Picture, Prediction, Scores
from ..scoring.predictor import Predictor
from . import embedding
from .predictors import advice, model_of, predictor_for, scores
from .state import AppState

_MOST_NEIGHBOURS = 100


def predict(
    state: AppState,
    image: Picture,
    model: Model | str | None = None,
    *,
    version: str | None = None,
    crop: Crop | None = None,
) -> list[Prediction]:
    """What a picture shows, best first."""
    return _predictions(state, embedding.embed(state, [image], [crop]), model, version)


def predict_input(
    state: AppState, id: str, model: Model | str | None = None, *, version: str | None = None
) -> list[Prediction]:
    """What a stored input shows, best first."""
    return _predictions(state, embedding.vectors(state, [id]), model, version)


def predict_vectors(
    state: AppState, vectors: object, model: Model | str | None = None, *, version: str | None = None
) -> Scores:
    """What many vectors (n, dim) of this app's base workflow show."""
    return scores(state, check_vectors(vectors, state.dim), model_of(state, model), version)


def zero_shot(state: AppState, image: Picture, names: Sequence[str], *, crop: Crop | None = None) -> list[Prediction]:
    """Which of these names a picture shows, untaught, best first. NotSupported by a base workflow without words."""
    for name in names:
        check_id(name, "name")
    if not names:
        return []
    try:
        [values] = shares(state.embedder, embedding.embed(state, [image], [crop]), names)
    except WorkflowError as error:
        raise NotSupported(str(error)) from error
    return _best_first(
        Prediction(name, value, value >= THRESHOLD) for name, value in zip(names, values.tolist(), strict=True)
    )


def explain(
    state: AppState,
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
    query = query_vector(state, image=image, input_id=input_id, vector=vector)
    if query is None:
        raise BadRequest("explain needs an image, an input_id or a vector")
    predictor = predictor_for(state, model, version)
    explanations = _explained(state, query, None if concept is None else [concept], predictor, neighbours, 1)
    if not explanations:
        raise NothingToLearn(
            "the model has no concept with a positive label, so there is nothing to explain: " + advice(state, model)
        )
    return explanations[0]


def explain_vector(
    state: AppState,
    vector: object,
    concepts: Sequence[str] | None = None,
    model: Model | str | None = None,
    *,
    version: str | None = None,
    neighbours: int = 5,
    most: int = 5,
) -> list[Explanation]:
    """The same for several concepts at once, (None: the best ones, at most so many), in that order."""
    [query] = check_vectors([vector], state.dim)
    return _explained(state, query, concepts, predictor_for(state, model, version), neighbours, most)


def query_vector(
    state: AppState,
    *,
    image: Picture | None = None,
    crop: Crop | None = None,
    text: str | None = None,
    vector: object = None,
    input_id: str | None = None,
    concept: str | None = None,
) -> FloatArray | None:
    """(dim,) of the one thing that is asked about; None for a concept, or nothing. Raises BadRequest for several."""
    if sum(part is not None for part in (image, text, vector, input_id, concept)) > 1:
        raise BadRequest("give one of image, text, vector, input_id and concept, not several")
    rows: Sequence[FloatArray] = []
    if image is not None:
        rows = list(embedding.embed(state, [image], [crop]))
    elif text is not None:
        rows = [embedding.embed_text(state, text)]
    elif vector is not None:
        rows = list(check_vectors([vector], state.dim))
    elif input_id is not None:
        rows = list(embedding.vectors(state, [input_id]))
    return rows[0] if rows else None


def _explained(
    state: AppState,
    query: FloatArray,
    concepts: Sequence[str] | None,
    predictor: Predictor,
    neighbours: int,
    most: int,
) -> list[Explanation]:
    check_count(neighbours, "neighbours", _MOST_NEIGHBOURS, least=0)
    check_count(most, "most", _MOST_NEIGHBOURS)
    for concept in concepts or ():
        if concept not in predictor.concept_ids and state.catalog.labels.counts(state.id).get(concept, (0, 0))[1]:
            raise NothingToLearn(f"concept {concept!r} can't be explained: {advice(state, concept=concept)}")
    if concepts is None:
        best = np.argsort(-predictor.values(query[None])[0], kind="stable")[:most]
        concepts = [predictor.concept_ids[column] for column in best]
    return explanation.explain(predictor, concepts, query, neighbours, state.catalog.inputs.ids)


def _predictions(
    state: AppState, vectors: FloatArray, model: Model | str | None, version: str | None
) -> list[Prediction]:
    answer = scores(state, vectors, model_of(state, model), version)
    return _best_first(
        Prediction(concept, value, decision)
        for concept, value, decision in zip(
            answer.concept_ids, answer.values[0].tolist(), answer.decisions[0].tolist(), strict=True
        )
    )


def _best_first(predictions: Iterable[Prediction]) -> list[Prediction]:
    return sorted(predictions, key=lambda prediction: (-prediction.value, prediction.concept_id))
