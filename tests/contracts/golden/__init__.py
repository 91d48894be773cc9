"""Answers of version 1 as they were first given, by the bundled incident."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tests.integration.context_api.test_service import ALERT, INCIDENT, service

FOLDER = Path(__file__).resolve().parent / "context_api" / "v1"

_ROOT = "/api/v1/context"
_CHECKOUT = "shop/Deployment.apps/checkout"
_ALERT = {"labels": ALERT["labels"], "starts_at": ALERT["startsAt"]}

ASKED: Mapping[str, tuple[str, str, Mapping[str, Any] | None]] = {
    "resolve": ("POST", f"{_ROOT}/resolve", {"labels": ALERT["labels"]}),
    "causes": ("GET", f"{_ROOT}/causes/{_CHECKOUT}", None),
    "findings": ("GET", f"{_ROOT}/findings/{_CHECKOUT}", None),
    "evidence": ("GET", f"{_ROOT}/evidence/{_CHECKOUT}?limit=2", None),
    "kubernetes": ("GET", f"{_ROOT}/kubernetes/shop/deployments", None),
    "bundle": ("POST", f"{_ROOT}/bundle", {"alert": _ALERT}),
    "topology": ("GET", f"{_ROOT}/topology/{_CHECKOUT}", None),
    "metrics": ("GET", f"{_ROOT}/metrics/shop/checkout", None),
    "action-history": ("GET", f"{_ROOT}/action-history/HighErrorRate", None),
    "patterns": ("GET", f"{_ROOT}/patterns/OOMKilled?alertType=HighErrorRate", None),
    "discover": ("GET", f"{_ROOT}/discover?severity=critical&scoreSufficiency=true", None),
    "alert": ("GET", f"{_ROOT}/alert/critical/HighErrorRate?namespace=shop", None),
    "investigation": ("GET", f"{_ROOT}/investigation/root_cause_analysis?namespace=shop", None),
    "health": ("GET", f"{_ROOT}/health", None),
}
"""Name -> method, path, body."""


def shortened(answer: Any) -> Any:
    """The same with each list cut to its first entry."""
    if isinstance(answer, dict):
        return {key: shortened(value) for key, value in answer.items()}
    return [shortened(answer[0])] if isinstance(answer, list) and answer else answer


async def answers(names: Iterable[str] = ASKED) -> dict[str, Any]:
    """What the service says now."""
    found = {}
    async with service(recorded_cluster=INCIDENT, alerts_url="http://127.0.0.1:9") as client:
        (await client.get(f"{_ROOT}/kubernetes/_cluster/nodes")).raise_for_status()
        for name in names:
            method, path, body = ASKED[name]
            answer = await client.request(method, path, json=body)
            answer.raise_for_status()
            found[name] = answer.json()
    return found


def keep(current: Mapping[str, Any]) -> None:
    """Write them as the golden ones."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, answer in current.items():
        text = json.dumps(shortened(answer), indent=1, ensure_ascii=False)
        (FOLDER / f"{name}.json").write_text(text + "\n", "utf-8")
