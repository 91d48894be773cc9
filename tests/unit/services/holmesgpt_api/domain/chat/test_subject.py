"""An object is named with its kind; a name alone could be many."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.holmesgpt_api.domain.chat.subject import subject

pytestmark = pytest.mark.requirement("HAPI-006", "HAPI-013")


@pytest.mark.parametrize(
    ("text", "target", "version"),
    [
        ("why does Deployment/shop/checkout fail?", "Deployment/shop/checkout", "v1"),
        ("Deployment.apps/shop/checkout?", "Deployment/shop/checkout", "apps/v1"),
        ("what is wrong with Node/_cluster/worker-2.", "Node/_cluster/worker-2", "v1"),
        ("look at PersistentVolume/-/pv-1", "PersistentVolume/_cluster/pv-1", "v1"),
    ],
)
def test_an_object_in_full_is_taken_as_it_is(text: str, target: str, version: str):
    found = subject(text, None)

    assert found.target is not None
    assert (str(found.target), found.target.api_version) == (target, version)


@pytest.mark.parametrize(
    ("text", "namespace", "labels"),
    [
        (
            "why is the pod checkout-1 in namespace shop slow",
            None,
            {"pod": "checkout-1", "namespace": "shop"},
        ),
        ("what about deployment checkout?", "shop", {"deployment": "checkout", "namespace": "shop"}),
        ("is the stateful set orders-db up", "data", {"statefulset": "orders-db", "namespace": "data"}),
        ("svc/front in the web namespace", "shop", {"service": "front", "namespace": "web"}),
        ("why is node worker-2 not ready", None, {"node": "worker-2"}),
        ("did the cronjob called nightly run", "batch", {"cronjob": "nightly", "namespace": "batch"}),
    ],
)
def test_a_name_with_its_kind_becomes_the_labels_of_an_alert(
    text: str, namespace: str | None, labels: dict[str, str]
):
    assert subject(text, namespace).labels == labels


@pytest.mark.parametrize(
    "text",
    [
        "why does the pod crash?",
        "is the deployment ready",
        "restart the node now",
        "which service is at fault",
        "a/b",
        "see https://example.com/a/b/c",
        "Kind/UPPER/name",
        "why is checkout slow",
    ],
)
def test_what_names_no_object_is_not_guessed(text: str):
    assert not subject(text, "shop").names_an_object


def test_without_a_namespace_a_name_is_not_searched_for_everywhere():
    assert not subject("why is pod checkout-1 slow", None).names_an_object


def test_where_alone_is_kept_for_the_next_question():
    assert subject("what happened in the shop namespace?", None).namespace == "shop"


@given(st.text(max_size=4_000), st.sampled_from([None, "shop"]))
def test_any_text_is_read(text: str, namespace: str | None):
    found = subject(text, namespace)

    assert found.target is None or not found.labels
