"""Threads for long work of requests: each app has a share of them, and a request that waits for one holds none."""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from anyio import CapacityLimiter
from starlette.requests import ClientDisconnect, Request

from ...errors import Busy
from ...index.errors import StoreClosed
from ...runtime.cancellation import cancellable, check_cancelled

T = TypeVar("T")
EXPORTS_AT_ONCE = 8
"""Exports that are read at the same time: each has a file of its app's rows, and a thread now and then."""
EXPORTS_FOR_AN_APP = 2
"""Of these, so that no app has them all."""


@dataclass(eq=False)
class _Work:
    app_id: str
    do: Callable[[], Any]
    result: asyncio.Future[Any]
    context: Context = field(default_factory=copy_context)
    is_wanted: bool = True

    def __call__(self) -> Any:
        with cancellable(lambda: self.is_wanted):
            check_cancelled()
            return self.do()


class SharedThreads:
    """A few threads, which work for the app that has fewest of them first. For one event loop."""

    def __init__(self, name: str, threads: int, most_per_app: int) -> None:
        """most_per_app: threads that one app may have at once, so that there are some for others."""
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"tenshot-{name}")
        self._threads = threads
        self._most_per_app = most_per_app
        self._working: Counter[str] = Counter()
        # Apps in the order of their turns.
        self._waiting: dict[str, deque[_Work]] = {}

    @property
    def depth(self) -> int:
        """How much is under way or waits."""
        return self._working.total() + sum(map(len, list(self._waiting.values())))

    async def run(self, app_id: str, do: Callable[[], T]) -> T:
        """What it gives, when the app's turn has come. Raises StoreClosed.

        When the context is cancelled, what has not begun never begins, and what has begun ends at its next
        `check_cancelled`; its thread is taken until then.
        """
        work = _Work(app_id, do, asyncio.get_running_loop().create_future())
        self._waiting.setdefault(app_id, deque()).append(work)
        self._begin()
        try:
            result: T = await work.result
            return result
        finally:
            work.is_wanted = False
            if work in (waiting := self._waiting.get(app_id, deque())):
                waiting.remove(work)
                if not waiting:
                    del self._waiting[app_id]

    def close(self) -> None:
        """Finishes what was begun, and refuses the rest."""
        for waiting in self._waiting.values():
            for work in waiting:
                work.result.set_exception(StoreClosed("the service is closing"))
        self._waiting.clear()
        self._pool.shutdown()

    def _begin(self) -> None:
        """Begins what there are threads for."""
        while self._working.total() < self._threads:
            apps = (app_id for app_id in self._waiting if self._working[app_id] < self._most_per_app)
            app_id = min(apps, key=self._working.__getitem__, default=None)
            if app_id is None:
                return
            waiting = self._waiting.pop(app_id)
            work = waiting.popleft()
            if waiting:
                self._waiting[app_id] = waiting  # behind all the others
            self._working[app_id] += 1
            self._pool.submit(work.context.run, work).add_done_callback(partial(self._end, work))

    def _end(self, work: _Work, done: Future[Any]) -> None:
        """In the thread that did it."""
        work.result.get_loop().call_soon_threadsafe(self._ended, work, done)

    def _ended(self, work: _Work, done: Future[Any]) -> None:
        self._working[work.app_id] -= 1
        self._working += Counter()  # without the apps that have none
        if not work.result.done():
            if error := done.exception():
                work.result.set_exception(error)
            else:
                work.result.set_result(done.result())
        self._begin()


@dataclass(frozen=True)
class Threads:
    """Of one service, beside the forty that all short work shares."""

    fetching: SharedThreads = field(default_factory=lambda: SharedThreads("fetch-asked", 16, most_per_app=6))
    """For pictures behind URLs that requests wait for; they do little but wait for the network."""
    judging: SharedThreads = field(default_factory=lambda: SharedThreads("judge", 2, most_per_app=1))
    """For evaluations of whole models, which take seconds."""
    comparing: SharedThreads = field(default_factory=lambda: SharedThreads("compare", 2, most_per_app=1))
    """For comparisons of base workflows, which take minutes."""

    def by_name(self) -> dict[str, SharedThreads]:
        """By the name that the metrics have for each."""
        return {"fetching": self.fetching, "judging": self.judging, "comparing": self.comparing}


class ExportSlots:
    """Counts the exports that are being read. Lives in the event loop, so it needs no lock."""

    def __init__(self) -> None:
        self._by_app: Counter[str] = Counter()
        self.threads = CapacityLimiter(EXPORTS_AT_ONCE)
        """Of their own: exports take no thread that others wait for, and wait for none."""

    @contextmanager
    def slot(self, app_id: str) -> Iterator[None]:
        """For one export. Raises Busy where there is none."""
        if self._by_app.total() >= EXPORTS_AT_ONCE or self._by_app[app_id] >= EXPORTS_FOR_AN_APP:
            whose = "of this app " if self._by_app[app_id] >= EXPORTS_FOR_AN_APP else ""
            raise Busy(f"as many exports {whose}are being read as may be at once; try again when one has ended")
        self._by_app[app_id] += 1
        try:
            yield
        finally:
            self._by_app[app_id] -= 1


async def while_connected(request: Request, work: Coroutine[Any, Any, T]) -> T:
    """What the work gives; it is cancelled as soon as the client hangs up. The request's body has been read.

    Raises ClientDisconnect.
    """
    working, watching = asyncio.ensure_future(work), asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait((working, watching), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise ClientDisconnect
        return working.result()
    finally:
        working.cancel()
        watching.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
