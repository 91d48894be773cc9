"""The lines of a watch: what changed, how far the server is, or why it goes on no more."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import orjson

from services.context_api.adapters.live.api import failure_of, printable
from services.context_api.adapters.live.errors import ApiFailure, Why
from services.context_api.adapters.live.verdicts import version_of
from services.context_api.domain.kube import mapping, number, text

_CHANGES = frozenset({"ADDED", "MODIFIED", "DELETED"})
_EXPIRED = frozenset({"Expired", "Gone"})


@dataclass(frozen=True, slots=True)
class WatchEvent:
    object: dict[str, Any]
    version: int | None
    """Of the change; of a bookmark, how far everything has been told."""
    gone: bool = False
    bookmark: bool = False


def read_event(line: bytes, known: int | None) -> WatchEvent:
    """One line of a watch.

    Args:
        known: the newest version this watch, or what it began from, has told.

    Raises:
        ApiFailure: it is no event, it is one that ends the watch, or it goes back behind `known`.
    """
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError as error:
        raise ApiFailure(Why.garbled, "a line of the watch is no JSON") from error
    body = mapping(document)
    kind, found = body.get("type"), body.get("object")
    if not isinstance(found, dict):
        raise ApiFailure(Why.garbled, "a line of the watch has no object")
    if kind == "ERROR":
        raise _ended(found)
    version = version_of(mapping(found.get("metadata")).get("resourceVersion"))
    if kind != "BOOKMARK" and kind not in _CHANGES:
        raise ApiFailure(Why.garbled, "the watch tells of something that is no change")
    # Several changes may have one version: the API server's Events that end together do.
    if version is not None and known is not None and version < known:
        raise _went_back(version, known)
    return WatchEvent(found, version, gone=kind == "DELETED", bookmark=kind == "BOOKMARK")


def _ended(status: dict[str, Any]) -> ApiFailure:
    code, said = number(status.get("code")), printable(text(status.get("message")))
    if code == 410 or text(status.get("reason")) in _EXPIRED:
        return ApiFailure(Why.expired, f"the watch's version is too old (HTTP 410: {said})")
    later = number(mapping(status.get("details")).get("retryAfterSeconds"))
    pause = timedelta(seconds=min(later, 3600)) if later > 0 else None
    told = failure_of(code, said, pause)
    if told.why is Why.overloaded:
        return told
    return ApiFailure(Why.error_event, f"the watch ended with an error ({told.reason})", retry_after=pause)


def _went_back(version: int, known: int) -> ApiFailure:
    return ApiFailure(
        Why.went_back, f"the server told version {version} after {known}: its state was put back"
    )
