from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.serve_recording.protobuf import MAGIC, NotReadable, review_of

pytestmark = pytest.mark.requirement("API-BR-SEC-006")


def field(number: int, content: bytes) -> bytes:
    return bytes([number << 3 | 2, len(content)]) + content


def envelope(kind: str, message: bytes) -> bytes:
    about = field(1, b"authorization.k8s.io/v1") + field(2, kind.encode())
    return MAGIC + field(1, about) + field(2, message) + field(3, b"") + field(4, b"")


def test_an_access_review_says_what_is_asked():
    attributes = field(1, b"shop") + field(2, b"delete") + field(5, b"pods") + field(9, b"newer")
    asked = envelope("SelfSubjectAccessReview", field(1, b"") + field(2, field(1, attributes)))

    assert review_of(asked) == {
        "kind": "SelfSubjectAccessReview",
        "spec": {"resourceAttributes": {"namespace": "shop", "verb": "delete", "resource": "pods"}},
    }


def test_a_review_of_a_path_and_one_of_rules_are_read_too():
    path = envelope("SelfSubjectAccessReview", field(2, field(2, field(1, b"/x") + field(2, b"get"))))
    rules = envelope("SelfSubjectRulesReview", field(2, field(1, b"shop")))

    assert review_of(path)["spec"] == {"nonResourceAttributes": {"path": "/x", "verb": "get"}}
    assert review_of(rules) == {"kind": "SelfSubjectRulesReview", "spec": {"namespace": "shop"}}
    assert review_of(envelope("SelfSubjectReview", b"")) == {"kind": "SelfSubjectReview", "spec": {}}


@pytest.mark.parametrize(
    "content", [b"", b"{}", MAGIC + b"\x0a\x7f", MAGIC + b"\x0b", MAGIC + b"\x0a", MAGIC + b"\xff" * 12]
)
def test_what_is_cut_off_or_of_another_shape_is_refused(content: bytes):
    with pytest.raises(NotReadable):
        review_of(content)


@given(st.binary(max_size=200))
def test_no_bytes_are_a_fault(content: bytes):
    try:
        read = review_of(MAGIC + content)
    except NotReadable:
        return
    assert set(read) == {"kind", "spec"}
