"""What a score is the sum of; `predictor.TERMS` has every kind. A predictor's file holds the arrays of its terms."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array, diags_array

from ..records import FloatArray
from .arrays import Arrays, check_array, check_places, check_rows, column_of, sparse, sparse_arrays
from .examples import Array, curved_part, linear_part, similarity_kernel

_DENSE = 1 << 22
_MOST_SHARPNESS = 100.0


def _nothing() -> Array:
    return np.zeros((1, 1))


@dataclass(frozen=True)
class Parts:
    """Scores taken apart, each (q, C): score = prototype + neighbours + background; what the names say comes on top.

    The kernel is (s + rest(s)) / (e - 1). What the first, linear term gives over all labelled images is one dot product
    with their weighted mean: prototype scoring. What the rest gives comes from the near ones alone: kNN.
    """

    prototype: Array = field(default_factory=_nothing)
    neighbours: Array = field(default_factory=_nothing)
    background: Array = field(default_factory=_nothing)

    def __add__(self, other: "Parts") -> "Parts":
        return Parts(*(mine + vars(other)[name] for name, mine in vars(self).items()))


@dataclass(frozen=True)
class Term(ABC):
    """A summand of the scores of C concepts. Pure, as a predictor is."""

    by_labels: ClassVar[bool] = True
    """Whether it is learned from labels, so that leave-one-out scores stand for it, and sees prepared vectors; others
    see raw ones."""

    @abstractmethod
    def scores(self, vectors: FloatArray) -> Array:
        """(q, C) of vectors (q, dim)."""

    def parts(self, vectors: FloatArray) -> Parts:
        """The same for explanations, if it is learned from labels: as neighbours, unless it says otherwise."""
        return Parts(neighbours=self.scores(vectors))

    def votes_of(self, column: int, similarities: FloatArray) -> Array:
        """(n,): what each of the predictor's rows gives to a concept's score; similarities (n,): their cosines."""
        return np.zeros(len(similarities))

    @property
    def needed(self) -> NDArray[np.int64]:
        """Numbers of the predictor's rows that it needs."""
        return np.empty(0, dtype=np.int64)

    def of_rows(self, kept: NDArray[np.int64], rows: FloatArray) -> Self:
        """The same where the predictor has only these of its rows; kept: ascending, all that are needed among them."""
        return self

    @abstractmethod
    def arrays(self) -> dict[str, Any]:
        """For a file, by names that no other term has."""

    @classmethod
    @abstractmethod
    def from_arrays(cls, arrays: Arrays) -> Self | None:
        """From a file; None where it has no such term. Raises what NumPy raises for arrays that are not right."""

    @abstractmethod
    def check(self, rows: int, concepts: int, dim: int) -> None:
        """Whether its arrays can be used beside so many rows. Raises ValueError; what is read may be hostile."""


@dataclass(frozen=True)
class Summary:
    """What the votes come to where there are very many (see `Background.summary`)."""

    prototypes: FloatArray
    """(C, dim)"""
    curved: Array
    """(C, m): votes of the background, by the curved part of the kernel."""
    share: Array
    """(C,) how far it stands for a concept's votes, which give the rest: at the border it comes in little by little."""
    background: FloatArray
    """(m, dim)"""


