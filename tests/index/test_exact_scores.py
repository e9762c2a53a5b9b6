"""The best of proposed rows, by exact scores: compiled, or by FAISS and NumPy where Numba is missing."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tenshot.index.segments import rescoring


@pytest.fixture(params=["compiled", "numpy"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "compiled":
        pytest.importorskip("numba")
        assert rescoring._kernel() is not None
    else:
        monkeypatch.setattr(rescoring, "_kernel", lambda: None)


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
    edge = rng.random(slots.shape) < 0.1
    exact = rescoring.scores(queries, rows[:border], rows[border:], slots)
    there = np.where(slots < 0, -np.inf, np.einsum("qd,qcd->qc", queries, rows[slots]))
    np.testing.assert_allclose(exact, there, atol=1e-4)
    found, values, doubt = rescoring.best(queries, rows[:border], rows[border:], keys, slots, edge, k)
    for row in range(3):
        order = sorted(np.flatnonzero(slots[row] >= 0), key=lambda at: (-exact[row, at], keys[slots[row, at]]))[:k]
        assert found[row, : len(order)].tolist() == [keys[slots[row, at]] for at in order]
        assert values[row, : len(order)].tolist() == exact[row, order].tolist()
        least = values[row, k - 1] - rescoring.TIE if len(order) == k else -np.inf
        assert doubt[row] == (len(order) < k or bool((edge[row] & (exact[row] >= least)).any()))


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
            scores = rescoring.scores(queries, rows[:border], rows[border:], np.stack([slots, slots]))
            seen |= set(scores[0, np.isin(slots, equal)].tolist())
    assert len(seen) == 1


@pytest.mark.parametrize("slot", [-2, 5, 2**40])
@pytest.mark.usefixtures("way")
def test_a_slot_that_is_not_there_is_no_crash(slot: int) -> None:
    rows = np.ones((5, 4), dtype=np.float32)
    with pytest.raises(AssertionError):
        rescoring.scores(rows[:1], rows[:2], rows[2:], np.array([[1, slot]]))
