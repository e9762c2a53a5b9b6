"""The best of proposed rows, by exact scores: compiled, or by FAISS and NumPy where Numba is missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenshot.index.vectors.segments import rescore
from tenshot.index.vectors.segments.rows import Rows


@pytest.fixture(params=["compiled", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "compiled":
        pytest.importorskip("numba")
        assert rescore._kernels() is not None
    else:
        monkeypatch.setattr(rescore, "_kernels", lambda: None)


def held(rows: np.ndarray, border: int, keys: np.ndarray) -> Rows:
    """All live, those below the border as of a file."""
    live = np.packbits(np.ones(border, dtype=np.bool_), bitorder="little")
    return Rows.of_file(rows[:border], keys[:border], live).append(keys[border:], rows[border:])


@settings(max_examples=60)
@given(seed=st.integers(0, 2**32 - 1), border=st.integers(0, 60), k=st.sampled_from([1, 3, 10, 40]))
@pytest.mark.usefixtures("way")
def test_the_best_are_those_of_a_full_sort(seed: int, border: int, k: int) -> None:
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(60, 19)).astype(np.float32)
    # Equal rows, so that there are ties.
    rows[rng.integers(0, 60, 25)] = rows[5]
    queries, keys = rng.normal(size=(3, 19)).astype(np.float32), rng.permutation(1000)[:60]
    width = rng.integers(min(k, 60), 61)
    slots = np.stack([rng.permutation(60)[:width] for _ in range(3)])
    slots[rng.random(slots.shape) < 0.2] = -1
    exact = held(rows, border, keys).scores(queries, slots)
    there = np.where(slots < 0, -np.inf, np.einsum("qd,qcd->qc", queries, rows[slots]))
    np.testing.assert_allclose(exact, there, atol=1e-4)
    found, values = held(rows, border, keys).best(queries, slots, k)
    for row in range(3):
        order = sorted(np.flatnonzero(slots[row] >= 0), key=lambda at: (-exact[row, at], keys[slots[row, at]]))[:k]
        assert found[row, : len(order)].tolist() == [keys[slots[row, at]] for at in order]
        assert values[row, : len(order)].tolist() == exact[row, order].tolist()
        assert (found[row, len(order) :] == -1).all()


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    error=st.sampled_from([0, 0.1, 2]),
    parts=st.integers(1, 3),
    k=st.sampled_from([1, 3, 10]),
)
@pytest.mark.usefixtures("way")
def test_the_best_of_what_is_proposed_are_those_of_all_that_a_filter_leaves(
    seed: int, error: float, parts: int, k: int
) -> None:
    """Whatever their estimates are. A doubt says that others may be left out."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(200, 19)).astype(np.float32)
    rows[rng.integers(0, 200, 90)] = rows[5]
    queries, keys = rng.normal(size=(2, 19)).astype(np.float32), rng.permutation(1000)[:200]
    wrong = error * rng.random(200)
    wrong[(rows == rows[5]).all(axis=1)] = wrong[5]  # equal rows have equal codes
    allowed = np.packbits(rng.random(200) < 0.8, bitorder="little")
    proposals, complete = list[rescore.Proposal](), rng.random(parts) < 0.5
    for part, slots in enumerate(np.array_split(rng.permutation(200), parts)):
        estimates = queries @ rows[slots].T - wrong[slots]
        order = np.argsort(-estimates, axis=1)[:, : len(slots) if complete[part] else max(len(slots) // 2, k)]
        proposals.append(
            rescore.Proposal(
                np.where(rng.random(order.shape) < 0.1, -1, slots[order]),
                np.take_along_axis(estimates, order, axis=1).astype(np.float32),
                complete=bool(complete[part]),
            )
        )
    best = held(rows, 70, keys).best_proposed(queries, proposals, allowed, k)
    found, values, doubt = best.keys, best.scores, best.doubt()
    slots = np.concatenate([one.slots for one in proposals], axis=1)
    left = np.where((slots >= 0) & np.unpackbits(allowed, bitorder="little")[slots].astype(bool), slots, -1)
    surely = held(rows, 70, keys).best(queries, left, k)
    assert found.tolist() == surely[0].tolist()
    assert values.tolist() == surely[1].tolist()
    for row in range(2):
        last, start, others = values[row, -1] - rescore.TIE, 0, False
        for one in proposals:
            stop = start + one.slots.shape[1]
            there = left[row, start:stop][one.estimates[row] <= one.estimates[row, -1] + rescore.TIE]
            scores = held(rows, 70, keys).scores(queries[row : row + 1], there[None])
            others, start = others or (not one.complete and bool((scores >= last).any())), stop
        assert doubt[row] == (others or values[row, -1] == -np.inf)


@pytest.mark.usefixtures("way")
def test_a_proposed_row_is_read_however_low_its_estimate_is() -> None:
    rows = np.eye(100, dtype=np.float32)
    estimates = np.linspace(1, 0, 100, dtype=np.float32)[None]
    query = estimates.copy()
    query[0, 90] = 2
    proposal = rescore.Proposal(np.arange(100)[None], estimates)
    assert held(rows, 0, np.arange(100)).best_proposed(query, [proposal], None, 5).keys[0, 0] == 90


@pytest.mark.usefixtures("way")
def test_room_is_the_distance_to_what_was_left_out_in_errors_of_the_estimates() -> None:
    rows, keys = np.eye(8, dtype=np.float32), np.arange(8)
    query = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4, 0.3, 0.2]], dtype=np.float32)
    slots = np.array([[0, 1, 2, 3, -1]])
    estimates = np.array([[1.0, 0.7, 0.6, 0.5, 0.4]], dtype=np.float32)  # each wrong by 0.1

    def room(*proposals: rescore.Proposal) -> float:
        return float(held(rows, 3, keys).best_proposed(query, proposals, None, 2).room()[0])

    assert room(rescore.Proposal(slots, estimates)) == pytest.approx((0.8 - 0.4) / 0.1, rel=1e-5)
    assert room(rescore.Proposal(slots, estimates, complete=True)) == np.inf
    others = rescore.Proposal(np.array([[4, 5, 6, 7, -1]]), estimates)
    assert room(rescore.Proposal(slots, estimates), others) < 4


@pytest.mark.parametrize("dim", [2, 7, 64, 1280])
@pytest.mark.usefixtures("way")
def test_a_row_has_one_score_wherever_it_lies_and_whatever_is_asked_beside_it(dim: int) -> None:
    rng = np.random.default_rng(dim)
    rows = np.repeat(rng.normal(size=(1, dim)), 50, axis=0).astype(np.float32)
    rows[::3] = rng.normal(size=(17, dim))
    queries = rng.normal(size=(2, dim)).astype(np.float32)
    equal = np.setdiff1d(np.arange(50), np.arange(0, 50, 3))
    seen = set()
    for border in (0, 20, 50):
        for slots in (np.arange(50), rng.permutation(50), np.array([*equal, -1, 0]), equal[7:8]):
            scores = held(rows, border, np.arange(50)).scores(queries, np.stack([slots, slots]))
            seen |= set(scores[0, np.isin(slots, equal)].tolist())
    assert len(seen) == 1


@pytest.mark.parametrize("slot", [-2, 5, 2**40])
@pytest.mark.usefixtures("way")
def test_a_slot_that_is_not_there_is_no_crash(slot: int) -> None:
    rows = np.ones((5, 4), dtype=np.float32)
    with pytest.raises(AssertionError):
        rescore.rescored(rows[:1], rows[:2], rows[2:], np.arange(5), np.array([[1, slot]]), None, 0)
