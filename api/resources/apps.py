"""Apps and keys, for whoever has an admin key (contract, section 4)."""

from typing import Annotated

from pydantic import Field

from ...embeddings.workflows import DEFAULT
from ..auth.keys import new_key
from ..wire.body import MOST_ITEMS, MOST_NAMES, Body, Text, at_most, listed
from ..wire.requests import AppsIn
from ..wire.responses import Json, app_out, key_out, ok
from ..wire.schemas import Answer, AppAnswer, AppsAnswer, KeysAnswer
from ..wire.status import INVALID_REQUEST, WireError
from .dependencies import Admin
from .route import new_router

router = new_router("/v2/users/{user}", "apps and keys")


class AppChangeIn(Body):
    id: Text
    teach_from_feedback: bool


class AppChangesIn(Body):
    apps: Annotated[list[AppChangeIn], at_most(MOST_NAMES)] = Field(default_factory=list)


class AppRefIn(Body):
    id: Text


class KeyIn(Body):
    description: Text = ""
    scopes: Annotated[list[Text], at_most(MOST_ITEMS)] = Field(["All"])
    apps: list[AppRefIn] = listed(1)


class KeysIn(Body):
    keys: list[KeyIn] = listed(1)


@router.post("/apps", response_model=AppsAnswer)
def create_apps(user: str, body: AppsIn, store: Admin) -> Json:
    """Makes one app; `default_workflow_id` is its base workflow."""
    if len(body.apps) != 1 or not body.apps[0].name:
        raise WireError(INVALID_REQUEST, "a request makes one app, with a name")
    app_in = body.apps[0]
    app = store.create_app(str(app_in.name), app_in.default_workflow_id or DEFAULT, dim=app_in.dim)
    return ok(apps=[app_out(store.catalog.apps.get(app.id), user)])


@router.get("/apps", response_model=AppsAnswer)
def list_apps(user: str, store: Admin) -> Json:
    """Oldest first."""
    return ok(apps=[app_out(record, user) for record in store.apps()])


@router.patch("/apps", response_model=AppsAnswer)
def change_apps(user: str, body: AppChangesIn, store: Admin) -> Json:
    """Whether feedback on predictions teaches."""
    records = [store.catalog.apps.find(change.id) for change in body.apps]
    changed = [
        store.catalog.apps.update(record.id, teach_from_feedback=change.teach_from_feedback)
        for record, change in zip(records, body.apps, strict=True)
    ]
    return ok(apps=[app_out(record, user) for record in changed])


@router.get("/apps/{id}", response_model=AppAnswer)
def get_app(user: str, id: str, store: Admin) -> Json:
    """By id or name."""
    return ok(app=app_out(store.catalog.apps.find(id), user))


@router.delete("/apps/{id}", response_model=Answer)
def delete_app(user: str, id: str, store: Admin) -> Json:
    """With all that it has, its keys too."""
    store.delete_app(id)
    return ok()


@router.post("/keys", response_model=KeysAnswer)
def create_keys(user: str, body: KeysIn, store: Admin) -> Json:
    """Makes one key for one app; its id in the answer is the secret, shown this once."""
    if len(body.keys) != 1 or len(body.keys[0].apps) != 1:
        raise WireError(INVALID_REQUEST, "a request makes one key, for one app")
    key_in = body.keys[0]
    app = store.catalog.apps.find(key_in.apps[0].id)
    try:
        key = new_key(store.catalog, app.id, key_in.description, key_in.scopes)
    except ValueError as error:
        raise WireError(INVALID_REQUEST, str(error)) from error
    return ok(keys=[{**key_out(key.record, user), "id": key.secret, "key_id": key.record.id}])


@router.get("/keys", response_model=KeysAnswer)
def list_keys(user: str, store: Admin) -> Json:
    """Without the secrets."""
    return ok(keys=[key_out(record, user) for record in store.catalog.api_keys.list()])


@router.delete("/keys/{id}", response_model=Answer)
def revoke_key(user: str, id: str, store: Admin) -> Json:
    """From now on, by the key's id in the list."""
    store.catalog.api_keys.revoke(id)
    return ok()
