"""`tenshot bench soak`: many clients that add, label, predict, search and delete at once, then SIGTERM among them.

Each client knows what its own inputs must be. Nothing may fail, memory must stay flat, and what was acknowledged must
be there when the server has stopped.
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

from ..console import errors, fail, say, table
from .server_process import Served, serving

_CONCEPTS = ("red", "green", "blue")
_KEPT = 12
"""From so many inputs on a client deletes half of them, with fewer than half of that it adds: so many there are."""
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
"""How much more memory the last quarter may take than the second."""
_SETTLING = 60
"""Seconds that memory may take to settle."""
_PAUSE = 0.2

Labels = dict[str, bool]


@dataclass(frozen=True)
class Call:
    """One kind of request, as its clients saw it."""

    call: str
    count: int
    p50_ms: float
    p95_ms: float
    p99_ms: float


@dataclass(frozen=True)
class Soaked:
    """How it went."""

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
    """Of the server's process: means of the four quarters."""
    exit_code: int
    seconds_to_stop: float
    acknowledged: int
    """Inputs that must be there."""
    lost: list[str]

    @property
    def problems(self) -> list[str]:
        found = [f"{len(self.failed)} requests failed: {self.failed[0]}"] if self.failed else []
        found += [f"{len(self.lost)} inputs are not as acknowledged: {self.lost[0]}"] if self.lost else []
        if self.seconds > _SETTLING and self.memory_mb[3] > _GROWTH * self.memory_mb[1]:
            found.append(f"memory grew from {self.memory_mb[1]:.0f} to {self.memory_mb[3]:.0f} MB")
        return found + ([f"the server ended with {self.exit_code}"] if self.exit_code else [])


def soak(
    context: typer.Context,
    seconds: Annotated[float, typer.Option(min=2, help="How long.")] = 600,
    clients: Annotated[int, typer.Option(min=1, help="How many at once, each waiting for its answer.")] = 64,
) -> None:
    """Load a server with a mix of everything, then stop it in the middle. Example: tenshot bench soak --seconds 60"""
    with tempfile.TemporaryDirectory() as folder:
        found = _soak(Path(folder) / "data", clients, seconds)
    rows = [[one.call, one.count, one.p50_ms, one.p95_ms, one.p99_ms] for one in found.calls]
    title = (
        f"{found.requests} requests of {found.clients} clients in {found.seconds:.0f} s ({found.per_second:.0f}/s): "
        f"{len(found.failed)} failed, {found.told_to_wait} told to wait\n"
        f"{len(found.lost)} of {found.acknowledged} inputs lost, the server stopped in {found.seconds_to_stop:.1f} s\n"
        f"health p99 {found.health_p99_ms:.0f} ms, memory by quarters "
        f"{', '.join(f'{one:.0f}' for one in found.memory_mb)} MB"
    )
    say(context.obj, found, table(title, ["call", "count", "p50 ms", "p95 ms", "p99 ms"], rows))
    if found.problems:
        fail("; ".join(found.problems))


