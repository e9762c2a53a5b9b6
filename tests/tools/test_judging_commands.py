"""Judging a model from a shell: explain, suggest, doubt, thresholds, evaluate; models and their versions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tenshot import Store

COMMANDS = (
    *("explain", "suggest", "doubt", "thresholds", "models create", "models list", "models delete"),
    *("versions freeze", "versions list", "versions compare", "versions rollback", "bench suggestions", "bench doubts"),
)


@pytest.fixture
def letters(tenshot: Callable[..., Any], tmp_path: Path) -> Callable[..., Any]:
    """The command on the app `letters`: x0..x59 round three directions, ten of each twenty labelled a, b, c.

    x3 is labelled b, but looks like a.
    """
    rng = np.random.default_rng(0)
    rows = np.repeat(np.eye(8)[:3], 20, axis=0) + 0.1 * rng.normal(size=(60, 8))
    labels = [{"abc"[i // 20]: True} if i % 20 < 10 else {} for i in range(60)]
    labels[3] = {"b": True}
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("letters", workflow="vectors", dim=8)
        app.add_vectors(rows, [f"x{i}" for i in range(60)], labels, [{"file": f"{i}.png"} for i in range(60)])
    return lambda *arguments, **options: tenshot(*arguments, "--app", "letters", **options)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_gives_an_example(tenshot: Callable[..., Any], command: str) -> None:
    assert f"tenshot {command}" in " ".join(tenshot(*command.split(), "--help").out.split())


def test_what_to_label_next(letters: Callable[..., Any]) -> None:
    found = letters("suggest", "-n", 5, "--json").json
    assert len(found) == 5
    assert set(found[0]) == {"input_id", "strategy", "concept_id", "value", "file"}
    assert all(one["file"] == f"{one['input_id'][1:]}.png" for one in found)
    assert "uncertain" in letters("suggest", "--strategy", "uncertain").out
    assert {one["concept_id"] for one in letters("suggest", "--concept", "a", "--strategy", "rare", "--json").json} == {
        "a"
    }
    assert "auto, uncertain" in letters("suggest", "--strategy", "clever", expect=1).err
    letters("suggest", "-n", 0, expect=2)


def test_labels_that_look_wrong(letters: Callable[..., Any]) -> None:
    [found, *_] = letters("doubt", "--json").json
    assert (found["input_id"], found["concept_id"], found["label"], found["instead"]) == ("x3", "b", True, "a")
    assert "3.png" in letters("doubt").out
    letters("label", "x3", "b=remove", "a")
    assert "x3" not in {one["input_id"] for one in letters("doubt", "--json").json}
    assert "no label looks wrong" in letters("doubt", "--limit", 0.0001).out
    assert "probability" in letters("doubt", "--limit", 0, expect=1).err


def test_why_a_value_is_what_it_is(letters: Callable[..., Any]) -> None:
    found = letters("explain", "--input", "x15", "--neighbours", 3, "--json").json
    assert found["concept_id"] == "a"
    assert len(found["nearest"]) == 3
    assert found["calibration"]["labels"] == 9
    said = letters("explain", "--input", "x15", "--concept", "b").out
    assert "prototype" in said
    assert "confidence" in said
    letters("explain", expect=2)
    letters("explain", "nowhere.png", "--input", "x1", expect=2)
    assert "nobody" in letters("explain", "--input", "nobody", expect=1).err
    assert "nobody" in letters("explain", "--input", "x1", "--concept", "nobody", expect=1).err


def test_thresholds_are_shown_set_and_chosen(letters: Callable[..., Any]) -> None:
    assert letters("thresholds", "--json").json == {"a": 0.5, "b": 0.5, "c": 0.5}
    assert letters("thresholds", "a=0.9", "b=0.25", "--json").json == {"a": 0.9, "b": 0.25, "c": 0.5}
    assert letters("thresholds", "a=remove", "--json").json["a"] == 0.5
    assert letters("thresholds", "--precision", 0.9, "--json").json["c"] != 0.5
    assert "0.250" not in letters("thresholds").out
    for wrong in ("a", "a=high", "=0.3"):
        letters("thresholds", wrong, expect=2)
    letters("thresholds", "a=0.3", "--precision", 0.9, expect=2)
    assert "[0, 1]" in letters("thresholds", "a=7", expect=1).err
    assert "nobody" in letters("thresholds", "nobody=0.3", expect=1).err


def test_an_evaluation_names_thresholds_and_the_learning_curve(letters: Callable[..., Any]) -> None:
    found = letters("evaluate", "--precision", 0.8, "--json").json
    assert found["wanted_precision"] == 0.8
    assert all(one["choice"]["precision"] >= 0.8 for one in found["concepts"])
    assert "threshold for 0.8" in letters("evaluate", "--precision", 0.8).out
    curve = letters("evaluate", "--learning-curve", "--json").json
    assert [point["labels"] for point in curve["points"]] == [1, 2, 5, 8]
    assert curve["verdict"] in letters("evaluate", "--learning-curve").out
    assert "precision" in letters("evaluate", "--precision", 7, expect=1).err


def test_versions_are_frozen_compared_and_brought_back(letters: Callable[..., Any]) -> None:
    letters("models", "create", "m", "a", "b", "c", "--exclusive", "--closed")
    [model] = letters("models", "list", "--json").json
    assert (model["id"], model["concept_ids"], model["mutually_exclusive"]) == ("m", ["a", "b", "c"], True)
    first = letters("versions", "freeze", "m", "--json").json["id"]
    letters("label", "x3", "b=remove", "a")
    letters("label", "x4", "b", "a=remove")
    second = letters("versions", "freeze", "m", "--json").json["id"]
    assert [one["id"] for one in letters("versions", "list", "m", "--json").json][:2] == [second, first]
    assert first in letters("versions", "list", "m").out
    found = letters("versions", "compare", "m", first, second, "--json").json
    assert (found["before"], found["after"], found["inputs"], found["judged"]) == (first, second, 60, 30)
    said = letters("versions", "compare", "m", first).out
    assert "accuracy" in said
    assert "of 60 inputs" in said
    back = letters("versions", "rollback", "m", first, "--json").json["id"]
    assert letters("versions", "compare", "m", first, back, "--json").json["changed"] == 0
    assert "nobody" in letters("versions", "compare", "m", "nobody", expect=1).err
    letters("models", "delete", "m")
    assert "no models" in letters("models", "list").out
    assert "no model" in letters("versions", "freeze", "m", expect=1).err
    assert "no model" in letters("models", "delete", "m", expect=1).err


@pytest.mark.parametrize("n", [10**9, 10**30])
def test_a_count_is_bounded_by_what_there_is_or_refused(letters: Callable[..., Any], n: int) -> None:
    assert len(letters("search", "-k", n, "--json").json) == 60
    assert len(letters("search", "--concept", "a", "-k", n, "--json").json) == 60
    for command in (("suggest", "-n"), ("doubt", "-n"), ("explain", "--input", "x0", "--neighbours")):
        assert "less than or equal to" in " ".join(letters(*command, n, expect=2).err.split())
    assert (
        "shots must be between 1 and 1000"
        in letters("evaluate", "--workflows", "general-fast", "--shots", n, expect=1).err
    )


def test_with_no_labels_alone_each_command_says_what_is_missing(tenshot: Callable[..., Any], tmp_path: Path) -> None:
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("noes", workflow="vectors", dim=4)
        app.add_vectors(np.eye(4), ["a", "b", "c", "d"], [{"carrot": False}] * 4)
        store.create_app("empty", workflow="vectors", dim=4)
    advice = "all its labels say no (4): label an input that shows"
    assert advice in tenshot("search", "--concept", "carrot", "--app", "noes").out
    for arguments in (["evaluate"], ["explain", "--input", "a"], ["explain", "--input", "a", "--concept", "carrot"]):
        assert advice in tenshot(*arguments, "--app", "noes", expect=1).err
    assert "it has no concepts yet: label an input yes with one" in tenshot("evaluate", "--app", "empty", expect=1).err
    assert "it has no concepts yet: label an input yes with one" in tenshot("thresholds", "--app", "empty").out
    assert "the app has no inputs yet" in tenshot("suggest", "--app", "empty").out
