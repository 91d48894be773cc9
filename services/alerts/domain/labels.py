"""What a label, an annotation and a fingerprint may be, and the words for one that is not.

PostgreSQL stores no U+0000 and UTF-8 knows no lone surrogates, so both are refused where they come in.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

MAX_PAIRS = 256
MAX_NAME = 1024
MAX_VALUE = 65_536
MAX_FINGERPRINT = 128

_FNV_OFFSET = 0xCBF29CE484222325
_FNV_PRIME = 0x100000001B3
_MASK = 0xFFFFFFFFFFFFFFFF
_SEPARATOR = b"\xff"


class Refused(Exception):
    """One field of one alert cannot be taken; says which, why, and what would be right."""

    def __init__(self, field: str, reason: str) -> None:
        super().__init__(f"{field} {reason}")
        self.field, self.reason = field, reason


def fingerprint(labels: Mapping[str, str]) -> str:
    """The fingerprint Alertmanager itself computes: FNV-1a over the sorted labels, 16 hex digits.

    Source: prometheus/common, model/signature.go, `labelSetToFingerprint`.
    """
    digest = _FNV_OFFSET
    for name in sorted(labels):
        for byte in name.encode() + _SEPARATOR + labels[name].encode() + _SEPARATOR:
            digest = ((digest ^ byte) * _FNV_PRIME) & _MASK
    return f"{digest:016x}"


def unstorable(text: str) -> str | None:
    """Why PostgreSQL could not keep this text; None when it can."""
    if "\x00" in text:
        return "contains U+0000, which cannot be stored; remove it"
    try:
        text.encode()
    except UnicodeEncodeError:
        return "contains a lone surrogate, which is not a character; send valid Unicode"
    return None


def storable(value: Any) -> Any:
    """The same with every text made storable: what others say (a log line in a cause) must not stop us."""
    match value:
        case str():
            return value.replace("\x00", "\ufffd").encode("utf-8", "replace").decode()
        case dict():
            return {storable(name): storable(inner) for name, inner in value.items()}
        case list():
            return [storable(inner) for inner in value]
        case _:
            return value


def refuse_unstorable(
    labels: Mapping[str, str], annotations: Mapping[str, str], generator_url: str, fingerprint: str
) -> None:
    """Raises Refused for the first text that cannot be stored."""
    for field, pairs in (("labels", labels), ("annotations", annotations)):
        for name, value in pairs.items():
            if complaint := unstorable(name):
                raise Refused(field, f"has a name that {complaint}")
            if complaint := unstorable(value):
                raise Refused(f"{field}.{name}", complaint)
    for field, text in (("generatorURL", generator_url), ("fingerprint", fingerprint)):
        if complaint := unstorable(text):
            raise Refused(field, complaint)


def diagnose(raw: bytes | memoryview) -> tuple[str, str, str]:
    """Why an alert was refused: field, reason with remedy, and its fingerprint as far as it has one.

    Slow and thorough; only called for what the fast decoder has already refused.
    """
    try:
        alert = json.loads(bytes(raw))
    except (ValueError, RecursionError):
        return "", "is not readable JSON in UTF-8; send the alert as Alertmanager does", ""
    if not isinstance(alert, dict):
        return "", "must be an object with status, labels and startsAt", ""
    said = alert.get("fingerprint")
    said = said if isinstance(said, str) else ""
    try:
        _check(alert)
    except Refused as refused:
        return refused.field, refused.reason, said
    return "", "does not fit the webhook's shape; send the alert as Alertmanager does", said


def _check(alert: dict[str, Any]) -> None:
    if alert.get("status") not in ("firing", "resolved"):
        raise Refused("status", 'must be "firing" or "resolved"')
    if not alert.get("labels"):
        raise Refused("labels", "must be an object with at least one label, such as alertname")
    for field in ("labels", "annotations"):
        _check_pairs(field, alert.get(field, {}))
    for field, longest in (("generatorURL", MAX_VALUE), ("fingerprint", MAX_FINGERPRINT)):
        _check_text(field, alert.get(field, ""), longest)
    _check_time("startsAt", alert.get("startsAt"))
    if alert.get("endsAt") is not None:
        _check_time("endsAt", alert["endsAt"])


def _check_pairs(field: str, pairs: Any) -> None:
    if not isinstance(pairs, dict):
        raise Refused(field, "must be an object of text values")
    if len(pairs) > MAX_PAIRS:
        raise Refused(field, f"has {len(pairs)} entries; at most {MAX_PAIRS} are taken")
    for name, value in pairs.items():
        if not name or len(name) > MAX_NAME or unstorable(name):
            raise Refused(field, f"has a name that is empty, longer than {MAX_NAME} or not storable text")
        _check_text(f"{field}.{name[:100]}", value, MAX_VALUE)


def _check_text(field: str, value: Any, longest: int) -> None:
    if not isinstance(value, str):
        raise Refused(field, f"must be text, not {type(value).__name__}; put it in quotes")
    if len(value) > longest:
        raise Refused(field, f"is longer than {longest} characters; shorten it")
    if complaint := unstorable(value):
        raise Refused(field, complaint)


def _check_time(field: str, value: Any) -> None:
    wanted = "must be a time in RFC 3339, such as 2026-11-21T01:25:35Z"
    if not isinstance(value, str):
        raise Refused(field, "is missing" if value is None else wanted)
    try:
        datetime.fromisoformat(value)
    except ValueError:
        raise Refused(field, wanted) from None
