"""`tenshot serve`: what it prints, what works beside it, how it ends."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from serving import serving

from tenshot import Store
from tenshot.api.auth.handover import Handover

TENSHOT = str(Path(sys.executable).with_name("tenshot"))


def test_it_says_where_it_listens_and_in_which_files_secrets_are(launched: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(launched) as (running, url, said):
        assert httpx.get(f"{url}/healthz").json()["status"]["code"] == 10000
        assert "tenshot --data" in said
        [key_file] = re.findall(r"admin key: written to (\S+), .* read it, then delete the file", said)
        key = _private(data / "admin-key", key_file)
        assert httpx.get(f"{url}/v2/users/me/apps", headers={"Authorization": f"Key {key}"}).status_code == 200
        [link_file] = re.findall(r"once and within 10 minutes: the link is in (\S+)", said)
        link = _private(data / "sign-in-link", link_file)
        assert link.startswith(f"{url}/#token=")
        token = link.partition("=")[2]
        assert key not in said
        assert token not in said
        _signs_in_once(url, token)
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    assert not (data / "sign-in-link").exists()
    with serving(launched) as (running, _, said):
        assert "admin key: still in" in said
        assert (data / "admin-key").read_text().strip() == key
        (data / "admin-key").unlink()
    assert (data / "sign-in-link").exists()  # it was killed
    with serving(launched, "--host", "0.0.0.0") as (running, _, said):
        assert "admin key" not in said
        assert "token" not in said
        assert not (data / "sign-in-link").exists()
        running.send_signal(signal.SIGTERM)
        assert running.wait(20) == 0
    Store.open(data).close()


def test_on_a_terminal_secrets_are_shown_and_in_no_file(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    command = [TENSHOT, "--data", str(tmp_path / "data"), "serve", "--port", "0"]
    running = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=theirs, env=os.environ | {"TERM": "dumb"})
    os.close(theirs)
    said = ""
    try:
        while "listens on" not in said:
            said += os.read(ours, 4096).decode()
        [key] = re.findall(r"admin key, shown this once: ([0-9a-f]{32})\b", said)
        [(url, token)] = re.findall(r"minutes: (http://[\d.:]+)/#token=(\S+)", said)
        assert httpx.get(f"{url}/v2/users/me/apps", headers={"Authorization": f"Key {key}"}).status_code == 200
        _signs_in_once(url, token)
        assert not {"admin-key", "sign-in-link"} & {file.name for file in (tmp_path / "data").iterdir()}
    finally:
        running.kill()
        running.wait()
        os.close(ours)


def test_a_link_goes_with_its_time_and_a_secret_replaces_what_lies_in_its_place(tmp_path: Path) -> None:
    told: list[str] = []
    elsewhere = tmp_path / "elsewhere"
    elsewhere.write_text("untouched")
    (tmp_path / "admin-key").symlink_to(elsewhere)
    (tmp_path / "sign-in-link").write_text("old, and open to all")
    handover = Handover(tmp_path, told.append, terminal=False)
    handover.admin_key("secret")
    handover.sign_in_link("http://x/#token=y", 0.05)
    assert _private(tmp_path / "admin-key", str(tmp_path / "admin-key")) == "secret"
    assert elsewhere.read_text() == "untouched"
    deadline = time.monotonic() + 20
    while (tmp_path / "sign-in-link").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert {file.name for file in tmp_path.iterdir()} == {"admin-key", "elsewhere"}
    handover.end()


def _private(file: Path, named: str) -> str:
    """What a file holds that is named in full, and for its owner alone."""
    assert named == str(file.resolve())
    assert not file.is_symlink()
    assert file.stat().st_mode & 0o777 == 0o600
    return file.read_text().strip()


def _signs_in_once(url: str, token: str) -> None:
    signed_in = httpx.post(f"{url}/v2/session", json={"token": token}).json()
    header = {"Authorization": f"Key {signed_in['key']}"}
    assert httpx.get(f"{url}/v2/session", headers=header).json()["session"]["admin"]
    assert httpx.post(f"{url}/v2/session", json={"token": token}).status_code == 401


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
