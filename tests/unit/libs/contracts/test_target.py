from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from libs.contracts.target import Target

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "HAPI-105")


@pytest.mark.parametrize(
    ("text", "kind", "namespace", "name"),
    [
        ("Pod/shop/web-1", "Pod", "shop", "web-1"),
        ("Node/node-1", "Node", None, "node-1"),
        ("Node/_cluster/node-1", "Node", None, "node-1"),
        ("Node/-/node-1", "Node", None, "node-1"),
        ("ClusterRole/system:node", "ClusterRole", None, "system:node"),
        ("CustomResourceDefinition/_cluster/widgets.example.com", "CustomResourceDefinition", None, "widgets.example.com"),
    ],
)  # fmt: skip
def test_a_target_is_read_from_kind_namespace_and_name(text, kind, namespace, name):
    target = Target.parse(text, cluster="east")

    assert (target.kind, target.namespace, target.name, target.cluster) == (kind, namespace, name, "east")


@pytest.mark.parametrize(
    "text", ["", "Pod", "a/b/c/d", "Pod/shop/", "/shop/web", "Pod/Shop/web", "Pod/../web", "Pod/shop/a b"]
)
def test_what_names_no_object_is_refused(text):
    with pytest.raises(ValueError, match=r".+"):
        Target.parse(text)


kinds = st.from_regex(r"[A-Z][A-Za-z0-9]{0,20}", fullmatch=True)
labels = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,20}[a-z0-9])?", fullmatch=True)


@given(kind=kinds, namespace=st.none() | labels, name=labels)
def test_a_target_reads_back_what_it_prints(kind, namespace, name):
    target = Target(kind=kind, namespace=namespace, name=name)

    assert Target.parse(str(target)) == target


def test_a_misspelt_field_is_refused_and_not_dropped():
    with pytest.raises(ValidationError):
        Target.model_validate({"kind": "Pod", "name": "web", "namspace": "shop"})
