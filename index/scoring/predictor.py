"""A model at one moment, frozen: prepared vectors in, probabilities out. Pure; any number of threads may use one."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, diags_array
from scipy.special import expit, softmax

from ..records import FloatArray, KeyArray
from .calibration import Logistic
from .examples import Array, curved_part, linear_part, similarity_kernel
from .older import LargePart, sparse, sparse_arrays
from .space import Smoothing, Space, in_chunks, unit

_DENSE = 1 << 22


@dataclass(frozen=True)
class Parts:
    """A score taken apart, each (q, C): score = prototype + neighbours + background; what the name says comes on top.

    The kernel is (s + rest(s)) / (e - 1). What the first, linear term gives over all labelled images is one dot product
    with their weighted mean: prototype scoring. What the rest gives comes from the near ones alone: kNN.
    """

    prototype: Array
    neighbours: Array
    background: Array


@dataclass(frozen=True)
class Summary:
    """What the votes come to where there are very many (see `Background.summary`)."""

    prototypes: FloatArray
    """(C, dim)"""
    curved: Array
    """(C, m): votes of the background rows, by the curved part of the kernel."""
    share: Array
    """(C,) how far it stands for a concept's votes, which give the rest: at the border it comes in little by little."""

    def parts(self, prepared: FloatArray, near: FloatArray, sharpness: float) -> tuple[Array, Array]:
        """Prototype and neighbour parts, each (q, C); near (q, m): cosines with the background."""
        prototype = (prepared @ self.prototypes.T).astype(np.float64)
        return self.share * prototype, self.share * (curved_part(near, sharpness) @ self.curved.T)


