"""How secrets reach the operator: on a terminal, else in files of their own, since others read logs too."""

import threading
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

from ...index.storage.files import write_new

ADMIN_KEY = "admin-key"
SIGN_IN_LINK = "sign-in-link"


class Handover:
    """Tells secrets by `told` where that is a terminal, else by files (0600) of the data folder that it names."""

    def __init__(self, folder: Path, told: Callable[[str], None], *, terminal: bool) -> None:
        self._folder = folder.resolve()
        self._told = told
        self._terminal = terminal
        self._expiry: threading.Timer | None = None

    def admin_key(self, secret: str | None) -> None:
        """Once, after the first start; None later, when the file of then may still lie there."""
        file = self._folder / ADMIN_KEY
        if secret is None:
            if file.exists():
                self._told(f"admin key: still in {file}: read it, then delete the file")
        elif self._terminal:
            self._told(f"admin key, shown this once: {secret}")
        else:
            _write(file, secret)
            self._told(f"admin key: written to {file}, for you alone: read it, then delete the file")

    def sign_in_link(self, link: str, seconds: float) -> None:
        """It works once, and for so many seconds; then its file goes."""
        within = f"once and within {seconds / 60:g} minutes"
        if self._terminal:
            self._told(f"to open the page, signed in, {within}: {link}")
            return
        _write(self._folder / SIGN_IN_LINK, link)
        self._told(f"to open the page, signed in, {within}: the link is in {self._folder / SIGN_IN_LINK}")
        self._expiry = threading.Timer(seconds, self._forget_link)
        self._expiry.daemon = True
        self._expiry.start()

    def end(self) -> None:
        """No link works any more."""
        if self._expiry is not None:
            self._expiry.cancel()
        self._forget_link()

    def _forget_link(self) -> None:
        (self._folder / SIGN_IN_LINK).unlink(missing_ok=True)


def _write(file: Path, secret: str) -> None:
    """Replaces the file, or the link, of this name. Other users of the machine can never read it."""
    draft = file.with_name(f".{file.name}-{uuid4().hex}")
    try:
        write_new(draft, f"{secret}\n".encode())
        draft.replace(file)
    finally:
        draft.unlink(missing_ok=True)
