"""Threads for what takes requests long: each app has a share of them, and who waits for one takes none meanwhile."""

import asyncio
from collections.abc import Callable, Coroutine
from concurrent.futures import Future
from contextvars import Context, copy_context
from dataclasses import dataclass, field
from typing import Any, TypeVar

from starlette.requests import ClientDisconnect, Request

from ..embeddings.cancellation import cancellable, check_cancelled
from ..index.errors import StoreClosed
from .queue import Queue

T = TypeVar("T")


@dataclass(eq=False)
class _Work:
    app_id: str
    do: Callable[[], Any]
    context: Context = field(default_factory=copy_context)
    result: Future[Any] = field(default_factory=Future)
    is_wanted: bool = True


class SharedThreads:
    """A few threads, which work for the app that has fewest of them first."""

    def __init__(self, name: str, threads: int, most_per_app: int) -> None:
        """most_per_app: threads that one app may have at once, so that there are some for others."""
        self.queue: Queue[_Work] = Queue(
            self._work, threads, name, share=lambda work: work.app_id, most_per_share=most_per_app
        )

    async def run(self, app_id: str, do: Callable[[], T]) -> T:
        """What it gives, when the app's turn has come. Raises StoreClosed.

        When the caller is cancelled, what has not begun never begins, and what has begun ends at its next
        `check_cancelled`; its thread is taken until then.
        """
        work = _Work(app_id, do)
        self.queue.submit([work])
        try:
            await self.queue.wait_in_loop([work])
            if not work.result.done():
                raise StoreClosed("the service is closing")
            result: T = work.result.result()
            return result
        finally:
            work.is_wanted = False
            self.queue.withdraw(work)

    def _work(self, work: _Work) -> None:
        try:
            work.result.set_result(work.context.run(self._do, work))
        except BaseException as error:
            work.result.set_exception(error)

    def _do(self, work: _Work) -> Any:
        with cancellable(lambda: work.is_wanted):
            check_cancelled()
            return work.do()


@dataclass(frozen=True)
class Threads:
    """Of one service, beside the forty that all short work shares."""

    fetching: SharedThreads = field(default_factory=lambda: SharedThreads("fetch-asked", 16, most_per_app=6))
    """For pictures behind URLs that requests wait for; they do little but wait for the network."""
    judging: SharedThreads = field(default_factory=lambda: SharedThreads("judge", 2, most_per_app=1))
    """For evaluations of whole models, which take seconds."""
    comparing: SharedThreads = field(default_factory=lambda: SharedThreads("compare", 2, most_per_app=1))
    """For comparisons of base workflows, which take minutes."""

    def queues(self) -> dict[str, Queue[Any]]:
        """By the name that the metrics have for each."""
        return {"fetching": self.fetching.queue, "judging": self.judging.queue, "comparing": self.comparing.queue}


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
