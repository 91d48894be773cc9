"""Structured logs: one JSON line per event in production, readable on a terminal, never a secret in either.

setup.py  one stream for structlog and for the standard library's loggers
scrub.py  takes out secrets and control characters
"""

from libs.logs.setup import Style, configure_logging, get_logger

__all__ = ["Style", "configure_logging", "get_logger"]
