"""Work that goes on after the answer: pictures to fetch, versions to evaluate.

What is to be done stands in SQL, with how often it failed and when it is due: so a restart goes on with it, and however
much waits takes no memory. A queue only knows what is being done now.
"""

import logging
import threading
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

from ...embeddings.pictures.images import ImageError
from ...errors import Busy
from ...index.errors import NotFound, StoreBusy, StoreClosed
from ...index.ingest.validation import failure_of
from ...index.records import EvaluationRequest, Failure, PendingInput
from ...index.store import Store
from ..fetching.fetch import BadUrl, FetchError, TooLarge

_log = logging.getLogger("tenshot.api")

_FAILURES: Mapping[type[FetchError], Failure] = {BadUrl: Failure.URL, TooLarge: Failure.SIZE}
_LOOK_S = 1.0
"""Between two looks into SQL, where `wake` was not called."""
_BUSY_S = 1.0
"""Between two tries while the database is busy."""
_DELAYS_S = (1.0, 10.0, 60.0)
"""Before each new try of what failed unexpectedly."""
_FAULT = "something went wrong on the server; its log says what"


class Thing(Protocol):
    """Something to be done for an app; hashable."""

    @property
    def app_id(self) -> str: ...


K = TypeVar("K", bound=Thing)


class Backlog(Protocol[K]):
    """What there is to do."""

    def due(self, besides: Collection[K], after: str) -> Sequence[K]:
        """What may be tried now, besides these: of each app, or of one more than these are of, in turn from `after`."""

    def put_off(self, thing: K, delays: Sequence[float], reason: str) -> None:
        """After a try that failed: due after the next of these seconds, and failed for this reason after the last."""

    def waiting(self) -> int:
        """How many things."""


class Queue(Generic[K]):
    """A few threads, which do what is due for the app that they do least for; each thing once at a time."""

    def __init__(
        self, backlog: Backlog[K], work: Callable[[K], None], threads: int, name: str, most_per_app: int | None = None
    ) -> None:
        """work: afterwards the thing is due no more. What it raises is logged, and tried again a few times, later.

        most_per_app: threads that work for one app at once, so that there are some for others.
        """
        self._backlog = backlog
        self._work = work
        self._most_per_app = most_per_app or threads
        self._looking = threading.Lock()
        self._awake, self._closing = threading.Event(), threading.Event()
        self._under_way: set[K] = set()
        self._last_app = ""
        self._watched: dict[K, Future[None]] = {}
        self._threads = [
            threading.Thread(target=self._run, name=f"tenshot-{name}_{i}", daemon=True) for i in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def depth(self) -> int:
        """How many things are under way or wait."""
        return self._backlog.waiting()

    def wake(self) -> None:
        """There is something to do."""
        self._awake.set()

    @contextmanager
    def watch(self, things: Iterable[K]) -> Iterator[Mapping[K, Future[None]]]:
        """For each of these a future, done when it has been tried from now on."""
        futures: dict[K, Future[None]] = {thing: Future() for thing in things}
        self._watched.update(futures)
        try:
            yield futures
        finally:
            for thing in futures:
                self._watched.pop(thing, None)

    def close(self) -> None:
        """Finishes what was begun, and leaves the rest."""
        self._closing.set()
        self.wake()
        for thread in self._threads:
            thread.join()
        for thing in list(self._watched):
            self._end(thing)

    def _run(self) -> None:
        while not self._closing.is_set():
            try:
                with self._looking:
                    thing = self._next()
                if thing is not None:
                    self._do(thing)
            except Exception as error:
                if not isinstance(error, StoreBusy | StoreClosed):
                    _log.exception("background work can't go on for now")
                self._closing.wait(_BUSY_S)

    def _next(self) -> K | None:
        """What is begun now; None where there was nothing for a while, or the queue closes."""
        self._awake.clear()
        if self._closing.is_set():
            return None
        under_way = tuple(self._under_way)
        working = Counter(thing.app_id for thing in under_way)
        things = self._backlog.due(under_way, self._last_app)
        allowed = (thing for thing in things if working[thing.app_id] < self._most_per_app)
        thing = min(allowed, key=lambda thing: working[thing.app_id], default=None)
        if thing is None:
            self._awake.wait(_LOOK_S)
            return None
        self._last_app = thing.app_id
        self._under_way.add(thing)
        return thing

    def _do(self, thing: K) -> None:
        try:
            self._work(thing)
        except (StoreBusy, StoreClosed):
            raise
        except NotFound:
            pass  # deleted meanwhile
        except Exception:
            _log.exception("work on %r failed", thing)
            self._backlog.put_off(thing, _DELAYS_S, _FAULT)
        finally:
            self._end(thing)
            self._under_way.discard(thing)
            self.wake()

    def _end(self, thing: K) -> None:
        if future := self._watched.pop(thing, None):
            future.set_result(None)


def pictures_queue(store: Store, fetch: Callable[[str], bytes]) -> Queue[PendingInput]:
    """Fetches the pictures of pending inputs: each becomes ready or failed as soon as it is there."""

    def settle(request: PendingInput) -> None:
        app = store.app_by_id(request.app_id)
        try:
            picture = fetch(request.url)
        except FetchError as error:
            app.never_arrived(request.id, _FAILURES.get(type(error), Failure.FETCH), str(error), key=request.key)
        except ImageError as error:
            app.never_arrived(request.id, failure_of(error), str(error), key=request.key)
        else:
            _when_there_is_room(lambda: app.arrived(request.id, picture, key=request.key))

    # Slow servers that one app names keep no other app waiting.
    return Queue(store.catalog.inputs, settle, threads=8, name="fetch", most_per_app=6)


def _when_there_is_room(work: Callable[[], None]) -> None:
    """Does the work, later if the model has too much to do; raises Busy if that lasts a minute."""
    for seconds in (1, 2, 4, 8, 16, 32):
        try:
            return work()
        except Busy:
            time.sleep(seconds)
    return work()


def evaluations_queue(store: Store) -> Queue[EvaluationRequest]:
    """Evaluates the versions that somebody asked to."""

    def evaluate(request: EvaluationRequest) -> None:
        store.app_by_id(request.app_id).evaluate_requested(request.model_id, request.version_id, request.asked_at)

    return Queue(store.catalog.evaluations, evaluate, threads=1, name="evaluate")
