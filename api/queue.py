"""Work that goes on after the answer: pictures to fetch, versions to evaluate.

What is to be done stands in SQL, so a restart takes it up again; a queue only knows what is being done now.
"""

import asyncio
import heapq
import logging
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from datetime import datetime
from itertools import count
from typing import Generic, TypeVar

from ..embeddings.batcher import Busy
from ..embeddings.images import ImageError
from ..index.errors import NotFound, StoreBusy, StoreClosed
from ..index.intake import failure_of
from ..index.records import Failure
from ..index.store import Store
from .fetch import BadUrl, FetchError, TooLarge

_log = logging.getLogger("tenshot.api")

_FAILURES: Mapping[type[FetchError], Failure] = {BadUrl: Failure.URL, TooLarge: Failure.SIZE}

K = TypeVar("K", bound=Hashable)
_BUSY_S = 1.0
"""Between two tries while the database is busy."""
_DELAYS_S = (1.0, 10.0, 60.0)
"""Before each new try of what failed unexpectedly."""
_FAULT = "something went wrong on the server; its log says what"

InputRef = tuple[str, int]
"""App id and the input's key: its id may be another input's by the time that its picture is there."""
VersionRef = tuple[str, str, str, datetime]
"""App id, model id, version id, and when the evaluation was asked for."""


@dataclass
class _Job:
    """What is known of a thing that is under way."""

    settled: Future[None] = field(default_factory=Future)
    """Done when nothing more happens to the thing for the moment."""
    failures: int = 0


