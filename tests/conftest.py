"""Servers that tests start listen on loopback; a proxy that the machine has is for everything else."""

import os

for name in ("NO_PROXY", "no_proxy"):
    os.environ[name] = ",".join(filter(None, [os.environ.get(name), "127.0.0.1", "localhost"]))
