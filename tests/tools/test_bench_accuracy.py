"""`tenshot bench accuracy` on small folders, to the end; its episodes, its baselines, its public tasks."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from pictures import KINDS, png
from PIL import Image

from tenshot.tools.bench.public_tasks import PublicTask, Unavailable, fetch
from tenshot.tools.demo.baselines import BASELINES, fitted
from tenshot.tools.demo.episodes import Episode, draw, signed

OURS = {"tenshot, exclusive", "tenshot, independent"}
BENCH = ("bench", "accuracy")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for kind in KINDS:
        (tmp_path / "mine" / kind).mkdir(parents=True)
        for seed in range(9):
            (tmp_path / "mine" / kind / f"{seed}.png").write_bytes(png(kind, seed))
    return tmp_path / "mine"


@pytest.fixture
def options(tmp_path: Path) -> list[object]:
    return ["--workflow", "general-fast", "--draws", 2, "--shots", "1,3", "--cache", tmp_path / "cache"]


def clusters(count: int, each: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    labels = np.repeat(np.arange(count), each)
    vectors = rng.normal(size=(count, 32))[labels] + spread * rng.normal(size=(len(labels), 32))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), labels


def test_every_method_is_measured_and_drawn(
    tenshot: Callable[..., Any], folder: Path, options: list[object], tmp_path: Path
) -> None:
    drawn = [tmp_path / "a.png", tmp_path / "a.svg"]
    results = tenshot(*BENCH, folder, *options, "--plot", drawn[0], "--plot", drawn[1], "--json").json
    methods = OURS | {baseline.name for baseline in BASELINES}
    assert {(one["method"], one["shots"]) for one in results} == {(m, n) for m in methods for n in (1, 3)}
    for one in results:
        assert (one["task"], one["vectors"], one["draws"]) == ("mine", "general-fast", 2)
        for name, metric in one["metrics"].items():
            assert metric["half"] >= 0
            assert metric["mean"] >= 0
            assert name == "log loss" or metric["mean"] <= 1
    assert {one["method"] for one in results if "log loss" not in one["metrics"]} == {"1-NN", "nearest class mean"}
    with Image.open(drawn[0]) as picture:
        assert picture.width > 500
    said = {text.text for text in ElementTree.parse(drawn[1]).iter("{http://www.w3.org/2000/svg}text")}
    assert {"labels per concept", "mine (general-fast)"} | methods <= said


def test_a_second_run_embeds_nothing_and_says_the_same(
    tenshot: Callable[..., Any], folder: Path, options: list[object]
) -> None:
    first, second = (tenshot(*BENCH, folder, *options, "--json") for _ in range(2))
    assert "embedding" in first.err
    assert "embedding" not in second.err
    assert second.json == first.json


def test_the_table_and_signed_vectors(tenshot: Callable[..., Any], folder: Path, options: list[object]) -> None:
    (folder / "discs" / "broken.png").write_bytes(b"no picture")
    said = tenshot(*BENCH, folder, *options, "--signed")
    assert "left out" in said.err
    assert "discs/broken.png" in said.err
    rows = [line for line in said.out.splitlines() if line.startswith("general-fast, signed")]
    assert len(rows) == 8 + 8 + 6 + 6 + 6


def test_what_cannot_be_fetched_is_left_out_with_the_reason(
    tenshot: Callable[..., Any],
    folder: Path,
    options: list[object],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    said = tenshot(*BENCH, folder, "tux", "emoji_vendors", *options, "--json")
    assert "tux is left out: apt-get is not installed" in said.err
    assert "emoji_vendors is left out: npm is not installed" in said.err
    assert {one["task"] for one in said.json} == {"mine"}


@pytest.mark.parametrize("wrong", [("--shots", "0"), ("--shots", "few"), ("--plot", "chart.gif")])
def test_wrong_usage(tenshot: Callable[..., Any], folder: Path, wrong: tuple[str, str]) -> None:
    assert wrong[0] in tenshot(*BENCH, folder, *wrong, expect=2).err


def test_folders_that_cannot_be_told_apart_or_measured(tenshot: Callable[..., Any], folder: Path) -> None:
    assert "two tasks are named mine" in tenshot(*BENCH, folder, folder, expect=1).err
    assert "is not a folder" in tenshot(*BENCH, folder / "nowhere", expect=1).err


@pytest.mark.parametrize("shots", [1, 2, 5])
def test_an_episode_asks_about_nothing_that_it_shows(shots: int) -> None:
    labels = np.repeat(np.arange(13), 14)
    rows = np.eye(len(labels), dtype=np.float32)
    episode = draw(rows, labels, shots, np.random.default_rng(0))
    assert episode
    parts = [part.argmax(axis=1) for part in (episode.train, episode.background, episode.queries)]
    assert len(np.unique(np.concatenate(parts))) == len(labels)
    assert (episode.count, episode.shots) == (10, shots)
    chosen = labels[parts[0]][::shots]
    assert (labels[parts[0]] == chosen[episode.labels]).all()
    assert (labels[parts[2]] == chosen[episode.truth]).all()


def test_no_episode_where_too_few_pictures_are_left_to_ask_about() -> None:
    vectors, labels = clusters(5, 8, 1)
    assert draw(vectors, labels, 2, np.random.default_rng(0))
    assert draw(vectors, labels, 3, np.random.default_rng(0)) is None


def test_signed_vectors_have_both_signs_and_keep_what_is_near() -> None:
    vectors, labels = clusters(4, 10, 0.2)
    turned = signed(np.abs(vectors))
    assert turned.min() < 0 < turned.max()
    assert np.allclose(np.linalg.norm(turned, axis=1), 1, atol=1e-5)
    near = turned @ turned.T - 2 * np.eye(len(labels))
    assert (labels[near.argmax(axis=1)] == labels).all()


@pytest.mark.parametrize("baseline", BASELINES, ids=lambda baseline: baseline.name)
def test_every_baseline_tells_clusters_apart(baseline: Any) -> None:
    vectors, labels = clusters(6, 20, 0.3)
    episode = draw(vectors, labels, 3, np.random.default_rng(0))
    assert episode
    values = baseline.values(episode)
    assert (values.argmax(axis=1) == episode.truth).mean() > 0.95
    if baseline.probabilities:
        assert np.allclose(values.sum(axis=1), 1)


def test_logistic_regression_loses_nothing_in_the_span_of_what_is_taught() -> None:
    vectors, labels = clusters(6, 20, 1)
    episode = draw(vectors, labels, 3, np.random.default_rng(0))
    assert isinstance(episode, Episode)
    whole = fitted("logistic regression", episode.train, episode.labels).predict_proba(episode.queries)
    [baseline] = [one for one in BASELINES if one.name == "logistic regression"]
    assert np.allclose(baseline.values(episode), whole, atol=1e-4)


def test_a_public_task_is_drawn_once_without_twins_or_transparency(tmp_path: Path) -> None:
    asked = []

    def packages(folder: Path) -> dict[str, list[tuple[str, Any]]]:
        asked.append(folder)
        greys = [Image.new("L", (600, 300), shade) for shade in range(0, 250, 50)]
        return {
            "full/of signs": [(f"{i}.png", lambda grey=grey: grey) for i, grey in enumerate([*greys, *greys])],
            "few": [("clear.png", lambda: Image.new("RGBA", (9, 9), (0, 0, 0, 0)))],
            "none": [("broken.png", lambda: Image.open(folder / "missing.png"))],
        }

    task = PublicTask("test", "?", "drawn here", least=1, most=4, fetch=packages)
    [folder, again] = [fetch(task, tmp_path) for _ in range(2)]
    assert folder == again
    assert len(asked) == 1
    assert sorted(one.name for one in folder.iterdir()) == ["few", "full_of_signs"]
    assert len({one.read_bytes() for one in (folder / "full_of_signs").iterdir()}) == 4
    with Image.open(next((folder / "few").iterdir())) as clear:
        assert (clear.mode, clear.getpixel((0, 0))) == ("RGB", (255, 255, 255))
    assert [one.name for one in tmp_path.iterdir()] == ["pictures"]


def test_a_public_task_that_fails_half_way_leaves_nothing(tmp_path: Path) -> None:
    def packages(folder: Path) -> dict[str, list[tuple[str, Any]]]:
        (folder / "half.deb").write_bytes(b"half")
        raise Unavailable("the line went dead")

    with pytest.raises(Unavailable, match="line went dead"):
        fetch(PublicTask("test", "?", "nowhere", 1, 1, packages), tmp_path)
    assert not list(tmp_path.rglob("*.deb"))
    assert not (tmp_path / "pictures" / "test").exists()
