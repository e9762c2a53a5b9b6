"""API keys: made once, shown once, stored hashed; each opens one app, or (admin) manages apps and keys."""

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ...errors import TenshotError
from ...index.catalog import Catalog
from ...index.records import KeyRecord

ALL = "All"
READ = "Read"
WRITE = "Write"
SESSION = "X-Clarifai-Session-Token"
"""The header of clients that have logged in; see `tokens.py`."""
SCOPES = (ALL, READ, WRITE)
"""All includes the others; Write includes Read."""


class BadKey(TenshotError):
    """No key was given, or nobody knows it, or it was revoked."""

    def __init__(self, message: str, *, malformed: bool = False) -> None:
        super().__init__(message)
        self.malformed = malformed


class MissingScope(TenshotError):
    """The key may not do that."""


@dataclass(frozen=True)
class NewKey:
    secret: str = field(repr=False)
    """Shown once; nobody can find it again."""
    record: KeyRecord


def new_key(catalog: Catalog, app_id: str | None, description: str = "", scopes: Sequence[str] = (ALL,)) -> NewKey:
    """Makes a key; app_id None makes an admin key. Raises ValueError for an unknown scope."""
    for scope in scopes:
        if scope not in SCOPES:
            raise ValueError(f"unknown scope {scope!r}; there are {', '.join(SCOPES)}")
    secret = secrets.token_hex(16)
    record = catalog.api_keys.add(secrets.token_hex(8), hashed(secret), app_id, description, scopes)
    return NewKey(secret, record)


def first_admin_key(catalog: Catalog) -> str | None:
    """Makes an admin key where there is none yet, and returns it."""
    if any(key.revoked_at is None for key in catalog.api_keys.list(admin=True)):
        return None
    return new_key(catalog, None, "made at first start").secret


def authenticate(catalog: Catalog, authorization: str | None) -> KeyRecord:
    """The key of an Authorization header, `Key <secret>` or `Bearer <secret>`. Raises BadKey."""
    kind, _, secret = (authorization or "").strip().partition(" ")
    secret = secret.strip()
    if not authorization:
        raise BadKey("no API key was given: send the header 'Authorization: Key <your key>'")
    if kind.lower() not in ("key", "bearer") or not secret:
        raise BadKey("the Authorization header is malformed: it is 'Key <your key>'", malformed=True)
    # Found by the hash of a random 128-bit secret: time tells nothing about the secret, and no more about the hash.
    hash = hashed(secret)
    record = catalog.api_keys.find(hash)
    if record is None or record.revoked_at is not None or not secrets.compare_digest(record.hash, hash):
        raise BadKey("nobody knows this API key, or it was revoked")
    return record


def key_of(catalog: Catalog, headers: Mapping[str, str]) -> KeyRecord:
    """The key of a request, whose moment begins here (see `Catalog.begin_read_snapshot`). Raises BadKey."""
    catalog.begin_read_snapshot()
    session = headers.get(SESSION)
    return authenticate(catalog, f"Key {session}" if session else headers.get("authorization"))


def require(key: KeyRecord, scope: str) -> None:
    """Raises MissingScope."""
    granted = set(key.scopes)
    if WRITE in granted:
        granted.add(READ)
    if ALL not in granted and scope not in granted:
        raise MissingScope(f"this API key lacks the scope {scope!r}")


def hashed(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
