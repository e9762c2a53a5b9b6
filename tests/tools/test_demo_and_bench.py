"""The demo and the bench on small data, to the end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from pictures import KINDS, png
from PIL import Image

from tenshot import Store
from tenshot.tools.threads import ONE_THREAD


@pytest.fixture
def folders(tmp_path: Path) -> Path:
    for kind in KINDS:
        (tmp_path / "mine" / kind).mkdir(parents=True)
        for seed in range(13):
            (tmp_path / "mine" / kind / f"{seed}.png").write_bytes(png(kind, seed))
    return tmp_path / "mine"


def test_the_demo_works_on_a_folder_of_folders_again_and_again(tenshot: Callable[..., Any], folders: Path) -> None:
    for _ in range(2):
        shown = tenshot("demo", folders, "--workflow", "general-fast", "--json").json
        [result] = shown["results"]
        assert (result["concepts"], result["labels"], result["held_out"]) == (3, 30, 9)
        assert all(0 <= result[method] <= 1 for method in ("tenshot", "logistic_regression", "five_nn"))
        assert result["ms"] > 0
        with Image.open(shown["contact_sheet"]) as sheet:
            assert sheet.width > 500
        drawn = ElementTree.parse(shown["chart"])
        said = {text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")}
        assert {"tenshot", "logistic regression", "5-NN vote", "mine", f"{result['tenshot']:.3f}"} <= said


def test_the_demo_says_how_many_pictures_it_needs(tenshot: Callable[..., Any], folders: Path) -> None:
    for file in sorted((folders / "discs").iterdir())[:3]:
        file.unlink()
    assert "more than 10 pictures" in tenshot("demo", folders, "--workflow", "general-fast", expect=1).err


def test_the_bench_times_every_method(tenshot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    _one_thread(monkeypatch)
    timings = tenshot("bench", "latency", "--sizes", "50", "--dim", "16", "--repeats", "3", "--json").json
    assert len(timings) == 4
    assert all(0 < one["p50_ms"] <= one["p95_ms"] for one in timings)


def test_the_index_bench_measures_stores_side_by_side(
    tenshot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _one_thread(monkeypatch)
    command = ["bench", "index", "--rows", "2000", "--dim", "32", "--vectors", "easy", "--queries", "100"]
    peers = ["tenshot", "faiss-flat", "faiss-ivf", "faiss-hnsw"]
    chart = tmp_path / "speed.svg"
    results = tenshot(*command, "--peers", ",".join(peers), "--chart", chart, "--json").json
    assert [one["peer"] for one in results] == peers
    for one in results:
        assert one["note"] == ""
        assert set(one["speeds"]) == {"one", "batch 64", "1 %", "10 %", "50 %", "correlated 1 %"}
        assert 0 < one["speeds"]["one"]["recall"] <= 1
        assert one["speeds"]["one"]["per_second"] > 0
        assert one["milliseconds"]["add p50"] > 0
    assert all(speed["recall"] == 1 for speed in results[1]["speeds"].values())
    said = {text.text for text in ElementTree.parse(chart).iter("{http://www.w3.org/2000/svg}text")}
    assert {"tenshot", "faiss-ivf", "easy", "recall"} <= said


def test_the_index_bench_takes_an_apps_own_vectors(
    tenshot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _one_thread(monkeypatch)
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("mine", workflow="vectors", dim=8)
        app.add_vectors(np.random.default_rng(0).normal(size=(900, 8)))
    options = ["--peers", "tenshot", "--queries", "80"]
    [one] = tenshot("bench", "index", "--vectors", "app:mine", *options, "--json").json
    assert (one["vectors"], one["rows"], one["dim"]) == ("mine", 820, 8)
    assert "take at least" in tenshot("bench", "index", "--vectors", "app:mine", "--queries", "500", expect=1).err


def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ONE_THREAD:
        monkeypatch.setenv(name, "1")