@dataclass(frozen=True)
class Predictor:
    """Scores are kernel votes: score_c(q) = sum_i votes_ic k(x_i, q) + the background's + what the name says.

    Exclusive concepts share one softmax; independent ones have a logistic curve each.
    """

    space: Space
    concept_ids: tuple[str, ...]
    """Those with at least one positive label, or with a name that says something."""
    keys: KeyArray
    """(n,) labelled inputs, and maybe others."""
    rows: FloatArray
    """(n, dim) their prepared vectors."""
    voters: NDArray[np.int64]
    """(k,) numbers of the rows that vote."""
    votes: Array | csc_array
    """(k, C)"""
    background_rows: FloatArray
    """(m, dim)"""
    background_votes: Array
    """(m, C)"""
    positive: csc_array
    """(n, C): 1 where an input is labelled yes, -1 where no."""
    temperature: float | None
    """Set in exclusive models: probabilities, if any of the concepts is shown, are softmax(temperature * scores)."""
    curves: tuple[Logistic, ...]
    """One for each concept otherwise."""
    mutually_exclusive: bool
    low_confidence: NDArray[np.bool_]
    """(C,)"""
    large: LargePart | None = None
    summary: Summary | None = None
    """Stands for the votes in the scores, if there is one; the votes still tell whose they are."""
    sharpness: float = 1.0
    """Of the kernel."""
    known: "Predictor | None" = None
    """Of one concept, that any of these is shown; where there is none, one always is."""
    texts: FloatArray | None = None
    """(dim, C): a raw vector times one is what the concept's name adds to its score; None where no words are known."""

    def values(self, vectors: FloatArray) -> FloatArray:
        """(q, C) probabilities of raw unit vectors (q, dim)."""
        return in_chunks(self._values, vectors, np.empty((0, len(self.concept_ids)), dtype=np.float32))

    def text_prior(self, vectors: FloatArray) -> Array:
        """(q, C) what the names add to the scores of raw unit vectors (q, dim)."""
        if self.texts is None:
            return np.zeros((len(vectors), len(self.concept_ids)))
        return (vectors @ self.texts).astype(np.float64)

    def text_prior_of(self, keys: KeyArray, vectors_of: Callable[[KeyArray], FloatArray]) -> Array:
        """The same for the raw vectors (n, dim) of keys, which are looked up only where names say something."""
        return self.text_prior(np.empty((len(keys), 0), np.float32) if self.texts is None else vectors_of(keys))

    def scores(self, prepared: FloatArray) -> Array:
        """(q, C) scores by labels of prepared vectors (q, dim): near 1 means yes, near 0 no."""
        return in_chunks(self._scores, prepared, np.empty((0, len(self.concept_ids))))

    def probabilities(self, scores: Array) -> Array:
        """(q, C) in [0, 1] of scores (q, C)."""
        if self.temperature is not None:
            # The softmax of no concepts at all is undefined.
            return np.asarray(softmax(self.temperature * scores, axis=1)) if scores.size else scores
        slopes, offsets = self._lines
        odds = expit(slopes * scores + offsets)
        # At most one concept can be true: the values may sum to less than one (none of them), never to more.
        return np.asarray(odds / np.maximum(odds.sum(axis=1, keepdims=True), 1) if self.mutually_exclusive else odds)

    def any_shown(self, vectors: FloatArray) -> FloatArray:
        """(q, 1) the probability that raw unit vectors (q, dim) show any of the concepts, by which values are less."""
        return self.known.values(vectors) if self.known else np.ones((len(vectors), 1), dtype=np.float32)

    def parts(self, prepared: FloatArray) -> Parts:
        """The scores of prepared vectors (q, dim), taken apart."""
        near = prepared @ self.background_rows.T
        prototype = np.zeros((len(prepared), len(self.concept_ids)))
        neighbours = prototype.copy()
        if self.summary:
            prototype, neighbours = self.summary.parts(prepared, near, self.sharpness)
        cosines, votes = self._cosines(prepared), self._counted[1]
        if cosines.size:
            linear = linear_part(cosines, self.sharpness) @ votes
            prototype += linear
            neighbours += similarity_kernel(cosines, self.sharpness) @ votes - linear
        if self.large:
            large = self.large.parts(prepared)
            prototype[:, self.large.columns] += large[0]
            neighbours[:, self.large.columns] += large[1]
        return Parts(
            prototype=prototype,
            neighbours=neighbours,
            background=similarity_kernel(near, self.sharpness) @ self.background_votes,
        )

    @cached_property
    def _lines(self) -> tuple[Array, Array]:
        """(C,) slopes and (C,) offsets of the curves."""
        return np.array([curve.slope for curve in self.curves]), np.array([curve.offset for curve in self.curves])

    def votes_of(self, column: int) -> Array:
        """(n,) votes of all rows on one concept."""
        votes = np.zeros(len(self.keys))
        votes[self.voters] = _column(self.votes, column)
        return votes

    def signs_of(self, column: int) -> Array:
        """(n,): 1 where an input is labelled yes for one concept, -1 where no."""
        return _column(self.positive, column)

    @cached_property
    def _counted(self) -> tuple[NDArray[np.int64], Array | csc_array]:
        """Numbers (k,) of the rows whose votes count one by one, and what they give, (k, C)."""
        voters, votes = self.voters, self.votes
        if self.summary and self.summary.share.min() == 1:
            return voters[:0], np.empty((0, len(self.concept_ids)))
        if self.summary:
            votes = csc_array(votes) @ diags_array(1 - self.summary.share, format="csc")
            votes.eliminate_zeros()
            counted = np.unique(votes.indices)
            voters, votes = voters[counted], votes[counted]
        if isinstance(votes, csc_array) and votes.shape[0] * votes.shape[1] <= _DENSE:
            # A plain product is faster than looking for zeros.
            votes = votes.toarray()
        return voters, votes

    @cached_property
    def _side_by_side(self) -> FloatArray:
        """(k, dim): the rows whose votes count."""
        voters = self._counted[0]
        return self.rows if np.array_equal(voters, np.arange(len(self.rows))) else self.rows[voters]

    def after(self, last: "Predictor | None") -> Self:
        """Itself. last: what it takes the place of, whose copy of the rows is used again where the same ones vote."""
        # Of one space, so of one matrix, whose rows stay where they are.
        copied = vars(last).get("_side_by_side") if last and last.space is self.space else None
        if last and copied is not None and np.array_equal(self._counted[0], last._counted[0]):
            vars(self)["_side_by_side"] = copied
        if last and self.known:
            self.known.after(last.known)
        return self

    def _cosines(self, prepared: FloatArray) -> FloatArray:
        """(q, k) with the rows whose votes count."""
        if len(prepared) != 1:
            return prepared @ self._side_by_side.T
        # Each by itself, where it lies: to copy so many takes longer, and a product of all at once rounds a row's
        # cosine in one way or another by its place, which a restart changes.
        voters, (vector,) = self._counted[0], prepared
        if len(self.rows) <= 2 * len(voters):
            return np.asarray(np.vecdot(self.rows, vector)[None, voters])
        return np.asarray(np.vecdot(self._side_by_side, vector)[None])

    @cached_property
    def taught(self) -> NDArray[np.bool_]:
        """(C,) whether the concept has a positive label."""
        return np.asarray((self.positive > 0).sum(axis=0), dtype=np.int64).ravel() > 0

    @cached_property
    def prototypes(self) -> FloatArray:
        """(C, dim) unit length: the plain mean of each concept's positive images."""
        return unit((self.positive.maximum(0).T @ self.rows).astype(np.float32))

    def _scores(self, prepared: FloatArray) -> Array:
        """The sum of the parts, without taking it apart."""
        near = prepared @ self.background_rows.T
        scores = similarity_kernel(near, self.sharpness) @ self.background_votes
        if self.summary:
            scores += sum(self.summary.parts(prepared, near, self.sharpness))
        cosines, votes = self._cosines(prepared), self._counted[1]
        if cosines.size:
            scores += similarity_kernel(cosines, self.sharpness) @ votes
        if self.large:
            scores[:, self.large.columns] += sum(self.large.parts(prepared))
        return np.asarray(scores)

    def _values(self, vectors: FloatArray) -> FloatArray:
        if not self.concept_ids:
            return np.empty((len(vectors), 0), dtype=np.float32)
        scores = self.scores(self.space.prepare(vectors))
        if self.texts is not None:
            scores += self.text_prior(vectors)
        return np.asarray(self.probabilities(scores) * self.any_shown(vectors), dtype=np.float32)

    @property
    def size(self) -> int:
        """How many inputs it holds."""
        return len(self.keys) + (self.known.size if self.known else 0)

    def slim(self) -> "Predictor":
        """The same answers from what they need: rows that vote, or have a label for one of the concepts."""
        cached = self.large.cached if self.large else self.voters[:0]
        kept = np.unique(np.concatenate([self.voters, self.positive.indices.astype(np.int64), cached]))
        return replace(
            self,
            keys=self.keys[kept],
            rows=self.rows[kept],
            voters=np.searchsorted(kept, self.voters),
            positive=self.positive[kept],
            large=self.large and replace(self.large, cached=np.searchsorted(kept, self.large.cached)),
            known=self.known and self.known.slim(),
        )

    def to_bytes(self) -> bytes:
        """An .npz without pickles: what a model version keeps, so that its predictions never change."""
        out = io.BytesIO()
        optional: dict[str, Any] = {} if self.texts is None else {"texts": self.texts}
        if self.known:
            optional["known"] = np.frombuffer(self.known.to_bytes(), dtype=np.uint8)
        for name, part in (("smoothing", self.space.smoothing), ("summary", self.summary)):
            optional |= {f"{name}_{field}": array for field, array in vars(part).items()} if part else {}
        np.savez(
            out,
            mean=self.space.mean,
            power=np.float64(self.space.power),
            sharpness=np.float64(self.sharpness),
            concept_ids=np.array(self.concept_ids, dtype=np.str_),
            keys=self.keys,
            rows=self.rows,
            voters=self.voters,
            background_rows=self.background_rows,
            background_votes=self.background_votes,
            temperature=np.float64(np.nan if self.temperature is None else self.temperature),
            curves=np.array([(curve.slope, curve.offset) for curve in self.curves]).reshape(-1, 2),
            mutually_exclusive=np.bool_(self.mutually_exclusive),
            low_confidence=self.low_confidence,
            **(sparse_arrays("votes", self.votes) if isinstance(self.votes, csc_array) else {"votes": self.votes}),
            **sparse_arrays("positive", self.positive),
            **(self.large.arrays() if self.large else {}),
            **optional,
        )
        return out.getvalue()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Predictor":
        with np.load(io.BytesIO(data), allow_pickle=False) as stored:
            a = dict(stored)
        rows, concepts = len(a["keys"]), len(a["concept_ids"])
        voters = a.get("voters", np.arange(rows))
        votes = a["votes"] if "votes" in a else sparse("votes", a, (len(voters), concepts))
        if "voters" not in a:
            # Older releases kept all labelled inputs of the app, whoever voted.
            voters = np.unique(votes.indices[votes.data != 0]).astype(np.int64)
            votes = votes[voters]
        temperature = float(a["temperature"])
        return cls(
            space=Space(a["mean"], float(a["power"]), _smoothing(a)),
            concept_ids=tuple(a["concept_ids"].tolist()),
            keys=a["keys"],
            rows=a["rows"],
            voters=voters,
            votes=votes,
            background_rows=a["background_rows"],
            background_votes=a["background_votes"],
            positive=sparse("positive", a, (rows, concepts)),
            temperature=None if np.isnan(temperature) else temperature,
            curves=tuple(Logistic(float(slope), float(offset)) for slope, offset in a["curves"]),
            mutually_exclusive=bool(a["mutually_exclusive"]),
            low_confidence=a["low_confidence"],
            large=LargePart.of(a) if "large_columns" in a else None,
            sharpness=float(a["sharpness"]),
            known=cls.from_bytes(a["known"].tobytes()) if "known" in a else None,
            texts=a.get("texts"),
            summary=_summary(a) if "summary_curved" in a else None,
        )


def sparse_columns(columns: Sequence[tuple[NDArray[np.int64], Array]], rows: int) -> csc_array:
    """(rows, C) from (row numbers, values) for each column."""
    numbers = np.concatenate([np.empty(0, dtype=np.int64), *(numbers for numbers, _ in columns)])
    values = np.concatenate([np.empty(0), *(values for _, values in columns)])
    starts = np.cumsum([0, *(len(numbers) for numbers, _ in columns)])
    return csc_array((values, numbers, starts), shape=(rows, len(columns)))


def _smoothing(a: dict[str, Any]) -> Smoothing | None:
    found = {name.removeprefix("smoothing_"): array for name, array in a.items() if name.startswith("smoothing_")}
    return Smoothing(**found) if found else None


def _summary(a: dict[str, Any]) -> Summary:
    return Summary(
        a["summary_prototypes"], a["summary_curved"], a.get("summary_share", np.ones(len(a["summary_curved"])))
    )


def _column(matrix: Array | csc_array, column: int) -> Array:
    """(n,) one column."""
    if isinstance(matrix, csc_array):
        return np.asarray(matrix[:, [column]].toarray()[:, 0], dtype=np.float64)
    return matrix[:, column]
