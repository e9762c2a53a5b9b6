"""The demo and the bench on small data, to the end."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from pictures import KINDS, png
from PIL import Image

from tenshot import Store
from tenshot.tools.bench.threads import ONE_THREAD


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
        for found in shown["words"].values():  # where the extra `words` is installed
            assert found["words"] == ["checks", "discs", "stripes"]
            assert found["chance"] == pytest.approx(1 / 3, abs=0.01)
            assert 0 < found["mean_average_precision"] <= 1
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


def test_the_bench_asks_a_live_server_and_the_same_in_process(tenshot: Callable[..., Any]) -> None:
    options = ("--inputs", 200, "--dim", 16, "--seconds", 0.2, "--rounds", 1)
    loads = tenshot("bench", "http", *options, "--json").json
    ways = {(one["call"], one["through"]) for one in loads}
    calls = ("predict a stored input", "search by id")
    assert {(call, "in-process") for call in calls} < ways
    assert len(ways) == 2 + 2 * 3
    assert all(one["per_second"] > 0 and 0 < one["p50_ms"] <= one["p95_ms"] for one in loads)


def test_the_bench_follows_suggestions_and_doubts(tenshot: Callable[..., Any], folders: Path) -> None:
    options = ["--workflow", "general-fast", "--draws", "1", "--json"]
    labelled = tenshot("bench", "suggestions", folders, *options).json
    assert {(one["form"], one["way"]) for one in labelled} == {
        (form, way)
        for form in ("independent", "exclusive")
        for way in ("random", "auto", "uncertain", "diverse", "rare")
    }
    assert all(len(one["accuracy"]) == 8 and 0 <= min(one["accuracy"]) <= 1 for one in labelled)
    doubted = tenshot("bench", "doubts", folders, *options).json
    assert [one["shots"] for one in doubted] == [5, 10, 20] * 2
    assert all(one["found"] <= min(one["listed"], one["planted"]) for one in doubted)


def test_the_bench_of_embedding_compares_with_the_plain_loop_and_over_http(tenshot: Callable[..., Any]) -> None:
    speeds = tenshot("bench", "embed", "--workflows", "general-fast", "--count", "2", "--rounds", "1", "--json").json
    methods = {one["method"]: one for one in speeds}
    assert len(methods) == 7
    assert methods["plain loop (torch, one by one)"]["ratio"] == methods["HTTP, one client"]["ratio"] == 1
    assert all(one["per_second"] > 0 and one["workflow"] == "general-fast" for one in speeds)
    # Over HTTP the client, the server and its decoders count: more than the model takes alone.
    if Path("/proc/self/stat").exists():
        assert methods["HTTP, one client"]["cpu_ms"] > methods["the model alone"]["cpu_ms"] > 0


def test_the_index_bench_measures_stores_side_by_side(launched: Callable[..., Any], tmp_path: Path) -> None:
    command = ["bench", "index", "--rows", "2000", "--dim", "32", "--vectors", "easy", "--queries", "100"]
    peers = ["tenshot", "faiss-flat", "faiss-ivf", "faiss-hnsw"]
    chart = tmp_path / "speed.svg"
    results = _of_its_own(launched, *command, "--peers", ",".join(peers), "--chart", chart)
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
    tenshot: Callable[..., Any], launched: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    _one_thread(monkeypatch)
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("mine", workflow="vectors", dim=8)
        app.add_vectors(np.random.default_rng(0).normal(size=(900, 8)))
    options = ["--peers", "tenshot", "--queries", "80"]
    [one] = _of_its_own(launched, "bench", "index", "--vectors", "app:mine", *options)
    assert (one["vectors"], one["rows"], one["dim"]) == ("mine", 820, 8)
    assert "take at least" in tenshot("bench", "index", "--vectors", "app:mine", "--queries", "500", expect=1).err


def _of_its_own(launched: Callable[..., Any], *arguments: object) -> Any:
    """What a command says as JSON. It makes processes like its own, which only one without threads may."""
    said, complaints = launched(*arguments, "--json").communicate(timeout=300)
    assert said, complaints
    return json.loads(said)


def _one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ONE_THREAD:
        monkeypatch.setenv(name, "1")
