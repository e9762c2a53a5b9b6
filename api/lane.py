"""A lane for short calls that need nothing but the processor: one after another on one thread, which costs least."""

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, TypeVar

T = TypeVar("T")

_PATIENCE = 0.005
"""Seconds that a call may keep others waiting, for its own end or for their results."""
_MOST_THREADS = 8


@dataclass(eq=False)
class _Call:
    do: Callable[[], Any]
    context: Context
    answer: "asyncio.Future[Any]"
    result: Any = None
    error: BaseException | None = None

    def make(self) -> None:
        try:
            self.result = self.context.run(self.do)
        except BaseException as error:
            self.error = error

    def settle(self) -> None:
        if self.answer.done():
            return  # nobody waits any more
        if self.error is not None:
            self.answer.set_exception(self.error)
        else:
            self.answer.set_result(self.result)


class Lane:
    """Runs calls for the event loop that makes it, whose thread alone may use it.

    Threads that compute in Python contend for the interpreter's lock with each other and with the loop, and each change
    between them costs as much as a third of a small prediction. Here all that has come while the loop was busy is
    worked off in one go, and the loop is told once. A call that takes long holds nobody up: another thread goes on with
    those behind it.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._calls: deque[_Call] = deque()
        self._made: deque[_Call] = deque()
        self._threads: list[_Thread] = []
        self._starting = False
        self._watching = False

    async def run(self, do: Callable[[], T]) -> T:
        """What the call returns or raises; it sees this context's variables."""
        answer: asyncio.Future[T] = self._loop.create_future()
        self._calls.append(_Call(do, copy_context(), answer))
        if not self._starting:
            # After what else has arrived, which comes along.
            self._starting = True
            self._loop.call_soon(self._start)
        return await answer

    def close(self) -> None:
        """Ends the threads, when nothing is asked any more."""
        for thread in self._threads:
            thread.turns.put(False)

    def _start(self) -> None:
        """Sees to it that a thread is at the calls that wait."""
        self._starting = False
        if not self._calls:
            return
        overdue = time.monotonic() - _PATIENCE
        if not any(one.busy and one.since > overdue for one in self._threads):
            free = next((one for one in self._threads if not one.busy), None)
            if free is None and len(self._threads) < _MOST_THREADS:
                self._threads.append(free := _Thread(self._calls, self._made, self._ended))
            if free is not None:
                free.busy, free.since = True, time.monotonic()
                free.turns.put(True)
        if not self._watching:
            self._watching = True
            self._loop.call_later(_PATIENCE, self._watch)

    def _watch(self) -> None:
        """Some call takes its time: what is made already is given back, and others need not wait for it."""
        self._watching = False
        self._settle()
        self._start()

    def _ended(self, thread: "_Thread") -> None:
        """A thread has found no more calls."""
        self._loop.call_soon_threadsafe(self._free, thread)

    def _free(self, thread: "_Thread") -> None:
        thread.busy = False
        self._settle()
        self._start()

    def _settle(self) -> None:
        while self._made:
            self._made.popleft().settle()


class _Thread:
    """Works off calls when it is its turn."""

    def __init__(self, calls: deque[_Call], made: deque[_Call], ended: Callable[["_Thread"], None]) -> None:
        self.turns: SimpleQueue[bool] = SimpleQueue()
        self.busy = False
        """The loop's view."""
        self.since = 0.0
        """When its present call began, on the monotonic clock."""
        self._calls, self._made, self._ended = calls, made, ended
        threading.Thread(target=self._work, name="tenshot-lane", daemon=True).start()

    def _work(self) -> None:
        while self.turns.get():
            while self._calls:
                try:
                    call = self._calls.popleft()
                except IndexError:  # another thread was faster
                    break
                self.since = time.monotonic()
                call.make()
                self._made.append(call)
            self._ended(self)
