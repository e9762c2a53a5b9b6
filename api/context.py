"""What one running service is made of: made once when it starts, and the same for every request."""

from collections.abc import Callable
from dataclasses import dataclass, field
from threading import Thread

from anyio import CapacityLimiter
from starlette.types import Scope

from ..index.records import EvaluationRequest, PendingInput
from ..index.store import Store
from .auth.keys import RateLimiter
from .auth.sign_in import SignIn
from .fetching.fetch import Fetcher
from .observability.prometheus import Metrics
from .settings import Settings
from .work.coalescing import SearchCoalescer
from .work.queue import Queue
from .work.thread_shares import ExportSlots, Threads


@dataclass(frozen=True)
class ServiceContext:
    """Handlers reach it by `service_of`, or as `context.service`."""

    settings: Settings
    store: Store
    fetcher: Fetcher
    sign_in: SignIn
    metrics: Metrics
    rate_limiter: RateLimiter
    pictures: Queue[PendingInput]
    """Fetches the pictures of inputs that were added by URL."""
    evaluations: Queue[EvaluationRequest]
    warm_up: Thread
    """Opens the base workflows of all apps; ends when they are open."""
    openapi: Callable[[], bytes]
    """The OpenAPI document, which takes half a second to make, once."""
    threads: Threads = field(default_factory=Threads)
    exports: ExportSlots = field(default_factory=ExportSlots)
    searches: SearchCoalescer = field(default_factory=SearchCoalescer)
    health_threads: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(2))
    """No other request can have taken them."""
    keyless_thread: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """For long work that needs no key: endless requests for it delay no others."""
    parsing_thread: CapacityLimiter = field(default_factory=lambda: CapacityLimiter(1))
    """Parsing holds the interpreter's lock: two at once would only keep all others waiting for longer."""


def service_of(scope: Scope) -> ServiceContext:
    """Of the service that a request came to."""
    context: ServiceContext = scope["app"].state.context
    return context
