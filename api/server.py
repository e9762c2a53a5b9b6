"""Running the service: says where it listens, stops cleanly on SIGTERM."""

import gc
import logging
import os
import signal
import socket
from collections.abc import Callable
from ipaddress import ip_address

import uvicorn
from threadpoolctl import threadpool_limits

from ..index.storage.files import exposure
from .auth.handover import Handover
from .auth.keys import first_admin_key
from .auth.sign_in import TOKEN_SECONDS, SignIn
from .middleware.transport import Connection
from .observability.logs import set_up_logs
from .observability.tracing import exporting
from .service import create_service, opened_store
from .settings import Settings

_log = logging.getLogger("tenshot.api")


def serve(settings: Settings, told: Callable[[str], None], *, terminal: bool) -> None:
    """Serves until a signal comes; requests that were taken on are finished, then the folder is given back.

    terminal: whether only the operator reads what is told, so that secrets may be among it.
    Raises OSError where it can't listen, and StoreInUse.
    """
    set_up_logs(settings.log_format, settings.log_level)
    with _listening(settings) as listening, opened_store(settings) as store:
        if exposed := exposure(settings.data):
            _log.warning("%s", exposed)
        handover = Handover(settings.data, told, terminal=terminal)
        # A link of an earlier server that was killed.
        handover.end()
        handover.admin_key(first_admin_key(store.catalog))
        told(f"to get an API key: tenshot --data {settings.data} apps create NAME   (works while this runs)")
        sign_in = SignIn()
        service = create_service(settings, store, exporting() if settings.otel else None, sign_in=sign_in)
        config = uvicorn.Config(
            service,
            http=Connection,
            log_config=None,
            log_level="warning",
            timeout_graceful_shutdown=30,
            server_header=False,
        )
        server = uvicorn.Server(config)

        def stop(*_signal: object) -> None:
            server.should_exit = True

        _take_many_connections()
        # Requests share the cores, each on a thread of its own; matrices that take all of them wait for each other.
        threadpool_limits(1, user_api="blas")
        # What is there by now stays, and requests leave few cycles behind: looking for them costs a request 4 %.
        gc.collect()
        gc.freeze()
        gc.set_threshold(20_000, 50, 100)
        # uvicorn handles these while it runs, and raises them again at its end for the handlers before.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        host, port = listening.getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        if _is_loopback(host):
            # Readers of it have the data folder, and so could make any key.
            handover.sign_in_link(f"{url}/#token={sign_in.issue()}", TOKEN_SECONDS)
        else:
            told(
                f"warning: {host} can be reached from other machines, and keys travel unencrypted: "
                "put a reverse proxy with TLS in front, or listen on 127.0.0.1"
            )
        told(f"tenshot listens on {url}  (page: {url}/, API page: {url}/docs)")
        try:
            server.run([listening])
        finally:
            handover.end()


def _take_many_connections() -> None:
    """As many as this process may have: the usual 1,024 are soon taken by others who only connect."""
    if os.name == "posix":
        import resource

        _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def _is_loopback(host: str) -> bool:
    return ip_address(host).is_loopback


def _listening(settings: Settings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    return socket.create_server((settings.host, settings.port), family=family, backlog=2048)
