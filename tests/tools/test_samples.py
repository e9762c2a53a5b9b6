"""The demo's pictures: enough of each label, never twice the same, always the same, and nothing fetched."""

import socket
from collections import Counter
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tenshot.tools.demo.samples import PER_LABEL, Task, grid, tasks, write_folders

each_task = pytest.mark.parametrize("task", tasks(), ids=lambda task: task.id)


@each_task
def test_every_label_has_ten_to_teach_and_fifteen_to_ask(task: Task) -> None:
    counts = Counter(sample.label for sample in task.load())
    assert len(counts) >= 3
    assert set(counts.values()) == {PER_LABEL}
    assert PER_LABEL >= 10 + 15


@each_task
def test_names_and_pictures_are_unique(task: Task) -> None:
    samples = list(task.load())
    assert len({sample.name for sample in samples}) == len(samples)
    assert len({sample.image.tobytes() for sample in samples}) == len(samples)


@each_task
def test_the_same_pictures_come_every_time_and_offline(task: Task, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("a connection was tried")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    first, second = (
        [(sample.name, sample.label, sample.image.mode, sample.image.tobytes()) for sample in task.load()]
        for _ in range(2)
    )
    assert first == second
    assert {mode for _, _, mode, _ in first} == {"RGB"}


def test_a_demo_takes_about_half_a_minute_to_embed() -> None:
    assert 600 <= sum(1 for task in tasks() for _ in task.load()) <= 900


@pytest.mark.parametrize(("width", "height", "size"), [(384, 191, 16), (451, 300, 48), (96, 161, 16)])
def test_pieces_of_one_picture_do_not_overlap(width: int, height: int, size: int) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (height, width), dtype=np.uint8)
    corners = grid(Image.fromarray(noise), size)
    assert len(corners) == PER_LABEL
    assert all(0 <= left <= width - size and 0 <= top <= height - size for left, top in corners)
    for (left, top), (other_left, other_top) in combinations(corners, 2):
        assert abs(left - other_left) >= size or abs(top - other_top) >= size


def test_pieces_come_from_where_there_is_something_to_see() -> None:
    picture = np.full((64, 256), 128, dtype=np.uint8)
    picture[:, 128:] = np.random.default_rng(0).integers(0, 256, (64, 128))
    assert min(left for left, _ in grid(Image.fromarray(picture), 8)) >= 128


def test_folders_hold_one_file_per_picture(tmp_path: Path) -> None:
    task = next(task for task in tasks() if task.id == "digits")
    write_folders(task, tmp_path)
    samples = list(task.load())
    assert {path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")} == {
        f"{sample.label}/{sample.name}.png" for sample in samples
    }
    with Image.open(tmp_path / samples[0].label / f"{samples[0].name}.png") as written:
        assert written.tobytes() == samples[0].image.tobytes()
