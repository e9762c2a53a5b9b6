"""Work that goes on after the answer: pictures to fetch, versions to evaluate.

What is to be done stands in SQL, so a restart takes it up again; a queue only knows what is being done now.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Hashable, Iterable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from typing import Generic, TypeVar

from ..embeddings.batcher import Busy
from ..embeddings.images import ImageError
from ..index.errors import NotFound, StoreBusy, StoreClosed, TenshotError
from ..index.intake import failure_of
from ..index.records import Failure, InputStatus
from ..index.store import Store
from .fetch import BadUrl, FetchError, TooLarge

_log = logging.getLogger("tenshot.api")

_FAILURES: Mapping[type[FetchError], Failure] = {BadUrl: Failure.URL, TooLarge: Failure.SIZE}

K = TypeVar("K", bound=Hashable)
_BUSY_S = 1.0
"""Between two tries while the database is busy."""

InputRef = tuple[str, str]
"""App id and input id."""
VersionRef = tuple[str, str, str]
"""App id, model id and version id."""


class Queue(Generic[K]):
    """Each thing is worked on once at a time, by a few threads, which take from each share in turn."""

    def __init__(
        self, work: Callable[[K], None], threads: int, name: str, share: Callable[[K], Hashable] = lambda _: None
    ) -> None:
        """What work raises is logged, and the thing left to the next start.

        share: whose thing it is. However many things one share has, the others' turn comes.
        """
        self._work = work
        self._share = share
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix=f"tenshot-{name}")
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._under_way: dict[K, Future[None]] = {}
        # Shares in the order of their turns.
        self._waiting: dict[Hashable, deque[K]] = {}

    def submit(self, things: Iterable[K]) -> None:
        with self._lock:
            for thing in things:
                if thing not in self._under_way:
                    self._under_way[thing] = Future()
                    self._waiting.setdefault(self._share(thing), deque()).append(thing)
                    self._pool.submit(self._next)

    @property
    def depth(self) -> int:
        """How many things are under way or wait."""
        return len(self._under_way)

    def wait(self, things: Iterable[K], seconds: float) -> None:
        """Until none of these is under way any more, at most so long."""
        with self._lock:
            waiting = [future for thing in things if (future := self._under_way.get(thing))]
        wait(waiting, seconds)

    def close(self) -> None:
        """Finishes what was begun, and leaves the rest."""
        self._closing.set()
        self._pool.shutdown(cancel_futures=True)
        with self._lock:
            for future in self._under_way.values():
                future.cancel()
                future.set_running_or_notify_cancel()

    def _next(self) -> None:
        with self._lock:
            share, things = next(iter(self._waiting.items()))
            thing = things.popleft()
            del self._waiting[share]
            if things:
                self._waiting[share] = things  # behind all the others
        try:
            while not self._done(thing) and not self._closing.wait(_BUSY_S):
                pass
        finally:
            with self._lock:
                self._under_way.pop(thing).set_result(None)

    def _done(self, thing: K) -> bool:
        """Works on it. False: the database is busy, so it is to be tried again."""
        try:
            self._work(thing)
        except StoreBusy:
            return False
        except (NotFound, StoreClosed):
            pass  # deleted meanwhile, or we are going
        except Exception:
            _log.exception("work on %r failed", thing)
        return True


def pictures_queue(store: Store, fetch: Callable[[str], bytes]) -> Queue[InputRef]:
    """Fetches the pictures of pending inputs: each becomes ready or failed as soon as it is there."""

    def settle(ref: InputRef) -> None:
        app, id = store.app_by_id(ref[0]), ref[1]
        found = app.input(id)
        if found.status is not InputStatus.PENDING or found.url is None:
            return
        try:
            picture = fetch(found.url)
        except FetchError as error:
            app.never_arrived(id, _FAILURES.get(type(error), Failure.FETCH), str(error))
        except ImageError as error:
            app.never_arrived(id, failure_of(error), str(error))
        else:
            _when_there_is_room(lambda: app.arrived(id, picture))

    # Slow servers that one app names keep no other app waiting for long.
    queue = Queue(settle, threads=8, name="fetch", share=lambda ref: ref[0])
    queue.submit(store.catalog.inputs.pending())
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
        app_id, model_id, version_id = ref
        try:
            store.app_by_id(app_id).evaluate_version(model_id, version_id)
        except StoreBusy:
            raise
        except TenshotError as error:
            _log.warning("version %s of model %s can't be evaluated: %s", version_id, model_id, error)

    queue = Queue(evaluate, threads=1, name="evaluate")
    queue.submit(store.catalog.evaluations.queued())
    return queue
