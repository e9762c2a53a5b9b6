"""What an app's concepts are called, as its base workflow reads it: directions among the vectors of pictures.

Reading a name costs some milliseconds, once: SQL keeps what was read.
"""

import logging
from collections.abc import Callable, Iterable

import numpy as np

from ..embeddings.base import Recipe, WorkflowError
from ..embeddings.batcher import Batcher
from ..embeddings.workflows import VECTORS
from ..embeddings.zero_shot import embed_names
from .catalog import Catalog
from .errors import StorageFailed, StoreBusy
from .records import FloatArray
from .scoring.examples import Texts

_log = logging.getLogger("tenshot.index")


class Names:
    """Of one app under one base workflow. Thread-safe; no lock is held while the model reads."""

    def __init__(self, app_id: str, recipe: Recipe, catalog: Catalog, embedders: Callable[[Recipe], Batcher]) -> None:
        self._app_id, self._recipe, self._catalog, self._embedders = app_id, recipe, catalog, embedders
        self._silent = recipe.workflow == VECTORS
        self._directions: dict[str, FloatArray] | None = None
        # Concept id -> what its name says. Never changed in place, so that readers need no lock.
        self._said: Texts = {}

    def said(self, concept_ids: Iterable[str]) -> Texts:
        """Concept id -> (dim,): log-odds are a raw unit vector times it. Empty for a base workflow without words."""
        concept_ids = list(concept_ids)
        new = [] if self._silent else [id for id in concept_ids if id not in self._said]
        if new:
            names = self._catalog.concepts.names(self._app_id)
            self._said = {**self._said, **self._read({id: names.get(id, id) for id in new})}
        said = self._said
        return {id: said[id] for id in concept_ids if id in said}

    def are_read(self, concept_ids: Iterable[str]) -> bool:
        """Whether `said` has nothing to embed."""
        return self._silent or all(id in self._said for id in concept_ids)

    def renamed(self, concept_ids: Iterable[str]) -> None:
        """These will be read again."""
        gone = set(concept_ids)
        self._said = {id: said for id, said in self._said.items() if id not in gone}

    def _read(self, names: dict[str, str]) -> Texts:
        if self._directions is None:
            self._directions = self._catalog.names.load(self._app_id, self._recipe.workflow)
        new = sorted(set(names.values()) - self._directions.keys())
        if new:
            try:
                embedder = self._embedders(self._recipe)
                if embedder.text_scale is None:
                    self._silent = True
                    return {}
                read = np.float32(embedder.text_scale) * embed_names(embedder, new)
            except WorkflowError as error:
                # Labels alone will do.
                _log.warning("names of concepts say nothing: %s", error)
                self._silent = True
                return {}
            directions = dict(zip(new, read, strict=True))
            # Only so that none is read twice: a full disk or a busy database is no reason not to predict.
            try:
                self._catalog.names.save(self._app_id, self._recipe.workflow, directions)
            except (StorageFailed, StoreBusy) as error:
                _log.info("what names say is not kept: %s", error)
            self._directions = {**self._directions, **directions}
        return {id: self._directions[name] for id, name in names.items()}
