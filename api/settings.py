"""The service's settings: arguments first, then the environment (TENSHOT_...), then defaults. Read once."""

from pathlib import Path
from typing import Literal

from limits import parse_many
from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from ..embeddings.pictures.images import MAX_PIXELS
from ..index.ingest.picture_embedder import MOST_CACHED


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
    fetch_urls: bool = True
    """Whether pictures may be named by URL. Only the public internet is reached; see `fetch.py`."""
    allow_private_urls: bool = False
    """URLs may lead to this machine and to private networks too."""
    fetch_bytes: int = 32 * 1024 * 1024
    """At most, of one picture behind a URL."""
    fetch_seconds: float = 15
    """For one picture behind a URL, redirects included."""
    fetch_seconds_per_request: float = 60
    """For all pictures behind URLs of a prediction or search together."""
    isolate_decoding: bool = True
    """Pictures are decoded in processes of their own, whose crash harms nobody; see `decoders.py`. Not on Windows."""
    decoders: int | None = None
    """Pictures decoded at once; None: one for each processor, but at most 8."""
    max_pixels: int = MAX_PIXELS
    """Of one picture, and of all pictures beyond 4 megapixels that are decoded at once; 32 bytes for each, at most."""
    cached_vectors: int = Field(MOST_CACHED, ge=0)
    """Pictures of predictions and searches whose vectors stay in memory, so that none is embedded twice; 0: none."""
    apps_in_memory: int = Field(100, ge=1)
    """Apps whose vectors and labels are in memory at once; the others are read again when somebody asks."""
    search_threads: int | None = None
    """Searches of one app at once; None: one for each processor."""
    gpu_count: int | None = None
    """GPUs that collections may lie on, with faiss-gpu; None: all of them."""
    gpu_memory_bytes: int = 0
    """GPU memory for all collections together; 0: 4 GiB of each."""
    wait_seconds: float = 10
    """How long adding pictures by URL waits for them before it answers that they are pending."""
    log_format: Literal["plain", "json"] = "plain"
    """`plain`, or `json`: one object a line."""
    log_level: Literal["debug", "info", "warning", "error"] = "warning"
    """`info` logs each request."""
    otel: bool = False
    """Sends traces to where OpenTelemetry's own variables say; needs the extra `otel`."""
    cors_origins: list[str] = []
    """Web pages of other origins that may ask, such as `https://app.example`; `*`: all of them. None by default."""
    rate_limit: str | None = None
    """Requests that each key may make, such as `600/minute` or `20/second;10000/hour`; None: any number."""
    max_requests: int = Field(256, ge=1)
    """Requests taken on at once; those beyond are told to come later (429). Health is answered always."""
    max_bytes_in_flight: int = 1024 * 1024 * 1024
    """Bodies of all requests that are being read or worked on, together."""
    body_seconds: float = 30
    """For a body to arrive; a large one must make 16 KiB in each second that it takes longer."""

    answer_seconds: float = Field(30, gt=0)
    """For 64 KiB of an answer to be taken; a long one must be taken at 16 KiB a second over the long run."""

    @field_validator("rate_limit")
    @classmethod
    def _limits(cls, limits: str | None) -> str | None:
        if limits:
            parse_many(limits)
        return limits
