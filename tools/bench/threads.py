"""Restricts a measurement to one thread, whatever libraries it loads."""

import os
import sys

ONE_THREAD = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
    "TOKIO_WORKER_THREADS",
    "LANCE_CPU_THREADS",
)


def restart_on_one_thread() -> None:
    """Restarts the command with these variables, unless they are set: libraries read them when they are loaded."""
    if any(os.environ.get(name) != "1" for name in ONE_THREAD):
        os.environ |= dict.fromkeys(ONE_THREAD, "1")
        os.execv(sys.executable, [sys.executable, "-c", "from tenshot.tools.cli import main; main()", *sys.argv[1:]])
