"""A picture from a URL. Plain, and off unless the settings say so: it trusts whoever may post.

Only http and https, no redirects, a time and a byte limit. What the address is inside the network is not checked yet.
"""

import http.client
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

_SECONDS = 15
_BYTES = 32 * 1024 * 1024


class FetchError(Exception):
    """A URL that gives no picture; the message is fit for a user."""


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_arguments: Any, **_options: Any) -> None:
        return None


_OPENER = urllib.request.build_opener(_NoRedirect, urllib.request.ProxyHandler({}))


def fetch(url: str) -> bytes:
    """The bytes behind a URL. Raises FetchError."""
    if urllib.parse.urlsplit(url).scheme not in ("http", "https"):
        raise FetchError(f"{url!r:.200} is not an http or https URL")
    try:
        with _OPENER.open(url, timeout=_SECONDS) as response:
            data = response.read(_BYTES + 1)
    except (urllib.error.URLError, http.client.HTTPException, OSError, ValueError) as error:
        raise FetchError(f"{url!r:.200} can't be fetched: {getattr(error, 'reason', error)}") from error
    if len(data) > _BYTES:
        raise FetchError(f"{url!r:.200} is larger than {_BYTES >> 20} MB")
    return bytes(data)
