"""The service's settings: arguments first, then the environment (TENSHOT_...), then defaults. Read once."""

from pathlib import Path
from typing import Literal

from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    model_config = SettingsConfigDict(env_prefix="TENSHOT_")

    data: Path = Path("tenshot-data")
    database_url: str | None = None
    """An SQLAlchemy URL; else SQLite in the data folder."""
    host: str = "127.0.0.1"
    port: int = 8000
    public_url: str | None = None
    """How clients reach the service, for links to hosted pictures; else as the request came."""
    max_body_bytes: int = 128 * 1024 * 1024
    fetch_urls: bool = False
    """Whether inputs may name pictures by URL. Off until the guarded fetch exists; see `fetch.py`."""
    allow_private_urls: bool = False
    """Turns `fetch_urls` on, for addresses inside the network too."""
    search_threads: int | None = None
    """Searches of one app at once; None: one for each processor."""
    gpu_count: int | None = None
    """GPUs that collections may lie on, with faiss-gpu; None: all of them."""
    gpu_memory_bytes: int = 0
    """GPU memory for all collections together; 0: 4 GiB of each."""
    wait_seconds: float = 10
    """How long adding pictures by URL waits for them before it answers that they are pending."""
    max_requests_at_once: int = 256
    """More are answered 429 at once; health and metrics always are answered."""
    log_format: Literal["plain", "json"] = "plain"
    """`plain`, or `json`: one object a line."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """`info` logs each request."""
    otel: bool = False
    """Sends traces to where OpenTelemetry's own variables say; needs the extra `otel`."""
    cors_origins: list[str] = ["*"]
    """Keys travel in a header, never in a cookie, so any page may ask."""
