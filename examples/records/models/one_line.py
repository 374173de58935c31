"""Keeps the server's log short: a refused request is one line, not a traceback."""

import logging

from mlserver.errors import MLServerError


class RefusalsInOneLine(logging.Filter):
    """Drops the traceback of errors that were answered to the caller as the caller's fault."""

    def filter(self, record: logging.LogRecord) -> bool:
        """Let every record pass, with its traceback removed where it says nothing new."""
        error = record.exc_info[1] if record.exc_info else None
        if isinstance(error, MLServerError) and error.status_code < 500:
            record.exc_info = None
            record.levelno, record.levelname = logging.WARNING, "WARNING"
        return True
