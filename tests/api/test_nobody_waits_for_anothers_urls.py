"""Servers that never answer, which one app names, take no thread from others."""

import socket
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tenshot.api.fetch import Fetcher
from tenshot.api.keys import new_key
from tenshot.api.settings import Settings

WAITING = 45
"""More than the service has threads."""


def test_requests_that_wait_for_silent_urls_keep_no_other_waiting(serving: Callable[..., Any], tmp_path: Path) -> None:
    fetcher = Fetcher(allow_private=True, seconds=60)
    with (
        socket.create_server(("127.0.0.1", 0), backlog=64) as silent,
        serving(Settings(data=tmp_path), fetcher) as server,
        ThreadPoolExecutor(WAITING) as threads,
    ):
        store = server.store
        apps = [store.create_app(name, "vectors", dim=4).id for name in ("slow", "other")]
        slow, other = (server.client(new_key(store.catalog, app).secret) for app in apps)
        with slow, other:

            def post(i: int) -> int:
                url = f"http://127.0.0.1:{silent.getsockname()[1]}/{i}"
                body = {"inputs": [{"data": {"image": {"url": url}}}]}
                return slow.post("/v2/inputs?wait=60", json=body).status_code

            posts = [threads.submit(post, i) for i in range(WAITING)]
            while server.service.state.pictures.depth < WAITING:
                assert not any(post.done() for post in posts)
                time.sleep(0.01)
            assert other.get("/v2/inputs").status_code == 200
            assert other.get("/metrics").status_code == 200
            assert not any(post.done() for post in posts)
            silent.close()
            assert [post.result() for post in posts] == [200] * WAITING
