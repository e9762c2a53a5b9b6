"""Older ways to show a key: a token for a client's id and secret, and a session (contract, sections 1 and 4).

A token and a session are the key itself: it is as long-lived and can be revoked as before.
"""

import base64
import binascii

from fastapi import Request

from ...index.records import KeyRecord
from ..auth.keys import READ, BadKey, MissingScope, authenticate
from ..context import service_of
from ..wire.body import Body, Text
from ..wire.responses import Json, ok
from ..wire.schemas import LoginAnswer, TokenAnswer
from .route import new_router

router = new_router("/v2", "tokens", keyed=False)
_SECONDS = 48 * 3600


class LoginIn(Body):
    email: Text = ""
    password: Text


@router.post("/token", response_model=TokenAnswer)
def token(request: Request) -> Json:
    """For HTTP Basic authentication with any client id and, as the secret, an API key."""
    kind, _, encoded = request.headers.get("authorization", "").partition(" ")
    try:
        secret = base64.b64decode(encoded, validate=True).decode().partition(":")[2] if kind.lower() == "basic" else ""
    except (binascii.Error, ValueError):
        secret = ""
    key = _key(request, secret)
    scope = "api_access_read" if set(key.scopes) == {READ} else "api_access_write api_access api_access_read"
    return ok(access_token=secret, expires_in=_SECONDS, scope=scope)


@router.post("/login", response_model=LoginAnswer)
def login(body: LoginIn, request: Request) -> Json:
    """For any email and, as the password, an admin key: a session for managing apps and keys."""
    if _key(request, body.password).app_id is not None:
        raise MissingScope("a session is for managing apps and keys: the password must be an admin key")
    return ok(session_token=body.password, v2_user_id="me")


def _key(request: Request, secret: str) -> KeyRecord:
    """Raises BadKey."""
    if not secret:
        raise BadKey("no API key was given: it is the secret, or the password", malformed=True)
    return authenticate(service_of(request.scope).store.catalog, f"Key {secret}")
