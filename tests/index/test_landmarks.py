"""A ridge seen from landmarks: exact under every run of changes, and the kernel's own where all are landmarks."""

from dataclasses import dataclass, field

import numpy as np

from tenshot.index.scoring.examples import similarity_kernel
from tenshot.index.scoring.landmark_ridge import LandmarkRidge
from tenshot.index.scoring.ridge import KernelRidge
from tenshot.index.scoring.sample import Sample

COUNT, SHARPNESS = 300, 0.25
JITTER = 1e-4


def rows() -> np.ndarray:
    """In so few dimensions, and for so flat a kernel, the landmarks' kernel matrix is as good as singular."""
    rows = np.random.default_rng(0).normal(size=(COUNT, 6))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


KERNEL = similarity_kernel(rows() @ rows().T, SHARPNESS)


@dataclass
class Followed:
    """A ridge beside plain lists of what it was told, by number of a row."""

    ridge: LandmarkRidge
    examples: dict[int, int]
    """Row -> slot."""
    landmarks: dict[int, int]
    targets: np.ndarray
    weights: np.ndarray
    subset: set[int] = field(default_factory=set)

    def step(self, rng: np.random.Generator) -> None:
        row, choice = int(rng.integers(COUNT)), rng.random()
        if choice < 0.4 and row not in self.examples:
            features = np.zeros(len(self.ridge.votes))
            features[list(self.landmarks.values())] = KERNEL[row, list(self.landmarks)]
            self.weights[row] = 1
            self.examples[row] = self.ridge.add(features, self.targets[row], 1.0)
            if row % 3 == 0:
                self.subset.add(row)
                self.ridge.calibrate_by([self.examples[row]], [])
        elif choice < 0.4 and row not in self.subset:
            self.ridge.remove(self.examples.pop(row))
        elif choice < 0.6 and row in self.subset:
            self.subset.discard(row)
            self.ridge.calibrate_by([], [self.examples[row]])
        elif choice < 0.8 and row not in self.landmarks:
            column, near = np.zeros(self.ridge.capacity), np.zeros(len(self.ridge.votes))
            column[list(self.examples.values())] = KERNEL[list(self.examples), row]
            near[list(self.landmarks.values())] = KERNEL[list(self.landmarks), row]
            self.landmarks[row] = self.ridge.add_landmark(column, near, float(KERNEL[row, row]))
        elif choice < 0.8 and len(self.landmarks) > 3:
            self.ridge.remove_landmark(self.landmarks.pop(row))
        elif row in self.examples:
            self.targets[row], self.weights[row] = rng.random(2), rng.choice([1.0, 0.3])
            self.ridge.change(self.examples[row], self.targets[row], self.weights[row])


def fresh(followed: Followed) -> tuple[np.ndarray, np.ndarray]:
    """Scores of all rows, and leave-one-out scores of the examples, solved for directly."""
    taught, seen = list(followed.examples), list(followed.landmarks)
    features, targets, weights = KERNEL[np.ix_(taught, seen)], followed.targets[taught], followed.weights[taught]
    system = (features.T * weights) @ features + 0.1 * (KERNEL[np.ix_(seen, seen)] + JITTER * np.eye(len(seen)))
    votes = np.linalg.solve(system, (features.T * weights) @ targets)
    pull = weights * np.einsum("nm,mn->n", features, np.linalg.solve(system, features.T))
    left_out = (features @ votes - pull[:, None] * targets) / (1 - pull[:, None])
    return KERNEL[:, seen] @ votes, left_out


def test_three_thousand_changes_of_examples_landmarks_and_calibration_equal_a_fresh_solution() -> None:
    rng = np.random.default_rng(1)
    targets = rng.random((COUNT, 2))
    ridge = LandmarkRidge(
        KERNEL[:40, :40],
        KERNEL[:150, :40].astype(np.float32),
        np.ones(150),
        targets[:150].astype(np.float32),
        0.1,
    )
    followed = Followed(ridge, {i: i for i in range(150)}, {i: i for i in range(40)}, targets, np.ones(COUNT))
    for _ in range(3000):
        followed.step(rng)
    scores, left_out = fresh(followed)
    seen = list(followed.landmarks)
    np.testing.assert_allclose(
        KERNEL[:, seen] @ ridge.votes[[followed.landmarks[row] for row in seen]], scores, atol=1e-4
    )
    slots = np.array(list(followed.examples.values()))
    np.testing.assert_allclose(ridge.leave_one_out(slots)(), left_out, atol=1e-4)
    subset = [row in followed.subset for row in followed.examples]
    assert sum(subset) > 10
    np.testing.assert_allclose(ridge.left_out(slots[subset].tolist()), left_out[subset], atol=1e-4)


