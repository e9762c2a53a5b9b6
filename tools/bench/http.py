"""`tenshot bench http`: what HTTP costs, beside the same calls in-process and a route that does nothing."""

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

from ..console import errors, fail, say, table
from .server_process import serving

_CONCEPTS = 10
_LABELS = 10
"""Of each concept."""
_NOTHING = "nothing (GET /healthz)"


@dataclass(frozen=True)
class Load:
    """One kind of call, asked over and over: medians over the rounds."""

    call: str
    through: str
    """`in-process`, or HTTP with so many connections at once."""
    per_second: float
    p50_ms: float
    p95_ms: float


def http(
    context: typer.Context,
    inputs: Annotated[int, typer.Option(min=200, help="Stored inputs.")] = 1000,
    dim: Annotated[int, typer.Option(min=2, help="Vector length.")] = 1280,
    seconds: Annotated[float, typer.Option(min=0.1, help="Of each measurement in each round.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="Rounds; medians over them are told.")] = 5,
) -> None:
    """Predict a stored input and search by id, through HTTP and in-process. Example: tenshot bench http --rounds 3

    The server runs in a process of its own, as `tenshot serve` starts it; this process asks.
    """
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "data"
        errors.print(f"{inputs} inputs, {dim} dimensions, {_CONCEPTS} concepts with {_LABELS} labels each ...")
        key, ids, taken = _in_process(data, inputs, dim, seconds, rounds)
        with serving(data) as server:
            address = (server.host, server.port)
            through = {1: "HTTP, 1 connection", 16: "HTTP, 16 connections"}
            for call, requests in _requests(address, key, ids).items():
                _ask(address, requests, 4, 0.5)
                taken |= {(call, name): [] for name in through.values()}
            for _ in range(rounds):
                for call, requests in _requests(address, key, ids).items():
                    for connections, name in through.items():
                        taken[call, name].append(_ask(address, requests, connections, seconds))
    loads = [_load(call, through, rounds) for (call, through), rounds in taken.items()]
    rows = [[one.call, one.through, f"{one.per_second:.0f}", f"{one.p50_ms:.2f}", f"{one.p95_ms:.2f}"] for one in loads]
    columns = ["call", "through", "per s", "p50 ms", "p95 ms"]
    say(context.obj, [asdict(one) for one in loads], table(None, columns, rows))


@dataclass(frozen=True)
class _Round:
    seconds: float
    waited: Sequence[float]


def _load(call: str, through: str, rounds: Sequence[_Round]) -> Load:
    import numpy as np

    def median(of: Callable[[_Round], float]) -> float:
        return float(np.median([of(one) for one in rounds]))

    return Load(
        call,
        through,
        per_second=median(lambda one: len(one.waited) / one.seconds),
        p50_ms=median(lambda one: 1000 * float(np.median(one.waited))),
        p95_ms=median(lambda one: 1000 * float(np.quantile(one.waited, 0.95))),
    )


def _in_process(
    data: Path, inputs: int, dim: int, seconds: float, rounds: int
) -> tuple[str, Sequence[str], dict[tuple[str, str], list[_Round]]]:
    """Fills the folder. A key of its app, the ids of its inputs, and how long the calls take without HTTP."""
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
        ids = [one.id for one in app.add_vectors(vectors, [f"x{i}" for i in range(inputs)], labels)]
        app.create_model("bench", [f"c{i}" for i in range(_CONCEPTS)])
        key = new_key(store.catalog, app.id).secret
        calls: dict[str, Callable[[str], Any]] = {
            "predict a stored input": lambda id: app.predict_input(id, "bench"),
            "search by id": lambda id: app.rank_inputs([Term(vector=app.vectors([id])[0])]),
        }
        taken = {}
        for call, made in calls.items():
            for id in ids[:100]:
                made(id)
            # As in the server.
            with threadpool_limits(1, user_api="blas"):
                taken[call, "in-process"] = [_repeat(made, ids, seconds) for _ in range(rounds)]
    return key, ids, taken


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
    """What is sent, ready to be written."""

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
    """Each connection sends its next request when it has its answer. As little work as can be: the cores are shared."""
    waiting, waited, source = selectors.DefaultSelector(), [], cycle(requests)
    opened = [socket.create_connection(address) for _ in range(connections)]
    for one in opened:
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        waiting.register(one, selectors.EVENT_READ, [0.0, b""])
    begun = time.perf_counter()
    for one in opened:
        waiting.get_key(one).data[0] = time.perf_counter()
        one.sendall(next(source))
    left = connections
    while left:
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
                left -= 1
    ended = time.perf_counter()
    for one in opened:
        one.close()
    return _Round(ended - begun, waited)


def _whole(answer: bytes) -> bool:
    """Whether all of an answer is there, which must be a success."""
    head = answer.find(b"\r\n\r\n")
    if head < 0:
        return False
    if not answer.startswith(b"HTTP/1.1 200"):
        fail(f"the server refused: {answer[:500]!r}")
    start = answer.index(b"content-length: ") + 16
    return len(answer) == head + 4 + int(answer[start : answer.index(b"\r", start)])
