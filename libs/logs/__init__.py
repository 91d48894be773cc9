"""Structured logs: one JSON line per event in production, readable on a terminal, never a secret in either.

setup.py    one stream for structlog and for the standard library's loggers
scrub.py    takes out secrets and control characters
access.py   the line per request, written the short way
context.py  the request a task works for
"""

from libs.logs.access import access_log
from libs.logs.setup import Style, configure_logging, get_logger

__all__ = ["Style", "access_log", "configure_logging", "get_logger"]
