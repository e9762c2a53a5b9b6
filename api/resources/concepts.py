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
def create(body: ConceptsIn, caller: Writer) -> Json:
    """Up to 128: all of them or, where an id is taken, none."""
    made = caller.app.create_concepts([(_id(one), one.name or _id(one)) for one in _checked(body)])
    return ok(concepts=[concept_out(concept, caller.app.id) for concept in made])


@router.get("", response_model=ConceptsAnswer)
def page(caller: Reader, page: Paged) -> Json:
    """In the order in which they were made."""
    found = caller.app.concepts(page.page, page.per_page)
    return ok(concepts=[concept_out(concept, caller.app.id) for concept in found])


@router.post("/searches", response_model=ConceptsAnswer)
def search(body: ConceptSearchIn, caller: Reader) -> Json:
    """By name; * stands for any run of characters."""
    page = page_of(body.pagination.page, body.pagination.per_page)
    found = caller.app.concepts(page.page, page.per_page, body.concept_query.name)
    return ok(concepts=[concept_out(concept, caller.app.id) for concept in found])


@router.get("/status", response_model=ConceptCountsAnswer)
def counts(caller: Reader) -> Json:
    """How many inputs are labelled yes and no for each concept, in the order in which they were made."""
    found = caller.app.label_counts()
    shown: list[ConceptCountOut] = []
    for id, name in caller.names().items():
        yes, no = found.get(id, (0, 0))
        shown.append({"id": id, "name": name, "concept_type_count": {"positive": yes, "negative": no}})
    return ok(concept_counts=shown)


@router.get("/{id}", response_model=ConceptAnswer)
def get(id: str, caller: Reader) -> Json:
    """By its id."""
    return ok(concept=concept_out(caller.app.concept(id), caller.app.id))


@router.patch("", response_model=ConceptsAnswer)
def rename(body: PatchConceptsIn, caller: Writer) -> Json:
    """New names; the only action is overwrite."""
    if body.action != "overwrite":
        raise WireError(INVALID_REQUEST, f"the action is overwrite, not {body.action!r}")
    renamed = caller.app.rename_concepts([(_id(one), one.name or _id(one)) for one in _checked(body)])
    return ok(concepts=[concept_out(concept, caller.app.id) for concept in renamed])


def _checked(body: ConceptsIn) -> list[ConceptIn]:
    check_some(body.concepts, "concepts")
    return body.concepts


def _id(one: ConceptIn) -> str:
    if not one.id:
        raise WireError(INVALID_CONCEPT, "a concept needs an id")
    return one.id
