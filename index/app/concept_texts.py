"""What an app's concepts are called, as its base workflow reads it: directions among the vectors of pictures.

Reading a name costs some milliseconds, once: SQL keeps what was read. Names that can't be read now are left out, and
tried again later: labels alone will do meanwhile.
"""

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

import numpy as np

from ...embeddings.base.batcher import Batcher, BatcherClosed
from ...embeddings.base.embedder import Recipe, WorkflowError
from ...embeddings.models.zero_shot import NAMES_AT_ONCE, embed_names
from ...embeddings.workflows import VECTORS
from ...errors import Busy
from ..catalog import Catalog
from ..errors import StorageFailed, StoreBusy, TenshotError
from ..records import FloatArray
from ..scoring.examples import Texts

_log = logging.getLogger("tenshot.index")
_RETRY_S = 30.0
"""Until a model that failed is asked again."""
_BUSY_S = 1.0
"""Until one that had too much to do is."""


class Names:
    """Of one app under one base workflow. Thread-safe; no lock is held while the model reads."""

    def __init__(self, app_id: str, recipe: Recipe, catalog: Catalog, embedders: Callable[[Recipe], Batcher]) -> None:
        self._app_id, self._recipe, self._catalog, self._embedders = app_id, recipe, catalog, embedders
        self._silent = recipe.workflow == VECTORS
        self._retry_at = 0.0
        self._lock = threading.Lock()
        self._renames = 0
        # Name -> direction, and concept id -> what its name says. Never changed in place: readers need no lock.
        self._directions: Mapping[str, FloatArray] | None = None
        self._said: Texts = {}

    def said(self, concept_ids: Iterable[str]) -> Texts:
        """Concept id -> (dim,): log-odds are a raw unit vector times it. Empty for a base workflow without words."""
        concept_ids = list(concept_ids)
        while new := self._unread(concept_ids):
            renames = self._renames
            names = self._catalog.concepts.names(self._app_id)
            read = self._read({id: names.get(id, id) for id in new})
            with self._lock:
                # Else one of them may have another name by now.
                if renames == self._renames:
                    self._said = {**self._said, **read}
        directions = self._said
        return {id: directions[id] for id in concept_ids if id in directions}

    def are_read(self, concept_ids: Iterable[str]) -> bool:
        """Whether `said` has nothing to embed."""
        return not self._unread(concept_ids)

    def renamed(self, concept_ids: Iterable[str]) -> None:
        """These have other names, which SQL knows already; they will be read again."""
        removed = set(concept_ids)
        with self._lock:
            self._renames += 1
            self._said = {id: direction for id, direction in self._said.items() if id not in removed}

    def _unread(self, concept_ids: Iterable[str]) -> list[str]:
        """Those that `said` would have read now."""
        directions = self._said
        new = [] if self._silent else [id for id in concept_ids if id not in directions]
        return new if new and time.monotonic() >= self._retry_at else []

    def _read(self, names: Mapping[str, str]) -> Texts:
        """What the names say, by concept id; without those that can't be read now."""
        if self._directions is None:
            loaded = self._catalog.concept_texts.load(self._app_id, self._recipe.workflow)
            with self._lock:
                self._directions = {**loaded, **(self._directions or {})}
        new = sorted(set(names.values()) - self._directions.keys())
        try:
            for start in range(0, len(new), NAMES_AT_ONCE):
                self._keep(self._embedded(new[start : start + NAMES_AT_ONCE]))
        except Busy as error:
            _log.info("names of concepts are read later: %s", error)
            self._retry_at = time.monotonic() + _BUSY_S
        except Exception as error:  # a model that can't be loaded now, or whatever else it raises
            if isinstance(error, TenshotError) and not isinstance(error, WorkflowError | BatcherClosed):
                raise
            _log.warning("names of concepts say nothing for now: %s", error or type(error).__name__)
            self._retry_at = time.monotonic() + _RETRY_S
        directions = self._directions
        return {id: directions[name] for id, name in names.items() if name in directions}

    def _embedded(self, names: list[str]) -> dict[str, FloatArray]:
        embedder = self._embedders(self._recipe)
        if embedder.text_scale is None:
            self._silent = True
            return {}
        directions = np.float32(embedder.text_scale) * embed_names(embedder, names)
        if not np.isfinite(directions).all():
            raise ValueError("the model gave numbers that are not finite")
        return dict(zip(names, directions, strict=True))

    def _keep(self, directions: Mapping[str, FloatArray]) -> None:
        with self._lock:
            self._directions = {**(self._directions or {}), **directions}
        # Only so that none is read twice: a full disk or a busy database is no reason not to predict.
        try:
            self._catalog.concept_texts.save(self._app_id, self._recipe.workflow, directions)
        except (StorageFailed, StoreBusy) as error:
            _log.info("what names say is not kept: %s", error)
