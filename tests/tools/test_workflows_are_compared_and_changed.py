from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tenshot import Store


@pytest.fixture
def imported(tenshot: Callable[..., Any], pictures: Path) -> None:
    tenshot("apps", "create", "a", "--workflow", "general-fast")
    tenshot("import", pictures, "--app", "a")


def test_evaluate_compares_workflows_and_recommends_one(imported: None, tenshot: Callable[..., Any]) -> None:
    said = tenshot("evaluate", "--app", "a", "--workflows", "general,general-fast", "--shots", "1,3", "--json").json
    assert [one["workflow"] for one in said["workflows"]] == ["general", "general-fast"]
    assert all(len(one["accuracy"]) == 2 and one["ms_per_image"] > 0 for one in said["workflows"])
    assert said["recommended"] in ("general", "general-fast")
    assert said["advice"].startswith(f"Recommended: {said['recommended']}")
    shown = tenshot("evaluate", "--app", "a", "--workflows", "general,general-fast", "--shots", "1,3")
    assert "1 label " in shown.out
    assert "3 labels" in shown.out
    assert "Recommended: general" in shown.err
    assert "24/24" in shown.err


@pytest.mark.parametrize("given", [["--workflows", ","], ["--workflows", "general", "--shots", "x"]])
def test_wrong_usage(imported: None, tenshot: Callable[..., Any], given: list[str]) -> None:
    tenshot("evaluate", "--app", "a", *given, expect=2)


def test_an_unknown_or_missing_workflow_is_one_line(imported: None, tenshot: Callable[..., Any]) -> None:
    assert "no base workflow 'clap'" in tenshot("evaluate", "--app", "a", "--workflows", "clap", expect=1).err


def test_apps_change_embeds_again(imported: None, tenshot: Callable[..., Any], tmp_path: Path) -> None:
    said = tenshot("apps", "change", "a", "general", "--json").json
    assert (said["state"], said["done"], said["total"]) == ("done", 12, 12)
    assert tenshot("apps", "list", "--json").json[0]["workflow"] == "general"
    with Store.open(tmp_path / "data") as store:
        assert len(store.app("a").search(input_id=store.app("a").inputs()[0].id, k=12)) == 12
    assert "already" in tenshot("apps", "change", "a", "general", expect=1).err
