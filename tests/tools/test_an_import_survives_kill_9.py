"""Whatever is killed when: what was acknowledged is there, and an import goes on without duplicates."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pictures import KINDS, png

from tenshot import Store

CHILD = """
import sys
from pathlib import Path
from tenshot import AddRequest, Store
with Store.open(sys.argv[1]) as store:
    app = store.app("a")
    requests = [AddRequest(path, path.name, {"drawn": True}) for path in sorted(Path(sys.argv[2]).rglob("*.png"))]
    for result in app.add_many(requests):
        print(result.input.id, flush=True)
"""


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for kind in KINDS:
        (tmp_path / "many" / kind).mkdir(parents=True)
        for seed in range(50):
            (tmp_path / "many" / kind / f"{kind}-{seed}.png").write_bytes(png(kind, seed))
    return tmp_path / "many"


def stored(data: Path) -> int:
    with sqlite3.connect(data / "tenshot.db") as connection:
        return int(connection.execute("SELECT count(*) FROM inputs").fetchone()[0])


def check_whole(data: Path, folder: Path) -> int:
    """Every input has its picture, its vector and its label; how many there are."""
    with Store.open(data) as store:
        app = store.app("a")
        inputs = app.inputs(per_page=1000)
        for one in inputs:
            file = (one.metadata or {})["file"]
            assert app.picture(one.id) == (folder / file).read_bytes()
            assert dict(one.concepts) == {file.split("/")[0]: True}
        assert app.vectors([one.id for one in inputs]).shape == (len(inputs), app.dim)
        return len(inputs)


@pytest.mark.parametrize("moment", [1, 40, 90])
def test_an_import_that_was_killed_is_whole_and_goes_on(
    tenshot: Callable[..., Any], launched: Callable[..., Any], many: Path, tmp_path: Path, moment: int
) -> None:
    tenshot("apps", "create", "a", "--workflow", "general-fast")
    running = launched("import", many, "--app", "a")
    while stored(tmp_path / "data") < moment:
        assert running.poll() is None
        time.sleep(0.02)
    running.kill()
    running.communicate()
    left = check_whole(tmp_path / "data", many)
    assert moment <= left < 150
    done = tenshot("import", many, "--app", "a", "--json").json
    assert (done["added"], done["already_there"]) == (150 - left, left)
    assert check_whole(tmp_path / "data", many) == 150


def test_what_was_acknowledged_is_there_after_a_kill(tenshot: Callable[..., Any], many: Path, tmp_path: Path) -> None:
    tenshot("apps", "create", "a", "--workflow", "general-fast")
    command = [sys.executable, "-c", CHILD, str(tmp_path / "data"), str(many)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout
        acknowledged = [child.stdout.readline().strip() for _ in range(35)]
        child.kill()
    with Store.open(tmp_path / "data") as store:
        found = store.app("a").inputs_by_id(acknowledged)
    assert list(found) == acknowledged
    assert all(dict(one.concepts) == {"drawn": True} for one in found.values())
