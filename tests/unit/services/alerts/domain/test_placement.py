"""One incident per owner; labels serve as its key only while nobody says whose object it is."""

import pytest

from libs.contracts.context import Resolution
from libs.contracts.target import Target
from services.alerts.domain.placement import Unanswered, identity, namespace_of, owner_key, place

pytestmark = pytest.mark.requirement("INT-BR-AP-004", "INT-BR-AP-011")

POD = Target(kind="Pod", namespace="shop", name="checkout-7d9f-x")
DEPLOYMENT = Target(api_version="apps/v1", kind="Deployment", namespace="shop", name="checkout")


def answer(target=POD, owner=DEPLOYMENT, reason="label:pod"):
    return Resolution(target=target, owner=owner, exists=target is not None, reason=reason)


def test_pods_of_one_deployment_share_an_incident():
    other = Target(kind="Pod", namespace="shop", name="checkout-7d9f-y")

    one = place({"pod": POD.name}, answer())
    two = place({"pod": other.name}, answer(other))

    assert one.key == two.key
    assert (one.target, one.named, one.provisional) == (DEPLOYMENT, POD, False)
    assert (one.decision.outcome, one.decision.reason) == ("Deployment/shop/checkout", "label:pod")


def test_an_object_without_owner_is_its_own():
    placed = place({"node": "n1"}, answer(Target(kind="Node", name="n1"), None, "label:node"))

    assert placed.key == owner_key(Target(kind="Node", name="n1"))


def test_the_version_of_an_api_does_not_split_an_incident():
    beta = DEPLOYMENT.model_copy(update={"api_version": "apps/v1beta2"})

    assert owner_key(beta) == owner_key(DEPLOYMENT)


def test_clusters_namespaces_and_groups_split_incidents():
    others = [
        DEPLOYMENT.model_copy(update=change)
        for change in ({"cluster": "eu"}, {"namespace": "data"}, {"api_version": "other/v1"}, {"name": "x"})
    ]

    assert len({owner_key(one) for one in [DEPLOYMENT, *others]}) == 5


def test_silence_of_the_context_api_keys_on_labels_provisionally():
    placed = place({"namespace": "shop", "pod": "a-1", "severity": "page"}, Unanswered("timeout"))

    assert placed.provisional
    assert placed.target is None
    assert placed.key == "labels:namespace=shop,pod=a-1"
    assert placed.decision.reason == "keyed-on-labels"
    assert "timeout" in placed.decision.detail


def test_labels_that_name_no_object_are_keyed_by_alert_and_namespace_for_good():
    labels = {"alertname": "TargetDown", "namespace": "mon", "job": "j1"}

    placed = place(labels, answer(None, None, "no-target-label"))

    assert not placed.provisional
    assert placed.key == "labels:namespace=mon,alertname=TargetDown"
    assert placed.decision.reason == "no-target-label"


def test_alerts_that_agree_in_what_they_identify_are_asked_about_once():
    one = {"alertname": "A", "namespace": "shop", "pod": "p", "severity": "page", "instance": "1"}
    two = {"alertname": "B", "namespace": "shop", "pod": "p", "severity": "info", "instance": "2"}

    assert identity(one) == identity(two)
    assert identity(one) != identity({**one, "service": "kube-state-metrics"})


def test_label_values_do_not_run_into_each_other():
    one = place({"namespace": "a,pod=b"}, Unanswered("x"))
    two = place({"namespace": "a", "pod": "b"}, Unanswered("x"))

    assert one.key != two.key


def test_the_scraped_objects_own_namespace_counts():
    assert namespace_of({"namespace": "monitoring", "exported_namespace": "shop"}) == "shop"
    assert namespace_of({"namespace": "shop"}) == "shop"
    assert namespace_of({"node": "n1"}) is None


def test_a_key_is_short_whatever_the_labels_hold_and_still_tells_them_apart():
    one, other = ({"namespace": "n" * 60_000, "pod": pod} for pod in "ab")

    keys = {place(labels, Unanswered("x")).key for labels in (one, other)}

    assert len(keys) == 2
    assert max(map(len, keys)) < 500
