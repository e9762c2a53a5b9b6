"""Concepts of an app (contract, section 6)."""

from ..wire.body import check_some
from ..wire.requests import ConceptIn, ConceptSearchIn, ConceptsIn, PatchConceptsIn
from ..wire.responses import Json, concept_out, ok
from ..wire.schemas import ConceptAnswer, ConceptCountOut, ConceptCountsAnswer, ConceptsAnswer
from ..wire.status import INVALID_CONCEPT, INVALID_REQUEST, WireError
from .dependencies import Paged, Reader, Writer, page_of
from .route import new_router

router = new_router("/v2/concepts", "concepts")


@router.post("", response_model=ConceptsAnswer)
def create(body: ConceptsIn, context: Writer) -> Json:
    """Up to 128: all of them or, where an id is taken, none."""
    concepts = context.app.create_concepts([(_id(item), item.name or _id(item)) for item in _checked(body)])
    return ok(concepts=[concept_out(concept, context.app.id) for concept in concepts])


@router.get("", response_model=ConceptsAnswer)
def page(context: Reader, page: Paged) -> Json:
    """In the order in which they were made."""
    concepts = context.app.concepts(page.page, page.per_page)
    return ok(concepts=[concept_out(concept, context.app.id) for concept in concepts])


@router.post("/searches", response_model=ConceptsAnswer)
def search(body: ConceptSearchIn, context: Reader) -> Json:
    """By name; * stands for any run of characters."""
    page = page_of(body.pagination.page, body.pagination.per_page)
    concepts = context.app.concepts(page.page, page.per_page, body.concept_query.name)
    return ok(concepts=[concept_out(concept, context.app.id) for concept in concepts])


@router.get("/status", response_model=ConceptCountsAnswer)
def counts(context: Reader) -> Json:
    """How many inputs are labelled yes and no for each concept, in the order in which they were made."""
    labelled = context.app.label_counts()
    rows: list[ConceptCountOut] = []
    for id, name in context.names().items():
        yes, no = labelled.get(id, (0, 0))
        rows.append({"id": id, "name": name, "concept_type_count": {"positive": yes, "negative": no}})
    return ok(concept_counts=rows)


@router.get("/{id}", response_model=ConceptAnswer)
def get(id: str, context: Reader) -> Json:
    """By its id."""
    return ok(concept=concept_out(context.app.concept(id), context.app.id))


@router.patch("", response_model=ConceptsAnswer)
def rename(body: PatchConceptsIn, context: Writer) -> Json:
    """New names; the only action is overwrite."""
    if body.action != "overwrite":
        raise WireError(INVALID_REQUEST, f"the action is overwrite, not {body.action!r}")
    renamed = context.app.rename_concepts([(_id(item), item.name or _id(item)) for item in _checked(body)])
    return ok(concepts=[concept_out(concept, context.app.id) for concept in renamed])


def _checked(body: ConceptsIn) -> list[ConceptIn]:
    check_some(body.concepts, "concepts")
    return body.concepts


def _id(item: ConceptIn) -> str:
    if not item.id:
        raise WireError(INVALID_CONCEPT, "a concept needs an id")
    return item.id
