"""Keys stand in no log, no error and no answer, but for the one that shows a new key."""

import base64
import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from vectors import vector_input

from tenshot.api.auth.keys import new_key
from tenshot.api.settings import Settings

LOGGERS = ("", "uvicorn", "uvicorn.error", "sqlalchemy", "sqlalchemy.engine", "asyncio")


class Kept(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(levelname)s %(name)s: %(message)s"))
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if not record.name.startswith(("httpx", "httpcore")):  # the client's own, which knows its key
            self.lines.append(self.format(record))  # with the traceback, if there is one


@pytest.fixture
def log() -> Iterator[list[str]]:
    """Everything that is logged, on every level."""
    kept = Kept()
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).addHandler(kept)
        logging.getLogger(name).setLevel(logging.INFO if name.startswith("sqlalchemy") else logging.DEBUG)
    yield kept.lines
    for name, level in levels.items():
        logging.getLogger(name).removeHandler(kept)
        logging.getLogger(name).setLevel(level)


def test_no_key_is_logged_or_answered_whatever_goes_wrong(
    serving: Callable[..., Any], tmp_path: Path, log: list[str]
) -> None:
    answers: list[httpx.Response] = []
    with serving(Settings(data=tmp_path)) as server:
        app = server.store.create_app("v", "vectors", dim=8).id
        secret = new_key(server.store.catalog, app).secret
        revoked = new_key(server.store.catalog, app)
        server.store.catalog.api_keys.revoke(revoked.record.id)
        basic = base64.b64encode(f"id:{secret}".encode()).decode()
        with server.client(None) as client:

            def ask(method: str, path: str, header: str | None = None, **more: Any) -> httpx.Response:
                headers = {} if header is None else {"Authorization": header}
                answers.append(httpx.request(method, server.url + path, headers=headers, **more))
                return answers[-1]

            own = f"Key {secret}"
            assert ask("POST", "/v2/inputs", own, json={"inputs": [vector_input(0, id="x")]}).status_code == 200
            assert ask("GET", "/v2/inputs", f"Key {revoked.secret}").status_code == 401
            for header in (secret, f"Kee {secret}", f"Key  {secret} x", f"Basic {basic}", f"Key {secret}{secret}"):
                assert ask("GET", "/v2/inputs", header).status_code == 401
            assert ask("GET", f"/v2/inputs?key={secret}").status_code == 401
            assert ask("POST", "/v2/inputs", own, content=f'{{"inputs": "{secret}"}}'.encode()).status_code == 400
            assert ask("POST", "/v2/inputs", own, content=f"{{{secret}".encode()).status_code == 400
            assert ask("POST", "/v2/login", json={"email": "a", "password": [server.admin]}).status_code == 400
            assert ask("POST", "/v2/login", json={"email": server.admin, "password": "wrong"}).status_code == 401
            assert ask("POST", "/v2/token", f"Basic {basic}x").status_code == 401
            assert ask("GET", "/v2/users/me/keys", f"Key {server.admin}").status_code == 200
            assert ask("GET", "/v2/users/me/apps", own).status_code == 403
            made = client.post(
                "/v2/users/me/keys",
                headers={"Authorization": f"Key {server.admin}"},
                json={"keys": [{"description": "another", "scopes": ["Read"], "apps": [{"id": app}]}]},
            ).json()["keys"][0]["id"]
            assert ask("GET", "/v2/inputs", f"Key {made}").status_code == 200
            with sqlite3.connect(tmp_path / "tenshot.db") as database:
                database.execute("ALTER TABLE concepts RENAME TO elsewhere")
                database.execute("ALTER TABLE keys RENAME TO keys_elsewhere")
            broken = ask("GET", "/v2/inputs", f"Key {'0' * 32}")
            assert broken.status_code == 500
            assert ask("GET", "/v2/concepts", own).status_code == 500
            with sqlite3.connect(tmp_path / "tenshot.db") as database:
                database.execute("ALTER TABLE elsewhere RENAME TO concepts")
                database.execute("ALTER TABLE keys_elsewhere RENAME TO keys")
    secrets = [secret, server.admin, made, revoked.secret, basic, "secret=", "'0000000000"]
    logged = "\n".join(log)
    assert "no such table" in logged
    assert "Traceback" in logged
    for one in secrets:
        assert one not in logged
    for answer in answers:
        for one in secrets:
            assert one not in answer.text, answer.text
    assert "sqlite" not in broken.text.lower()
    assert "tenshot" not in broken.text.lower()
    assert broken.headers["x-content-type-options"] == "nosniff"


def test_a_new_key_doesn_t_show_itself(server: Any) -> None:
    made = new_key(server.store.catalog, None)
    assert made.secret not in repr(made)
    assert made.secret not in repr(server.store.catalog.api_keys.list())


def test_the_data_folder_holds_no_key(serving: Callable[..., Any], tmp_path: Path) -> None:
    with serving(Settings(data=tmp_path)) as server:
        app = server.store.create_app("v", "vectors", dim=8).id
        secret = new_key(server.store.catalog, app).secret
        with server.client(secret) as client:
            assert client.post("/v2/inputs", json={"inputs": [vector_input(0)]}).status_code == 200
        for file in tmp_path.rglob("*"):
            if file.is_file():
                content = file.read_bytes()
                assert secret.encode() not in content
                assert server.admin.encode() not in content
