"""What browsers are told: which pages may ask, and that nothing is run, framed, guessed or kept."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tenshot.api.settings import Settings

ASKS = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-clarifai-client"}


def test_pages_of_other_origins_may_not_ask_unless_they_are_named(
    server: Any, serving: Callable[..., Any], tmp_path: Path
) -> None:
    origin = {"Origin": "https://app.example"}
    with server.client(None) as client:
        assert "access-control-allow-origin" not in client.options("/v2/inputs", headers=origin | ASKS).headers
        assert "access-control-allow-origin" not in client.get("/healthz", headers=origin).headers
    settings = Settings(data=tmp_path, cors_origins=["https://app.example"])
    with serving(settings) as naming, naming.client(None) as client:
        preflight = client.options("/v2/inputs", headers=origin | ASKS)
        assert preflight.status_code == 200
        assert preflight.headers["access-control-allow-origin"] == "https://app.example"
        assert "authorization" in preflight.headers["access-control-allow-headers"].lower()
        answer = client.get("/v2/inputs", headers=origin)
        assert answer.status_code == 401
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert "Retry-After" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers
        other = client.options("/v2/inputs", headers={"Origin": "https://evil.example"} | ASKS)
        assert "access-control-allow-origin" not in other.headers


def test_every_answer_has_the_headers_errors_too(server: Any, taught: Any) -> None:
    for path in ("/", "/docs", "/openapi.json", "/healthz", "/nothing", "/v2/inputs", "/v2/nothing", "/images/a/b"):
        headers = taught.client.get(path).headers
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cross-origin-opener-policy"] == "same-origin"
        expected = "cross-origin" if path.startswith("/images") else "same-origin"
        assert headers["cross-origin-resource-policy"] == expected
        if path.startswith("/v2"):
            assert headers["cache-control"] == "no-store"
            assert headers["content-security-policy"].startswith("default-src 'none'")
