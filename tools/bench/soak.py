"""`tenshot bench soak`: many clients add, label, predict, search and delete at once, then the server gets SIGTERM.

Each client tracks its own inputs. No request may fail, memory must stay flat, and every acknowledged change must be
stored when the server has stopped.
"""

import base64
import http.client
import io
import json
import random
import re
import tempfile
import threading
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import errors, fail, output, table
from .server_process import ServerProcess, running_server

_CONCEPTS = ("red", "green", "blue")
_KEPT = 12
"""Inputs per client: with so many it deletes half of them, with fewer than half of that it adds some."""
_WEIGHTS = {
    "predict an input": 30,
    "search": 15,
    "label": 20,
    "read": 10,
    "add a picture": 6,
    "predict a picture": 6,
    "delete": 4,
}
_GROWTH = 1.10
"""The most memory in the last quarter, relative to the second."""
_SETTLING = 60
"""Seconds until memory must be stable."""
_PAUSE = 0.2

Labels = dict[str, bool]


@dataclass(frozen=True)
class Call:
    """Latencies of one kind of request, as its clients saw them."""

    call: str
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class SoakReport:
    """The result of a soak."""

    clients: int
    seconds: float
    requests: int
    per_second: float
    told_to_wait: int
    """Answers 429, which clients repeat."""
    failed: list[str]
    calls: list[Call]
    health_p99_ms: float
    memory_mb: list[float]
    """The server's memory: means of the four quarters."""
    exit_code: int
    seconds_to_stop: float
    acknowledged: int
    """Inputs that must be stored."""
    lost: list[str]

    @property
    def problems(self) -> list[str]:
        problems = [f"{len(self.failed)} requests failed: {self.failed[0]}"] if self.failed else []
        problems += [f"{len(self.lost)} inputs are not as acknowledged: {self.lost[0]}"] if self.lost else []
        if self.seconds > _SETTLING and self.memory_mb[3] > _GROWTH * self.memory_mb[1]:
            problems.append(f"memory grew from {self.memory_mb[1]:.0f} to {self.memory_mb[3]:.0f} MB")
        return problems + ([f"the server ended with {self.exit_code}"] if self.exit_code else [])


def soak(
    context: typer.Context,
    seconds: Annotated[float, typer.Option(min=2, help="The duration.")] = 600,
    clients: Annotated[int, typer.Option(min=1, help="Clients, each with one request at a time.")] = 64,
) -> None:
    """Load a server with mixed requests, then stop it under load. Example: tenshot bench soak --seconds 60"""
    with tempfile.TemporaryDirectory() as folder:
        report = _soak(Path(folder) / "data", clients, seconds)
    rows = [[call.call, call.count, call.p50_ms, call.p95_ms, call.p99_ms] for call in report.calls]
    title = (
        f"{report.requests} requests of {report.clients} clients in {report.seconds:.0f} s "
        f"({report.per_second:.0f}/s): "
        f"{len(report.failed)} failed, {report.told_to_wait} told to wait\n"
        f"{len(report.lost)} of {report.acknowledged} inputs lost, "
        f"the server stopped in {report.seconds_to_stop:.1f} s\n"
        f"health p99 {report.health_p99_ms:.0f} ms, memory by quarters "
        f"{', '.join(f'{quarter:.0f}' for quarter in report.memory_mb)} MB"
    )
    output(context.obj, report, table(title, ["call", "count", "p50 ms", "p95 ms", "p99 ms"], rows))
    if report.problems:
        fail("; ".join(report.problems))


