"""Adds to the recording what no control plane keeps: log lines, metrics and the alert. All of it is authored.

Pure but for writing files: names and addresses come from what was played, times from the story.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from tests.testbed.incidents.orders_database_config.play import (
    CAPTURED,
    CHECKOUT,
    DELETED,
    HERE,
    Played,
)

Body = dict[str, Any]

AUTHORED = ("elapsed-time", "kubelet-status", "kubelet-events", "cron-run", "logs", "metrics", "alert")
"""What is not a control plane's own word: `authored` of snapshot.yaml. README.md says what each means."""

SCRAPED_FOR, SCRAPED_EVERY = timedelta(minutes=40), timedelta(seconds=30)
CRASHING = ("checkout-1", "checkout-2", "orders-db-0")
"""Their log is that of the run that ended last, so `kubectl logs` and `kubectl logs --previous` print the same."""


def add(played: Played, recording: Path) -> None:
    """Write `logs/`, `metrics/` and `alert.json`."""
    _logs(played, recording)
    (recording / "metrics").mkdir(exist_ok=True)
    for name, answer in _metrics(played).items():
        (recording / "metrics" / f"{name}.json").write_text(json.dumps(answer) + "\n", "utf-8")
    (recording / "alert.json").write_text(json.dumps(_alert(played), indent=2) + "\n", "utf-8")


def _logs(played: Played, recording: Path) -> None:
    for part, pod in played.pods.items():
        namespace, name = pod["metadata"]["namespace"], pod["metadata"]["name"]
        folder = recording / "logs" / namespace / name
        folder.mkdir(parents=True, exist_ok=True)
        for file in (HERE / "logs" / namespace / part).iterdir():
            text = _filled(file.read_text("utf-8"), played)
            (folder / file.name).write_text(text, "utf-8")
            if part in CRASHING:
                (folder / f"{file.stem}.previous.log").write_text(text, "utf-8")


def _metrics(played: Played) -> Mapping[str, Body]:
    """As kube-state-metrics counts, asked for as a range by Prometheus."""
    restarts = [
        _series(
            played,
            "kube_pod_container_status_restarts_total",
            {"container": "checkout", **_identity(played.pods[f"checkout-{number}"])},
            (str(times.count(moment)) for moment in _scrapes()),
        )
        for number, times in enumerate(CHECKOUT, 1)
    ]
    ready = [
        _series(
            played,
            "kube_statefulset_status_replicas_ready",
            {"namespace": "data", "statefulset": name},
            ("0" if name == "orders-db" and moment > DELETED else "1" for moment in _scrapes()),
        )
        for name in ("orders-db", "sessions-redis")
    ]
    return {
        "checkout-restarts": _answer(
            'kube_pod_container_status_restarts_total{namespace="shop",pod=~"checkout-.*"}', restarts
        ),
        "data-statefulsets-ready": _answer('kube_statefulset_status_replicas_ready{namespace="data"}', ready),
    }


def _alert(played: Played) -> Body:
    """The webhook body of Alertmanager 0.34, about these pods."""
    body: Body = json.loads(_filled((HERE / "alert.json").read_text("utf-8"), played))
    for alert in body["alerts"]:
        alert["fingerprint"] = fingerprint(alert["labels"])
    return body


def _filled(text: str, played: Played) -> str:
    """Put the names and addresses in for their placeholders."""
    facts = {f"{{{name}}}": address for name, address in played.addresses.items()}
    for part, pod in played.pods.items():
        facts[f"{{{part}}}"] = pod["metadata"]["name"]
        facts[f"{{{part}.uid}}"] = pod["metadata"]["uid"]
    for placeholder, fact in facts.items():
        text = text.replace(placeholder, fact)
    return text


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's: FNV-1a over the sorted names and values, each followed by 0xff."""
    total = 0xCBF29CE484222325
    for name in sorted(labels):
        for byte in name.encode() + b"\xff" + labels[name].encode() + b"\xff":
            total = ((total ^ byte) * 0x100000001B3) % 2**64
    return f"{total:016x}"


def _identity(pod: Body) -> Mapping[str, str]:
    meta = pod["metadata"]
    return {"namespace": meta["namespace"], "pod": meta["name"], "uid": meta["uid"]}


def _scrapes() -> Sequence[datetime]:
    first = (CAPTURED - SCRAPED_FOR).replace(second=0)
    return [first + n * SCRAPED_EVERY for n in range((CAPTURED - first) // SCRAPED_EVERY + 1)]


def _series(played: Played, name: str, labels: Mapping[str, str], values: Iterable[str]) -> Body:
    scraped = {"instance": f"{played.addresses['kube-state-metrics']}:8080", "job": "kube-state-metrics"}
    pairs = [[int(moment.timestamp()), value] for moment, value in zip(_scrapes(), values, strict=True)]
    return {"metric": {"__name__": name, **scraped, **labels}, "values": pairs}


def _answer(query: str, series: Sequence[Body]) -> Body:
    asked = CAPTURED.strftime("%Y-%m-%dT%H:%M:%SZ")
    data = {"resultType": "matrix", "result": list(series)}
    return {"query": query, "kind": "range", "asked_at": asked, "data": data}
