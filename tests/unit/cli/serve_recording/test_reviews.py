from __future__ import annotations

from typing import Any

import pytest

from cli.serve_recording.reviews import PATHS, review
from cli.serve_recording.statuses import Refused

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")


def allowed(**spec: Any) -> bool:
    answer = review("SelfSubjectAccessReview", {"spec": spec})
    assert answer["spec"] == spec
    found: bool = answer["status"]["allowed"]
    return found


@pytest.mark.parametrize("verb", ["get", "list", "watch"])
def test_everything_may_be_read(verb: str):
    assert allowed(resourceAttributes={"verb": verb, "resource": "pods", "namespace": "shop"})
    assert allowed(resourceAttributes={"verb": verb, "resource": "pods", "subresource": "log"})


@pytest.mark.parametrize("verb", ["create", "update", "patch", "delete", "deletecollection", "*", ""])
def test_nothing_may_be_written(verb: str):
    assert not allowed(resourceAttributes={"verb": verb, "resource": "pods"})


def test_a_command_in_a_pod_is_no_reading():
    assert not allowed(resourceAttributes={"verb": "get", "resource": "pods", "subresource": "exec"})


def test_paths_may_be_got():
    assert allowed(nonResourceAttributes={"verb": "get", "path": "/version"})
    assert not allowed(nonResourceAttributes={"verb": "post", "path": "/version"})
    assert not allowed()


def test_the_rules_say_the_same():
    rules = review("SelfSubjectRulesReview", {"spec": {"namespace": "shop"}})["status"]["resourceRules"]

    assert rules == [{"verbs": ["get", "list", "watch"], "apiGroups": ["*"], "resources": ["*"]}]
    assert review("SelfSubjectReview", {})["status"]["userInfo"]["username"] == "recording-reader"


@pytest.mark.parametrize("kind", PATHS.values())
def test_a_body_of_another_kind_is_refused(kind: str):
    with pytest.raises(Refused):
        review(kind, {"kind": "Pod"})


@pytest.mark.parametrize("body", [None, [], "x", {"spec": []}, {"spec": {"resourceAttributes": 3}}])
def test_a_body_that_says_nothing_allows_nothing(body: object):
    assert review("SelfSubjectAccessReview", body)["status"]["allowed"] is False
