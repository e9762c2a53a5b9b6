"""Work in the background: everything once, each app in its turn, and at the end only what was begun."""

import asyncio
import threading
from concurrent.futures import wait

import pytest
from backlog import Backlog, Task
from loops import run
from patience import becomes

from tenshot.api.work.queue import Queue
from tenshot.api.work.thread_shares import SharedThreads
from tenshot.index.errors import StoreClosed

SECONDS = 60


class Worker:
    """Notes what is begun; things with a dot wait until the gate is open."""

    def __init__(self, backlog: Backlog) -> None:
        self.backlog = backlog
        self.begun: list[str] = []
        self.gate = threading.Event()
        self._started = threading.Semaphore(0)

    def __call__(self, task: Task) -> None:
        self.begun.append(task.name)
        self._started.release()
        if task.name.endswith("."):
            assert self.gate.wait(SECONDS)
        self.backlog.done(task)

    def until(self, count: int) -> None:
        for _ in range(count):
            assert self._started.acquire(timeout=SECONDS)


def test_however_much_one_app_has_the_others_turn_comes() -> None:
    greedy = ["a1.", "a2."] + [f"a{i}" for i in range(3, 100)]
    backlog = Backlog(*greedy)
    worker = Worker(backlog)
    queue = Queue(backlog, worker, threads=2, name="test")
    worker.until(2)
    backlog.add("b1", "c1", "b2")
    worker.gate.set()
    becomes(lambda: queue.depth, 0)
    queue.close()
    assert sorted(worker.begun) == sorted([*greedy, "b1", "b2", "c1"])
    # Three apps and two threads: each has begun something among the first few.
    assert {"b1", "c1"} <= set(worker.begun[2:7])
    assert "b2" in worker.begun[2:11]


def test_what_is_under_way_is_not_done_twice() -> None:
    backlog = Backlog("a.", "b")
    worker = Worker(backlog)
    queue = Queue(backlog, worker, threads=3, name="test")
    worker.until(2)
    for _ in range(5):
        queue.wake()
    worker.gate.set()
    becomes(lambda: queue.depth, 0)
    backlog.add("b")
    queue.wake()
    worker.until(1)
    queue.close()
    assert sorted(worker.begun) == ["a.", "b", "b"]


def test_closing_finishes_what_was_begun_and_nobody_waits_for_the_rest() -> None:
    backlog = Backlog("a.", *(f"b{i}" for i in range(50)))
    worker = Worker(backlog)
    queue = Queue(backlog, worker, threads=1, name="test")
    worker.until(1)
    with queue.watch(backlog.tasks) as tried:
        closing = threading.Thread(target=queue.close)
        closing.start()
        becomes(queue._closing.is_set, True)
        worker.gate.set()
        closing.join(SECONDS)
        assert not wait(tried.values(), SECONDS).not_done
    assert worker.begun == ["a."]
    assert queue.depth == 50


def test_a_thing_that_fails_stops_nothing() -> None:
    backlog = Backlog("a1", "a2")

    def work(task: Task) -> None:
        if task.name == "a1":
            raise RuntimeError("no")
        backlog.done(task)

    queue = Queue(backlog, work, threads=1, name="test")
    becomes(lambda: queue.depth, 0)
    queue.close()
    assert backlog.failures == ["a1"] * 4


def test_one_app_can_not_take_all_threads() -> None:
    backlog = Backlog(*(f"a{i}." for i in range(20)))
    worker = Worker(backlog)
    queue = Queue(backlog, worker, threads=3, name="test", most_per_app=2)
    worker.until(2)
    backlog.add("b1")
    queue.wake()
    worker.until(1)
    assert worker.begun == ["a0.", "a1.", "b1"]
    worker.gate.set()
    queue.close()


def test_who_watches_a_thing_learns_that_it_was_tried_and_is_forgotten() -> None:
    backlog = Backlog("a.", "b.")
    worker = Worker(backlog)
    queue = Queue(backlog, worker, threads=1, name="test")
    a, b = backlog.tasks
    with queue.watch([a, b]) as tried:
        worker.until(1)
        assert not tried[a].done()
        worker.gate.set()
        assert not wait(tried.values(), SECONDS).not_done
    with queue.watch([Task("z", "never")]):
        pass
    assert not queue._watched
    queue.close()


def test_threads_for_requests_take_apps_in_turn_and_forget_who_leaves() -> None:
    shared = SharedThreads("test", threads=2, most_per_app=1)
    begun: list[str] = []
    gate = threading.Event()

    def work(name: str) -> str:
        begun.append(name)
        if name.endswith("."):
            assert gate.wait(SECONDS)
        return name

    def begin(name: str) -> asyncio.Task[str]:
        return asyncio.get_running_loop().create_task(shared.run(name[0], lambda: work(name)))

    async def ask() -> list[str]:
        asked = [begin(name) for name in ("a1.", "a2", "a3", "a4", "b1.", "b2", "c1")]
        while len(begun) < 2:
            await asyncio.sleep(0.001)
        assert (begun, shared.depth) == (["a1.", "b1."], 7)
        asked.pop(1).cancel()
        await asyncio.sleep(0)
        assert shared.depth == 6
        gate.set()
        return await asyncio.gather(*asked)

    assert run(ask()) == ["a1.", "a3", "a4", "b1.", "b2", "c1"]
    assert "a2" not in begun
    assert begun.index("c1") < begun.index("a4")  # which had turns before
    shared.close()
    assert (shared.depth, shared._waiting) == (0, {})


def test_who_waits_for_a_thread_when_the_service_closes_is_told() -> None:
    shared = SharedThreads("test", threads=1, most_per_app=1)
    gate, begun = threading.Event(), threading.Event()

    def work() -> None:
        begun.set()
        assert gate.wait(SECONDS)

    async def ask() -> None:
        first, second = (asyncio.get_running_loop().create_task(shared.run("a", work)) for _ in range(2))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        gate.set()
        shared.close()
        await first
        with pytest.raises(StoreClosed, match="the service is closing"):
            await second

    run(ask())
