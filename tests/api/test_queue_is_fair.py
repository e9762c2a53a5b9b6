"""Work in the background: everything once, each share in its turn, and at the end only what was begun."""

import threading
import time
from collections.abc import Callable

from tenshot.api.queue import Queue


class Worker:
    """Notes what is begun; things with a dot wait until the gate is open."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.gate = threading.Event()
        self._started = threading.Semaphore(0)

    def __call__(self, thing: str) -> None:
        self.begun.append(thing)
        self._started.release()
        if thing.endswith("."):
            self.gate.wait(10)

    def until(self, count: int) -> None:
        for _ in range(count):
            assert self._started.acquire(timeout=10)


def _queue(work: Callable[[str], None], threads: int) -> Queue[str]:
    return Queue(work, threads, "test", share=lambda thing: thing[0])


def test_however_much_one_share_has_the_others_turn_comes() -> None:
    worker = Worker()
    queue = _queue(worker, threads=2)
    greedy = ["a1.", "a2."] + [f"a{i}" for i in range(3, 100)]
    queue.submit(greedy)
    worker.until(2)
    queue.submit(["b1", "c1", "b2"])
    worker.gate.set()
    queue.wait([*greedy, "b1", "b2", "c1"], 10)
    queue.close()
    assert sorted(worker.begun) == sorted([*greedy, "b1", "b2", "c1"])
    # Three shares and two threads: each has begun something among the first few.
    assert {"b1", "c1"} <= set(worker.begun[2:7])
    assert "b2" in worker.begun[2:11]


def test_what_is_under_way_is_not_done_twice() -> None:
    worker = Worker()
    queue = _queue(worker, threads=1)
    for _ in range(5):
        queue.submit(["a.", "b"])
    worker.gate.set()
    queue.wait(["a.", "b"], 10)
    queue.submit(["b"])
    queue.wait(["b"], 10)
    queue.close()
    assert worker.begun == ["a.", "b", "b"]


def test_closing_finishes_what_was_begun_and_nobody_waits_for_the_rest() -> None:
    worker = Worker()
    queue = _queue(worker, threads=1)
    queue.submit(["a."] + [f"b{i}" for i in range(50)])
    worker.until(1)
    closing = threading.Thread(target=queue.close)
    closing.start()
    time.sleep(0.3)
    worker.gate.set()
    closing.join(10)
    start = time.monotonic()
    queue.wait([f"b{i}" for i in range(50)], 10)
    assert time.monotonic() - start < 5
    assert worker.begun == ["a."]


def test_a_thing_that_fails_stops_nothing() -> None:
    done = []

    def work(thing: str) -> None:
        if thing == "a1":
            raise RuntimeError("no")
        done.append(thing)

    queue = _queue(work, threads=1)
    queue.submit(["a1", "a2"])
    queue.wait(["a1", "a2"], 10)
    queue.close()
    assert done == ["a2"]


def test_what_nobody_wants_any_more_is_not_begun_and_nobody_waits_for_it() -> None:
    worker = Worker()
    queue = _queue(worker, threads=1)
    queue.submit(["a.", "a1", "b1", "b2"])
    worker.until(1)
    for thing in ("a.", "a1", "b1", "c1"):
        queue.withdraw(thing)
    queue.wait(["a1", "b1"], 10)
    assert queue.depth == 2
    worker.gate.set()
    queue.wait(["a.", "b2"], 10)
    queue.close()
    assert worker.begun == ["a.", "b2"]
