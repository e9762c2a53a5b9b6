"""A link that signs the page in: a token that works once and not for long, for a key of the page's own."""

import secrets
import threading
import time
from collections.abc import Callable

from ...index.catalog import Catalog
from .keys import BadKey, NewKey, hashed, new_key

TOKEN_SECONDS = 600
_DESCRIPTION = "made for the page by a sign-in link"


class SignIn:
    """The tokens that were issued and not used yet. They are nowhere but in memory, and there hashed."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._lock = threading.Lock()
        self._until: dict[str, float] = {}

    def issue(self) -> str:
        """A new token."""
        token = secrets.token_urlsafe(32)
        with self._lock:
            self._until[hashed(token)] = self._now() + TOKEN_SECONDS
        return token

    def exchange(self, token: str, catalog: Catalog) -> NewKey:
        """An admin key for a token, which is used up by it; the key of an earlier link is revoked. Raises BadKey."""
        with self._lock:
            until = self._until.pop(hashed(token), None)
        if until is None or until < self._now():
            raise BadKey(
                "this sign-in link was used already, or is too old: sign in with a key, or start the server anew"
            )
        for key in catalog.api_keys.list(admin=True):
            if key.description == _DESCRIPTION and key.revoked_at is None:
                catalog.api_keys.revoke(key.id)
        return new_key(catalog, None, _DESCRIPTION)
