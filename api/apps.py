"""Apps and keys, for whoever has an admin key (contract, section 4)."""

from typing import Any

from fastapi import APIRouter

from ..embeddings.workflows import DEFAULT
from ..index.records import AppRecord, KeyRecord
from .access import Admin, Id
from .keys import new_key
from .status import INVALID_REQUEST, WireError
from .wire import AppsIn, KeysIn, moment, ok

router = APIRouter(prefix="/v2/users/{user}", tags=["apps and keys"])


@router.post("/apps")
def create_apps(user: str, body: AppsIn, store: Admin) -> dict[str, Any]:
    """Makes one app; `default_workflow_id` is its base workflow."""
    if len(body.apps) != 1 or not body.apps[0].name:
        raise WireError(INVALID_REQUEST, "a request makes one app, with a name")
    given = body.apps[0]
    app = store.create_app(str(given.name), given.default_workflow_id or DEFAULT, dim=given.dim)
    return ok(apps=[_app_out(store.catalog.apps.get(app.id), user)])


@router.get("/apps")
def list_apps(user: str, store: Admin) -> dict[str, Any]:
    return ok(apps=[_app_out(record, user) for record in store.apps()])


@router.get("/apps/{id}")
def get_app(user: str, id: Id, store: Admin) -> dict[str, Any]:
    return ok(app=_app_out(store.catalog.apps.get(id), user))


@router.delete("/apps/{id}")
def delete_app(user: str, id: Id, store: Admin) -> dict[str, Any]:
    """With all that it has, its keys too."""
    store.delete_app(id)
    return ok()


@router.post("/keys")
def create_keys(user: str, body: KeysIn, store: Admin) -> dict[str, Any]:
    """Makes one key for one app; its id in the answer is the secret, shown this once."""
    if len(body.keys) != 1 or len(body.keys[0].apps) != 1:
        raise WireError(INVALID_REQUEST, "a request makes one key, for one app")
    given = body.keys[0]
    app = store.catalog.apps.get(given.apps[0].id)
    try:
        key = new_key(store.catalog, app.id, given.description, given.scopes)
    except ValueError as error:
        raise WireError(INVALID_REQUEST, str(error)) from error
    return ok(keys=[_key_out(key.record, user) | {"id": key.secret, "key_id": key.record.id}])


@router.get("/keys")
def list_keys(user: str, store: Admin) -> dict[str, Any]:
    """Without the secrets."""
    return ok(keys=[_key_out(record, user) for record in store.catalog.keys.list()])


@router.delete("/keys/{id}")
def revoke_key(user: str, id: Id, store: Admin) -> dict[str, Any]:
    """From now on, by the key's id in the list."""
    store.catalog.keys.revoke(id)
    return ok()


def _app_out(record: AppRecord, user: str) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "user_id": user,
        "default_workflow_id": record.recipe["workflow"],
        "default_language": "en",
        "created_at": moment(record.created_at),
    }


def _key_out(record: KeyRecord, user: str) -> dict[str, Any]:
    return {
        "id": record.id,
        "description": record.description,
        "scopes": list(record.scopes),
        "apps": [{"id": record.app_id, "user_id": user}] if record.app_id else [],
        "created_at": moment(record.created_at),
        "revoked": record.revoked_at is not None,
    }
