"""The cluster's own word decides, contradiction and silence mean production, and an alert only raises."""

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from libs.contracts.alerts import Environment
from services.alerts.domain.environment import (
    RANK,
    WORDS,
    ClusterFacts,
    EnvironmentPolicy,
    NamespacePattern,
    Patterns,
    classify,
)

pytestmark = pytest.mark.requirement(
    "INT-BR-AP-021@3.1.4", "INT-BR-AP-022@3.1.4", "HAPI-BR-CLOUD-016", "INT-BR-AP-026", "INT-BR-AP-020"
)

NAME = "app.kubernetes.io/environment"
NAMES = (NAME, "environment")
P, S, D, T = Environment.production, Environment.staging, Environment.development, Environment.testing


def classified(facts=None, *, namespace="shop", labels=None, annotations=None, patterns=()):
    environment, decision = classify(
        facts or ClusterFacts(),
        namespace=namespace,
        alert_labels=labels or {},
        alert_annotations=annotations or {},
        policy=EnvironmentPolicy(
            NAMES, Patterns([NamespacePattern(expression, env) for expression, env in patterns])
        ),
    )
    assert decision.subject == "environment"
    assert decision.outcome == environment.value
    return environment, decision.reason


def test_nothing_known_means_production():
    assert classified() == (P, "unknown-means-production")


def test_a_cluster_scoped_alert_means_production():
    assert classified(namespace=None, patterns=[(".*", D)]) == (P, "unknown-means-production")


@pytest.mark.parametrize(
    "facts",
    [
        ClusterFacts(namespace_labels={NAME: "Staging"}),
        ClusterFacts(workload_labels={NAME: "stg"}),
        ClusterFacts(namespace_labels={NAME: "staging"}, workload_labels={NAME: "stage"}),
    ],
)
def test_a_label_of_the_namespace_or_workload_decides(facts):
    assert classified(facts, patterns=[("shop", D)]) == (S, f"label:{NAME}")


def test_annotations_decide_where_labels_are_silent():
    facts = ClusterFacts(namespace_annotations={NAME: "dev"})

    assert classified(facts, patterns=[("shop", S)]) == (D, f"annotation:{NAME}")


def test_labels_come_before_annotations():
    facts = ClusterFacts(namespace_labels={NAME: "test"}, namespace_annotations={NAME: "production"})

    assert classified(facts) == (T, f"label:{NAME}")


def test_a_pattern_on_the_whole_name_decides_where_the_cluster_is_silent():
    assert classified(namespace="shop-dev", patterns=[(".*-dev", D)]) == (D, "pattern:.*-dev")
    assert classified(namespace="shop-device", patterns=[(".*-dev", D)])[0] is P


@pytest.mark.parametrize(
    ("facts", "patterns"),
    [
        (ClusterFacts(namespace_labels={NAME: "dev"}, workload_labels={NAME: "staging"}), ()),
        (ClusterFacts(namespace_labels={NAME: "dev", "environment": "test"}), ()),
        (ClusterFacts(namespace_annotations={NAME: "dev", "environment": "staging"}), ()),
        (ClusterFacts(), [("shop", D), ("s.*", S)]),
    ],
)
def test_contradiction_means_production(facts, patterns):
    assert classified(facts, patterns=patterns) == (P, "conflict-means-production")


def test_a_word_nobody_knows_is_no_ground():
    assert classified(ClusterFacts(namespace_labels={NAME: "blue"})) == (P, "unknown-means-production")


def test_an_alert_raises_what_the_cluster_says():
    facts = ClusterFacts(namespace_labels={NAME: "dev"})

    assert classified(facts, labels={"environment": "prod"}) == (P, "raised-by-alert-label:environment")
    assert classified(facts, annotations={NAME: "staging"}) == (S, f"raised-by-alert-annotation:{NAME}")


def test_an_alert_never_lowers():
    assert classified(labels={"environment": "dev"}) == (P, "unknown-means-production")


PAIRS = st.dictionaries(st.sampled_from(NAMES), st.sampled_from(sorted(WORDS)) | st.text(max_size=5))


@settings(deadline=None)
@given(PAIRS, PAIRS, PAIRS, PAIRS)
def test_whatever_an_alert_says_the_rank_never_falls(namespace_labels, annotations, labels, notes):
    facts = ClusterFacts(namespace_labels=namespace_labels, namespace_annotations=annotations)

    without, _ = classified(facts)
    with_alert, _ = classified(facts, labels=labels, annotations=notes)

    assert RANK[with_alert] >= RANK[without]


def test_a_pattern_re2_refuses_is_named():
    with pytest.raises(ValueError, match=r"\(a\)\\1"):
        Patterns([NamespacePattern(r"(a)\1", D)])


def test_no_pattern_takes_exponential_time():
    patterns = Patterns([NamespacePattern("(a+)+b", D)])
    began = time.perf_counter()

    assert patterns.matching("a" * 5_000) == []

    assert time.perf_counter() - began < 0.5
