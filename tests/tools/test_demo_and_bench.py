"""The demo and the bench on small data, to the end."""

from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from pictures import KINDS, png
from PIL import Image


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
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
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
