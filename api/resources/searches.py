"""Searches (contract, section 12): ranked terms and filters, all of which must hold."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from starlette.concurrency import run_in_threadpool

from ...embeddings.pictures.images import ImageError
from ...index.app import embedding
from ...index.app.ranking import Term
from ...index.app.search import concept_for, rank_inputs
from ...index.records import Input
from ..fetching.fetch import FetchError
from ..wire.requests import ConceptIn, DataIn, GeoIn, SearchIn, TermIn
from ..wire.responses import Json, ok
from ..wire.schemas import HitsAnswer
from ..wire.status import INVALID_SEARCH, WireError
from .dependencies import MOST_PER_PAGE, Page, Reader, RequestContext, page_of
from .route import new_router

router = new_router("/v2/searches", "searches")
_SHORT_SCAN = 2_000_000
"""Components: more are better looked at by several searches together, or on several cores."""
_UNITS = {
    "withinKilometers": "within_km",
    "withinMiles": "within_miles",
    "withinDegrees": "within_degrees",
    "withinRadians": "within_radians",
}


def _is_short(body: SearchIn, context: RequestContext) -> bool:
    """The nearest neighbours alone, a page not too far away, among few enough that are looked at one by one.

    That is over sooner than threads are changed.
    """
    if (
        not context.reads_at_once
        or len(body.query.ands) != 1
        or context.state.collection.tail * context.state.dim > _SHORT_SCAN
    ):
        return False
    return _is_near(body.query.ands[0]) and _page(body).end <= MOST_PER_PAGE


def _is_near(term: TermIn) -> bool:
    """Whether it asks for what is like an input or a vector, and for nothing else."""
    output = term.output
    if term.negate or term.input is not None or output is None or output.input is None or output.data is not None:
        return False
    fields = output.input.data.model_fields_set
    return output.input.is_at_hand and fields <= ({"embeddings"} if "embeddings" in fields else {"image"})


async def _with_others(body: SearchIn, context: RequestContext) -> Json:
    """A short one, together with those that come at the same time."""
    page, coalescer = _page(body), context.service.searches
    [term], _ = _asked(body, context)
    assert term.vector is not None  # or it would not be short
    hits = await coalescer.nearest(context.state, term.vector, page.end)
    return _hits(context, hits[page.start :])


@router.post("", response_model=HitsAnswer)
async def search(body: SearchIn, context: Reader) -> Json:
    """Filters alone give creation order and score 1; ranked terms the mean of their scores, in [0, 1]."""
    if _is_short(body, context):
        return await _with_others(body, context)
    inputs = [term.output.input.data for term in body.query.ands if term.output and term.output.input]
    images = [data.image for data in inputs if data.image and data.image.is_behind_url]
    if images:
        await context.fetch(images)
    return await run_in_threadpool(_search, body, context)


def _search(body: SearchIn, context: RequestContext) -> Json:
    page = _page(body)
    terms, where = _asked(body, context)
    return _hits(context, rank_inputs(context.state, terms, page.per_page, where, offset=page.start))


def _page(body: SearchIn) -> Page:
    return page_of(body.pagination.page, body.pagination.per_page)


def _hits(context: RequestContext, hits: Sequence[tuple[Input, float]]) -> Json:
    names = context.names()
    return ok(id=uuid4().hex, hits=[{"score": score, "input": context.show(input, names)} for input, score in hits])


def _asked(body: SearchIn, context: RequestContext) -> tuple[list[Term], dict[str, Any] | None]:
    """All ranked terms, and what narrows them. Raises WireError."""
    terms: list[Term] = []
    filters: list[dict[str, Any]] = []
    for term in body.query.ands:
        ranked, narrowed = _read(context, term)
        terms += ranked
        filters += narrowed
    return terms, {"and": filters} if filters else None


def _read(context: RequestContext, term: TermIn) -> tuple[list[Term], list[dict[str, Any]]]:
    """Ranked terms and filters of one term of the wire. Raises WireError."""
    ranked: list[Term] = []
    filters: list[dict[str, Any]] = []
    if term.output is not None and term.output.input is not None:
        term_input = term.output.input
        ranked.append(_near(context, term_input.id, term_input.data, negate=term.negate))
        # What is said beside the picture narrows.
        filters += _filters(context, None, term_input.data.model_copy(update={"image": None, "url": None}))
    if term.output is not None and term.output.data is not None:
        ranked += _predicted(context, term.output.data.concepts or [], negate=term.negate)
    if term.input is not None:
        filters += _filters(context, term.input.id, term.input.data)
    if not ranked and not filters:
        raise WireError(INVALID_SEARCH, "a search term has an input or an output with something to look for")
    return ranked, [{"not": {"and": filters}}] if filters and term.negate else filters


def _near(context: RequestContext, id: str | None, data: DataIn, *, negate: bool) -> Term:
    image = data.image
    if image is not None and (image.base64 is not None or image.url is not None):
        try:
            [vector] = embedding.embed(context.state, [image.file()], [image.crop])
        except (ImageError, FetchError) as error:
            raise WireError(INVALID_SEARCH, str(error)) from error
    elif data.text is not None and (named := concept_for(context.state, data.text.raw)):
        return Term(concept=named, negate=negate)
    elif data.text is not None:
        vector = embedding.embed_text(context.state, data.text.raw)
    elif data.embeddings:
        vector = embedding.check_vectors(context.state, [data.embeddings[0].vector])[0]
    elif id and image is not None and image.crop is not None:
        [vector] = embedding.embed(context.state, [context.app.picture(id)], [image.crop])
    elif id:
        [vector] = embedding.vectors(context.state, [id])
    else:
        raise WireError(INVALID_SEARCH, "a search by likeness needs an image, words or the id of an input")
    return Term(vector=vector, negate=negate)


def _predicted(context: RequestContext, concepts: list[ConceptIn], *, negate: bool) -> list[Term]:
    if not concepts:
        raise WireError(INVALID_SEARCH, "a search by predicted concepts needs one")
    return [_term(context, concept, negate=negate is concept.value) for concept in concepts]


def _term(context: RequestContext, concept: ConceptIn, *, negate: bool) -> Term:
    """A concept of the app, else one that the base workflow has words for. An unknown one matches nothing."""
    id, state = _resolved(context, concept), context.state
    if id not in context.names():
        word = (concept.name or id).casefold()
        embedder = state.embedder
        if embedder.has_text and (not embedder.classes or word in {name.casefold() for name in embedder.classes}):
            return Term(vector=embedding.embed_text(state, word), negate=negate)
    return Term(concept=id, negate=negate)


def _filters(context: RequestContext, id: str | None, data: DataIn) -> list[dict[str, Any]]:
    filters: list[dict[str, Any]] = []
    if id:
        filters.append({"ids": [id]})
    for concept in data.concepts or ():
        labelled = {"label": _resolved(context, concept)}
        # A false value finds whatever isn't labelled with it, unlabelled inputs included.
        filters.append(labelled if concept.value else {"not": labelled})
    url = (data.image and data.image.url) or data.url
    if url:
        filters.append({"url": url})
    if data.metadata is not None:
        filters.append({"metadata": data.metadata})
    if data.geo is not None:
        filters.append({"geo": _geo(data.geo)})
    return filters


def _geo(geo: GeoIn) -> dict[str, Any]:
    if geo.geo_box is not None:
        corners = [corner.geo_point for corner in geo.geo_box]
        return {"box": [[corner.longitude, corner.latitude] for corner in corners]}
    if geo.geo_point is None or geo.geo_limit is None:
        raise WireError(INVALID_SEARCH, "a search by place has geo_point and geo_limit, or geo_box")
    if geo.geo_limit.type not in _UNITS:
        raise WireError(INVALID_SEARCH, f"the type of a geo_limit is one of {', '.join(_UNITS)}")
    point = geo.geo_point
    return {
        "longitude": point.longitude,
        "latitude": point.latitude,
        _UNITS[geo.geo_limit.type]: geo.geo_limit.value,
    }


def _resolved(context: RequestContext, concept: ConceptIn) -> str:
    """The id behind an id or a name; unknown ones as they are, which match nothing."""
    if concept.id:
        return concept.id
    if not concept.name:
        raise WireError(INVALID_SEARCH, "a concept needs an id or a name")
    return next((id for id, name in context.names().items() if name == concept.name), concept.name)
