"""Judge one alert: severity, environment, priority, in that order, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from libs.contracts.alerts import Decision, Environment, Priority, Severity
from services.alerts.domain import environment, priority, severity
from services.alerts.domain.environment import ClusterFacts, EnvironmentPolicy
from services.alerts.domain.placement import namespace_of

NOTHING_KNOWN = ClusterFacts()


@dataclass(frozen=True)
class Policy:
    """What the operator has set about judging."""

    environment: EnvironmentPolicy
    severity_names: Sequence[str] = ("severity",)
    tier_names: Sequence[str] = ("kubernaut.ai/tier", "tier")
    severity_words: Mapping[str, Severity] = field(default_factory=lambda: severity.WORDS)


@dataclass(frozen=True, slots=True)
class Judgement:
    severity: Severity
    environment: Environment
    priority: Priority
    decisions: tuple[Decision, Decision, Decision]
    """Of severity, environment and priority."""


def judge(
    labels: Mapping[str, str],
    annotations: Mapping[str, str],
    policy: Policy,
    facts: ClusterFacts = NOTHING_KNOWN,
) -> Judgement:
    """Judge by what the alert says and, where it could be asked, by what the cluster says."""
    level, by_severity = severity.normalise(labels, names=policy.severity_names, words=policy.severity_words)
    place, by_environment = environment.classify(
        facts,
        namespace=namespace_of(labels),
        alert_labels=labels,
        alert_annotations=annotations,
        policy=policy.environment,
    )
    urgency, by_priority = priority.decide(
        level,
        place,
        [facts.workload_labels, facts.namespace_labels, labels],
        names=policy.tier_names,
    )
    return Judgement(level, place, urgency, (by_severity, by_environment, by_priority))