def test_where_all_are_landmarks_it_is_the_kernel_ridge() -> None:
    targets = np.random.default_rng(1).random((COUNT, 2)).astype(np.float32)
    by_landmarks = LandmarkRidge(KERNEL, KERNEL.astype(np.float32), np.ones(COUNT), targets, 0.1)
    exact = KernelRidge(KERNEL, 0.1, targets.astype(np.float64))
    np.testing.assert_allclose(KERNEL @ by_landmarks.votes[:COUNT], KERNEL @ exact.alpha[:COUNT], atol=1e-3)
    np.testing.assert_allclose(by_landmarks.leave_one_out(np.arange(COUNT))(), exact.leave_one_out()[:COUNT], atol=1e-3)


def test_an_example_that_is_a_landmark_is_left_out_as_both() -> None:
    """By every road: solved at once, and followed through changes of examples and landmarks."""
    targets = np.random.default_rng(1).random((COUNT, 2)).astype(np.float32)
    seen, taught = [*range(5, 40), *range(100, 110)], list(range(150))
    ridge = LandmarkRidge(
        KERNEL[:40, :40],
        KERNEL[:120, :40].astype(np.float32),
        np.ones(120),
        targets[:120],
        0.1,
        np.where(np.arange(120) < 40, np.arange(120), -1),
    )
    ridge.calibrate_by(range(0, 120, 2), [])
    slots = {row: row for row in range(40)}
    for row in range(120, 150):
        ridge.add(np.pad(KERNEL[row, :40], (0, len(ridge.votes) - 40)), targets[row], 1.0)
    for row in range(100, 110):
        column, near = np.pad(KERNEL[:150, row], (0, ridge.capacity - 150)), np.zeros(len(ridge.votes))
        near[list(slots.values())] = KERNEL[row, list(slots)]
        slots[row] = ridge.add_landmark(column, near, 1.0, row)
    for row in range(5):
        ridge.remove_landmark(slots.pop(row))
    wanted = []
    for row in taught:
        others, landmarks = [i for i in taught if i != row], [i for i in seen if i != row]
        features = KERNEL[np.ix_(others, landmarks)]
        kernel = KERNEL[np.ix_(landmarks, landmarks)] + JITTER * np.eye(len(landmarks))
        system = features.T @ features + 0.1 * kernel
        wanted.append(KERNEL[row, landmarks] @ np.linalg.solve(system, features.T @ targets[others]))
    np.testing.assert_allclose(ridge.leave_one_out(np.array(taught))(), wanted, atol=1e-3)
    np.testing.assert_allclose(ridge.left_out(range(0, 120, 2)), wanted[:120:2], atol=1e-3)


def test_a_sample_depends_on_the_keys_alone_and_gives_every_group_its_share() -> None:
    rng = np.random.default_rng(0)
    groups = {key: 0 if key < 5 else 1 + key % 2 for key in range(200)}
    sample = Sample(groups, 50)
    chosen = set(sample.chosen)
    for _ in range(500):
        key = int(rng.integers(300))
        group = None if rng.random() < 0.4 else int(rng.integers(3))
        came, left = sample.set(key, group)
        assert not came & chosen
        assert left <= chosen
        chosen = (chosen | came) - left
        groups.pop(key, None)
        if group is not None:
            groups[key] = group
        assert len(came) + len(left) <= 4
        assert sorted(chosen) == sample.chosen
    assert chosen == set(sample.chosen) == set(Sample(groups, 50).chosen)
    assert len(chosen) == 50
    assert set(range(5)) <= set(Sample({key: 0 if key < 5 else 1 for key in range(200)}, 50).chosen)


def test_samples_from_both_ends_have_nothing_in_common_where_there_are_keys_enough() -> None:
    groups = dict.fromkeys(range(200), 0)
    first, last = Sample(groups, 50), Sample(groups, 50, backwards=True)
    assert not set(first.chosen) & set(last.chosen)
    assert set(Sample(groups, 200).chosen) == set(Sample(groups, 200, backwards=True).chosen)