class Queue(Generic[K]):
    """Each thing is worked on once at a time, by a few threads, which take from each share in turn."""

    def __init__(
        self,
        work: Callable[[K], None],
        threads: int,
        name: str,
        share: Callable[[K], Hashable] = lambda _: None,
        *,
        most_per_share: int | None = None,
        give_up: Callable[[K], None] = lambda _: None,
    ) -> None:
        """What work raises is logged, and the thing tried again a few times, later.

        share: whose thing it is; whoever has fewest things worked on comes first. most_per_share: threads that work for
        one share at once, so that there are some for others. give_up: what is done about a thing that always failed.
        """
        self._work = work
        self._share = share
        self._most_per_share = most_per_share or threads
        self._give_up = give_up
        self._changed = threading.Condition()
        self._closing = False
        self._under_way: dict[K, _Job] = {}
        # Shares in the order of their turns.
        self._waiting: dict[Hashable, deque[K]] = {}
        self._working: Counter[Hashable] = Counter()
        # When, a number that parts what is due at once, and what.
        self._later: list[tuple[float, int, K]] = []
        self._numbers = count()
        self._threads = [
            threading.Thread(target=self._run, name=f"tenshot-{name}_{i}", daemon=True) for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def submit(self, things: Iterable[K]) -> None:
        with self._changed:
            for thing in things:
                if thing not in self._under_way and not self._closing:
                    self._under_way[thing] = _Job()
                    self._wait_for_turn(thing)
            self._changed.notify_all()

    def withdraw(self, thing: K) -> None:
        """Forgets it, unless it is being worked on."""
        with self._changed:
            share = self._share(thing)
            waiting = self._waiting.get(share, ())
            if thing in waiting:
                self._waiting[share].remove(thing)
                if not waiting:
                    del self._waiting[share]
                self._end(thing)

    @property
    def depth(self) -> int:
        """How many things are under way or wait."""
        return len(self._under_way)

    def wait(self, things: Iterable[K], seconds: float) -> None:
        """Until none of these is under way any more, at most so long."""
        wait(self._settled(things), seconds)

    async def wait_in_loop(self, things: Iterable[K], seconds: float | None = None) -> None:
        """The same, and no thread waits. seconds None: as long as it takes."""
        if settled := [asyncio.wrap_future(future) for future in self._settled(things)]:
            await asyncio.wait(settled, timeout=seconds)

    def close(self) -> None:
        """Finishes what was begun, and leaves the rest."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()
        with self._changed:
            self._waiting.clear()
            for thing in list(self._under_way):
                self._end(thing)

    def _settled(self, things: Iterable[K]) -> list[Future[None]]:
        with self._changed:
            return [job.settled for thing in things if (job := self._under_way.get(thing))]

    def _wait_for_turn(self, thing: K) -> None:
        self._waiting.setdefault(self._share(thing), deque()).append(thing)

    def _run(self) -> None:
        while (thing := self._next()) is not None:
            delay = self._seconds_until_next_try(thing)
            with self._changed:
                self._working[self._share(thing)] -= 1
                if delay is None:
                    self._end(thing)
                else:
                    heapq.heappush(self._later, (time.monotonic() + delay, next(self._numbers), thing))
                self._changed.notify_all()

    def _next(self) -> K | None:
        """What to work on, as soon as there is anything; None when the queue closes."""
        with self._changed:
            while not self._closing:
                now = time.monotonic()
                while self._later and self._later[0][0] <= now:
                    self._wait_for_turn(heapq.heappop(self._later)[2])
                share = min(self._waiting, key=self._working.__getitem__, default=None)
                if share in self._waiting and self._working[share] < self._most_per_share:
                    things = self._waiting.pop(share)
                    thing = things.popleft()
                    if things:
                        self._waiting[share] = things  # behind all the others
                    self._working[share] += 1
                    return thing
                self._changed.wait(self._later[0][0] - now if self._later else None)
            return None

    def _seconds_until_next_try(self, thing: K) -> float | None:
        """Works on it. None: nothing more is to be done."""
        job = self._under_way[thing]
        try:
            self._work(thing)
        except StoreBusy:
            return _BUSY_S
        except (NotFound, StoreClosed):
            return None  # deleted meanwhile, or we are going
        except Exception:
            _log.exception("work on %r failed", thing)
        else:
            return None
        with self._changed:
            # Nobody waits for the next try.
            job.settled.set_result(None)
            job.settled = Future()
        job.failures += 1
        if job.failures <= len(_DELAYS_S):
            return _DELAYS_S[job.failures - 1]
        try:
            self._give_up(thing)
        except (NotFound, StoreClosed):
            pass
        except Exception:
            _log.exception("%r can't even be given up", thing)
            return _DELAYS_S[-1]
        return None

    def _end(self, thing: K) -> None:
        self._under_way.pop(thing).settled.set_result(None)


def pictures_queue(store: Store, fetch: Callable[[str], bytes]) -> Queue[InputRef]:
    """Fetches the pictures of pending inputs: each becomes ready or failed as soon as it is there."""

    def settle(ref: InputRef) -> None:
        app_id, key = ref
        app = store.app_by_id(app_id)
        waiting = app.pending_input(key)
        if waiting is None or waiting.url is None:
            return
        try:
            picture = fetch(waiting.url)
        except FetchError as error:
            app.never_arrived(waiting.id, _FAILURES.get(type(error), Failure.FETCH), str(error), key=key)
        except ImageError as error:
            app.never_arrived(waiting.id, failure_of(error), str(error), key=key)
        else:
            _when_there_is_room(lambda: app.arrived(waiting.id, picture, key=key))

    def give_up(ref: InputRef) -> None:
        app_id, key = ref
        app = store.app_by_id(app_id)
        if waiting := app.pending_input(key):
            app.never_arrived(waiting.id, Failure.FETCH, _FAULT, key=key)

    # Slow servers that one app names keep no other app waiting.
    queue = Queue(settle, threads=8, name="fetch", share=lambda ref: ref[0], most_per_share=6, give_up=give_up)
    queue.submit((app_id, key) for app_id, _, key in store.catalog.inputs.pending())
    return queue


def _when_there_is_room(work: Callable[[], None]) -> None:
    """Does the work, later if the model has too much to do; raises Busy if that lasts a minute."""
    for seconds in (1, 2, 4, 8, 16, 32):
        try:
            return work()
        except Busy:
            time.sleep(seconds)
    return work()


def evaluations_queue(store: Store) -> Queue[VersionRef]:
    """Evaluates the versions that somebody asked to."""

    def evaluate(ref: VersionRef) -> None:
        app_id, model_id, version_id, asked_at = ref
        store.app_by_id(app_id).evaluate_requested(model_id, version_id, asked_at)

    def give_up(ref: VersionRef) -> None:
        app_id, model_id, version_id, asked_at = ref
        store.app_by_id(app_id).evaluation_failed(model_id, version_id, asked_at, _FAULT)

    queue = Queue(evaluate, threads=1, name="evaluate", share=lambda ref: ref[0], give_up=give_up)
    queue.submit(store.catalog.evaluations.queued())
    return queue
