"""Takes secrets and control characters out of log events. Pure.

What a line must not carry: credentials under a telling key, credentials inside text, and control characters with
which an attacker's label could forge a line or move a terminal's cursor.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from functools import lru_cache
from typing import Any

REDACTED = "[REDACTED]"
MAX_DEPTH = 6
"""Deeper values are cut: a log line is not a place for documents."""

MAX_TEXT = 16 * 1024
"""Characters kept of one text. A traceback has 5,000; an attacker's label may have a million."""

TRACEBACKS = frozenset({"exception", "stack"})
"""Keys whose text may have several lines: they are ours."""

_SECRET_KEY = re.compile(
    r"passw(or)?d|passphrase|secret|token(?!s_used)|authorization|api[-_]?key|credential|cookie|private[-_]?key|pepper|dsn",
    re.IGNORECASE,
)
_NAMES_NOT_SECRETS = frozenset({"secret_name", "credential_id", "token_id"})
_SECRETS_IN_TEXT = (
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{6,}", re.IGNORECASE), r"\1 " + REDACTED),
    (
        re.compile(r"(\b[a-z][a-z0-9+.-]{1,20}://[^\s:/@]{0,128}):[^\s@/]{1,256}@", re.IGNORECASE),
        rf"\1:{REDACTED}@",
    ),
    (
        re.compile(
            r"\b(password|passwd|pwd|secret|token|access_token|refresh_token|api_key|apikey|signature|sig)=[^\s&;,'\"]+",
            re.IGNORECASE,
        ),
        rf"\1={REDACTED}",
    ),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"), REDACTED),
    (re.compile(r"\bkn_[A-Za-z0-9_-]{20,}"), REDACTED),
    (re.compile(r"hooks\.slack\.com/services/[A-Za-z0-9/_-]+"), "hooks.slack.com/services/" + REDACTED),
    (re.compile(r"\bxox[a-z]-[A-Za-z0-9-]{8,}"), REDACTED),
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        REDACTED,
    ),
)
_MAY_HOLD_ONE = re.compile(r"://|=|eyJ|kn_|slack\.com|xox|-----BEGIN|bearer|basic", re.IGNORECASE)
"""One pass over a text decides whether the patterns above are worth running."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Also the marks that turn the direction of text: a label must not make a line read otherwise than it is."""
_CONTROL_BUT_LINES = re.compile(_CONTROL.pattern.replace(r"\x00-\x1f", r"\x00-\x09\x0b-\x1f"))


def scrub(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """A structlog processor. Keys that name secrets lose their values; text loses what looks like one."""
    for key, value in event.items():
        if type(value) is int or type(value) is float or value is None or value is True or value is False:
            continue
        if is_secret(key):
            event[key] = REDACTED
        elif key in TRACEBACKS and isinstance(value, str):
            event[key] = _escaped(_without_secrets(value), _CONTROL_BUT_LINES)
        else:
            event[key] = clean(value)
    return event


@lru_cache(maxsize=1024)
def is_secret(key: str) -> bool:
    """Whether a key's name says that its value must not be shown."""
    return key.lower() not in _NAMES_NOT_SECRETS and _SECRET_KEY.search(key) is not None


def clean(value: Any, depth: int = 0) -> Any:
    """The value without secrets and control characters; mappings and lists as deep as `MAX_DEPTH`."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, BaseException):
        return clean_text(str(value))
    if depth >= MAX_DEPTH:
        return "…"
    if isinstance(value, Mapping):
        return {
            clean_text(str(k)): REDACTED if is_secret(str(k)) else clean(v, depth + 1)
            for k, v in value.items()
        }
    if isinstance(value, (list, tuple, set, frozenset)):
        return [clean(item, depth + 1) for item in value]
    if isinstance(value, (bytes, bytearray)):
        return clean_text(value.decode("utf-8", "replace"))
    return value


def clean_text(text: str) -> str:
    """One line's worth of text."""
    text = _without_secrets(text)
    return text if text.isprintable() else _escaped(text, _CONTROL)


def _without_secrets(text: str) -> str:
    if len(text) > MAX_TEXT:
        text = f"{text[:MAX_TEXT]}… ({len(text)} characters)"
    if _MAY_HOLD_ONE.search(text):
        for pattern, instead in _SECRETS_IN_TEXT:
            text = pattern.sub(instead, text)
    return text


def _escaped(text: str, control: re.Pattern[str]) -> str:
    return control.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
