"""What a PATCH makes of what is there: merge, overwrite or remove, in plain JSON (contract, section 2)."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

from .status import INVALID_REQUEST, WireError

Action = Literal["merge", "overwrite", "remove"]
_ACTIONS: Sequence[Action] = ("merge", "overwrite", "remove")


def action_of(given: str) -> Action:
    """Raises WireError."""
    for action in _ACTIONS:
        if given == action:
            return action
    raise WireError(INVALID_REQUEST, f"the action is merge, overwrite or remove, not {given!r}")


def patched(old: Mapping[str, Any], new: Mapping[str, Any], action: Action) -> dict[str, Any]:
    """A mapping after a change.

    - merge: mappings key by key; lists of objects with an `id` are united by it, other lists appended.
    - overwrite: the same, but lists are replaced.
    - remove: the keys that are named are taken out, of a list the items that are named.

    `{}` and `[]` replace what is there, null leaves it.
    """
    if action == "remove":
        return _without(old, new)
    if not new:
        return {}
    merged = dict(old)
    for key, value in new.items():
        before = merged.get(key)
        if value is None:
            continue
        if isinstance(value, Mapping) and isinstance(before, Mapping):
            merged[key] = patched(before, value, action)
        elif isinstance(value, list) and isinstance(before, list):
            merged[key] = patched_list(before, value, action)
        else:
            merged[key] = value
    return merged


def patched_list(old: Sequence[Any], new: Sequence[Any], action: Action) -> list[Any]:
    """A list after the same; items with an `id` are known by it, others by what they are."""
    if action == "remove":
        removed = {id for item in new if (id := _id(item)) is not None}
        return [item for item in old if not (item in new if _id(item) is None else _id(item) in removed)]
    if action == "overwrite" or not new:
        return list(new)
    better = {id: item for item in new if (id := _id(item)) is not None}
    kept = [better.pop(id) if (id := _id(item)) in better else item for item in old]
    return kept + [item for item in new if _id(item) is None or _id(item) in better]


def _without(old: Mapping[str, Any], named: Mapping[str, Any]) -> dict[str, Any]:
    left = {}
    for key, value in old.items():
        removed = named.get(key, named)
        if key not in named:
            left[key] = value
        elif isinstance(removed, Mapping) and removed and isinstance(value, Mapping):
            left[key] = _without(value, removed)
        elif isinstance(removed, list) and removed and isinstance(value, list):
            left[key] = patched_list(value, removed, "remove")
    return left


def _id(item: Any) -> str | None:
    id = item.get("id") if isinstance(item, Mapping) else None
    return id if isinstance(id, str) else None
