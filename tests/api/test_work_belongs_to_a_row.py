"""What was begun for one input or one request is never taken for another's, and always comes to an end."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from pictures import png

from tenshot import Store
from tenshot.api.fetching.fetch import FetchError
from tenshot.api.work import queue
from tenshot.api.work.queue import evaluations_queue, pictures_queue
from tenshot.index.app import App, quality
from tenshot.index.app.state import AppState
from tenshot.index.records import AddRequest, EvaluationState, Failure, Input, InputStatus, PendingInput

SLOW, QUICK = "http://pictures.example/slow", "http://pictures.example/quick"
PICTURES = {SLOW: png("discs", 1), QUICK: png("stripes", 2)}
SECONDS = 60


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """Where work that fails is tried again at once."""
    monkeypatch.setattr(queue, "_DELAYS_S", (0.001, 0.001, 0.001))
    monkeypatch.setattr(queue, "_LOOK_S", 0.001)
    monkeypatch.setattr(queue, "_BUSY_S", 0.001)
    with Store.open(tmp_path / "data") as opened:
        yield opened


@dataclass
class Web:
    """What is slow waits until the gate is open. Without pictures each URL has nothing to give."""

    pictures: dict[str, bytes] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    begun: threading.Event = field(default_factory=threading.Event)
    gate: threading.Event = field(default_factory=threading.Event)

    def fetch(self, url: str) -> bytes:
        self.asked.append(url)
        if url == SLOW:
            self.begun.set()
            assert self.gate.wait(SECONDS)
        if url not in self.pictures:
            raise FetchError(f"nothing at {url}")
        return self.pictures[url]


def _add(app: App, url: str) -> Input:
    [result] = app.add_many([AddRequest(None, "x", url=url)], later=True)
    assert result.input is not None, result.error
    return result.input


def _until(happened: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not happened():
        assert time.monotonic() < end
        time.sleep(0.005)


@pytest.mark.parametrize(("workflow", "pictures"), [("vectors", {}), ("general-fast", PICTURES)])
def test_what_a_deleted_input_waited_for_is_not_given_to_the_next_one_of_its_id(
    store: Store, workflow: str, pictures: dict[str, bytes]
) -> None:
    web = Web(pictures)
    app = store.create_app("a", workflow, dim=8 if workflow == "vectors" else None)
    fetching = pictures_queue(store, web.fetch)
    _add(app, SLOW)
    fetching.wake()
    assert web.begun.wait(SECONDS)
    app.delete("x")
    second = _add(app, QUICK)
    fetching.wake()
    web.gate.set()
    _until(lambda: app.input("x").status is not InputStatus.PENDING and fetching.depth == 0)
    fetching.close()
    stored = app.input("x")
    assert stored.key == second.key
    assert web.asked == [SLOW, QUICK]
    if pictures:
        assert (stored.status, app.picture("x")) == (InputStatus.READY, pictures[QUICK])
    else:
        assert (stored.status, stored.status_reason) == (InputStatus.FAILED, f"nothing at {QUICK}")


def test_an_evaluation_that_is_asked_again_while_it_is_made_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, version = _with_version(store)
    done, gate = threading.Event(), threading.Event()
    settle = store.catalog.evaluations.settle

    def settle_late(*arguments: object) -> bool:
        settled = settle(*arguments)  # type: ignore[arg-type]
        done.set()
        assert gate.wait(SECONDS)
        return settled

    monkeypatch.setattr(store.catalog.evaluations, "settle", settle_late)
    evaluating = evaluations_queue(store)
    app.request_evaluation("m", version)
    evaluating.wake()
    assert done.wait(SECONDS)
    # The result is kept, and the work not over yet.
    app.request_evaluation("m", version)
    evaluating.wake()
    gate.set()
    _until(lambda: evaluating.depth == 0)
    evaluating.close()
    stored = app.evaluation("m", version)
    assert stored is not None
    assert stored.state is EvaluationState.DONE
    assert store.catalog.evaluations.queued() == []


def test_the_result_for_an_earlier_request_is_not_kept_for_a_later_one(store: Store) -> None:
    app, version = _with_version(store)
    earlier, later = (app.request_evaluation("m", version) for _ in range(2))
    app.evaluate_requested("m", version, earlier)
    app.evaluation_failed("m", version, earlier, "late")
    assert store.catalog.evaluations.queued() == [(app.id, "m", version, later)]
    app.evaluate_requested("m", version, later)
    app.evaluation_failed("m", version, later, "late")
    stored = app.evaluation("m", version)
    assert stored is not None
    assert stored.state is EvaluationState.DONE


def test_a_picture_that_something_unexpected_keeps_away_is_tried_again_and_then_failed_clearly(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    app = store.create_app("a", "vectors", dim=4)
    tries: list[str] = []

    def fetch(url: str) -> bytes:
        tries.append(url)
        raise RuntimeError("nobody meant this")

    fetching = pictures_queue(store, fetch)
    _add(app, QUICK)
    fetching.wake()
    _until(lambda: fetching.depth == 0)
    fetching.close()
    stored = app.input("x")
    assert len(tries) == 4
    assert (stored.status, stored.failure) == (InputStatus.FAILED, Failure.FETCH)
    assert stored.status_reason == "something went wrong on the server; its log says what"
    assert "nobody meant this" in caplog.text


def test_an_evaluation_that_fails_unexpectedly_does_not_stay_queued(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    app, version = _with_version(store)

    def evaluate(_state: AppState, _model: str) -> None:
        raise RuntimeError("nobody meant this")

    monkeypatch.setattr(quality, "evaluate", evaluate)
    evaluating = evaluations_queue(store)
    app.request_evaluation("m", version)
    evaluating.wake()
    _until(lambda: evaluating.depth == 0)
    evaluating.close()
    stored = app.evaluation("m", version)
    assert stored is not None
    assert (stored.state, stored.result) == (
        EvaluationState.FAILED,
        {"reason": "something went wrong on the server; its log says what"},
    )


def test_what_failed_once_is_done_by_the_next_try(store: Store) -> None:
    app = store.create_app("a", "vectors", dim=4)
    tries: list[str] = []

    def fetch(url: str) -> bytes:
        tries.append(url)
        if len(tries) == 1:
            raise RuntimeError("once")
        raise FetchError("nothing there")

    _add(app, QUICK)
    fetching = pictures_queue(store, fetch)
    _until(lambda: fetching.depth == 0)
    fetching.close()
    assert tries == [QUICK] * 2
    assert app.input("x").status_reason == "nothing there"


def test_what_nobody_told_the_queue_of_is_done_too(store: Store) -> None:
    """As the pending inputs of an app that is imported."""
    app = store.create_app("a", "vectors", dim=4)
    fetching = pictures_queue(store, Web().fetch)
    _add(app, QUICK)
    _until(lambda: fetching.depth == 0)
    fetching.close()
    assert app.input("x").status is InputStatus.FAILED


def test_giving_up_that_fails_too_is_tried_again(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    app = store.create_app("a", "vectors", dim=4)
    put_off, given_up = store.catalog.inputs.put_off, []

    def fetch(_url: str) -> bytes:
        raise RuntimeError("always")

    def put_off_late(*arguments: Any) -> None:
        given_up.append(arguments)
        if len(given_up) < 3:
            raise RuntimeError("no room for it either")
        put_off(*arguments)

    monkeypatch.setattr(store.catalog.inputs, "put_off", put_off_late)
    _add(app, QUICK)
    fetching = pictures_queue(store, fetch)
    _until(lambda: fetching.depth == 0)
    fetching.close()
    assert app.input("x").status is InputStatus.FAILED


def test_how_often_it_was_tried_and_when_it_is_due_survive_a_restart(tmp_path: Path) -> None:
    delays = (0.0, 0.0, 60.0)
    for starts in range(5):
        with Store.open(tmp_path / "data") as store:
            app = store.app("a") if starts else store.create_app("a", "vectors", dim=4)
            one = _add(app, QUICK) if not starts else app.input("x")
            due = store.catalog.inputs.due([])
            if starts < 3:
                assert [pending.key for pending in due] == [one.key]
            else:
                assert due == []  # for a minute
            store.catalog.inputs.put_off(PendingInput(app.id, one.id, one.key, QUICK), delays, "in vain")
            assert app.input("x").status is (InputStatus.PENDING if starts < 3 else InputStatus.FAILED)
            assert app.input("x").status_reason == (None if starts < 3 else "in vain")


def test_what_is_due_is_the_first_of_each_app_in_turn_besides_what_is_under_way(store: Store) -> None:
    inputs = store.catalog.inputs
    apps = [store.create_app(f"app {i}", "vectors", dim=4) for i in range(4)]
    for app in apps:
        for _ in app.add_many([AddRequest(id=f"x{i}", url=f"{QUICK}{i}") for i in range(2)], later=True):
            pass
    a, b, c, d = sorted(app.id for app in apps)
    under_way: list[PendingInput] = []
    after = ""
    for wanted in [(a, "x0"), (b, "x0"), (c, "x0"), (d, "x0"), (a, "x1"), (b, "x1")]:
        due = inputs.due(under_way, after)
        assert len(due) <= len(under_way) + 1
        assert (due[0].app_id, due[0].id) == wanted
        under_way.append(due[0])
        after = due[0].app_id
    assert {(one.app_id, one.id) for one in inputs.due(under_way, "")} == {(c, "x1"), (d, "x1")}
    inputs.put_off(under_way[0], [60], "why")
    assert inputs.due([])[0].id == "x1"
    assert inputs.waiting() == 8
    store.delete_app(a)
    assert inputs.due([])[0].app_id == b
    assert inputs.waiting() == 6


def _with_version(store: Store) -> tuple[App, str]:
    app = store.create_app("a", "vectors", dim=4)
    rows = [[1, 0.1 * i, 0, 0] for i in range(4)] + [[0, 0.1 * i, 1, 0] for i in range(4)]
    app.add_vectors(rows, concepts=[{"c": True}] * 4 + [{"c": False}] * 4)
    app.create_model("m", ["c"])
    return app, app.versions("m")[0].id
