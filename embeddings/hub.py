"""Weights that are downloaded on first use: are they here, can they be had, and the one error when not."""

import huggingface_hub
from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

from .base import WorkflowError

OFFLINE = ("general", "general-fast", "vectors")
"""The base workflows that never download anything."""

_TIMEOUT_S = 10.0


def is_cached(repo: str) -> bool:
    """Whether (some version of) the hub's repository is already on this machine."""
    try:
        huggingface_hub.snapshot_download(repo, local_files_only=True)
    except LocalEntryNotFoundError:
        return False
    return True


def require(workflow: str, repo: str) -> None:
    """Returns if the repository is cached or the hub has it; else a WorkflowError within seconds.

    The libraries that download would try again for most of a minute, print each attempt, and raise what they like.
    """
    if is_cached(repo):
        return
    try:
        huggingface_hub.HfApi().model_info(repo, timeout=_TIMEOUT_S)
    except HfHubHTTPError as error:
        raise missing(workflow, repo, f"the hub refused it (HTTP {error.response.status_code})") from error
    except Exception as error:  # whatever the HTTP client of the day raises
        raise missing(workflow, repo, f"the hub can't be reached ({error or type(error).__name__})") from error


def missing(workflow: str, what: str, reason: object) -> WorkflowError:
    """The error for weights that could not be had."""
    first_line = (str(reason).splitlines() or ["no reason given"])[0]
    return WorkflowError(
        f"workflow {workflow!r} needs {what}, which could not be loaded: {first_line}. "
        f"These work offline: {', '.join(OFFLINE)}"
    )
