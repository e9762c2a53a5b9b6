"""What a key opens, and a key for a sign-in link. Ours, for the page."""

from typing import NotRequired

from fastapi import Request
from typing_extensions import TypedDict

from ..context import service_of
from ..wire.body import Body, Text
from ..wire.responses import Json, app_out, ok
from ..wire.schemas import Answer, AppOut
from .dependencies import Key
from .route import new_router

router = new_router("/v2/session", "session")
# A client that exchanges a token has no key yet.
unkeyed = new_router("/v2/session", "session", keyed=False)


class SessionOut(TypedDict):
    key_id: str
    admin: bool
    """Whether the key manages apps and keys; it opens any app by /v2/users/me/apps/APP/..."""
    scopes: list[str]
    app: NotRequired[AppOut]
    """The one that it opens, if it is no admin key."""


class SessionAnswer(Answer):
    session: SessionOut


class TokenIn(Body):
    token: Text


class SignedInAnswer(Answer):
    key: str
    key_id: str


@router.get("", response_model=SessionAnswer)
def get(key: Key, request: Request) -> Json:
    """What the key of this request may do, and for which app."""
    store = service_of(request.scope).store
    session: SessionOut = {"key_id": key.id, "admin": key.app_id is None, "scopes": list(key.scopes)}
    if key.app_id is not None:
        session["app"] = app_out(store.catalog.apps.get(key.app_id), "me")
    return ok(session=session)


@unkeyed.post("", response_model=SignedInAnswer)
def sign_in(body: TokenIn, request: Request) -> Json:
    """An admin key for the token of a link that `tenshot serve` printed; a token works once, for ten minutes."""
    service = service_of(request.scope)
    key = service.sign_in.exchange(body.token, service.store.catalog)
    return ok(key=key.secret, key_id=key.record.id)


router.routes.extend(unkeyed.routes)
