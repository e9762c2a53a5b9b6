"""Many threads ask one collection: nobody gets another's answer, those who wait are answered together."""

import signal
import threading

import numpy as np
import pytest
from clouds import SMALL, Clouds
from interrupts import Interrupted, interrupted

from tenshot.index.vectors.collection import Collection
from tenshot.index.vectors.segments.scheduler import SearchScheduler
from tenshot.index.vectors.segments.state import KeyFilter


def _together(number: int, call: object) -> None:
    threads = [threading.Thread(target=call, args=(i,)) for i in range(number)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive()


@pytest.mark.parametrize("count", [300, 3000])
def test_many_threads_get_the_answers_that_each_would_get_alone(count: int) -> None:
    clouds = Clouds()
    collection = Collection(clouds.dim, SMALL, threads=1)
    collection.upsert(np.arange(count), clouds.draw(count)[0])
    collection.wait()
    some = collection.filter(np.arange(0, count, 3))
    queries = clouds.draw(40)[0]
    asked = [(queries[i : i + 1 + i % 3], 5 + i % 2, some if i % 4 == 0 else None) for i in range(36)]
    alone = [collection.search(*one) for one in asked]
    answers: dict[tuple[int, int], tuple[np.ndarray, np.ndarray]] = {}

    def ask(thread: int) -> None:
        for i in range(thread % 5, 36, 2):
            answers[thread, i] = collection.search(*asked[i])

    _together(12, ask)
    assert len(answers) > 100
    same = [np.mean(keys == alone[i][0]) for (_, i), (keys, _) in answers.items()]
    # Which lists are nearest may be rounded otherwise for several queries; all else is the same to the bit.
    assert min(same) == 1 if count < SMALL.exact else np.mean(same) > 0.99
    assert {keys.shape for keys, _ in answers.values()} == {(n, k) for n in (1, 2, 3) for k in (5, 6)}


class _Slow:
    """A search that waits until it may go on, and remembers what it was asked."""

    def __init__(self) -> None:
        self.go, self.begun, self.calls = threading.Event(), threading.Event(), list[int]()

    def __call__(self, queries: np.ndarray, k: int, where: KeyFilter | None) -> tuple[np.ndarray, np.ndarray]:
        self.calls.append(len(queries))
        self.begun.set()
        assert self.go.wait(30)
        if k == 13:
            raise ValueError("unlucky")
        return queries[:, :1].astype(np.int64), queries[:, :1]


def test_an_idle_gate_asks_at_once_and_a_busy_one_asks_together_for_those_that_wait() -> None:
    slow, answers = _Slow(), dict[int, int]()
    gate = SearchScheduler(slow, 1)

    def ask(i: int) -> None:
        answers[i] = int(gate.search(np.full((1, 2), i, dtype=np.float32), 10, None)[0][0, 0])

    first = threading.Thread(target=ask, args=(0,))
    first.start()
    slow.begun.wait()
    others = [threading.Thread(target=ask, args=(i,)) for i in range(1, 101)]
    for other in others:
        other.start()
    while len(gate._waiting) < 100:
        threading.Event().wait(0.01)
    slow.go.set()
    for thread in (first, *others):
        thread.join()
    assert slow.calls == [1, 64, 36]
    assert answers == {i: i for i in range(101)}


def test_what_fails_fails_for_all_who_asked_together_and_for_nobody_else() -> None:
    slow, failed = _Slow(), dict[int, bool]()
    slow.go.set()
    gate = SearchScheduler(slow, 1)

    def ask(i: int) -> None:
        try:
            gate.search(np.full((1, 2), i, dtype=np.float32), 13 if i % 2 else 10, None)
            failed[i] = False
        except ValueError:
            failed[i] = True

    _together(40, ask)
    assert failed == {i: i % 2 == 1 for i in range(40)}
    assert not gate._inside


def _asked(gate: SearchScheduler, i: int) -> int:
    return int(gate.search(np.full((1, 2), i, dtype=np.float32), 10, None)[0][0, 0])


def test_a_search_that_is_interrupted_at_any_line_leaves_its_place() -> None:
    slow = _Slow()
    slow.go.set()
    gate, after = SearchScheduler(slow, 1), 0
    while interrupted(lambda: _asked(gate, 1), ("segments/scheduler.py",), after):
        after += 1
        assert not gate._inside
        assert not gate._waiting
        assert _asked(gate, 2) == 2
    assert after > 10


def test_one_who_is_interrupted_while_it_waits_is_let_in_by_nobody() -> None:
    slow, answers = _Slow(), list[int]()
    gate = SearchScheduler(slow, 1)
    first = threading.Thread(target=lambda: answers.append(_asked(gate, 1)))
    first.start()
    slow.begun.wait()

    def interrupt(*_: object) -> None:
        raise Interrupted

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.05)
        with pytest.raises(Interrupted):
            _asked(gate, 2)
    finally:
        signal.signal(signal.SIGALRM, before)
    slow.go.set()
    _together(3, lambda i: answers.append(_asked(gate, 3 + i)))
    first.join()
    assert sorted(answers) == [1, 3, 4, 5]


def test_those_who_wait_together_are_answered_although_the_one_who_asks_for_them_is_interrupted() -> None:
    slow, answers, interrupts = _Slow(), list[int](), list[int]()

    def search(queries: np.ndarray, k: int, where: KeyFilter | None) -> tuple[np.ndarray, np.ndarray]:
        if len(queries) == 5:
            raise Interrupted
        return slow(queries, k, where)

    gate = SearchScheduler(search, 1)

    def ask(i: int) -> None:
        try:
            answers.append(_asked(gate, i))
        except Interrupted:
            interrupts.append(i)

    first = threading.Thread(target=ask, args=(0,))
    first.start()
    slow.begun.wait()
    others = [threading.Thread(target=ask, args=(i,)) for i in range(1, 6)]
    for other in others:
        other.start()
    while len(gate._waiting) < 5:
        threading.Event().wait(0.01)
    slow.go.set()
    for thread in (first, *others):
        thread.join(30)
    assert len(interrupts) == 1
    assert sorted(answers + interrupts) == list(range(6))
