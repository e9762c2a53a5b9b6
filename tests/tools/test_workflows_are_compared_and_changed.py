import signal
import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from tenshot import Store
from tenshot.embeddings.workflows import recipe_of
from tenshot.index.store import open_catalog


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


def test_a_change_under_way_is_cancelled(imported: None, tenshot: Callable[..., Any], tmp_path: Path) -> None:
    catalog = open_catalog(tmp_path / "data")
    catalog.workflow_changes.begin(
        catalog.apps.find("a").id, asdict(recipe_of("general"))
    )  # and then the machine stopped
    catalog.close()
    said = tenshot("apps", "change", "a", "--cancel", "--json").json
    assert said["state"] == "cancelled"
    assert tenshot("apps", "list", "--json").json[0]["workflow"] == "general-fast"
    again = tenshot("apps", "change", "a", "--cancel", expect=1)
    assert "no change is running: a uses general-fast" in again.err
    tenshot("apps", "change", "a", expect=2)
    tenshot("apps", "change", "a", "general", "--cancel", expect=2)


def test_interrupted_it_says_what_becomes_of_the_change(
    imported: None, launched: Callable[..., Any], tenshot: Callable[..., Any], tmp_path: Path
) -> None:
    catalog = open_catalog(tmp_path / "data")
    changing = launched("apps", "change", "a", "general")
    while not catalog.workflow_changes.running():
        assert changing.poll() is None
        time.sleep(0.005)
    changing.send_signal(signal.SIGINT)
    _, err = changing.communicate()
    assert changing.returncode == 1
    assert err.strip().splitlines()[-1].startswith("tenshot: interrupted; the change continues")
    assert "`tenshot apps change a --cancel` cancels it" in err
    catalog.close()
    assert tenshot("apps", "change", "a", "general", "--json").json["state"] == "done"  # gone on with


def test_interrupted_any_command_says_so(launched: Callable[..., Any]) -> None:
    started = launched("bench", "latency", "--sizes", "1000000")
    time.sleep(3)
    started.send_signal(signal.SIGINT)
    _, err = started.communicate()
    assert started.returncode == 1
    assert err.strip().splitlines()[-1] == "tenshot: interrupted"
