"""What the OpenAPI document promises holds for whatever schemathesis thinks of: no 5xx, no answer of another shape.

Requests one by one, and as sequences in which what one answers is asked of another.
"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance,"
    "unsupported_method,ignored_auth,use_after_free"
)


@pytest.mark.parametrize("phases", ["coverage,fuzzing", "stateful"])
def test_no_generated_request_gets_an_answer_that_contradicts_the_document(
    server: Any, tenant_of: Callable[..., Any], tmp_path: Path, long: bool, phases: str
) -> None:
    command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{server.url}/openapi.json"]
    # A base workflow may have to be loaded first, on a machine that has much to do.
    options = ["--checks", CHECKS, "--phases", phases, "--request-timeout", "60", "--warnings", "off", "--no-color"]
    options += ["--max-time", os.environ.get("TENSHOT_SOAK", "600") if long else "10"]
    options += [] if long else ["--generation-deterministic"]
    key = ["--header", f"Authorization: Key {tenant_of().key}"]
    done = subprocess.run([*command, *options, *key], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-6000:]
    (tmp_path / "said").write_text(done.stdout)
    assert phases != "stateful" or "Scenarios" in done.stdout
