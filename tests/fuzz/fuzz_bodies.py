"""Throws bodies with long lists, mappings and texts at every route of a real server, and watches it from outside.

    python tests/fuzz/fuzz_bodies.py --requests 50000 [--clients 4] [--largest 8000000] [--seed 0]

Fails on any 5xx and on any connection that breaks; says how fast `/healthz` was answered meanwhile, and how much memory
the server took at most beside what it takes idle.
"""

import argparse
import json
import math
import multiprocessing
import random
import re
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from http.client import HTTPConnection, HTTPException
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from tenshot import Store
from tenshot.api.auth.keys import new_key
from tenshot.tools.bench.server_process import running_server

FILLERS = (b"0", b"1e0", b"{}", b"[]", b'"x"', b"null", b"true", b'{"a":0}', b'{"id":"x0"}', b"[[0]]")
TEXTS = (b"x", b"\\/", b"\\u00e9", "é".encode(), b"A,", b"[{")


@dataclass
class Report:
    requests: int
    largest_body: int
    statuses: dict[str, int] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    """Requests that got a 5xx, or no answer."""
    healthz_p50: float = 0.0
    healthz_p99: float = 0.0
    healthz_most: float = 0.0
    """Seconds."""
    idle_bytes: int = 0
    peak_bytes: int = 0
    seconds: float = 0.0

    @property
    def factor(self) -> float:
        """Memory above idle, in largest bodies."""
        return (self.peak_bytes - self.idle_bytes) / self.largest_body


