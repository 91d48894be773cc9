"""Decide in which environment an alert's target runs, and say on which ground.

Labels of the namespace and the workload come first, then their annotations, then the operator's patterns
on the namespace's name; unknown means production, and so does contradiction. Labels that come with the
alert may raise the environment and never lower it: whoever can write an alert can write its labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import re2

from libs.contracts.alerts import Decision, Environment

_WORDS: dict[Environment, str] = {
    Environment.production: "production prod prd live",
    Environment.staging: "staging stage stg preprod preproduction uat acceptance",
    Environment.development: "development develop dev sandbox local",
    Environment.testing: "testing test tst qa ci integration",
}
WORDS: Mapping[str, Environment] = {word: env for env, words in _WORDS.items() for word in words.split()}

RANK = {
    Environment.production: 3,
    Environment.staging: 2,
    Environment.development: 1,
    Environment.testing: 1,
}


@dataclass(frozen=True)
class NamespacePattern:
    """A namespace whose whole name matches the RE2 expression runs in this environment."""

    expression: str
    environment: Environment


class Patterns:
    """The operator's patterns, compiled once. RE2, so that no expression can take longer than linear time.

    Raises ValueError for an expression RE2 refuses, naming it.
    """

    def __init__(self, patterns: Sequence[NamespacePattern] = ()) -> None:
        options = re2.Options()
        options.log_errors = False  # it would write to stderr, past our log
        self._compiled = []
        for pattern in patterns:
            try:
                self._compiled.append((re2.compile(pattern.expression, options), pattern))
            except re2.error as error:
                why = error.args[0].decode(errors="replace")
                raise ValueError(f"pattern {pattern.expression} is not RE2: {why}") from error

    def matching(self, namespace: str) -> list[NamespacePattern]:
        return [pattern for compiled, pattern in self._compiled if compiled.fullmatch(namespace)]


@dataclass(frozen=True)
class ClusterFacts:
    """What the cluster itself says about the target; empty when it could not be asked."""

    namespace_labels: Mapping[str, str] = field(default_factory=dict)
    workload_labels: Mapping[str, str] = field(default_factory=dict)
    namespace_annotations: Mapping[str, str] = field(default_factory=dict)
    workload_annotations: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EnvironmentPolicy:
    names: Sequence[str]
    """Label and annotation names that speak of the environment."""
    patterns: Patterns


def classify(
    facts: ClusterFacts,
    *,
    namespace: str | None,
    alert_labels: Mapping[str, str],
    alert_annotations: Mapping[str, str],
    policy: EnvironmentPolicy,
) -> tuple[Environment, Decision]:
    """The environment and the decision that explains it."""
    environment, reason, detail = _by_cluster(facts, namespace, policy)
    for kind, pairs in (("label", alert_labels), ("annotation", alert_annotations)):
        for name, said in _claims(pairs, policy.names):
            if RANK[said] > RANK[environment]:
                detail = f"{environment.value} by {reason}; the alert says {name}={said.value}"
                environment, reason = said, f"raised-by-alert-{kind}:{name}"
    return environment, Decision(
        subject="environment", outcome=environment.value, reason=reason, detail=detail
    )


def _by_cluster(
    facts: ClusterFacts, namespace: str | None, policy: EnvironmentPolicy
) -> tuple[Environment, str, str]:
    grounds = (
        ("label", facts.namespace_labels, facts.workload_labels),
        ("annotation", facts.namespace_annotations, facts.workload_annotations),
    )
    for kind, of_namespace, of_workload in grounds:
        claims = [*_claims(of_workload, policy.names), *_claims(of_namespace, policy.names)]
        if claims:
            return _agreed([(f"{kind}:{name}", said) for name, said in claims])
    matching = policy.patterns.matching(namespace) if namespace else []
    if matching:
        return _agreed([(f"pattern:{match.expression}", match.environment) for match in matching])
    detail = f"nothing says what namespace {namespace} is" if namespace else "the alert names no namespace"
    return Environment.production, "unknown-means-production", detail


def _agreed(claims: Sequence[tuple[str, Environment]]) -> tuple[Environment, str, str]:
    said = {environment for _, environment in claims}
    detail = ", ".join(f"{ground} says {environment.value}" for ground, environment in claims)
    if len(said) > 1:
        return Environment.production, "conflict-means-production", detail
    ground, environment = claims[0]
    return environment, ground, detail


def _claims(pairs: Mapping[str, str], names: Sequence[str]) -> list[tuple[str, Environment]]:
    claims = []
    for name in names:
        said = pairs.get(name)
        if said is None:
            continue
        environment = WORDS.get(said.strip().lower().replace("-", "").replace("_", ""))
        if environment is not None:
            claims.append((name, environment))
    return claims
