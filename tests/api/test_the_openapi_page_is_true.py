"""What the OpenAPI document promises holds for whatever schemathesis thinks of: no 5xx, no answer of another shape."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "unsupported_method,ignored_auth"
)


def test_no_generated_request_gets_an_answer_that_contradicts_the_document(
    server: Any, tenant_of: Callable[..., Any], tmp_path: Path
) -> None:
    """For longer: tenshot serve, then the same command with a greater --max-time."""
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/openapi.json"]
    options = ["--checks", CHECKS, "--max-time", "15", "--warnings", "off", "--generation-deterministic", "--no-color"]
    key = ["--header", f"Authorization: Key {tenant_of().key}"]
    done = subprocess.run([*command, *options, *key], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