class Bodies:
    """Bodies after the schemas of an OpenAPI document, some of whose parts are much longer than any request needs."""

    def __init__(self, document: Any, largest: int) -> None:
        self._schemas = document["components"]["schemas"]
        self._largest = largest
        self.routes = [
            (method.upper(), path, self._schema(operation), bool(operation.get("security")))
            for path, operations in document["paths"].items()
            for method, operation in operations.items()
        ]
        self.with_body = [route for route in self.routes if route[2] is not None]

    def make(self, rng: random.Random, schema: Any) -> bytes:
        """At most `largest` bytes; most are small."""
        size = int(10 ** (1 + (math.log10(self._largest) - 1) * rng.random() ** 5))
        shaped = schema is not None and rng.random() < 0.9
        body = self._made(rng, schema, size, 0) if shaped else self._long(rng, FILLERS, size)
        return body if len(body) <= self._largest else b"{}"

    def _made(self, rng: random.Random, schema: Any, size: int, depth: int) -> bytes:
        schema = self._resolved(rng, schema)
        kind, item = schema.get("type"), schema.get("items", {"type": "number"})
        if depth > 8:
            return b"0"
        if kind == "array":
            if rng.random() < 0.3:
                return self._long(rng, (*FILLERS, self._made(rng, item, 50, depth + 1)), size)
            items = [self._made(rng, item, size, depth + 1) for _ in range(rng.randint(0, 2))]
            return b"[" + b",".join(items) + b"]"
        if kind == "object":
            required = schema.get("required", ())
            pairs = [
                json.dumps(name).encode() + b":" + self._made(rng, property, size, depth + 1)
                for name, property in schema.get("properties", {}).items()
                if name in required or rng.random() < 0.4
            ]
            if not schema.get("properties") or rng.random() < 0.03:
                pairs.append(b'"odd":' + self._long(rng, FILLERS, size))
            return b"{" + b",".join(pairs) + b"}"
        if kind == "string":
            if "enum" not in schema and rng.random() < 0.1:
                text = rng.choice(TEXTS)
                return b'"' + text * (size // len(text)) + b'"'
            return json.dumps(rng.choice(schema.get("enum", ["x0", "a", "bodies"]))).encode()
        return rng.choice((b"0", b"1", b"0.5", b"true", b"-1", b"1e308"))

    def _long(self, rng: random.Random, fillers: tuple[bytes, ...], size: int) -> bytes:
        filler = rng.choice(fillers)
        if rng.random() < 0.2:
            return b"{" + b",".join(b'"%d":%b' % (i, filler) for i in range(size // (len(filler) + 8))) + b"}"
        return b"[" + (filler + b",") * (size // (len(filler) + 1)) + b"0]"

    def _resolved(self, rng: random.Random, schema: Any) -> Any:
        while "$ref" in schema or "anyOf" in schema:
            if "$ref" in schema:
                schema = self._schemas[schema["$ref"].rsplit("/", 1)[1]]
            else:
                schema = rng.choice(schema["anyOf"][:1] * 9 + schema["anyOf"])
        return schema

    def _schema(self, operation: Any) -> Any:
        content = operation.get("requestBody", {}).get("content", {})
        return content.get("application/json", {}).get("schema")


class Target:
    """A server with an app of vectors, in which there is a little of everything."""

    def __init__(self, host: str, port: int, pid: int, admin: str, key: str) -> None:
        self.host, self.port, self.pid = host, port, pid
        self._keys = {"admin": admin, "app": key}

    def path(self, path: str) -> str:
        ids = {"id": "bodies", "user": "me", "version_id": "none", "app_id": "none", "sha256": "0" * 64}
        return re.sub(r"\{(\w+)\}", lambda name: ids[name[1]], path)

    def headers(self, path: str, keyed: bool) -> dict[str, str]:
        key = self._keys["admin" if path.startswith("/v2/users") else "app"]
        return {"Content-Type": "application/json", **({"Authorization": f"Key {key}"} if keyed else {})}

    def memory(self, line: str) -> int:
        """Bytes that it has now (`VmRSS`), or has had at most (`VmHWM`)."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return 1024 * int(re.search(rf"{line}:\s+(\d+)", status)[1])  # type: ignore[index]

    def ask(self, connection: HTTPConnection, method: str, path: str, body: bytes, keyed: bool) -> int:
        connection.request(method, self.path(path), body, self.headers(path, keyed))
        answer = connection.getresponse()
        answer.read()
        return answer.status


@contextmanager
def target() -> Iterator[Target]:
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        with Store.open(data) as store:
            app = store.create_app("fuzzed", "vectors", dim=8)
            app.add_vectors([[float(i == j) for j in range(8)] for i in range(8)], [f"x{i}" for i in range(8)])
            app.label("x0", {"a": True, "b": False})
            app.label("x1", {"a": False, "b": True})
            app.create_model("bodies", ["a", "b"])
            admin, key = new_key(store.catalog, None).secret, new_key(store.catalog, app.id).secret
        with running_server(data) as server:
            fuzzed = Target(server.host, server.port, server.process.pid, admin, key)
            _wake(fuzzed)
            yield fuzzed


def _wake(target: Target) -> None:
    """What is imported when it is first wanted is no body's doing."""
    picture = {"id": "x1"}
    for path, body in (
        ("/v2/models/bodies/outputs", {"inputs": [picture]}),
        ("/v2/models/bodies/explanations", {"inputs": [picture]}),
        ("/v2/searches", {"query": {"ands": [{"output": {"input": picture}}]}}),
    ):
        assert _counted(target, "POST", path, json.dumps(body).encode(), True) == "200"
    for what in ("evaluation", "learning_curve", "suggestions", "doubts"):
        assert _counted(target, "GET", f"/v2/models/bodies/{what}", b"", True) == "200"


def fuzz(target: Target, requests: int, clients: int, largest: int, seed: int) -> Report:
    """Asks; what comes out depends on the seed alone, but for the order in which the clients come."""
    with closing(HTTPConnection(target.host, target.port, timeout=120)) as connection:
        connection.request("GET", "/openapi.json")
        bodies = Bodies(json.loads(connection.getresponse().read()), largest)
    for method, path, _, keyed in bodies.with_body:
        _counted(target, method, path, b"{}", keyed)
    report = Report(requests, largest, idle_bytes=target.memory("VmRSS"))
    counts: Counter[str] = Counter()
    begun = time.monotonic()
    with _health(target) as waited:
        threads = [
            threading.Thread(
                target=_client, args=(target, bodies, requests // clients, seed + i, counts, report.failures)
            )
            for i in range(clients)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        times = sorted(waited())
    report.seconds = time.monotonic() - begun
    report.statuses = dict(sorted(counts.items()))
    report.healthz_p50, report.healthz_p99 = times[len(times) // 2], times[int(len(times) * 0.99)]
    report.healthz_most = times[-1]
    report.peak_bytes = target.memory("VmHWM")
    return report


def _client(
    target: Target, bodies: Bodies, requests: int, seed: int, counts: "Counter[str]", failures: list[str]
) -> None:
    rng = random.Random(seed)
    for _ in range(requests):
        method, path, schema, keyed = rng.choice(bodies.routes)
        if schema is None and rng.random() < 0.9:
            method, path, schema, keyed = rng.choice(bodies.with_body)
        body = bodies.make(rng, schema)
        status = _counted(target, method, path, body, keyed)
        counts[status] += 1
        if not status.startswith(("2", "4")):
            failures.append(f"{status}: {method} {path} {len(body)} bytes: {body[:300]!r}")


def _counted(target: Target, method: str, path: str, body: bytes, keyed: bool) -> str:
    connection = HTTPConnection(target.host, target.port, timeout=120)
    try:
        return str(target.ask(connection, method, path, body, keyed))
    except (OSError, HTTPException) as error:
        return type(error).__name__
    finally:
        connection.close()


@contextmanager
def _health(target: Target) -> Iterator[Callable[[], list[float]]]:
    """Asks /healthz every 20 ms from another process; what is called at the end gives the seconds that each took."""
    context = multiprocessing.get_context("fork")
    ended, waited = context.Event(), context.SimpleQueue()
    process = context.Process(target=_watch, args=(target.host, target.port, ended, waited))
    process.start()

    def stop() -> list[float]:
        ended.set()
        times: list[float] = waited.get()
        return times

    try:
        yield stop
    finally:
        ended.set()
        process.join()


def _watch(host: str, port: int, ended: Event, waited: Any) -> None:
    times = []
    while not ended.wait(0.02):
        connection = HTTPConnection(host, port, timeout=120)
        start = time.perf_counter()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        times.append(time.perf_counter() - start)
        connection.close()
    waited.put(times)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=50_000)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--largest", type=int, default=8_000_000)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with target() as server:
        report = fuzz(server, **vars(arguments))
    print(json.dumps({**asdict(report), "factor": round(report.factor, 1)}, indent=1))
    sys.exit(bool(report.failures))


if __name__ == "__main__":
    main()