@dataclass(frozen=True)
class KernelVotes(Term):
    """sum_i votes_ic k(x_i, q)"""

    rows: FloatArray
    """(n, dim) the predictor's."""
    voters: NDArray[np.int64]
    """(k,) numbers of the rows that vote."""
    votes: Array | csc_array
    """(k, C)"""
    sharpness: float = 1.0
    """Of the kernel."""
    summary: Summary | None = None
    """Stands for the votes in the scores, if there is one; the votes still tell whose they are."""

    def scores(self, vectors: FloatArray) -> Array:
        cosines, votes = self._cosines(vectors), self._counted[1]
        scores = np.asarray(similarity_kernel(cosines, self.sharpness) @ votes)
        return scores + sum(self._summed(vectors)) if self.summary else scores

    def parts(self, vectors: FloatArray) -> Parts:
        cosines, votes = self._cosines(vectors), self._counted[1]
        linear = linear_part(cosines, self.sharpness) @ votes
        parts = Parts(linear, similarity_kernel(cosines, self.sharpness) @ votes - linear)
        return parts + Parts(*self._summed(vectors)) if self.summary else parts

    def votes_of(self, column: int, similarities: FloatArray) -> Array:
        votes = np.zeros(len(self.rows))
        votes[self.voters] = column_of(self.votes, column)
        return votes * similarity_kernel(similarities, self.sharpness)

    @property
    def needed(self) -> NDArray[np.int64]:
        return self.voters

    def of_rows(self, kept: NDArray[np.int64], rows: FloatArray) -> Self:
        return replace(self, rows=rows, voters=np.searchsorted(kept, self.voters))

    def after(self, last: "KernelVotes") -> None:
        """Uses a copy of rows again that the last one made of the same rows, if the same ones vote."""
        # Of one space, so of one matrix, whose rows stay where they are.
        copied = vars(last).get("_side_by_side")
        if copied is not None and np.array_equal(self._counted[0], last._counted[0]):
            vars(self)["_side_by_side"] = copied

    @cached_property
    def _counted(self) -> tuple[NDArray[np.int64], Array | csc_array]:
        """Numbers (k,) of the rows whose votes count one by one, and what they give, (k, C)."""
        voters, votes = self.voters, self.votes
        if self.summary and self.summary.share.min() == 1:
            return voters[:0], np.empty((0, votes.shape[1]))
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

    def _summed(self, prepared: FloatArray) -> tuple[Array, Array]:
        """Prototype and neighbour parts of the summary, each (q, C)."""
        assert self.summary
        curved = curved_part(prepared @ self.summary.background.T, self.sharpness) @ self.summary.curved.T
        return self.summary.share * (prepared @ self.summary.prototypes.T), self.summary.share * curved

    def arrays(self) -> dict[str, Any]:
        summary = vars(self.summary).items() if self.summary else ()
        return {
            "sharpness": np.float64(self.sharpness),
            "voters": self.voters,
            **(sparse_arrays("votes", self.votes) if isinstance(self.votes, csc_array) else {"votes": self.votes}),
            # The background's rows are saved with its votes.
            **{f"summary_{name}": array for name, array in summary if name != "background"},
        }

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self:
        rows, shape = arrays["rows"], (len(arrays["rows"]), len(arrays["concept_ids"]))
        if "voters" in arrays:
            voters = arrays["voters"]
            votes = arrays["votes"] if "votes" in arrays else sparse("votes", arrays, (len(voters), shape[1]))
        else:
            # Older releases kept all labelled inputs of the app, whoever voted.
            every = csc_array(arrays["votes"]) if "votes" in arrays else sparse("votes", arrays, shape)
            voters = np.unique(every.indices[every.data != 0]).astype(np.int64)
            votes = every[voters]
        summary = None
        if (curved := arrays.get("summary_curved")) is not None:
            share = arrays.get("summary_share", np.ones(len(curved)))
            summary = Summary(arrays["summary_prototypes"], curved, share, arrays["background_rows"])
        return cls(rows, voters, votes, float(arrays["sharpness"]), summary)

    def check(self, rows: int, concepts: int, dim: int) -> None:
        check_places(self.voters, rows)
        check_array(self.votes, (len(self.voters), concepts), "f")
        if not 0 < self.sharpness <= _MOST_SHARPNESS:
            raise ValueError("its sharpness is wrong")
        if summary := self.summary:
            check_array(summary.prototypes, (concepts, dim), "f")
            check_array(summary.curved, (concepts, len(summary.background)), "f")
            check_array(summary.share, (concepts,), "f")
            check_rows(summary.background, dim)
            if not np.all((summary.share >= 0) & (summary.share <= 1)):
                raise ValueError("it has shares that are none")


@dataclass(frozen=True)
class BackgroundVotes(Term):
    """sum_j votes_jc k(b_j, q): what images look like that show nothing special."""

    rows: FloatArray
    """(m, dim)"""
    votes: Array
    """(m, C)"""
    sharpness: float = 1.0
    """Of the kernel."""

    def scores(self, vectors: FloatArray) -> Array:
        return np.asarray(similarity_kernel(vectors @ self.rows.T, self.sharpness) @ self.votes)

    def parts(self, vectors: FloatArray) -> Parts:
        return Parts(background=self.scores(vectors))

    def arrays(self) -> dict[str, Any]:
        return {"background_rows": self.rows, "background_votes": self.votes}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self | None:
        if not len(arrays.get("background_rows", ())):
            return None
        return cls(arrays["background_rows"], arrays["background_votes"], float(arrays["sharpness"]))

    def check(self, rows: int, concepts: int, dim: int) -> None:
        check_rows(self.rows, dim)
        check_array(self.votes, (len(self.rows), concepts), "f")


@dataclass(frozen=True)
class TextTerm(Term):
    """What the concepts' names say of raw vectors."""

    by_labels: ClassVar[bool] = False
    directions: FloatArray
    """(dim, C)"""

    def scores(self, vectors: FloatArray) -> Array:
        return (vectors @ self.directions).astype(np.float64)

    def arrays(self) -> dict[str, Any]:
        return {"texts": self.directions}

    @classmethod
    def from_arrays(cls, arrays: Arrays) -> Self | None:
        return cls(arrays["texts"]) if "texts" in arrays else None

    def check(self, rows: int, concepts: int, dim: int) -> None:
        check_array(self.directions, (dim, concepts), "f")
