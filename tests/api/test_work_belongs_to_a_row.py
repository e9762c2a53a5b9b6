"""What was begun for one input or one request is never taken for another's, and always comes to an end."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from pictures import png

from tenshot import Store
from tenshot.api import queue
from tenshot.api.fetch import FetchError
from tenshot.api.queue import Queue, evaluations_queue, pictures_queue
from tenshot.index.app import App
from tenshot.index.records import AddRequest, EvaluationState, Failure, Input, InputStatus

SLOW, QUICK = "http://pictures.example/slow", "http://pictures.example/quick"
PICTURES = {SLOW: png("discs", 1), QUICK: png("stripes", 2)}
SECONDS = 60


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
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
    fetching.submit([(app.id, _add(app, SLOW).key)])
    assert web.begun.wait(SECONDS)
    app.delete("x")
    second = _add(app, QUICK)
    fetching.submit([(app.id, second.key)])
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
    evaluating.submit([(app.id, "m", version, app.request_evaluation("m", version))])
    assert done.wait(SECONDS)
    # The result is kept, and the work not over yet.
    evaluating.submit([(app.id, "m", version, app.request_evaluation("m", version))])
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
    monkeypatch.setattr(queue, "_DELAYS_S", (0.001, 0.001, 0.001))
    app = store.create_app("a", "vectors", dim=4)
    tries: list[str] = []

    def fetch(url: str) -> bytes:
        tries.append(url)
        raise RuntimeError("nobody meant this")

    fetching = pictures_queue(store, fetch)
    fetching.submit([(app.id, _add(app, QUICK).key)])
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
    monkeypatch.setattr(queue, "_DELAYS_S", (0.001,))
    app, version = _with_version(store)

    def evaluate(_model: str) -> None:
        raise RuntimeError("nobody meant this")

    monkeypatch.setattr(app, "evaluate", evaluate)
    evaluating = evaluations_queue(store)
    evaluating.submit([(app.id, "m", version, app.request_evaluation("m", version))])
    _until(lambda: evaluating.depth == 0)
    evaluating.close()
    stored = app.evaluation("m", version)
    assert stored is not None
    assert (stored.state, stored.result) == (
        EvaluationState.FAILED,
        {"reason": "something went wrong on the server; its log says what"},
    )


def test_what_failed_once_is_done_by_the_next_try(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_DELAYS_S", (0.001,))
    tries: list[str] = []

    def work(thing: str) -> None:
        tries.append(thing)
        if len(tries) == 1:
            raise RuntimeError("once")

    things = Queue(work, 1, "test", give_up=lambda _: pytest.fail("it was done"))
    things.submit(["a"])
    _until(lambda: things.depth == 0)
    things.close()
    assert tries == ["a", "a"]


def test_giving_up_that_fails_too_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(queue, "_DELAYS_S", (0.001,))
    given_up: list[str] = []

    def work(_thing: str) -> None:
        raise RuntimeError("always")

    def give_up(thing: str) -> None:
        given_up.append(thing)
        if len(given_up) < 3:
            raise RuntimeError("no room for it either")

    things = Queue(work, 1, "test", give_up=give_up)
    things.submit(["a"])
    _until(lambda: things.depth == 0)
    things.close()
    assert given_up == ["a"] * 3


def test_one_share_can_not_take_all_threads() -> None:
    begun: list[str] = []
    gate, other = threading.Event(), threading.Event()

    def work(thing: str) -> None:
        begun.append(thing)
        if thing == "b1":
            other.set()
        else:
            gate.wait(SECONDS)

    things = Queue(work, 3, "test", share=lambda thing: thing[0], most_per_share=2)
    things.submit([f"a{i}" for i in range(20)])
    _until(lambda: len(begun) == 2)
    things.submit(["b1"])
    assert other.wait(SECONDS)
    assert begun == ["a0", "a1", "b1"]
    gate.set()
    things.close()


def _with_version(store: Store) -> tuple[App, str]:
    app = store.create_app("a", "vectors", dim=4)
    rows = [[1, 0.1 * i, 0, 0] for i in range(4)] + [[0, 0.1 * i, 1, 0] for i in range(4)]
    app.add_vectors(rows, concepts=[{"c": True}] * 4 + [{"c": False}] * 4)
    app.create_model("m", ["c"])
    return app, app.versions("m")[0].id
