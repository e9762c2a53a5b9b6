"""What a key opens, and the token of a sign-in link: once, not for long, for a key of its own."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

from tenshot.api.auth.keys import BadKey
from tenshot.api.auth.sign_in import TOKEN_SECONDS, SignIn
from tenshot.index.catalog import Catalog


def test_a_key_says_which_app_it_opens_and_what_it_may(tenant_of: Callable[..., Any]) -> None:
    tenant = tenant_of(scopes=("Read",))
    session = tenant.call("GET", "/v2/session")["session"]
    assert (session["admin"], session["scopes"]) == (False, ["Read"])
    assert session["app"]["id"] == tenant.id


def test_an_admin_key_opens_any_app_that_its_path_names(server: Any, tenant: Any) -> None:
    with server.client(server.admin) as admin:
        session = admin.get("/v2/session").json()["session"]
        assert session["admin"]
        assert "app" not in session
        tenant.call("POST", "/v2/inputs", {"inputs": [{"id": "x", "data": {"embeddings": [{"vector": [1] * 8}]}}]})
        assert admin.get(f"/v2/users/me/apps/{tenant.id}/inputs/x").status_code == 200
        assert admin.get("/v2/users/me/apps/nothing/inputs/x").json()["status"]["code"] == 11101
        assert admin.get("/v2/inputs/x").json()["status"]["code"] == 11007


def test_a_token_gives_an_admin_key_once(server: Any) -> None:
    sign_in = SignIn()
    token = sign_in.issue()
    made = sign_in.exchange(token, server.store.catalog)
    headers = {"Authorization": f"Key {made.secret}"}
    assert httpx.get(f"{server.url}/v2/session", headers=headers).json()["session"]["key_id"] == made.record.id
    with pytest.raises(BadKey, match="used already"):
        sign_in.exchange(token, server.store.catalog)


def test_the_key_of_an_earlier_link_is_revoked_by_a_later_one(catalog: Catalog) -> None:
    sign_in = SignIn()
    first, second = (sign_in.exchange(sign_in.issue(), catalog) for _ in range(2))
    revoked = {one.id: one.revoked_at is not None for one in catalog.api_keys.list(admin=True)}
    assert revoked == {first.record.id: True, second.record.id: False}


def test_a_token_is_too_old_after_ten_minutes(catalog: Catalog) -> None:
    now = 0.0
    sign_in = SignIn(lambda: now)
    early, late = sign_in.issue(), sign_in.issue()
    now = TOKEN_SECONDS
    sign_in.exchange(early, catalog)
    now = TOKEN_SECONDS + 1
    with pytest.raises(BadKey, match="too old"):
        sign_in.exchange(late, catalog)


def test_no_token_was_issued_so_none_is_taken(server: Any) -> None:
    answer = httpx.post(f"{server.url}/v2/session", json={"token": "guessed"})
    assert (answer.status_code, answer.json()["status"]["code"]) == (401, 11009)


@pytest.fixture
def catalog(tmp_path: Any) -> Any:
    from tenshot.index.store import open_catalog

    catalog = open_catalog(tmp_path)
    yield catalog
    catalog.close()
