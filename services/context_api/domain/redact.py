"""Takes secret values out of text before it becomes evidence or a sentence.

Decides by the name of a field and by the shape of a value; a Secret's data never reaches this far
(it is dropped when a recording is read).
"""

from __future__ import annotations

import re

GONE = "[REDACTED]"

LONGEST = 16 * 1024
"""Characters looked at; what is longer is cut, for nothing unread may pass."""

_SENSITIVE_NAME = re.compile(
    r"passw(?:or)?d|passphrase|secret|token|api[-_.]?key|access[-_.]?key|private[-_.]?key|credential|"
    r"connection[-_.]?string|encryption[-_.]?key|signing[-_.]?key|client[-_.]?key|\bpwd\b|_pwd\b|pgpass|\bdsn\b|salt\b",
    re.IGNORECASE,
)
_HINTS = (
    "://", "pass", "pwd", "secret", "token", "key", "credential", "bearer", "basic", "eyj", "akia", "asia", "gh", "xox", "sk-",
)  # fmt: skip
"""Cheap words one of which every pattern below needs."""

_PATTERNS: tuple[tuple[re.Pattern[str], str], ...] = (
    (
        re.compile(
            r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL
        ),
        GONE,
    ),
    (re.compile(r"(?<=://)([^\s:/@\"']{0,64}):([^\s@/\"']{1,256})@"), rf"\1:{GONE}@"),
    (re.compile(r"\b(bearer|basic)\s+[A-Za-z0-9._~+/=-]{8,}", re.IGNORECASE), rf"\1 {GONE}"),
    (re.compile(r"\beyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{4,}\.[A-Za-z0-9_-]*"), GONE),
    (re.compile(r"\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"), GONE),
    (
        re.compile(r"\b(?:gh[pousr]_[A-Za-z0-9]{20,}|xox[abprs]-[A-Za-z0-9-]{10,}|sk-[A-Za-z0-9_-]{20,})"),
        GONE,
    ),
    (
        re.compile(
            r"((?<![\w.-])(?:[\w.-]{0,80}?(?:passw(?:or)?d|passphrase|secret|token|api[-_.]?key|access[-_.]?key|credential|pwd)"
            r"[\w.-]{0,20})[\"']?\s{0,3}[=:]\s{0,3})(\"[^\"\n]{1,512}\"|'[^'\n]{1,512}'|[^\s,;\"'&]{1,512})",
            re.IGNORECASE,
        ),
        rf"\1{GONE}",
    ),
)


def sensitive(name: str) -> bool:
    """Whether a field, environment variable or key of this name is likely to hold a secret."""
    return _SENSITIVE_NAME.search(name) is not None


def redact(words: str) -> str:
    """The same text with passwords, tokens and keys replaced by `[REDACTED]`."""
    if len(words) > LONGEST:
        words = f"{words[:LONGEST]}… [{len(words) - LONGEST} characters cut]"
    lowered = words.lower()
    if not any(hint in lowered for hint in _HINTS):
        return words
    for pattern, instead in _PATTERNS:
        words = pattern.sub(instead, words)
    return words


def value_of(name: str, value: str) -> str:
    """A field's value as it may be shown: nothing of it when its name is a secret's."""
    return GONE if value and sensitive(name) else redact(value)
