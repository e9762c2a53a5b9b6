"""Whether tests may mount something, in a namespace of their own."""

import shutil
import subprocess

import pytest


def _namespaces() -> bool:
    return bool(shutil.which("unshare")) and subprocess.run(["unshare", "-rm", "true"]).returncode == 0


needs_mounts = pytest.mark.skipif(not _namespaces(), reason="mounting needs user namespaces")
