"""Collections in the text that Prometheus reads."""

from collections.abc import Mapping
from dataclasses import asdict

from ..index.collection import CollectionFacts

_GAUGES = {
    "rows": "vectors that can be found",
    "dead": "deleted vectors that are not cleared away yet",
    "tail": "new vectors that every search looks at one by one",
    "mapped": "vectors read from the snapshot by pages",
    "code_bytes": "memory of codes and lists",
    "gpu_bytes": "memory on GPUs",
}


def collection_lines(collections: Mapping[str, object]) -> str:
    """App id -> facts of its collection; those that are not open are left out."""
    opened = {app: facts for app, facts in collections.items() if isinstance(facts, CollectionFacts)}
    lines = []
    for name, meaning in _GAUGES.items():
        lines += [f"# HELP tenshot_collection_{name} {meaning}", f"# TYPE tenshot_collection_{name} gauge"]
        for app, facts in opened.items():
            labels = f'app="{app}",kind="{facts.kind}",place="{facts.place}"'
            lines.append(f"tenshot_collection_{name}{{{labels}}} {asdict(facts)[name]}")
    return "\n".join([*lines, ""])
