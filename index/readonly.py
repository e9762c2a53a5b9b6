"""Answers that many get at once: nobody can change them, and a copy is one's own."""

from dataclasses import fields, is_dataclass, replace
from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


def _refuse(self: object, *_arguments: object, **_options: object) -> NoReturn:
    raise TypeError("others have this answer too, so it can't be changed: change a copy of it (copy.deepcopy)")


class ReadOnlyDict(dict[Any, Any]):
    """A dict, and JSON like any other."""

    __setitem__ = __delitem__ = __ior__ = _refuse
    clear = pop = popitem = setdefault = update = _refuse

    def __reduce__(self) -> tuple[type, tuple[Any]]:
        return dict, (dict(self),)


class ReadOnlyList(list[Any]):
    """A list, and JSON like any other."""

    __setitem__ = __delitem__ = __iadd__ = __imul__ = _refuse
    append = clear = extend = insert = pop = remove = reverse = sort = _refuse

    def __reduce__(self) -> tuple[type, tuple[Any]]:
        return list, (list(self),)


def read_only(value: T) -> T:
    """The same, with all dicts and lists in it read-only, also those in dataclasses; itself where there are none."""
    fixed: Any = value
    if type(fixed) is dict:
        fixed = ReadOnlyDict({key: read_only(inner) for key, inner in fixed.items()})
    elif type(fixed) is list:
        fixed = ReadOnlyList([read_only(inner) for inner in fixed])
    elif is_dataclass(fixed) and not isinstance(fixed, type):
        known = {field.name: getattr(fixed, field.name) for field in fields(fixed)}
        changed = {name: inner for name, old in known.items() if (inner := read_only(old)) is not old}
        fixed = replace(fixed, **changed) if changed else fixed
    result: T = fixed
    return result
