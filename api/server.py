"""Running the service: says where it listens, stops cleanly on SIGTERM."""

from collections.abc import Callable

import uvicorn

from ..index.store import Store
from .keys import first_admin_key
from .service import create_service
from .settings import Settings


class _Server(uvicorn.Server):
    """Tells the real address once it listens, for port 0 takes a free one."""

    def __init__(self, config: uvicorn.Config, told: Callable[[str], None]) -> None:
        super().__init__(config)
        self._told = told

    async def startup(self, sockets: list[object] | None = None) -> None:  # type: ignore[override]
        await super().startup(sockets)  # type: ignore[arg-type]
        for server in getattr(self, "servers", []):
            for socket in server.sockets:
                host, port = socket.getsockname()[:2]
                self._told(f"tenshot listens on http://{host}:{port}  (API page: http://{host}:{port}/docs)")


def serve(settings: Settings, told: Callable[[str], None]) -> None:
    """Serves until a signal comes; requests that were taken on are finished, then the folder is given back."""
    with Store.open(settings.data, database_url=settings.database_url) as store:
        admin = first_admin_key(store.catalog)
        if admin:
            told(f"admin key, shown this once: {admin}")
        told(f"to get an API key: tenshot --data {settings.data} apps create NAME   (works while this runs)")
        config = uvicorn.Config(
            create_service(settings, store),
            host=settings.host,
            port=settings.port,
            log_level="warning",
            timeout_graceful_shutdown=30,
            server_header=False,
        )
        _Server(config, told).run()
