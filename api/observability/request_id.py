"""The id of the request that is being answered: in its answer, in its headers, in every line that is logged for it."""

import re
from contextvars import ContextVar
from uuid import uuid4

HEADER = "X-Request-ID"
_request_id: ContextVar[str] = ContextVar("request_id", default="")
_SANE = re.compile(r"[A-Za-z0-9._:/+=-]{1,100}")


def begin_trail(given: str | None) -> str:
    """The id that the client or a proxy gave, if it is a sane one, else a new one; for this context."""
    id = given if given and _SANE.fullmatch(given) else uuid4().hex
    _request_id.set(id)
    return id


def request_id() -> str:
    """Empty outside requests."""
    return _request_id.get()
