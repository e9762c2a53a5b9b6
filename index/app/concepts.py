"""An app's concepts, and what users said of predictions."""

from collections.abc import Mapping, Sequence
from typing import Any

from ..bounds import check_text, page_bounds
from ..ingest.validation import check_id, check_metadata
from ..records import Concept, Feedback
from .state import Current


def concepts(app: Current, page: int = 1, per_page: int = 1000, name: str | None = None) -> list[Concept]:
    """One page, in the order in which they were made; name may have * for any run of characters."""
    if name is not None:
        check_text(name, "a name to search by")
    return app.catalog.concepts.page(app.id, *page_bounds(page, per_page), name)


def concepts_by_id(app: Current) -> Mapping[str, Concept]:
    """All of them."""
    return app.catalog.concepts.by_id(app.id)


def concept_names(app: Current) -> Mapping[str, str]:
    """Id -> name of all concepts."""
    return app.catalog.concepts.names(app.id)


def label_counts(app: Current) -> Mapping[str, tuple[int, int]]:
    """Concept id -> how many inputs are labelled yes, and no; concepts without labels are left out."""
    return app.catalog.labels.counts(app.id)


def concept(app: Current, id: str) -> Concept:
    """Raises ConceptNotFound."""
    return app.catalog.concepts.get(app.id, id)


def create_concepts(app: Current, concepts: Sequence[tuple[str, str]]) -> list[Concept]:
    """Makes concepts of (id, name): all of them or, where an id is taken, none (ConceptExists)."""
    for id, name in concepts:
        check_id(id, "concept id")
        check_id(name, "concept name")
    with app.writers:
        return app.catalog.concepts.create(app.id, concepts)


def rename_concepts(app: Current, concepts: Sequence[tuple[str, str]]) -> list[Concept]:
    """New names for (id, name). Raises ConceptNotFound, and then renames none."""
    for _, name in concepts:
        check_id(name, "concept name")
    with app.writers:
        renamed = app.catalog.concepts.rename(app.id, concepts)
        app.take().teacher.names.renamed(id for id, _ in concepts)
    return renamed


def keep_feedback(app: Current, kind: str, about: Mapping[str, Any], body: Mapping[str, Any]) -> None:
    """Keeps what a user said of a prediction (kind `model`) or a search hit (`search`)."""
    check_metadata(body)
    app.catalog.feedback.add(app.id, kind, about, body)


def feedback(app: Current, page: int = 1, per_page: int = 100) -> list[Feedback]:
    """One page, oldest first."""
    return app.catalog.feedback.page(app.id, *page_bounds(page, per_page))
