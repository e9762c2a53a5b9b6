"""What pictures, inputs and vectors show, and why. Python, the command line and HTTP all come in here."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from ...embeddings.base.embedder import WorkflowError
from ...embeddings.models.zero_shot import zero_shot as shares
from ...embeddings.workflows import DEFAULT, recipe_of
from ..analysis import explanation
from ..bounds import check_count
from ..errors import BadRequest, NothingToLearn, NotSupported
from ..ingest.validation import check_id, check_vectors
from ..records import THRESHOLD, Crop, Explanation, FloatArray, Model, Picture, Prediction, Scores
from ..scoring.predictor import Predictor
from . import embedding, predictors
from .predictors import advice, model_of, predictor_for
from .resolved_inputs import Query, ResolvedInputs
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
    return _predictions(state, Query(image, crop=crop), model, version)


def predict_input(
    state: AppState, id: str, model: Model | str | None = None, *, version: str | None = None
) -> list[Prediction]:
    """What a stored input shows, best first."""
    return _predictions(state, Query(input_id=id), model, version)


def predict_each(inputs: ResolvedInputs, model: Model, version: str | None = None) -> Mapping[int, Scores]:
    """What each of the inputs shows that can be used, by position: Scores of one row."""
    vectors = inputs.vectors()
    if not vectors:
        return {}
    scores = predictors.scores(inputs.state, np.stack(list(vectors.values())), model, version)
    return {
        position: Scores(scores.concept_ids, scores.values[row : row + 1], scores.thresholds)
        for row, position in enumerate(vectors)
    }


def classify_each(inputs: ResolvedInputs, words: Sequence[str]) -> tuple[Sequence[str], Mapping[int, FloatArray]]:
    """Names, and how probable each is for the inputs that can be used, by position: (C,). Nothing is taught for it.

    The names are the classes of the app's base workflow, or the words where it has none but reads; else the classes of
    the default base workflow.
    """
    state = inputs.state
    embedder = state.embedder
    if not embedder.classes and words and embedder.has_text:
        names = list(dict.fromkeys(words))
        return names, _shares(inputs, names)
    if not embedder.classes:
        embedder = state.resources.embedders(recipe_of(DEFAULT))
    return embedder.classes, inputs.classes(embedder.recipe)


def predict_vectors(
    state: AppState, vectors: object, model: Model | str | None = None, *, version: str | None = None
) -> Scores:
    """What many vectors (n, dim) of this app's base workflow show."""
    return predictors.scores(state, check_vectors(vectors, state.dim), model_of(state, model), version)


def zero_shot(state: AppState, image: Picture, names: Sequence[str], *, crop: Crop | None = None) -> list[Prediction]:
    """Which of these names a picture shows, untaught, best first. NotSupported by a base workflow without words."""
    for name in names:
        check_id(name, "name")
    if not names:
        return []
    inputs = ResolvedInputs(state, [Query(image, crop=crop)])
    try:
        shares_of_each = _shares(inputs, names)
    except WorkflowError as error:
        raise NotSupported(str(error)) from error
    inputs.check()
    [values] = shares_of_each.values()
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
    query = embedding.query_vector(state, image=image, input_id=input_id, vector=vector)
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


def _predictions(state: AppState, query: Query, model: Model | str | None, version: str | None) -> list[Prediction]:
    inputs = ResolvedInputs(state, [query])
    answers = predict_each(inputs, model_of(state, model), version)
    inputs.check()
    [scores] = answers.values()
    return _best_first(
        Prediction(concept, value, decision)
        for concept, value, decision in zip(
            scores.concept_ids, scores.values[0].tolist(), scores.decisions[0].tolist(), strict=True
        )
    )


def _shares(inputs: ResolvedInputs, names: Sequence[str]) -> Mapping[int, FloatArray]:
    """(C,) probabilities that each input shows one of the names rather than the others. Raises WorkflowError."""
    vectors = inputs.vectors()
    rows = shares(inputs.state.embedder, np.stack(list(vectors.values())), names) if vectors else ()
    return dict(zip(vectors, rows, strict=True))


def _best_first(predictions: Iterable[Prediction]) -> list[Prediction]:
    return sorted(predictions, key=lambda prediction: (-prediction.value, prediction.concept_id))
