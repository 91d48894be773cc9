"""What monitoring/ asks Prometheus for, read from its files, and what a service shows it, read from its registry."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import promql_parser as promql
import yaml
from prometheus_client.parser import text_string_to_metric_families

from libs.metrics import Counter, Gauge, Histogram, Metrics
from libs.metrics.metrics import LATENCY_BUCKETS, Labels
from tests.support.source import ROOT

FOLDER = ROOT / "monitoring"
SERVICES = sorted(path.parent.name for path in FOLDER.glob("*/rules.yaml"))
"""Those that have alerts and a dashboard."""

OF_THE_SCRAPE = frozenset({"job", "instance"})
"""Labels that Prometheus gives every series; nothing else is known of where a service runs."""

Shown = Mapping[str, Mapping[str, Collection[str]]]
"""Series' names to their labels, and these to the values they can have."""

OF_PROMETHEUS: Shown = {
    "up": {},
    "ALERTS": {"alertname": (), "alertstate": ("firing", "pending"), "severity": ()},
}


def groups(service: str) -> list[list[dict[str, Any]]]:
    """Recording rules and alerts, as they stand."""
    document = yaml.safe_load((FOLDER / service / "rules.yaml").read_text("utf-8"))
    return [group["rules"] for group in document["groups"]]


def rules(service: str) -> list[dict[str, Any]]:
    return [rule for group in groups(service) for rule in group]


def alerts(service: str) -> dict[str, dict[str, Any]]:
    return {rule["alert"]: rule for rule in rules(service) if "alert" in rule}


def recorded(service: str) -> dict[str, str]:
    """Names of recorded series to their expressions."""
    return {rule["record"]: rule["expr"] for rule in rules(service) if "record" in rule}


def cases(service: str) -> list[Path]:
    """Files of `promtool test rules`."""
    return sorted((FOLDER / service / "cases").glob("*.yaml"))


def dashboard(service: str) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((FOLDER / service / "dashboard.json").read_text("utf-8"))
    return document


def panels(service: str) -> list[dict[str, Any]]:
    """Without the rows."""
    return [panel for panel in dashboard(service)["panels"] if panel["type"] != "row"]


def expressions(service: str) -> Iterator[tuple[str, str, str]]:
    """Where it stands, the expression, and what a legend or an annotation makes of its labels."""
    for rule in rules(service):
        said = " ".join(rule.get("annotations", {}).values())
        yield rule.get("alert") or rule["record"], rule["expr"], said
    for panel in panels(service):
        for target in panel["targets"]:
            # Grafana puts a duration in its place before anybody parses it.
            yield panel["title"], target["expr"].replace("$__rate_interval", "5m"), target["legendFormat"]
    for variable in dashboard(service)["templating"]["list"]:
        if found := re.fullmatch(r"label_values\((.+), (\w+)\)", variable.get("definition", "")):
            yield f"${variable['name']}", f"group by ({found[2]}) ({found[1]})", ""


@dataclass(frozen=True)
class Match:
    label: str
    value: str
    exact: bool
    """`=` and `!=`; else a regular expression."""

    def found_in(self, values: Collection[str]) -> bool:
        """Whether there is such a value; of `a|b`, whether there is each."""
        if self.exact:
            return self.value in values
        if re.fullmatch(r"[\w-]+(\|[\w-]+)*", self.value):
            return set(self.value.split("|")) <= set(values)
        return any(re.fullmatch(self.value, value) for value in values)


@dataclass(frozen=True)
class Selector:
    name: str
    matches: tuple[Match, ...]


@dataclass(frozen=True)
class Asked:
    """What an expression asks for."""

    selectors: tuple[Selector, ...]
    labels: frozenset[str]
    """Named by `by`, `on` and their like."""


def asked(expression: str) -> Asked:
    selectors: list[Selector] = []
    labels: set[str] = set()

    def visit(node: Any) -> None:
        if isinstance(node, promql.VectorSelector):
            selectors.append(_selector(node))
        elif isinstance(node, promql.AggregateExpr) and node.modifier:
            labels.update(node.modifier.labels)
        elif isinstance(node, promql.BinaryExpr) and node.modifier:
            labels.update(node.modifier.matching.labels if node.modifier.matching else ())
            labels.update(node.modifier.group_labels or ())

    promql.walk(promql.parse(expression), visit)
    return Asked(tuple(selectors), frozenset(labels))


def _selector(node: promql.VectorSelector) -> Selector:
    exact = (promql.MatchOp.Equal, promql.MatchOp.NotEqual)
    matches = (Match(one.name, one.value, one.op in exact) for one in node.matchers.matchers)
    return Selector(node.name or "", tuple(matches))


class Listed(Metrics):
    """A registry that shows every declared value of every label at once, as if all of it had happened 0 times."""

    def __init__(self, service: str) -> None:
        super().__init__(service, max_series=1_000_000)

    def counter(self, name: str, help_text: str, labels: Labels | None = None) -> Counter:
        family = super().counter(name, help_text, labels)
        for one in _each(labels or {}):
            family.inc(0, **one)
        return family

    def gauge(self, name: str, help_text: str, labels: Labels | None = None) -> Gauge:
        family = super().gauge(name, help_text, labels)
        for one in _each(labels or {}):
            family.set(0, **one)
        return family

    def histogram(
        self,
        name: str,
        help_text: str,
        labels: Labels | None = None,
        buckets: Any = LATENCY_BUCKETS,
    ) -> Histogram:
        family = super().histogram(name, help_text, labels, buckets)
        for one in _each(labels or {}):
            family.observe(0, **one)
        return family


def _each(labels: Labels) -> Iterator[dict[str, str]]:
    """Each value of each label once, the other labels being `other`."""
    yield {}
    for label, values in labels.items():
        yield from ({label: str(value)} for value in values)


def shown(*registries: Metrics) -> dict[str, dict[str, set[str]]]:
    """What a scrape of them has."""
    found: dict[str, dict[str, set[str]]] = {}
    for registry in registries:
        for family in text_string_to_metric_families(registry.exposition().decode()):
            for sample in family.samples:
                labels = found.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    labels.setdefault(label, set()).add(value)
    return found
