"""Untrusted text from archives: bounded JSON without Python's extensions, and one-line messages."""

import json
from typing import Any

from ..bounds import MOST_CONTAINERS, MOST_JSON
from ..errors import BadArchive


def read_json(content: str | bytes) -> Any:
    """Parses JSON, which takes at most about ten times its size. Raises BadArchive if it is no JSON, or too large."""
    if len(content) > MOST_JSON:
        raise BadArchive(f"a JSON document has {len(content)} bytes, more than {MOST_JSON}")
    try:
        text = content if isinstance(content, str) else content.decode()
        if text.count("[") + text.count("{") > MOST_CONTAINERS:
            raise BadArchive(f"a JSON document has more than {MOST_CONTAINERS} lists and objects")
        return json.loads(text, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise BadArchive(f"it has no JSON where there should be: {error}") from error


def one_line(error: object) -> str:
    """An error's message as one line of bounded length, since it may quote the archive."""
    return " ".join(str(error).split())[:500]


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")
