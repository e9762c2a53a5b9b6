"""What Prometheus reads: how long requests and their parts take, what waits, and what the store holds."""

import hashlib
import shutil
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any, Protocol

from prometheus_client import (
    CollectorRegistry,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from ...index.store import Store
from ...index.vectors.protocol import CollectionFacts, SavedFacts

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10)
_COLLECTION = {
    "rows": "vectors that can be found",
    "dead": "deleted vectors that are not cleared away yet",
    "tail": "new vectors that every search looks at one by one",
    "mapped": "vectors read from the snapshot by pages",
    "code_bytes": "memory of codes and lists",
    "gpu_bytes": "memory on GPUs",
}


class WorkQueue(Protocol):
    """Where work waits for its turn."""

    @property
    def depth(self) -> int:
        """How much is under way or waits."""


def metrics_label(app_id: str) -> str:
    """What metrics call an app: they need no key, and its id is half of the address of its pictures.

    Nobody finds the id from it, which has 128 random bits; two of a million apps have the same with a chance of 1:560.
    """
    return hashlib.sha256(app_id.encode()).hexdigest()[:12]


class Metrics:
    """Of one service."""

    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self._registry)
        self._requests = Histogram(
            "tenshot_request_seconds",
            "From a request's head to the end of its answer.",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self._stages = Histogram(
            "tenshot_stage_seconds",
            "Parts of requests, the waiting for them included.",
            ["stage"],
            buckets=_SECONDS,
            registry=self._registry,
        )
        self.in_flight = Gauge("tenshot_requests_in_flight", "Requests being answered.", registry=self._registry)
        self._most = Gauge("tenshot_requests_at_most", "More at once are told to wait.", registry=self._registry)
        # Children by their labels: looking them up there would take 60 us more a request, 5 % of a short prediction.
        self._by_route: dict[tuple[str, str, int], Histogram] = {}
        self._by_stage: dict[str, Histogram] = {}

    def collect_store(self, store: Store, queues: Mapping[str, WorkQueue], most: int) -> None:
        """Adds what the store holds; called once, when it is open."""
        self._registry.register(_StoreCollector(store, queues))
        self._most.set(most)

    def observe(self, method: str, route: str, status: int, seconds: float, stages: Mapping[str, float]) -> None:
        key = (method, route, status)
        child = self._by_route.get(key)
        if child is None:
            child = self._by_route[key] = self._requests.labels(method, route, str(status))
        child.observe(seconds)
        for name, taken in stages.items():
            part = self._by_stage.get(name)
            if part is None:
                part = self._by_stage[name] = self._stages.labels(name)
            part.observe(taken)

    def text(self) -> bytes:
        return generate_latest(self._registry)


class _StoreCollector(Collector):
    """Asked when somebody reads the metrics, not before."""

    def __init__(self, store: Store, queues: Mapping[str, WorkQueue]) -> None:
        self._store = store
        self._queues = queues

    def describe(self) -> list[Metric]:
        return []

    def collect(self) -> Iterator[Metric]:
        yield from self._collections()
        catalog = self._store.catalog
        yield _gauge("inputs", "By app and state.", ["app", "status"], _labelled(catalog.input_counts()))
        yield _gauge("labels", "By app and what they say.", ["app", "value"], _labelled(catalog.label_counts()))
        waiting = {("embed " + workflow,): count for workflow, count in self._store.waiting().items()}
        waiting |= {(name,): queue.depth for name, queue in self._queues.items()}
        yield _gauge("queue_depth", "Things under way or waiting.", ["queue"], waiting)
        hits, misses = catalog.cache_counts()
        reads = CounterMetricFamily("tenshot_sql_reads", "Small reads: remembered or not.", labels=["remembered"])
        reads.add_metric(["yes"], hits)
        reads.add_metric(["no"], misses)
        yield reads
        disk = shutil.disk_usage(self._store.path)
        yield _gauge("disk_bytes", "Of the data folder.", ["kind"], {("free",): disk.free, ("total",): disk.total})
        yield from _devices()

    def _collections(self) -> Iterator[Metric]:
        """An app that is not open has its collection on the disk, in a snapshot or in SQL alone."""
        facts_by_app = {metrics_label(id): facts for id, facts in self._store.collections().items()}
        opened = {app: facts for app, facts in facts_by_app.items() if isinstance(facts, CollectionFacts)}
        for name, meaning in _COLLECTION.items():
            rows = {(app, facts.kind, facts.place): asdict(facts)[name] for app, facts in opened.items()}
            if name == "rows":
                saved = {app: facts for app, facts in facts_by_app.items() if isinstance(facts, SavedFacts)}
                rows |= {(app, facts.kind, "disk"): facts.rows for app, facts in saved.items()}
            yield _gauge(f"collection_{name}", meaning, ["app", "kind", "place"], rows)


def _labelled(counts: Mapping[tuple[str, str], int]) -> Mapping[tuple[str, str], int]:
    """The same counts by label instead of id."""
    return {(metrics_label(id), kind): count for (id, kind), count in counts.items()}


def _devices() -> Iterator[Metric]:
    """GPUs that models lie on; nothing is loaded to find out."""
    if "torch" in sys.modules:
        from ...embeddings.engines.device import device_memory

        memory = device_memory()
        used_bytes = {(device, "taken"): used for device, (used, _) in memory.items()}
        yield _gauge(
            "device_memory_bytes",
            "Of GPUs that models lie on.",
            ["device", "kind"],
            used_bytes | {(device, "total"): total for device, (_, total) in memory.items()},
        )


def _gauge(name: str, meaning: str, labels: list[str], values: Mapping[Any, float]) -> Metric:
    """values: label values, in their order -> value."""
    gauge = GaugeMetricFamily(f"tenshot_{name}", meaning, labels=labels)
    for labels, value in values.items():
        gauge.add_metric(labels, value)
    return gauge
