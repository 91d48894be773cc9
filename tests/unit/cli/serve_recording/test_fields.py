from __future__ import annotations

import pytest

from cli.serve_recording.fields import MOST_TERMS, allowed_of, as_core, fields_of, parse
from cli.serve_recording.statuses import Refused
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")

POD = kube.pod("api-0", node="worker-1")
ALLOWED = allowed_of("", "Pod", namespaced=True)


def matches(words: str) -> bool:
    return parse(words, ALLOWED).matches("shop", "api-0", fields_of("", "Pod", POD))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("", True),
        ("metadata.name=api-0", True),
        ("metadata.name==api-0,metadata.namespace=shop", True),
        ("metadata.name!=api-0", False),
        ("spec.nodeName=worker-1,status.phase!=Succeeded", True),
        ("status.phase=Pending", False),
        ("spec.hostNetwork=false", True),
        ("status.podIP=", True),
        (r"spec.nodeName=worker\,1", False),
        ("spec.nodeName=worker-1,", True),
    ],
)
def test_fields_are_selected_as_the_api_server_selects_them(words: str, expected: bool):
    assert matches(words) is expected


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("spec.foo=1", "field label not supported: spec.foo"),
        ("status.phase", "invalid selector: 'status.phase'; can't understand 'status.phase'"),
        (r"metadata.name=a\b", r"invalid escape sequence: \b"),
        ("metadata.name=a=b", "unescaped character in value: 61"),
        (",".join("metadata.name=a" for _ in range(MOST_TERMS + 1)), "at most"),
    ],
)
def test_what_cannot_be_selected_by_is_refused_and_named(words: str, message: str):
    with pytest.raises(Refused) as refused:
        parse(words, ALLOWED)

    assert refused.value.code == 400
    assert message in refused.value.message


@pytest.mark.parametrize(
    ("group", "kind", "message"),
    [
        (
            "apps",
            "Deployment",
            '"x" is not a known field selector: only "metadata.name", "metadata.namespace"',
        ),
        ("batch", "Job", 'field label "x" not supported for Job'),
        ("", "Node", "field label not supported: x"),
        ("example.com", "Widget", "field label not supported: x"),
    ],
)
def test_each_kind_refuses_in_its_own_words(group: str, kind: str, message: str):
    with pytest.raises(Refused) as refused:
        parse("x=1", allowed_of(group, kind, namespaced=True))

    assert refused.value.message == message


def test_an_escaped_sign_is_part_of_the_value():
    selector = parse(r"metadata.name=a\,b\=c\\d", ALLOWED)

    assert selector.name == r"a,b=c\d"
    assert selector.matches(None, r"a,b=c\d", {})


def test_an_event_is_found_by_what_it_is_about():
    body = {
        "involvedObject": {"kind": "Pod", "name": "api-0", "uid": "u", "fieldPath": "spec.containers{app}"},
        "reason": "BackOff", "type": "Warning", "reportingComponent": "kubelet", "source": {"component": "kubelet"},
    }  # fmt: skip
    allowed = allowed_of("", "Event", namespaced=True)
    words = "involvedObject.kind=Pod,involvedObject.uid=u,involvedObject.fieldPath=spec.containers{app},reason=BackOff,type!=Normal,source=kubelet"

    assert parse(words, allowed).matches("shop", "e", fields_of("", "Event", body))


def test_a_custom_kind_adds_the_fields_of_its_definition():
    allowed = allowed_of("example.com", "Widget", namespaced=False, selectable=["spec.color"])

    assert allowed.names == {"metadata.name", "spec.color"}
    assert fields_of("example.com", "Widget", {"spec": {"color": "red"}}, selectable=["spec.color"]) == {
        "spec.color": "red"
    }


def test_an_event_of_the_newer_group_reads_as_a_core_one():
    newer = {
        "apiVersion": "events.k8s.io/v1", "kind": "Event", "metadata": {"name": "e"}, "note": "it failed", "reason": "Failed",
        "regarding": {"kind": "Pod"}, "reportingController": "kubelet", "deprecatedCount": 3, "eventTime": "t",
        "deprecatedLastTimestamp": "l", "deprecatedFirstTimestamp": "f", "deprecatedSource": {"component": "kubelet"},
    }  # fmt: skip

    assert as_core(newer) == {
        "apiVersion": "v1", "kind": "Event", "metadata": {"name": "e"}, "message": "it failed", "reason": "Failed",
        "involvedObject": {"kind": "Pod"}, "reportingComponent": "kubelet", "count": 3, "eventTime": "t",
        "lastTimestamp": "l", "firstTimestamp": "f", "source": {"component": "kubelet"},
    }  # fmt: skip
