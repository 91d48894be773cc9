"""Read alerts from a file: Alertmanager's webhook body, its API's list, or a single alert.

Lenient on purpose: what counts is labels and a beginning, whoever wrote the file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from services.context_api.domain.snapshot import parse_time

LARGEST = 16 * 1024 * 1024
"""Bytes. Alertmanager's own bodies of 10,000 alerts have 12 MB."""


class UnreadableAlert(Exception):
    """The file holds no alert; the message says why."""


@dataclass(frozen=True, slots=True)
class Alert:
    labels: Mapping[str, str]
    starts_at: datetime | None

    @property
    def name(self) -> str:
        return self.labels.get("alertname", "alert")


def read_alerts(path: Path) -> list[Alert]:
    """The firing alerts of a file; all of them when none is firing (a resolved one may be looked into too).

    Raises:
        UnreadableAlert: no such file, no JSON, or no alert with labels in it.
    """
    try:
        with path.open("rb") as stream:
            content = stream.read(LARGEST + 1)
    except OSError as error:
        raise UnreadableAlert(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error
    if len(content) > LARGEST:
        raise UnreadableAlert(f"{path}: larger than {LARGEST // 1024 // 1024} MiB")
    try:
        document = orjson.loads(content)
    except orjson.JSONDecodeError as error:
        raise UnreadableAlert(f"{path}: is no JSON: {error.msg}, line {error.lineno}") from error
    alerts = alerts_in(document)
    if not alerts:
        raise UnreadableAlert(
            f"{path}: holds no alert: want {{labels, startsAt}} or a webhook's {{alerts: […]}}"
        )
    return alerts


def alerts_in(document: object) -> list[Alert]:
    """Pure part of `read_alerts`."""
    found = [item for item in _entries(document) if isinstance(item.get("labels"), Mapping)]
    firing = [item for item in found if _state(item) not in ("resolved", "inactive", "pending")]
    return [_alert(item) for item in firing or found]


def _entries(document: object) -> Sequence[Mapping[str, Any]]:
    if isinstance(document, Mapping):
        inner = document.get("alerts", [document])
        # Prometheus' own /api/v1/alerts: {status, data: {alerts: […]}}.
        if "alerts" not in document and isinstance(document.get("data"), Mapping):
            inner = document["data"].get("alerts")
        return _entries(inner) if isinstance(inner, list) else ()
    return [item for item in document if isinstance(item, Mapping)] if isinstance(document, list) else ()


def _state(alert: Mapping[str, Any]) -> object:
    status = alert.get("status", alert.get("state"))
    return status.get("state") if isinstance(status, Mapping) else status


def _alert(item: Mapping[str, Any]) -> Alert:
    labels = {str(name): value for name, value in item["labels"].items() if isinstance(value, str)}
    began = parse_time(item.get("startsAt") or item.get("activeAt"))
    # Go's zero time stands for "not set".
    return Alert(labels, began if began is not None and began.year > 1 else None)
