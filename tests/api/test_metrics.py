"""What Prometheus reads of the collections."""

from typing import Any

from vectors import vector_input


def test_open_collections_are_gauges(server: Any, tenant: Any) -> None:
    tenant.call("POST", "/v2/inputs", {"inputs": [vector_input(0), vector_input(1)]})
    with server.client(None) as client:
        said = client.get("/metrics")
    assert said.headers["content-type"].startswith("text/plain")
    lines = said.text.splitlines()
    assert "# TYPE tenshot_collection_rows gauge" in lines
    found = [line for line in lines if line.startswith("tenshot_collection_rows{")]
    assert any('kind="exact",place="cpu"' in line and line.endswith("} 2") for line in found)
