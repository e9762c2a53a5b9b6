"""`tenshot serve`: what it prints, what works beside it, how it ends."""

import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import serving

from tenshot import Store


def test_it_says_where_it_listens_and_gives_the_admin_key_once(launched: Callable[..., Any], tmp_path: Path) -> None:
    with serving(launched) as (running, url, said):
        assert httpx.get(f"{url}/healthz").json()["status"]["code"] == 10000
        [key] = re.findall(r"admin key.*: ([0-9a-f]{32})", said)
        assert httpx.get(f"{url}/v2/users/me/apps", headers={"Authorization": f"Key {key}"}).status_code == 200
        assert "tenshot --data" in said
        [token] = re.findall(rf"{url}/#token=(\S+)", said)
        signed_in = httpx.post(f"{url}/v2/session", json={"token": token}).json()
        header = {"Authorization": f"Key {signed_in['key']}"}
        assert httpx.get(f"{url}/v2/session", headers=header).json()["session"]["admin"]
        assert httpx.post(f"{url}/v2/session", json={"token": token}).status_code == 401
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    with serving(launched) as (running, _, said):
        assert "admin key" not in said
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    Store.open(tmp_path / "data").close()


def test_who_listens_to_the_network_prints_no_sign_in_link(launched: Callable[..., Any]) -> None:
    with serving(launched, "--host", "0.0.0.0") as (_, _url, said):
        assert "token" not in said


def test_apps_and_keys_made_beside_it_work_at_once(launched: Callable[..., Any], tenshot: Callable[..., Any]) -> None:
    with serving(launched) as (_, url, _said):
        made = tenshot("apps", "create", "v", "--workflow", "vectors", "--dim", 4, "--json").json
        headers = {"Authorization": f"Key {made['api_key']}"}
        body = {"inputs": [{"id": "x", "data": {"embeddings": [{"vector": [1, 0, 0, 0]}]}}]}
        assert httpx.post(f"{url}/v2/inputs", json=body, headers=headers).status_code == 200
        key = tenshot("keys", "create", "v", "--json").json
        other = {"Authorization": f"Key {key['api_key']}"}
        assert httpx.get(f"{url}/v2/inputs/x", headers=other).status_code == 200
        tenshot("keys", "revoke", key["id"])
        assert httpx.get(f"{url}/v2/inputs/x", headers=other).status_code == 401
        assert "in use" in tenshot("evaluate", "--app", "v", expect=1).err
        tenshot("apps", "delete", "v", "--yes")
        assert httpx.get(f"{url}/v2/inputs/x", headers=headers).status_code == 401


def test_a_wrong_setting_is_one_line(tenshot: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TENSHOT_LOG_FORMAT", "xml")
    assert "TENSHOT_LOG_FORMAT" in tenshot("serve", "--port", 0, expect=1).err


def test_a_port_in_use_is_one_line(tenshot: Callable[..., Any]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert str(port) in tenshot("serve", "--port", port, expect=1).err


def test_listening_to_the_network_is_warned_of(launched: Callable[..., Any]) -> None:
    def says(host: str) -> str:
        running = launched("serve", "--port", "0", "--host", host)
        said = ""
        while "listens on" not in said:
            line = running.stderr.readline()
            assert line, said
            said += line
        running.kill()
        running.communicate()
        return said

    assert "reverse proxy" in says("0.0.0.0")
    assert "warning" not in says("127.0.0.1")