@dataclass
class _Client:
    """One client with its own inputs."""

    number: int
    address: tuple[str, int]
    headers: Mapping[str, str]
    pictures: list[str]
    inputs: dict[str, Labels] = field(default_factory=dict)
    under_way: dict[str, Labels | None] = field(default_factory=dict)
    """The inputs as the unanswered request may have left them; None: deleted."""
    waited: list[tuple[str, float]] = field(default_factory=list)
    told_to_wait: int = 0
    failed: list[str] = field(default_factory=list)

    def run(self, stopping: threading.Event) -> None:
        """Sends requests until the server has stopped."""
        with closing(http.client.HTTPConnection(*self.address, timeout=60)) as connection:
            self._ask(connection, random.Random(self.number), stopping)

    def _ask(self, connection: http.client.HTTPConnection, rng: random.Random, stopping: threading.Event) -> None:
        while True:
            call = rng.choices(list(_WEIGHTS), list(_WEIGHTS.values()))[0]
            if len(self.inputs) < _KEPT // 2 or (call == "delete" and len(self.inputs) < _KEPT):
                call = "add a picture"
            method, path, body = self._request(call, rng)
            start = time.perf_counter()
            try:
                connection.request(method, path, json.dumps(body), dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
            except (OSError, http.client.HTTPException) as error:
                if not stopping.is_set():
                    self.failed.append(f"{call}: {error!r}")
                return
            if answer.status == 429:
                self.told_to_wait += 1
                self.under_way = {}
                time.sleep(float(answer.headers["Retry-After"]))
                continue
            if answer.status != 200:
                self.failed.append(f"{call}: {answer.status} {content[:300]!r}")
                self.under_way = {}
                continue
            self.waited.append((call, time.perf_counter() - start))
            for id, labels in self.under_way.items():
                if labels is None:
                    del self.inputs[id]
                else:
                    self.inputs[id] = labels
            self.under_way = {}

    def _request(self, call: str, rng: random.Random) -> tuple[str, str, Any]:
        if call == "add a picture":
            id, labels = f"{self.number}-{rng.getrandbits(48):x}", {rng.choice(_CONCEPTS): rng.random() < 0.8}
            self.under_way = {id: labels}
            data = {"image": {"base64": rng.choice(self.pictures)}, "concepts": _wire(labels)}
            return "POST", "/v2/inputs", {"inputs": [{"id": id, "data": data}]}
        id = rng.choice(list(self.inputs))
        match call:
            case "label":
                labels = {rng.choice(_CONCEPTS): rng.random() < 0.5}
                self.under_way = {id: self.inputs[id] | labels}
                changes = [{"id": id, "data": {"concepts": _wire(labels)}}]
                return "PATCH", "/v2/inputs", {"inputs": changes, "action": "merge"}
            case "delete":
                ids = list(self.inputs)[: len(self.inputs) // 2]
                self.under_way = dict.fromkeys(ids)
                return "DELETE", "/v2/inputs", {"ids": ids}
            case "read":
                return "GET", f"/v2/inputs/{id}", {}
            case "search":
                term = {"output": {"input": {"id": id, "data": {"image": {}}}}}
                return "POST", "/v2/searches", {"query": {"ands": [term]}}
            case "predict a picture":
                # Random bytes after the end of the JPEG, which decoders ignore, make the picture new to the server.
                data = {"image": {"base64": rng.choice(self.pictures) + base64.b64encode(rng.randbytes(6)).decode()}}
                return "POST", "/v2/models/colours/outputs", {"inputs": [{"data": data}]}
        return "POST", "/v2/models/colours/outputs", {"inputs": [{"id": id}]}


def _soak(data: Path, count: int, seconds: float) -> SoakReport:
    from ...api.auth.keys import new_key
    from ...index.store import Store

    with Store.open(data) as store:
        app = store.create_app("soak", workflow="general-fast")
        app.create_model("colours", _CONCEPTS)
        key = new_key(store.catalog, app.id).secret
    headers = {"Authorization": f"Key {key}", "Content-Type": "application/json"}
    pictures = [_picture(number) for number in range(200)]
    stopping = threading.Event()
    with running_server(data) as server:
        address = (server.host, server.port)
        clients = [_Client(number, address, headers, pictures) for number in range(count)]
        threads = [threading.Thread(target=client.run, args=(stopping,), daemon=True) for client in clients]
        _wait_until_ready(server)
        errors.print(f"{count} clients for {seconds:g} seconds ...")
        begun = time.perf_counter()
        for thread in threads:
            thread.start()
        memory, health = _watched(server, begun + seconds, threads)
        stopping.set()
        stopped = time.perf_counter()
        code = server.stop()
        ended = time.perf_counter()
        for thread in threads:
            thread.join(60)
    with Store.open(data) as store:
        lost = _lost(store.app("soak"), clients)
    waited = [wait for client in clients for wait in client.waited]
    return SoakReport(
        clients=count,
        seconds=stopped - begun,
        requests=len(waited),
        per_second=len(waited) / (stopped - begun),
        told_to_wait=sum(client.told_to_wait for client in clients),
        failed=[failure for client in clients for failure in client.failed],
        calls=[_call(call, [seconds_waited for name, seconds_waited in waited if name == call]) for call in _WEIGHTS],
        health_p99_ms=_quantile(health, 0.99),
        memory_mb=[_mean(memory[len(memory) * q // 4 : len(memory) * (q + 1) // 4]) for q in range(4)],
        exit_code=code,
        seconds_to_stop=ended - stopped,
        acknowledged=sum(len(client.inputs) for client in clients),
        lost=lost,
    )


def _wait_until_ready(server: ServerProcess) -> None:
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        while True:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return
            time.sleep(_PAUSE)


def _watched(server: ServerProcess, until: float, threads: list[threading.Thread]) -> tuple[list[float], list[float]]:
    """Samples of the server's memory in MB, and of the latency of /healthz in seconds."""
    memory, health = [], []
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        while time.perf_counter() < until and any(thread.is_alive() for thread in threads):
            start = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            health.append(time.perf_counter() - start)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            if match := re.search(r"^process_resident_memory_bytes (\S+)$", text, re.MULTILINE):
                memory.append(float(match[1]) / 1e6)
            time.sleep(_PAUSE)
    return memory, health


def _lost(app: Any, clients: list[_Client]) -> list[str]:
    """Inputs that are neither as acknowledged nor as the last, unanswered request would have left them."""
    stored = {input.id: dict(input.concepts) for input in app.inputs(per_page=1_000_000)}
    lost = []
    for client in clients:
        for id in client.inputs.keys() | client.under_way.keys():
            allowed: list[Labels | None] = [client.inputs.get(id)]
            if id in client.under_way:
                allowed.append(client.under_way[id])
            if stored.pop(id, None) not in allowed:
                lost.append(f"{id} should be {allowed}")
    return lost + [f"{id} came back" for id in stored]


def _picture(number: int) -> str:
    """A small noisy picture in its own colour, as base64 that can be extended."""
    import numpy as np
    from PIL import Image

    rng = np.random.default_rng(number)
    pixels = rng.integers(0, 256, 3) * 0.7 + rng.integers(0, 77, (64, 64, 3))
    out = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(out, "JPEG")
    return base64.b64encode(out.getvalue() + bytes(-out.tell() % 3)).decode()


def _wire(labels: Labels) -> list[dict[str, Any]]:
    return [{"id": concept, "value": 1 if value else 0} for concept, value in labels.items()]


def _call(name: str, waited: list[float]) -> Call:
    return Call(name, len(waited), *(_quantile(waited, q) for q in (0.5, 0.95, 0.99)))


def _quantile(waited: list[float], q: float) -> float:
    """In milliseconds."""
    return 1000 * sorted(waited)[int(q * (len(waited) - 1))] if waited else 0.0


def _mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0
