"""The command line: what each command does, says and exits with."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pictures import KINDS

from tenshot import Store

COMMANDS = (
    *("serve", "apps create", "apps list", "apps delete", "keys create", "keys list", "keys revoke", "import", "label"),
    *("predict", "search", "evaluate", "workflows", "doctor", "demo", "bench latency"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_gives_an_example(tenshot: Callable[..., Any], command: str) -> None:
    assert f"tenshot {command}" in " ".join(tenshot(*command.split(), "--help").out.split())


def test_a_wheel_says_how_to_get_the_benchmarks() -> None:
    """`tools/bench` is not in the wheel: here its import is blocked."""
    code = (
        "import sys; sys.modules['tenshot.tools.bench'] = None; from tenshot.tools.cli import main; "
        "main(['bench', 'latency', '--sizes', '100'])"
    )
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    [line] = ended.stderr.splitlines()
    assert line.startswith("tenshot: the benchmarks are not in the installed package: clone the source")
    assert "make .venv/.ready" in line
    assert "README.md" in line


def test_help_answers_without_loading_the_heavy_libraries() -> None:
    code = (
        "import sys; import tenshot.tools.cli; print([n for n in ('torch', 'faiss', 'sqlalchemy') if n in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"


def test_an_app_is_made_listed_and_deleted(tenshot: Callable[..., Any]) -> None:
    made = tenshot("apps", "create", "birds", "--workflow", "vectors", "--dim", 8, "--json").json
    assert set(made) == {"id", "api_key"}
    [listed] = tenshot("apps", "list", "--json").json
    assert (listed["id"], listed["name"], listed["workflow"], listed["dim"]) == (made["id"], "birds", "vectors", 8)
    assert "birds" in tenshot("apps", "list").out
    assert "exists already" in tenshot("apps", "create", "birds", expect=1).err
    tenshot("apps", "delete", "birds", "--yes")
    assert tenshot("apps", "list", "--json").json == []
    assert "tenshot apps list" in tenshot("apps", "delete", "birds", "--yes", expect=1).err


def test_keys_are_made_shown_once_and_revoked(tenshot: Callable[..., Any]) -> None:
    tenshot("apps", "create", "birds", "--workflow", "vectors", "--dim", 8)
    made = tenshot("keys", "create", "birds", "--scopes", "Read,Write", "--json").json
    assert set(made) == {"id", "api_key"}
    listed = {key["id"]: key for key in tenshot("keys", "list", "birds", "--json").json}
    assert listed[made["id"]]["scopes"] == "Read,Write"
    assert made["api_key"] not in tenshot("keys", "list").out
    tenshot("keys", "revoke", made["id"])
    listed = {key["id"]: key for key in tenshot("keys", "list", "--json").json}
    assert listed[made["id"]]["state"] == "revoked"
    tenshot("keys", "revoke", "nothing", expect=1)
    tenshot("keys", "create", "birds", "--scopes", "Everything", expect=2)
    tenshot("keys", "create", expect=2)


def test_a_folder_of_folders_teaches_and_answers(tenshot: Callable[..., Any], pictures: Path) -> None:
    tenshot("apps", "create", "kinds", "--workflow", "general-fast")
    (pictures / "discs" / "broken.png").write_bytes(b"no picture")
    imported = tenshot("import", pictures, "--app", "kinds", "--json").json
    assert (imported["added"], imported["already_there"]) == (12, 0)
    assert [one["file"] for one in imported["failed"]] == ["discs/broken.png"]
    again = tenshot("import", pictures, "--app", "kinds", "--json").json
    assert (again["added"], again["already_there"]) == (0, 12)

    new = pictures / "discs" / "1.png"
    predicted = tenshot("predict", new, "--app", "kinds", "--json").json
    assert predicted[0]["concept_id"] == "discs"
    assert {one["concept_id"] for one in predicted} == set(KINDS)
    hits = tenshot("search", "--image", new, "--app", "kinds", "-k", 3, "--json").json
    assert hits[0]["metadata"]["file"] == "discs/1.png"
    assert hits[0]["score"] == pytest.approx(1, abs=1e-4)
    assert len(tenshot("search", "--concept", "stripes", "--app", "kinds", "-k", 2, "--json").json) == 2
    found = tenshot("search", "--where", '{"label": "checks"}', "--app", "kinds", "--json").json
    assert {hit["metadata"]["file"].split("/")[0] for hit in found} == {"checks"}
    assert "discs/1.png" in tenshot("search", "--image", new, "--app", "kinds").out

    id = hits[0]["id"]
    assert tenshot("label", id, "odd", "discs=no", "--app", "kinds", "--json").json["concepts"] == {
        "discs": False,
        "odd": True,
    }
    assert tenshot("label", id, "odd=remove", "--app", "kinds", "--json").json["concepts"] == {"discs": False}
    tenshot("label", id, "odd=perhaps", "--app", "kinds", expect=2)
    judged = tenshot("evaluate", "--app", "kinds", "--json").json
    assert judged["inputs"] == 12
    assert {one["concept_id"] for one in judged["concepts"]} == set(KINDS)
    assert all(0 <= one["roc_auc"] <= 1 for one in judged["concepts"])
    assert "accuracy" in tenshot("evaluate", "--app", "kinds").out


def test_labels_come_from_a_table_or_not_at_all(tenshot: Callable[..., Any], pictures: Path, tmp_path: Path) -> None:
    tenshot("apps", "create", "plain", "--workflow", "general-fast")
    tenshot("apps", "create", "table", "--workflow", "general-fast")
    tenshot("import", pictures / "discs", "--app", "plain", "--labels", "none")
    table = tmp_path / "labels.csv"
    table.write_text("file,concept,value\ndiscs/0.png,round,yes\nchecks/0.png,round,no\nchecks/0.png,square,\n")
    tenshot("import", pictures, "--app", "table", "--labels", table)
    with Store.open(tmp_path / "data") as store:
        assert store.app("plain").concepts() == []
        told = {(one.metadata or {})["file"]: dict(one.concepts) for one in store.app("table").inputs()}
    assert told == {"discs/0.png": {"round": True}, "checks/0.png": {"round": False, "square": True}}
    table.write_text("file,concept,value\ndiscs/0.png,round,maybe\n")
    assert "line 2" in tenshot("import", pictures, "--app", "table", "--labels", table, expect=1).err


def test_an_import_of_which_nothing_could_be_added_fails(tenshot: Callable[..., Any], tmp_path: Path) -> None:
    tenshot("apps", "create", "a", "--workflow", "general-fast")
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.png").write_bytes(b"no picture")
    assert "x.png" in tenshot("import", tmp_path / "bad", "--app", "a", expect=1).err
    (tmp_path / "empty").mkdir()
    assert "no pictures" in tenshot("import", tmp_path / "empty", "--app", "a", expect=1).err


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["nonsense"], 2, "No such command"),
        (["apps", "create"], 2, "Missing argument"),
        (["apps", "create", "a", "--workflow", "unheard-of"], 1, "unheard-of"),
        (["apps", "create", "a", "--workflow", "vectors"], 1, "dim"),
        (["predict", "nowhere.png", "--app", "none"], 1, "tenshot apps list"),
        (["predict", "nowhere.png", "--app", "v"], 1, "nowhere.png"),
        (["search", "--text", "birds", "--app", "v"], 1, "vectors"),
        (["search", "--where", "{", "--app", "v"], 2, "JSON"),
        (["search", "--where", '{"colour": 1}', "--app", "v"], 1, "colour"),
        (["search", "--image", "a.png", "--concept", "b", "--app", "v"], 2, "one of"),
        (["evaluate", "--app", "v"], 1, "nothing to evaluate"),
        (["label", "nobody", "robin", "--app", "v"], 1, "nobody"),
        (["bench", "latency", "--sizes", "many"], 2, "--sizes"),
    ],
)
def test_what_goes_wrong_is_said_in_words(
    tenshot: Callable[..., Any], arguments: list[str], code: int, words: str
) -> None:
    tenshot("apps", "create", "v", "--workflow", "vectors", "--dim", 8)
    assert words in " ".join(re.sub(r"[│╭╮╰╯─]", " ", tenshot(*arguments, expect=code).err).split())


def test_global_options_stand_before_or_behind_the_command_or_in_the_environment(
    tenshot: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tenshot("apps", "create", "here", "--workflow", "vectors", "--dim", 8)
    assert tenshot("--json", "apps", "list").json == tenshot("apps", "list", "--json").json
    assert tenshot("apps", "list", "--json", "--data", tmp_path / "elsewhere").json == []
    tenshot_main = sys.modules["tenshot.tools.cli"]
    monkeypatch.setenv("TENSHOT_DATA", str(tmp_path / "elsewhere"))
    tenshot_main.app(args=["apps", "list"], standalone_mode=False)
    assert (tmp_path / "elsewhere" / "tenshot.db").exists()


def test_workflows_and_doctor_say_what_works_here(tenshot: Callable[..., Any]) -> None:
    listed = {one["id"]: one for one in tenshot("workflows", "--json").json}
    assert listed["general"]["offline"]
    assert not listed["clip"]["offline"]
    assert all(one["good_for"] and one["licence"] for one in listed.values())
    shown = tenshot("workflows").out
    for one in listed.values():
        assert all(one[fact] in shown for fact in ("id", "good_for", "model", "source", "licence", "availability"))
    assert "counterpart here: face, demographics, celebrity, logo, moderation, nsfw." in shown
    tenshot("apps", "create", "mine", "--workflow", "vectors", "--dim", 8)
    report = tenshot("doctor", "--json").json
    assert report["problems"] == []
    assert report["collections"] == {"mine": "no snapshot: read from SQL when it is opened"}
    assert report["faiss"].startswith("faiss-")
    assert report["device"]


def test_a_folder_in_use_is_named_with_its_process_and_the_way_over_http(
    tenshot: Callable[..., Any], tmp_path: Path
) -> None:
    tenshot("apps", "create", "a", "--workflow", "vectors", "--dim", 8)
    with Store.open(tmp_path / "data"):
        said = tenshot("evaluate", "--app", "a", expect=1).err
        assert re.search(r"in use by process \d+", said)
        assert "HTTP" in said
        # These only touch SQL.
        tenshot("apps", "create", "b", "--workflow", "vectors", "--dim", 8)
        tenshot("keys", "create", "b")
