"""Weights that are downloaded on first use: whether they are cached or available, and the error if not."""

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, HFValidationError

from ..base.embedder import WorkflowError

OFFLINE = ("general", "general-fast", "vectors")
"""The base workflows that never download anything."""

_WEIGHTS = ("open_clip_model.safetensors", "open_clip_pytorch_model.bin", "model.safetensors", "pytorch_model.bin")
"""What open_clip and timm look for in a repository."""
_TIMEOUT_S = 10.0


def is_cached(source: str) -> bool:
    """Whether the weights of a hub's repository (`ORG/NAME`), or one of its files (`ORG/NAME/FILE`), are cached.

    Weights are downloaded last, and a file gets its name when it is complete. So an interrupted download, which leaves
    only the small files that come first, doesn't count.
    """
    repo, file = _parts(source)
    names = (file,) if file else _WEIGHTS
    return any(isinstance(huggingface_hub.try_to_load_from_cache(repo, name), str) for name in names)


def require(workflow: str, source: str) -> None:
    """Checks that the weights are cached (`is_cached`) or the hub has the repository; else raises WorkflowError soon.

    The downloading libraries would retry for most of a minute, print each attempt, and raise errors of many types.
    """
    try:
        if not is_cached(source):
            huggingface_hub.HfApi().model_info(_parts(source)[0], timeout=_TIMEOUT_S)
    except HFValidationError as error:
        raise missing(workflow, source, error) from error
    except HfHubHTTPError as error:
        raise missing(workflow, source, f"the hub refused it (HTTP {error.response.status_code})") from error
    except Exception as error:  # the type depends on the hub library's HTTP client
        raise missing(workflow, source, f"the hub can't be reached ({error or type(error).__name__})") from error


def missing(workflow: str, name: str, reason: object) -> WorkflowError:
    """The error for weights that could not be loaded; name: what they are called."""
    first_line = (str(reason).splitlines() or ["no reason given"])[0]
    return WorkflowError(
        f"workflow {workflow!r} needs {name}, which could not be loaded: {first_line}. "
        f"These work offline: {', '.join(OFFLINE)}"
    )


def _parts(source: str) -> tuple[str, str]:
    """Repository and file; "" for no file."""
    parts = source.split("/")
    return "/".join(parts[:2]), "/".join(parts[2:])
