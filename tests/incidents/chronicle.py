"""Time in a story, and what no control plane keeps of it: logs, metrics, the alert."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from tests.testbed.clock import Clock
from tests.testbed.cluster import Cluster
from tests.testbed.kubelet import stamp

Body = dict[str, Any]

STARTS = datetime(2026, 11, 3, 9, 12, tzinfo=UTC)
"""When the cluster of every story is young."""

_SELECTOR = re.compile(r"^([a-zA-Z_:]\w*)(?:\{[^}]*\})?$")
"""A query that selects and reckons nothing: Prometheus keeps the metric's name in its answer."""


class Chronicle:
    """The story's clock, and what is written down beside the cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.clock = Clock(cluster, STARTS)
        self.logs: dict[tuple[str, str, str, bool], str] = {}
        """(namespace, pod, container, previous) -> text."""
        self.metrics: dict[str, Body] = {}
        self.fired: datetime | None = None

    @property
    def now(self) -> datetime:
        """The story's time."""
        return self.clock.now()

    def wait(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Let time pass. Events older than an hour go, as they do in any cluster."""
        self.clock.wait(timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds).total_seconds())

    def ago(self, *, minutes: float = 0, seconds: float = 0) -> datetime:
        """A moment of the story before now."""
        return self.now - timedelta(minutes=minutes, seconds=seconds)

    def _real(self, moment: datetime | None = None) -> datetime:
        """What to write into the cluster for a moment of the story."""
        return self.clock.real(moment or self.now)

    def stamp(self, *, minutes_ago: float = 0, at: datetime | None = None) -> str:
        """A time of the story as it has to be written into an object now: good until the next wait."""
        return stamp(self._real(at or self.ago(minutes=minutes_ago)))

    def pods(self, place: str) -> Sequence[Body]:
        """The pods whose NAMESPACE/NAME begins with `place`, by name."""
        namespace, _, prefix = place.partition("/")
        items = self.cluster.ask("GET", f"/api/v1/namespaces/{namespace}/pods")["items"]
        return sorted(
            (p for p in items if p["metadata"]["name"].startswith(prefix)),
            key=lambda p: p["metadata"]["name"],
        )

    def log(
        self,
        place: str,
        text: str,
        *,
        container: str = "",
        at: datetime | None = None,
        previous: bool = False,
        every_s: float = 1,
    ) -> None:
        """The log of the first (or only) pod whose NAMESPACE/NAME begins with `place`.

        Args:
            text: lines; each gets a time in front (RFC 3339, as `kubectl logs --timestamps` prints) unless it begins
                with a year. `at` is that of the first (by default a minute ago), the next ones follow `every_s` apart.
        """
        pod = self.pods(place)[0]
        name = container or pod["spec"]["containers"][0]["name"]
        first = at or self.ago(minutes=1)
        lines = [
            line if line[:2] == "20" else f"{stamp(first + timedelta(seconds=n * every_s))} {line}"
            for n, line in enumerate(text.strip("\n").splitlines())
        ]
        self.logs[pod["metadata"]["namespace"], pod["metadata"]["name"], name, previous] = (
            "\n".join(lines) + "\n"
        )

    def metric(
        self,
        name: str,
        query: str,
        series: Mapping[str, Sequence[float]] | Sequence[tuple[Mapping[str, str], Sequence[float]]],
        *,
        step_s: int = 60,
    ) -> None:
        """A recorded Prometheus range answer: labels and values, the last one now, `step_s` apart."""
        pairs = (
            [({"__name__": key}, values) for key, values in series.items()]
            if isinstance(series, Mapping)
            else series
        )
        end = self.now.replace(microsecond=0)
        bare = _SELECTOR.match(query)
        kept: dict[str, str] = {"__name__": bare[1]} if bare else {}
        result = [
            {"metric": kept | dict(labels), "values": [
                [int((end - timedelta(seconds=step_s * (len(values) - 1 - n))).timestamp()), f"{value:g}"]
                for n, value in enumerate(values)
            ]}
            for labels, values in pairs
        ]  # fmt: skip
        self.metrics[name] = {
            "query": query, "kind": "range", "asked_at": stamp(end),
            "data": {"resultType": "matrix", "result": result},
        }  # fmt: skip

    def fire(self, *, minutes_ago: float = 5) -> None:
        """The alert began then; the recording is taken when `play` returns."""
        self.fired = self.ago(minutes=minutes_ago)


def write_extras(stage: Chronicle, recording: Path) -> None:
    """`logs/` and `metrics/` of a recording."""
    for (namespace, pod, container, previous), text in stage.logs.items():
        folder = recording / "logs" / namespace / pod
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{container}{'.previous' if previous else ''}.log").write_text(text, "utf-8")
    for name, answer in stage.metrics.items():
        (recording / "metrics").mkdir(exist_ok=True)
        (recording / "metrics" / f"{name}.json").write_text(json.dumps(answer) + "\n", "utf-8")
