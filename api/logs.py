"""Logs: plain lines, or one JSON object a line, each with the id of its request. Keys and bodies are never in them."""

import json
import logging
from datetime import UTC, datetime

from .trail import request_id


def set_up_logs(format: str, level: str) -> None:
    """For the whole process. format: `plain` or `json`; level: from which on; `info` logs each request."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if format == "json" else _Plain("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)


class _Plain(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        line = super().formatMessage(record)
        return f"{line} [{id}]" if (id := request_id()) else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        if id := request_id():
            line["request_id"] = id
        line |= getattr(record, "facts", {})
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)
