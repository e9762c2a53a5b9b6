"""Logs: plain lines, or one JSON object a line, each with its time and the id of its request.

Keys and bodies are never in them. What libraries log and warn of is written the same way.
"""

import json
import logging
from datetime import UTC, datetime

from ...runtime.trace import request_id


def set_up_logs(format: str, level: str) -> None:
    """For the whole process. format: `plain` or `json`; level: from which on; `info` logs each request."""
    handler = logging.StreamHandler()
    handler.setFormatter(_Json() if format == "json" else _Plain("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.captureWarnings(True)


def _time(record: logging.LogRecord) -> str:
    """Such as `2026-11-30T09:15:02.123+00:00`."""
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")


class _Plain(logging.Formatter):
    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802
        line = f"{_time(record)} {super().formatMessage(record).rstrip()}".replace("\n", "\\n")
        return f"{line} [{id}]" if (id := request_id()) else line


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": _time(record),
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
