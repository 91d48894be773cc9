"""One judgement per alert: severity, environment and priority, each with its reason."""

import pytest

from libs.contracts.alerts import Environment, Priority, Severity
from services.alerts.domain.environment import ClusterFacts, EnvironmentPolicy, Patterns
from services.alerts.domain.judgement import Policy, judge

pytestmark = pytest.mark.requirement("INT-BR-AP-020", "INT-BR-AP-023@3.1.4")

POLICY = Policy(EnvironmentPolicy(("environment",), Patterns()))


def test_every_subject_is_decided_in_order():
    judged = judge({"severity": "page"}, {}, POLICY)

    assert (judged.severity, judged.environment, judged.priority) == (
        Severity.critical,
        Environment.production,
        Priority.p0,
    )
    assert [decision.subject for decision in judged.decisions] == ["severity", "environment", "priority"]
    assert all(decision.reason for decision in judged.decisions)


def test_what_the_cluster_says_lowers_what_was_unknown():
    judged = judge({"severity": "page"}, {}, POLICY, ClusterFacts(namespace_labels={"environment": "dev"}))

    assert judged.priority is Priority.p2


def test_a_tier_of_the_workload_or_of_the_alert_raises():
    dev = {"environment": "dev"}

    for facts, labels in (
        (ClusterFacts(namespace_labels=dev, workload_labels={"tier": "critical"}), {}),
        (ClusterFacts(namespace_labels=dev), {"tier": "critical"}),
    ):
        assert judge({"severity": "page", **labels}, {}, POLICY, facts).priority is Priority.p0
