"""Older clients show their key as a token or a session."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest


def test_a_client_s_id_and_secret_give_a_token_that_opens_the_app(server: Any, taught: Any) -> None:
    answer = httpx.post(f"{server.url}/v2/token", auth=("any id", taught.key))
    token = answer.json()
    assert (answer.status_code, token["status"]["code"]) == (200, 10000)
    assert token["expires_in"] > 0
    bearer = {"Authorization": f"Bearer {token['access_token']}"}
    assert httpx.get(f"{server.url}/v2/models/abc", headers=bearer).status_code == 200


def test_a_wrong_secret_gives_none(server: Any, taught: Any) -> None:
    for headers, code in (
        ({}, 11008),
        ({"Authorization": "Basic %%%"}, 11008),
        ({"Authorization": f"Key {taught.key}"}, 11008),
        ({"Authorization": "Basic aWQ6d3Jvbmc="}, 11009),
    ):
        answer = httpx.post(f"{server.url}/v2/token", headers=headers)
        assert (answer.status_code, answer.json()["status"]["code"]) == (401, code)


def test_whoever_logs_in_with_an_admin_key_manages_apps_and_keys(server: Any) -> None:
    """The calls by which the official clients' own tests make an app, a key, and delete both."""
    login = httpx.post(f"{server.url}/v2/login", json={"email": "a@b", "password": server.admin}).json()
    session = {"X-Clarifai-Session-Token": login["session_token"]}
    apps = f"{server.url}/v2/users/{login['v2_user_id']}/apps"
    body: dict[str, Any] = {"apps": [{"name": "of a session", "default_workflow_id": "vectors", "dim": 4}]}
    [app] = httpx.post(apps, json=body, headers=session).json()["apps"]
    body = {"keys": [{"description": "d", "scopes": ["All"], "apps": [{"id": app["id"], "user_id": "me"}]}]}
    [key] = httpx.post(f"{server.url}/v2/users/me/keys", json=body, headers=session).json()["keys"]
    assert httpx.get(f"{server.url}/v2/inputs", headers={"Authorization": f"Key {key['id']}"}).status_code == 200
    assert httpx.delete(f"{apps}/{app['id']}", headers=session).status_code == 200
    assert httpx.get(f"{server.url}/v2/inputs", headers={"Authorization": f"Key {key['id']}"}).status_code == 401
    refused = httpx.post(f"{server.url}/v2/login", json={"email": "a@b", "password": "guess"})
    assert (refused.status_code, refused.json()["status"]["code"]) == (401, 11009)


@pytest.mark.parametrize("scopes", [("Read",), ("All",)])
def test_a_key_of_an_app_gives_no_session(server: Any, tenant_of: Callable[..., Any], scopes: tuple[str, ...]) -> None:
    key = tenant_of(scopes=scopes).key
    refused = httpx.post(f"{server.url}/v2/login", json={"email": "a@b", "password": key})
    assert (refused.status_code, refused.json()["status"]["code"]) == (403, 11007)
    assert "session_token" not in refused.json()


def test_a_token_says_no_more_than_its_key_may(server: Any, tenant_of: Callable[..., Any]) -> None:
    said = {
        scope: httpx.post(f"{server.url}/v2/token", auth=("any", tenant_of(scopes=(scope,)).key)).json()["scope"]
        for scope in ("Read", "All")
    }
    assert said == {"Read": "api_access_read", "All": "api_access_write api_access api_access_read"}
