"""JSON of strangers: bounded before it is parsed, and nothing in it that JSON itself doesn't know."""

import json
from typing import Any

from ..bounds import MOST_CONTAINERS, MOST_JSON
from ..errors import BadArchive


def read_json(content: str | bytes) -> Any:
    """Raises BadArchive for what is no JSON, or too much of it: parsed, it takes at most some ten times as much."""
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
    """What an error says, however long it is and whatever of an archive stands in it."""
    return " ".join(str(error).split())[:500]


def _no_number(name: str) -> None:
    raise ValueError(f"{name} is no number")
