"""What callers ask about themselves, answered truthfully: everything recorded may be read, nothing written. Pure."""

from __future__ import annotations

from typing import Any

from cli.serve_recording.statuses import bad_request
from services.context_api.domain.kube import mapping, text
from services.context_api.domain.snapshot import Body

Document = dict[str, Any]

READING = frozenset({"get", "list", "watch"})
READER = "recording-reader"
"""Nobody logs in here; a name is asked for all the same."""

PATHS = {
    ("authorization.k8s.io", "selfsubjectaccessreviews"): "SelfSubjectAccessReview",
    ("authorization.k8s.io", "selfsubjectrulesreviews"): "SelfSubjectRulesReview",
    ("authentication.k8s.io", "selfsubjectreviews"): "SelfSubjectReview",
}
"""Group and plural of the reviews that may be posted; they change nothing."""


def review(kind: str, body: object) -> Document:
    """The review with its status.

    Raises:
        Refused: the body is none of that kind.
    """
    asked = mapping(body)
    if text(asked.get("kind")) not in ("", kind):
        raise bad_request(f"the body is no {kind}")
    spec = mapping(asked.get("spec"))
    group = "authentication.k8s.io" if kind == "SelfSubjectReview" else "authorization.k8s.io"
    return {"kind": kind, "apiVersion": f"{group}/v1", "metadata": {}, **_answer(kind, spec)}


def _answer(kind: str, spec: Body) -> Document:
    if kind == "SelfSubjectReview":
        return {"status": {"userInfo": {"username": READER, "groups": ["system:unauthenticated"]}}}
    if kind == "SelfSubjectRulesReview":
        reading = sorted(READING)
        rules = [{"verbs": reading, "apiGroups": ["*"], "resources": ["*"]}]
        paths = [{"verbs": ["get"], "nonResourceURLs": ["*"]}]
        return {
            "spec": dict(spec),
            "status": {"resourceRules": rules, "nonResourceRules": paths, "incomplete": False},
        }
    allowed = _allowed(spec)
    reason = "a recording may be read" if allowed else "a recording is read-only"
    return {
        "spec": dict(spec),
        "status": {"allowed": allowed, **({} if allowed else {"denied": True}), "reason": reason},
    }


def _allowed(spec: Body) -> bool:
    resource = mapping(spec.get("resourceAttributes"))
    if resource:
        below = text(resource.get("subresource"))
        return text(resource.get("verb")) in READING and below in ("", "log")
    return text(mapping(spec.get("nonResourceAttributes")).get("verb")) == "get"