@dataclass
class _Client:
    """One user, with inputs of its own."""

    number: int
    address: tuple[str, int]
    headers: Mapping[str, str]
    pictures: list[str]
    inputs: dict[str, Labels] = field(default_factory=dict)
    under_way: dict[str, Labels | None] = field(default_factory=dict)
    """What the request without an answer may have made of inputs; None: deleted."""
    waited: list[tuple[str, float]] = field(default_factory=list)
    told_to_wait: int = 0
    failed: list[str] = field(default_factory=list)

    def run(self, stopping: threading.Event) -> None:
        """Until the server is gone."""
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
            id, said = f"{self.number}-{rng.getrandbits(48):x}", {rng.choice(_CONCEPTS): rng.random() < 0.8}
            self.under_way = {id: said}
            data = {"image": {"base64": rng.choice(self.pictures)}, "concepts": _wire(said)}
            return "POST", "/v2/inputs", {"inputs": [{"id": id, "data": data}]}
        id = rng.choice(list(self.inputs))
        match call:
            case "label":
                said = {rng.choice(_CONCEPTS): rng.random() < 0.5}
                self.under_way = {id: self.inputs[id] | said}
                changes = [{"id": id, "data": {"concepts": _wire(said)}}]
                return "PATCH", "/v2/inputs", {"inputs": changes, "action": "merge"}
            case "delete":
                gone = list(self.inputs)[: len(self.inputs) // 2]
                self.under_way = dict.fromkeys(gone)
                return "DELETE", "/v2/inputs", {"ids": gone}
            case "read":
                return "GET", f"/v2/inputs/{id}", {}
            case "search":
                term = {"output": {"input": {"id": id, "data": {"image": {}}}}}
                return "POST", "/v2/searches", {"query": {"ands": [term]}}
            case "predict a picture":
                # One that the server hasn't seen, for what follows the end of a JPEG is not looked at.
                data = {"image": {"base64": rng.choice(self.pictures) + base64.b64encode(rng.randbytes(6)).decode()}}
                return "POST", "/v2/models/colours/outputs", {"inputs": [{"data": data}]}
        return "POST", "/v2/models/colours/outputs", {"inputs": [{"id": id}]}


def _soak(data: Path, count: int, seconds: float) -> Soaked:
    from ...api.auth.keys import new_key
    from ...index.store import Store

    with Store.open(data) as store:
        app = store.create_app("soak", workflow="general-fast")
        app.create_model("colours", _CONCEPTS)
        key = new_key(store.catalog, app.id).secret
    headers = {"Authorization": f"Key {key}", "Content-Type": "application/json"}
    pictures = [_picture(number) for number in range(200)]
    stopping = threading.Event()
    with serving(data) as server:
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
    waited = [one for client in clients for one in client.waited]
    return Soaked(
        clients=count,
        seconds=stopped - begun,
        requests=len(waited),
        per_second=len(waited) / (stopped - begun),
        told_to_wait=sum(client.told_to_wait for client in clients),
        failed=[one for client in clients for one in client.failed],
        calls=[_call(call, [taken for name, taken in waited if name == call]) for call in _WEIGHTS],
        health_p99_ms=_quantile(health, 0.99),
        memory_mb=[_mean(memory[len(memory) * q // 4 : len(memory) * (q + 1) // 4]) for q in range(4)],
        exit_code=code,
        seconds_to_stop=ended - stopped,
        acknowledged=sum(len(client.inputs) for client in clients),
        lost=lost,
    )


def _wait_until_ready(server: Served) -> None:
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        while True:
            connection.request("GET", "/readyz")
            answer = connection.getresponse()
            answer.read()
            if answer.status == 200:
                return
            time.sleep(_PAUSE)


def _watched(server: Served, until: float, threads: list[threading.Thread]) -> tuple[list[float], list[float]]:
    """The server's memory in MB, and how long health took in seconds, again and again."""
    memory, health = [], []
    with closing(http.client.HTTPConnection(server.host, server.port, timeout=60)) as connection:
        while time.perf_counter() < until and any(thread.is_alive() for thread in threads):
            start = time.perf_counter()
            connection.request("GET", "/healthz")
            connection.getresponse().read()
            health.append(time.perf_counter() - start)
            connection.request("GET", "/metrics")
            text = connection.getresponse().read().decode()
            if found := re.search(r"^process_resident_memory_bytes (\S+)$", text, re.MULTILINE):
                memory.append(float(found[1]) / 1e6)
            time.sleep(_PAUSE)
    return memory, health


def _lost(app: Any, clients: list[_Client]) -> list[str]:
    """Inputs that are neither what was acknowledged nor what the last request, without an answer, would have made."""
    found = {one.id: dict(one.concepts) for one in app.inputs(per_page=1_000_000)}
    lost = []
    for client in clients:
        for id in client.inputs.keys() | client.under_way.keys():
            allowed: list[Labels | None] = [client.inputs.get(id)]
            if id in client.under_way:
                allowed.append(client.under_way[id])
            if found.pop(id, None) not in allowed:
                lost.append(f"{id} should be {allowed}")
    return lost + [f"{id} came back" for id in found]


def _picture(number: int) -> str:
    """A small noisy one in a colour of its own, as base64 to which more can be added."""
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
