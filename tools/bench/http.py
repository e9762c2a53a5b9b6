"""`tenshot bench http`: the cost of HTTP, compared with the same calls in-process and with an empty route."""

import json
import selectors
import socket
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import cycle
from pathlib import Path
from typing import Annotated, Any

import typer

from ..console import errors, fail, output, table
from .server_process import running_server

_CONCEPTS = 10
_LABELS = 10
"""Of each concept."""
_NOTHING = "nothing (GET /healthz)"


@dataclass(frozen=True)
class Load:
    """One kind of call, repeated: medians over the rounds."""

    call: str
    through: str
    """`in-process`, or HTTP with a number of connections."""
    per_second: float
    p50_ms: float
    p95_ms: float


def http(
    context: typer.Context,
    inputs: Annotated[int, typer.Option(min=200, help="Stored inputs.")] = 1000,
    dim: Annotated[int, typer.Option(min=2, help="Vector length.")] = 1280,
    seconds: Annotated[float, typer.Option(min=0.1, help="Duration of each measurement in each round.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; the results are medians over them.")] = 5,
) -> None:
    """Measure predictions of stored inputs and searches by id, over HTTP and in-process.

    The server runs in its own process, as `tenshot serve` starts it. Example: tenshot bench http --rounds 3
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        errors.print(f"{inputs} inputs, {dim} dimensions, {_CONCEPTS} concepts with {_LABELS} labels each ...")
        key, ids, measured = _in_process(data, inputs, dim, seconds, rounds)
        with running_server(data) as server:
            address = (server.host, server.port)
            through = {1: "HTTP, 1 connection", 16: "HTTP, 16 connections"}
            for call, requests in _requests(address, key, ids).items():
                _ask(address, requests, 4, 0.5)
                measured |= {(call, name): [] for name in through.values()}
            for _ in range(rounds):
                for call, requests in _requests(address, key, ids).items():
                    for connections, name in through.items():
                        measured[call, name].append(_ask(address, requests, connections, seconds))
    loads = [_load(call, through, rounds) for (call, through), rounds in measured.items()]
    rows = [
        [load.call, load.through, f"{load.per_second:.0f}", f"{load.p50_ms:.2f}", f"{load.p95_ms:.2f}"]
        for load in loads
    ]
    columns = ["call", "through", "per s", "p50 ms", "p95 ms"]
    output(context.obj, [asdict(load) for load in loads], table(None, columns, rows))


@dataclass(frozen=True)
class _Round:
    seconds: float
    waited: Sequence[float]


def _load(call: str, through: str, rounds: Sequence[_Round]) -> Load:
    import numpy as np

    def median(of: Callable[[_Round], float]) -> float:
        return float(np.median([of(measurement) for measurement in rounds]))

    return Load(
        call,
        through,
        per_second=median(lambda measurement: len(measurement.waited) / measurement.seconds),
        p50_ms=median(lambda measurement: 1000 * float(np.median(measurement.waited))),
        p95_ms=median(lambda measurement: 1000 * float(np.quantile(measurement.waited, 0.95))),
    )


def _in_process(
    data: Path, inputs: int, dim: int, seconds: float, rounds: int
) -> tuple[str, Sequence[str], dict[tuple[str, str], list[_Round]]]:
    """Fills the folder; returns its app's key, the ids of its inputs, and the times of the calls without HTTP."""
    import numpy as np
    from threadpoolctl import threadpool_limits

    from ...api.auth.keys import new_key
    from ...index.app.ranking import Term
    from ...index.store import Store

    rng = np.random.default_rng(0)
    centres = rng.normal(size=(_CONCEPTS, dim))
    shows = np.arange(inputs) % _CONCEPTS
    vectors = np.maximum(centres[shows] + 2 * rng.normal(size=(inputs, dim)), 0).astype(np.float32)
    labels = [{f"c{concept}": True} if i < _CONCEPTS * _LABELS else {} for i, concept in enumerate(shows)]
    with Store.open(data) as store:
        app = store.create_app("bench", workflow="vectors", dim=dim)
        ids = [input.id for input in app.add_vectors(vectors, [f"x{i}" for i in range(inputs)], labels)]
        app.create_model("bench", [f"c{i}" for i in range(_CONCEPTS)])
        key = new_key(store.catalog, app.id).secret
        calls: dict[str, Callable[[str], Any]] = {
            "predict a stored input": lambda id: app.predict_input(id, "bench"),
            "search by id": lambda id: app.rank_inputs([Term(vector=app.vectors([id])[0])]),
        }
        measured = {}
        for call, function in calls.items():
            for id in ids[:100]:
                function(id)
            # One thread, as in the server.
            with threadpool_limits(1, user_api="blas"):
                measured[call, "in-process"] = [_repeat(function, ids, seconds) for _ in range(rounds)]
    return key, ids, measured


def _repeat(call: Callable[[str], Any], ids: Sequence[str], seconds: float) -> _Round:
    waited = []
    begun = time.perf_counter()
    for id in cycle(ids):
        start = time.perf_counter()
        if start - begun > seconds:
            break
        call(id)
        waited.append(time.perf_counter() - start)
    return _Round(time.perf_counter() - begun, waited)


def _requests(address: tuple[str, int], key: str, ids: Sequence[str]) -> dict[str, list[bytes]]:
    """Call -> the bytes of its requests."""

    def request(method: str, path: str, body: Any = None) -> bytes:
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{method} {path} HTTP/1.1", f"Host: {address[0]}:{address[1]}", f"Authorization: Key {key}"]
        lines += ["Content-Type: application/json", f"Content-Length: {len(content)}", "", ""]
        return "\r\n".join(lines).encode() + content

    def nearest(id: str) -> Any:
        return {"query": {"ands": [{"output": {"input": {"id": id, "data": {"image": {}}}}}]}}

    return {
        _NOTHING: [request("GET", "/healthz")],
        "predict a stored input": [request("POST", "/v2/models/bench/outputs", {"inputs": [{"id": id}]}) for id in ids],
        "search by id": [request("POST", "/v2/searches", nearest(id)) for id in ids],
    }


def _ask(address: tuple[str, int], requests: Sequence[bytes], connections: int, seconds: float) -> _Round:
    """Each connection sends its next request when it has its answer. It works little, since it shares the cores."""
    waiting, waited, source = selectors.DefaultSelector(), [], cycle(requests)
    opened = [socket.create_connection(address) for _ in range(connections)]
    for connection in opened:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting.register(connection, selectors.EVENT_READ, [0.0, b""])
    begun = time.perf_counter()
    for connection in opened:
        waiting.get_key(connection).data[0] = time.perf_counter()
        connection.sendall(next(source))
    open_connections = connections
    while open_connections:
        for key, _ in waiting.select(30):
            asker, state = key.fileobj, key.data
            assert isinstance(asker, socket.socket)
            part = asker.recv(1 << 18)
            if not part:
                fail("the server closed a connection")
            state[1] += part
            if not _whole(state[1]):
                continue
            now = time.perf_counter()
            waited.append(now - state[0])
            state[0], state[1] = now, b""
            if now - begun < seconds:
                asker.sendall(next(source))
            else:
                open_connections -= 1
    ended = time.perf_counter()
    for connection in opened:
        connection.close()
    return _Round(ended - begun, waited)


def _whole(answer: bytes) -> bool:
    """Whether an answer is complete; it must be a success."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    if not answer.startswith(b"HTTP/1.1 200"):
        fail(f"the server refused: {answer[:500]!r}")
    start = answer.index(b"content-length: ") + 16
    return len(answer) == head + 4 + int(answer[start : answer.index(b"\r", start)])
