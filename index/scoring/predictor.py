"""A model at one moment, frozen: prepared vectors in, probabilities out. Pure; any number of threads may use one."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from ..records import FloatArray, KeyArray
from .arrays import Arrays, check_array, check_rows, column_of, sparse, sparse_arrays
from .examples import Array
from .link import Link, link_of
from .older import PrimalForm
from .space import Smoothing, Space, in_chunks, unit
from .terms import BackgroundVotes, KernelVotes, Parts, Term, TextTerm

TERMS: tuple[type[Term], ...] = (BackgroundVotes, KernelVotes, PrimalForm, TextTerm)
"""Every kind of term that a file may have."""

T = TypeVar("T", bound=Term)


@dataclass(frozen=True)
class Predictor:
    """score_c(q) = the sum of the terms' scores; the link makes probabilities of them."""

    space: Space
    concept_ids: tuple[str, ...]
    """Those with at least one positive label, or with a name that says something."""
    keys: KeyArray
    """(n,) labelled inputs, and maybe others."""
    rows: FloatArray
    """(n, dim) their prepared vectors."""
    positive: csc_array
    """(n, C): 1 where an input is labelled yes, -1 where no."""
    terms: tuple[Term, ...]
    link: Link
    low_confidence: NDArray[np.bool_]
    """(C,)"""
    known: "Predictor | None" = None
    """Of one concept, that any of these is shown; where there is none, one always is."""

    def term(self, kind: type[T]) -> T | None:
        """The one of this kind."""
        return next((term for term in self.terms if isinstance(term, kind)), None)

    def values(self, vectors: FloatArray) -> FloatArray:
        """(q, C) probabilities of raw unit vectors (q, dim)."""
        return in_chunks(self._values, vectors, np.empty((0, len(self.concept_ids)), dtype=np.float32))

    def scores(self, prepared: FloatArray) -> Array:
        """(q, C) scores by labels of prepared vectors (q, dim): near 1 means yes, near 0 no."""
        return in_chunks(lambda some: self._sum(True, some), prepared, np.empty((0, len(self.concept_ids))))

    def prior(self, vectors: FloatArray) -> Array:
        """(q, C) what is added to them without labels, as by the names, of raw unit vectors (q, dim)."""
        return self._sum(False, vectors)

    def prior_of(self, keys: KeyArray, vectors_of: Callable[[KeyArray], FloatArray]) -> Array:
        """The same for the raw vectors (n, dim) of keys, which are looked up only where they say something."""
        if all(term.by_labels for term in self.terms):
            return np.zeros((len(keys), len(self.concept_ids)))
        return self.prior(vectors_of(keys))

    def probabilities(self, scores: Array) -> Array:
        """(q, C) in [0, 1] of scores (q, C)."""
        return self.link.probabilities(scores)

    def any_shown(self, vectors: FloatArray) -> FloatArray:
        """(q, 1) the probability that raw unit vectors (q, dim) show any of the concepts, by which values are less."""
        return self.known.values(vectors) if self.known else np.ones((len(vectors), 1), dtype=np.float32)

    def parts(self, prepared: FloatArray) -> Parts:
        """The scores of prepared vectors (q, dim), taken apart."""
        zeros = np.zeros((len(prepared), len(self.concept_ids)))
        return sum((term.parts(prepared) for term in self.terms if term.by_labels), Parts(zeros, zeros, zeros))

    def votes_of(self, column: int, similarities: FloatArray) -> Array:
        """(n,) what each of the rows gives to one concept's score; similarities (n,): their cosines."""
        votes = np.zeros(len(self.keys))
        return sum((term.votes_of(column, similarities) for term in self.terms), votes)

    def signs_of(self, column: int) -> Array:
        """(n,): 1 where an input is labelled yes for one concept, -1 where no."""
        return column_of(self.positive, column)

    def after(self, last: "Predictor | None") -> Self:
        """Itself. last: what it takes the place of, whose copy of the rows is used again where the same ones vote."""
        votes, before = self.term(KernelVotes), last.term(KernelVotes) if last and last.space is self.space else None
        if votes and before:
            votes.after(before)
        if last and self.known:
            self.known.after(last.known)
        return self

    @cached_property
    def taught(self) -> NDArray[np.bool_]:
        """(C,) whether the concept has a positive label."""
        return np.asarray((self.positive > 0).sum(axis=0), dtype=np.int64).ravel() > 0

    @cached_property
    def prototypes(self) -> FloatArray:
        """(C, dim) unit length: the plain mean of each concept's positive images."""
        return unit((self.positive.maximum(0).T @ self.rows).astype(np.float32))

    @property
    def voters(self) -> NDArray[np.int64]:
        """(k,) numbers of the rows that vote."""
        votes = self.term(KernelVotes)
        return votes.voters if votes else np.empty(0, dtype=np.int64)

    @property
    def background(self) -> FloatArray:
        """(m, dim) what the concepts were compared with."""
        term = self.term(BackgroundVotes)
        return term.rows if term else self.rows[:0]

    def _sum(self, by_labels: bool, vectors: FloatArray) -> Array:
        scores = np.zeros((len(vectors), len(self.concept_ids)))
        for term in self.terms:
            if term.by_labels is by_labels:
                scores += term.scores(vectors)
        return scores

    def _values(self, vectors: FloatArray) -> FloatArray:
        if not self.concept_ids:
            return np.empty((len(vectors), 0), dtype=np.float32)
        scores = self.scores(self.space.prepare(vectors)) + self.prior(vectors)
        return np.asarray(self.probabilities(scores) * self.any_shown(vectors), dtype=np.float32)

    @property
    def size(self) -> int:
        """How many inputs it holds."""
        return len(self.keys) + (self.known.size if self.known else 0)

    def slim(self) -> "Predictor":
        """The same answers from what they need: rows that vote, or have a label for one of the concepts."""
        kept = np.unique(
            np.concatenate([self.positive.indices.astype(np.int64), *(term.needed for term in self.terms)])
        )
        rows = self.rows[kept]
        return replace(
            self,
            keys=self.keys[kept],
            rows=rows,
            positive=self.positive[kept],
            terms=tuple(term.of_rows(kept, rows) for term in self.terms),
            known=self.known and self.known.slim(),
        )

    def check(self, dim: int) -> None:
        """Whether one that was read from a file can predict vectors (q, dim). Raises ValueError; it may be hostile."""
        n, c = len(self.keys), len(self.concept_ids)
        check_array(self.keys, (n,), "i")
        check_rows(self.rows, dim)
        if len(self.rows) != n or len(set(self.concept_ids)) < c:
            raise ValueError("its inputs or its concepts are wrong")
        check_array(self.low_confidence, (c,), "b")
        self.space.check(dim)
        self.link.check(c)
        for term in self.terms:
            term.check(n, c, dim)

    def to_bytes(self) -> bytes:
        """An .npz without pickles: what a model version keeps, so that its predictions never change."""
        out = io.BytesIO()
        arrays: dict[str, Any] = self.link.arrays()
        for term in self.terms:
            arrays |= term.arrays()
        if self.known:
            arrays["known"] = np.frombuffer(self.known.to_bytes(), dtype=np.uint8)
        if self.space.smoothing:
            arrays |= {f"smoothing_{name}": array for name, array in vars(self.space.smoothing).items()}
        np.savez(
            out,
            mean=self.space.mean,
            power=np.float64(self.space.power),
            concept_ids=np.array(self.concept_ids, dtype=np.str_),
            keys=self.keys,
            rows=self.rows,
            low_confidence=self.low_confidence,
            **sparse_arrays("positive", self.positive),
            **arrays,
        )
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Predictor":
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            a = dict(stored)
        return cls(
            space=Space(a["mean"], float(a["power"]), _smoothing(a)),
            concept_ids=tuple(a["concept_ids"].tolist()),
            keys=a["keys"],
            rows=a["rows"],
            positive=sparse("positive", a, (len(a["keys"]), len(a["concept_ids"]))),
            terms=tuple(term for kind in TERMS if (term := kind.from_arrays(a))),
            link=link_of(a),
            low_confidence=a["low_confidence"],
            known=cls.from_bytes(a["known"].tobytes()) if "known" in a else None,
        )


def sparse_columns(columns: Sequence[tuple[NDArray[np.int64], Array]], rows: int) -> csc_array:
    """(rows, C) from (row numbers, values) for each column."""
    numbers = np.concatenate([np.empty(0, dtype=np.int64), *(numbers for numbers, _ in columns)])
    values = np.concatenate([np.empty(0), *(values for _, values in columns)])
    starts = np.cumsum([0, *(len(numbers) for numbers, _ in columns)])
    return csc_array((values, numbers, starts), shape=(rows, len(columns)))


def _smoothing(arrays: Arrays) -> Smoothing | None:
    smoothing = {name.removeprefix("smoothing_"): a for name, a in arrays.items() if name.startswith("smoothing_")}
    return Smoothing(**smoothing) if smoothing else None
