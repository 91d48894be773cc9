from __future__ import annotations

import json

import pytest

from cli.serve_recording import statuses

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")


def test_an_absent_object_is_told_of_in_the_api_servers_words():
    core = json.loads(statuses.not_found("pods", "", "api-0").body())
    named = json.loads(statuses.not_found("deployments", "apps", "api").body())

    assert core == {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": 'pods "api-0" not found',
        "reason": "NotFound", "details": {"name": "api-0", "kind": "pods"}, "code": 404,
    }  # fmt: skip
    assert named["message"] == 'deployments.apps "api" not found'
    assert named["details"] == {"name": "api", "group": "apps", "kind": "deployments"}


@pytest.mark.parametrize(
    ("refused", "code", "reason", "words"),
    [
        (statuses.no_such_path(), 404, "NotFound", "the server could not find the requested resource"),
        (statuses.not_recorded("no log"), 404, "NotFound", "no log"),
        (statuses.bad_request("no"), 400, "BadRequest", "no"),
        (statuses.expired("old"), 410, "Expired", "old"),
        (statuses.not_acceptable("a/b"), 406, "NotAcceptable", "only the following media types are accepted: a/b"),
        (statuses.invalid_option("f", "r", "bad"), 422, "Invalid", 'ListOptions.meta.k8s.io "" is invalid: f: bad'),
        (statuses.too_new(9, 3), 504, "Timeout", "Timeout: Too large resource version: 9, current: 3"),
        (statuses.invalid("K", "n", "f", "bad"), 422, "Invalid", 'K "n" is invalid: f: bad'),
    ],
)  # fmt: skip
def test_each_refusal_has_its_code_and_reason(refused: statuses.Refused, code: int, reason: str, words: str):
    status = refused.status()

    assert (status["code"], status["reason"], status["message"]) == (code, reason, words)


def test_a_refused_write_says_that_this_is_a_recording_and_what_is_allowed():
    refused = statuses.read_only("DELETE /api/v1/pods")

    assert refused.code == 405
    assert "read-only" in refused.message
    assert "DELETE /api/v1/pods" in refused.message
    assert ("allow", "GET, HEAD") in refused.headers
