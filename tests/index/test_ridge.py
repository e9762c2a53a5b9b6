"""A ridge stays equal to a fresh solution under any run of changes."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from tenshot.index.scoring.ridge import KernelRidge


def _rows(count: int, dim: int = 8) -> np.ndarray:
    rows = np.random.default_rng(0).normal(size=(count, dim))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


@settings(deadline=None, max_examples=40)
@given(st.lists(st.tuples(st.integers(0, 149), st.sampled_from([None, 0.0, 1.0])), max_size=300))
def test_kernel_ridge_equals_a_fresh_solution_after_any_changes(steps: list[tuple[int, float | None]]) -> None:
    rows = _rows(150)
    kernel = np.exp(rows @ rows.T - 1.0).astype(np.float64)
    ridge = KernelRidge(kernel[:1, :1], 0.1, np.array([[1.0]]))
    slots, targets = {0: 0}, {0: 1.0}
    for example, target in steps:
        if target is None:
            if example in slots:
                ridge.remove(slots.pop(example))
                del targets[example]
        elif example in slots:
            ridge.retarget(slots[example], np.array([target]))
            targets[example] = target
        else:
            column = np.zeros(ridge.capacity)
            for other, slot in slots.items():
                column[slot] = kernel[other, example]
            slots[example] = ridge.add(column, kernel[example, example], np.array([target]))
            targets[example] = target
    present = list(slots)
    wanted = np.linalg.solve(
        kernel[np.ix_(present, present)] + 0.1 * np.eye(len(present)),
        np.array([targets[example] for example in present]),
    )
    np.testing.assert_allclose(ridge.alpha[[slots[example] for example in present], 0], wanted, atol=1e-8)
    assert np.count_nonzero(ridge.alpha) <= len(present)


def test_kernel_ridge_leave_one_out_is_what_the_others_predict() -> None:
    rows = _rows(20)
    kernel = np.exp(rows @ rows.T - 1.0).astype(np.float64)
    targets = np.arange(20.0)[:, None] % 2
    ridge = KernelRidge(kernel, 0.1, targets)
    for i in range(20):
        others = [j for j in range(20) if j != i]
        alpha = np.linalg.solve(kernel[np.ix_(others, others)] + 0.1 * np.eye(19), targets[others])
        np.testing.assert_allclose(ridge.leave_one_out()[i], kernel[i, others] @ alpha, atol=1e-9)


def test_kernel_ridge_follows_a_kernel_that_shifts() -> None:
    rows = _rows(20)
    kernel, targets = np.exp(rows @ rows.T - 1.0).astype(np.float64), np.arange(20.0)[:, None] % 2
    ridge = KernelRidge(kernel, 0.1, targets)
    ridge.remove(3)
    others = [i for i in range(20) if i != 3]
    towards = np.zeros(ridge.capacity)
    towards[others] = rows[others, 0]
    for factor in (0.5, -0.3):
        ridge.shift(factor, towards)
    shifted = kernel + 0.2 * np.outer(rows[:, 0], rows[:, 0])
    wanted = np.linalg.solve(shifted[np.ix_(others, others)] + 0.1 * np.eye(19), targets[others])
    np.testing.assert_allclose(ridge.alpha[others], wanted, atol=1e-9)
    np.testing.assert_allclose(
        (shifted + 0.1 * np.eye(20))[np.ix_(others, others)] @ ridge.solve(towards)[others], towards[others], atol=1e-9
    )
