"""Request ids, logs, metrics, traces, and what an overloaded service still answers."""

import json
import logging
import re
import threading
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from patience import becomes
from vectors import vector_input

from tenshot import Store
from tenshot.api.auth.keys import new_key
from tenshot.api.observability.logs import set_up_logs
from tenshot.api.observability.prometheus import Metrics
from tenshot.api.observability.tracing import Tracing
from tenshot.api.service import create_service
from tenshot.api.settings import Settings
from tenshot.embeddings.workflows import recipe_of

TIME = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00"


@pytest.mark.parametrize("given", ["abc-123", "00f067aa0ba902b7", "a" * 100])
def test_a_sane_request_id_is_kept(tenant: Any, given: str) -> None:
    said = tenant.client.get("/v2/inputs", headers={"X-Request-ID": given})
    assert said.headers["x-request-id"] == said.json()["status"]["req_id"] == given


@pytest.mark.parametrize("given", ["", "a b", "a" * 101, "x<script>", "é"])
def test_another_is_replaced(tenant: Any, given: str) -> None:
    said = tenant.client.get("/v2/inputs", headers={"X-Request-ID": given.encode()})
    assert re.fullmatch("[0-9a-f]{32}", said.headers["x-request-id"])
    assert said.headers["x-request-id"] == said.json()["status"]["req_id"]


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("GET", "/v2/nowhere", None),
        ("PUT", "/v2/inputs", {}),
        ("POST", "/v2/inputs", {"inputs": 3}),
        ("GET", "/v2/inputs/unknown", None),
        ("GET", "/healthz", None),
    ],
)
def test_every_answer_has_one_id_in_header_and_status(tenant: Any, method: str, path: str, body: Any) -> None:
    first, second = (tenant.client.request(method, path, json=body) for _ in range(2))
    for said in (first, second):
        assert said.headers["x-request-id"] == said.json()["status"]["req_id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def _samples(server: Any) -> dict[str, float]:
    with server.client(None) as client:
        said = client.get("/metrics")
    assert said.headers["content-type"].startswith("text/plain")
    lines = [line.rsplit(" ", 1) for line in said.text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, value in lines}


def test_requests_and_their_parts_are_timed_by_route_never_by_id(server: Any, taught: Any) -> None:
    body = {"inputs": [{"data": {"embeddings": [{"vector": [1] * 8}]}}]}
    count = 'tenshot_request_seconds_count{method="POST",route="/v2/models/{id}/outputs",status="200"}'
    before = _samples(server)
    for _ in range(3):
        taught.call("POST", "/v2/models/abc/outputs", body)
    taught.call("POST", "/v2/models/nobody/outputs", body, expect=(404, 21200))
    after = _samples(server)
    assert after[count] - before.get(count, 0) == 3
    assert after[count.replace('status="200"', 'status="404"')] >= 1
    scored = 'tenshot_stage_seconds_count{stage="score"}'
    assert after[scored] - before.get(scored, 0) == 3
    assert {"sql write", "sql read"} <= set(re.findall('stage="([^"]+)"', " ".join(after)))
    assert not any("nobody" in name for name in after)


def test_the_store_is_measured(server: Any, taught: Any) -> None:
    samples = _samples(server)
    app = taught.client.get("/v2/session").json()["session"]["app"]["metrics_label"]
    assert samples[f'tenshot_inputs{{app="{app}",status="ready"}}'] == 30
    assert samples[f'tenshot_labels{{app="{app}",value="yes"}}'] == 6
    assert samples[f'tenshot_collection_rows{{app="{app}",kind="exact",place="cpu"}}'] == 30
    taught.app.label("x3", {"a": False})
    after = _samples(server)
    assert after[f'tenshot_labels{{app="{app}",value="no"}}'] == 1
    assert after['tenshot_queue_depth{queue="pictures"}'] == 0
    assert after["process_resident_memory_bytes"] > 1e6
    assert after['tenshot_disk_bytes{kind="free"}'] > 0
    for _ in range(5):
        taught.call("GET", "/v2/models/abc")
    remembered = 'tenshot_sql_reads_total{remembered="yes"}'
    assert _samples(server)[remembered] > after[remembered]


def test_nothing_that_needs_no_key_tells_half_of_the_address_of_a_picture(server: Any, taught: Any) -> None:
    """An app's id, without which nobody finds its pictures, even who has them."""
    with server.client(None) as client:
        client.get(f"/images/{taught.id}/{64 * '0'}")
        client.get(f"/v2/users/me/apps/{taught.id}/inputs")
        paths = [route.path for route in server.service.routes if "{" not in route.path]
        assert {"/metrics", "/readyz", "/docs", "/openapi.json", "/v2/session", "/"} <= set(paths)
        for path in paths:
            said = client.get(path)
            assert taught.id not in said.text + str(said.headers), path
    with server.client(server.admin) as client:
        apps = {one["id"]: one["metrics_label"] for one in client.get("/v2/users/me/apps").json()["apps"]}
    assert len(set(apps.values())) == len(apps)
    assert f'app="{apps[taught.id]}"' in " ".join(_samples(server))


@pytest.fixture
def logged(capsys: pytest.CaptureFixture[str]) -> Iterator[Callable[[str, str], None]]:
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    yield set_up_logs
    logging.captureWarnings(False)
    root.handlers[:] = handlers
    root.setLevel(level)


def test_json_logs_are_one_object_a_line_without_keys(
    logged: Callable[[str, str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logged("json", "info")
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("a", "vectors", dim=8)
        key = new_key(store.catalog, app.id).secret
        with TestClient(create_service(Settings(), store)) as client:
            headers = {"Authorization": f"Key {key}", "X-Request-ID": "mine"}
            client.post("/v2/inputs", json={"inputs": [vector_input(0, id="secret name")]}, headers=headers)
            client.get("/v2/inputs/a%0Ab", headers=headers)
    err = capsys.readouterr().err
    lines = [json.loads(line) for line in err.splitlines()]
    [posted, got] = [line for line in lines if line["logger"] == "tenshot.requests"]
    assert (posted["request_id"], posted["method"], posted["route"], posted["status"]) == (
        *("mine", "POST"),
        *("/v2/inputs", 200),
    )
    assert posted["stages"]["sql write"] > 0
    assert (got["status"], got["path"]) == (404, "/v2/inputs/a\nb")
    assert key not in err
    assert "secret name" not in err


def test_plain_logs_end_with_the_request_id_and_stay_on_one_line(
    logged: Callable[[str, str], None], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    logged("plain", "info")
    with Store.open(tmp_path / "data") as store, TestClient(create_service(Settings(), store)) as client:
        client.get("/v2/inputs/a%0Ab", headers={"X-Request-ID": "mine"})
    [line] = [line for line in capsys.readouterr().err.splitlines() if "tenshot.requests" in line]
    assert re.fullmatch(rf"{TIME} INFO tenshot.requests: GET /v2/inputs/a\\nb 401 [\d.]+ ms \[mine\]", line)


@pytest.mark.parametrize("format", ["plain", "json"])
def test_what_libraries_log_and_warn_of_has_a_time_too_and_is_one_line(
    logged: Callable[[str, str], None], capsys: pytest.CaptureFixture[str], format: str
) -> None:
    logged(format, "info")
    warnings.showwarning("old\nnews", UserWarning, "somewhere.py", 3)
    logging.getLogger("some.library").info("Started server process [%d]", 7)
    warned, started = capsys.readouterr().err.splitlines()
    for line, words in ((warned, "UserWarning: old"), (started, "Started server process [7]")):
        assert words in line
        said = json.loads(line)["time"] if format == "json" else line.split(" ")[0]
        assert re.fullmatch(TIME, said)


def test_a_trace_goes_on_through_the_service(tmp_path: Path) -> None:
    spans = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    caller = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("a", "vectors", dim=8)
        headers = {"Authorization": f"Key {new_key(store.catalog, app.id).secret}", "traceparent": caller}
        with TestClient(create_service(Settings(), store, Tracing(provider))) as client:
            said = client.post("/v2/inputs", json={"inputs": [vector_input(0)]}, headers=headers)
            assert said.status_code == 200
    [span] = spans.get_finished_spans()
    assert span.name == "POST /v2/inputs"
    assert span.context is not None
    assert f"{span.context.trace_id:x}" == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert span.attributes is not None
    assert span.attributes["http.response.status_code"] == 200
    assert span.attributes["tenshot.request_id"] == said.headers["x-request-id"]
    assert span.attributes["tenshot.seconds.sql write"]


def test_more_at_once_than_allowed_are_told_to_wait_while_health_answers(tmp_path: Path) -> None:
    begun, go_on = threading.Semaphore(0), threading.Event()
    with Store.open(tmp_path / "data") as store:
        app = store.create_app("a", "vectors", dim=8)
        headers = {"Authorization": f"Key {new_key(store.catalog, app.id).secret}"}
        service = create_service(Settings(max_requests=3), store)

        @service.get("/slow")
        def slow() -> None:
            begun.release()
            go_on.wait(20)

        with TestClient(service) as client:
            becomes(lambda: client.get("/readyz").status_code, 200)
            waiting = [
                threading.Thread(target=client.get, args=("/slow",), kwargs={"headers": headers}) for _ in range(3)
            ]
            for thread in waiting:
                thread.start()
                assert begun.acquire(timeout=20)
            said = client.get("/v2/inputs", headers=headers)
            assert (said.status_code, said.json()["status"]["code"], said.headers["retry-after"]) == (429, 11005, "1")
            for path in ("/healthz", "/readyz", "/metrics"):
                assert client.get(path).status_code == 200
            go_on.set()
            for thread in waiting:
                thread.join()
            assert client.get("/v2/inputs", headers=headers).status_code == 200


def test_it_is_ready_when_its_base_workflows_are_open(tmp_path: Path) -> None:
    go_on = threading.Event()

    class Slow(Store):
        def warm_up(self) -> None:
            go_on.wait(20)

    with Slow.open(tmp_path / "data") as store:
        service = create_service(Settings(), store)
        with TestClient(service) as client:
            assert client.get("/healthz").status_code == 200
            assert client.get("/readyz").status_code == 503
            go_on.set()
            service.state.context.warm_up.join()
            assert client.get("/readyz").status_code == 200


def test_at_the_start_base_workflows_are_opened_and_one_that_cannot_be_stops_no_other(tmp_path: Path) -> None:
    with Store.open(tmp_path / "data") as store:
        gone = replace(recipe_of("general-fast"), weights="pypi:no-such-package")
        store.catalog.apps.create("a" * 32, "gone", asdict(gone), gone.dim)
        for name in ("first", "second"):
            store.create_app(name, "general-fast")
        assert store.waiting() == {}
        service = create_service(Settings(), store)
        with TestClient(service) as client:
            service.state.context.warm_up.join()
            assert client.get("/readyz").status_code == 200
            assert store.waiting() == {"general-fast": 0}


def test_who_reads_the_metrics_without_end_keeps_nobody_waiting(
    server: Any, tenant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate, text = threading.Event(), Metrics.text

    def held(metrics: Metrics) -> bytes:
        assert gate.wait(60)
        return text(metrics)

    monkeypatch.setattr(Metrics, "text", held)
    with ThreadPoolExecutor(45) as threads, server.client(None) as stranger:
        reads = [threads.submit(lambda: stranger.get("/metrics").status_code) for _ in range(45)]
        try:
            becomes(lambda: server.in_flight, 45)
            assert tenant.client.get("/v2/inputs", timeout=10).status_code == 200
            assert stranger.get("/readyz", timeout=10).status_code == 200
        finally:
            gate.set()
        assert {read.result() for read in reads} == {200}
