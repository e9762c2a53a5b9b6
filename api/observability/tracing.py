"""Traces by OpenTelemetry, where the extra `otel` is installed and the settings ask for them; else nothing is sent."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ...index.errors import NotSupported

if TYPE_CHECKING:
    from opentelemetry.trace import TracerProvider


class Tracing:
    """One span for each request, with its parts as attributes; a context's trace is gone on with."""

    def __init__(self, provider: "TracerProvider") -> None:
        from opentelemetry import propagate, trace

        self._tracer = provider.get_tracer("tenshot")
        self._extract = propagate.extract
        self._kind, self._failed = trace.SpanKind.SERVER, trace.Status(trace.StatusCode.ERROR)

    @contextmanager
    def request(self, headers: Mapping[str, str]) -> Iterator[Any]:
        """The span of a request, whose name and outcome `end` knows."""
        context = self._extract(dict(headers))
        with self._tracer.start_as_current_span("request", context, self._kind) as span:
            yield span

    def end(self, span: Any, method: str, route: str, status: int, id: str, stages: Mapping[str, float]) -> None:
        span.update_name(f"{method} {route}")
        span.set_attributes(
            {
                "http.request.method": method,
                "http.route": route,
                "http.response.status_code": status,
                "tenshot.request_id": id,
                **{f"tenshot.seconds.{name}": taken for name, taken in stages.items()},
            }
        )
        if status >= 500:
            span.set_status(self._failed)


def exporting() -> Tracing:
    """Sends spans to where OpenTelemetry's own variables (OTEL_EXPORTER_OTLP_ENDPOINT, ...) say.

    Raises NotSupported where the extra `otel` is not installed.
    """
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise NotSupported(f"traces need OpenTelemetry ({error}): pip install 'tenshot[otel]'") from error

    provider = TracerProvider(resource=Resource.create({"service.name": "tenshot"}))
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    return Tracing(provider)
