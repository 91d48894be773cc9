"""Takes secrets and control characters out of log events. Pure.

What a line must not carry: credentials under a telling key, bearer tokens and URL passwords inside text, and
control characters with which an attacker's label could forge a line or move a terminal's cursor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any

REDACTED = "[REDACTED]"
MAX_DEPTH = 6
"""Deeper values are cut: a log line is not a place for documents."""

_SECRET_KEY = re.compile(
    r"passw(or)?d|passphrase|secret|token(?!s_used)|authorization|api[-_]?key|credential|cookie|private[-_]?key|pepper|dsn",
    re.IGNORECASE,
)
_SECRETS_IN_TEXT = (
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), r"\1 " + REDACTED),
    (
        re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,128}):[^\s@/]{1,256}@", re.IGNORECASE),
        rf"\1:{REDACTED}@",
    ),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"), REDACTED),
    (re.compile(r"hooks\.slack\.com/services/[A-Za-z0-9/_-]+"), "hooks.slack.com/services/" + REDACTED),
)
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def scrub(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor. Keys that name secrets lose their values; text loses what looks like one."""
    for key, value in event.items():
        if type(value) is int or type(value) is float or value is None or value is True or value is False:
            continue
        event[key] = REDACTED if _names_secret(key) else clean(value)
    return event


@lru_cache(maxsize=1024)
def _names_secret(key: str) -> bool:
    return _SECRET_KEY.search(key) is not None


def clean(value: Any, depth: int = 0) -> Any:
    """The value without secrets and control characters; mappings and lists as deep as `MAX_DEPTH`."""
    if isinstance(value, str):
        return clean_text(value)
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {str(k): REDACTED if _names_secret(str(k)) else clean(v, depth + 1) for k, v in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [clean(item, depth + 1) for item in value]
    return value


def clean_text(text: str) -> str:
    """One line's worth of text. Only texts that could hold a secret pay for the patterns."""
    if (
        "://" in text
        or "eyJ" in text
        or "slack.com" in text
        or "earer " in text
        or "asic " in text
        or "EARER" in text
    ):
        for pattern, instead in _SECRETS_IN_TEXT:
            text = pattern.sub(instead, text)
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
