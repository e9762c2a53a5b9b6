"""An input whose picture lies behind a URL is pending, then ready or failed for a reason; a kill -9 loses none."""

import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import pytest
from pictures import png


class Pictures(BaseHTTPRequestHandler):
    """`/slow...` waits until the gate is open, `/missing` is a 404, `/text` is no picture."""

    gate = threading.Event()

    def do_GET(self) -> None:
        if self.path.startswith("/slow"):
            self.gate.wait(30)
        body = b"no picture" if self.path == "/text" else png("discs", 1)
        self.send_response(404 if self.path == "/missing" else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_arguments: Any) -> None:
        pass


@pytest.fixture
def web() -> Iterator[str]:
    Pictures.gate.clear()
    with ThreadingHTTPServer(("127.0.0.1", 0), Pictures) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        Pictures.gate.set()
        server.shutdown()
        thread.join()


@contextmanager
def serving(launched: Callable[..., Any], key: str) -> Iterator[tuple[subprocess.Popen[str], httpx.Client]]:
    running = launched("serve", "--port", "0", "--allow-private-urls")
    try:
        said = ""
        while not (listens := re.search(r"listens on (http://\S+)", said)):
            line = running.stderr.readline()
            assert line, said
            said += line
        with httpx.Client(base_url=listens[1], headers={"Authorization": f"Key {key}"}, timeout=60) as client:
            yield running, client
    finally:
        running.kill()
        running.communicate()


def status(client: httpx.Client, id: str) -> tuple[int, str]:
    found = client.get(f"/v2/inputs/{id}").json()["input"]["status"]
    return found["code"], found.get("details", "")


def test_pending_inputs_survive_a_kill_and_become_ready(
    launched: Callable[..., Any], tenshot: Callable[..., Any], web: str
) -> None:
    key = tenshot("apps", "create", "u", "--workflow", "general-fast", "--json").json["api_key"]
    with serving(launched, key) as (running, client):
        slow = {"id": "slow", "data": {"image": {"url": f"{web}/slow.png"}, "concepts": [{"id": "disc"}]}}
        answer = client.post("/v2/inputs?wait=0", json={"inputs": [slow]}).json()
        assert answer["inputs"][0]["status"]["code"] == 30001
        assert client.get("/v2/inputs/status").json()["counts"]["to_process"] == 1
        near = {"query": {"ands": [{"output": {"input": {"id": "slow", "data": {"image": {}}}}}]}}
        refused = client.post("/v2/searches", json=near)
        assert (refused.status_code, refused.json()["status"]["code"]) == (400, 43004)
        assert client.post("/v2/searches", json={"query": {"ands": []}}).json()["hits"] == []
        running.kill()
        running.wait()
    Pictures.gate.set()
    with serving(launched, key) as (_, client):
        deadline = time.monotonic() + 60
        while status(client, "slow")[0] == 30001 and time.monotonic() < deadline:
            time.sleep(0.05)
        assert status(client, "slow")[0] == 30000
        assert client.post("/v2/searches", json=near).json()["hits"][0]["input"]["id"] == "slow"
        counts = client.get("/v2/inputs/status").json()["counts"]
        assert counts == {"processed": 1, "to_process": 0, "errors": 0, "processing": 0}


def test_a_picture_that_can_t_be_had_says_why(
    launched: Callable[..., Any], tenshot: Callable[..., Any], web: str
) -> None:
    key = tenshot("apps", "create", "u", "--workflow", "general-fast", "--json").json["api_key"]
    inputs = [{"id": name, "data": {"image": {"url": f"{web}/{name}"}}} for name in ("missing", "text")]
    with serving(launched, key) as (_, client):
        answer = client.post("/v2/inputs", json={"inputs": inputs})
        assert answer.status_code == 200
        assert [one["status"]["code"] for one in answer.json()["inputs"]] == [30002, 30101]
        assert "Not Found" in status(client, "missing")[1]
        assert client.get("/v2/inputs/status").json()["counts"]["errors"] == 2
