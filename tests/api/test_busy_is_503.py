"""Where another process writes for too long, whoever wants to write is told to come again; all others are served."""

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from backlog import Backlog, Task
from held import held
from patience import becomes
from vectors import vector_input

from tenshot.api.auth.keys import new_key
from tenshot.api.settings import Settings
from tenshot.api.work import queue
from tenshot.api.work.queue import Queue
from tenshot.index.catalog import database
from tenshot.index.errors import StoreBusy


def test_writing_is_503_with_a_time_to_come_again_and_nothing_is_done(
    serving: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "_PATIENCE_S", 0.1)
    with serving(Settings(data=tmp_path)) as server:
        app = server.store.create_app("a", "vectors", dim=8)
        app.add_vectors([[1, 0, 0, 0, 0, 0, 0, 0]], ["there"], [{"a": True}])
        with server.client(new_key(server.store.catalog, app.id).secret) as client:
            body = {"inputs": [vector_input(0, id="x")]}
            with held(tmp_path / "tenshot.db"):
                for method, path, asked in (
                    ("POST", "/v2/inputs", body),
                    ("PATCH", "/v2/inputs", {"inputs": [{"id": "there", "data": {"concepts": [{"id": "b"}]}}]}),
                    ("DELETE", "/v2/inputs/there", None),
                    ("POST", "/v2/concepts", {"concepts": [{"id": "c"}]}),
                ):
                    refused = client.request(method, path, json=asked)
                    assert (refused.status_code, refused.headers.get("retry-after")) == (503, "1"), refused.text
                    assert refused.json()["status"]["code"] == 98004
                    assert "another process is writing; try again" in refused.json()["status"]["details"]
                asked = {"inputs": [{"id": "there"}]}
                assert client.post("/v2/models/a/outputs", json=asked).status_code in (200, 404)
                assert client.get("/v2/inputs/there").status_code == 200
                assert client.get("/readyz").status_code == 200
            assert [one["id"] for one in client.get("/v2/inputs").json()["inputs"]] == ["there"]
            assert client.post("/v2/inputs", json=body).status_code == 200


def test_where_a_later_part_of_a_request_can_not_be_stored_each_item_says_whether_it_is(
    taught: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are stored 32 at a time."""
    add, calls = taught.app.state().catalog.inputs.add, []

    def add_once(*arguments: Any) -> Any:
        calls.append(arguments)
        if len(calls) > 1:
            raise StoreBusy("others are writing; try again")
        return add(*arguments)

    monkeypatch.setattr(taught.app.state().catalog.inputs, "add", add_once)
    body = {"inputs": [vector_input(i % 8, id=f"new{i}") for i in range(80)]}
    items = taught.call("POST", "/v2/inputs", body, (207, 10010))["inputs"]
    assert [one["id"] for one in items] == [f"new{i}" for i in range(80)]
    assert [one["status"]["code"] for one in items] == [30000] * 32 + [98004] * 48
    assert items[-1]["status"]["details"] == "others are writing; try again"
    taught.call("POST", "/v2/inputs", {"inputs": [vector_input(0, id="z")]}, (503, 98004))
    monkeypatch.undo()
    # Who sends again what was refused has each of them once.
    taught.call("POST", "/v2/inputs", {"inputs": body["inputs"][32:]})
    assert taught.call("GET", "/v2/inputs/status")["counts"]["processed"] == 110


def test_work_that_finds_the_database_busy_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_BUSY_S", 0.001)
    tries: list[str] = []
    backlog = Backlog("a")

    def work(task: Task) -> None:
        tries.append(task.name)
        if len(tries) < 3:
            raise StoreBusy("others write")
        backlog.done(task)

    things = Queue(backlog, work, threads=1, name="test")
    becomes(lambda: things.depth, 0)
    things.close()
    assert tries == ["a"] * 3
    assert not backlog.failures


def test_a_queue_that_is_closed_tries_nothing_again() -> None:
    tried = threading.Event()

    def work(_task: Task) -> None:
        tried.set()
        raise StoreBusy("others write")

    backlog = Backlog("a")
    things = Queue(backlog, work, threads=1, name="test")
    assert tried.wait(60)
    things.close()
    assert (things.depth, backlog.failures) == (1, [])
