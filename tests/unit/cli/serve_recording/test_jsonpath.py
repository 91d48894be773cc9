from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.serve_recording.jsonpath import LONGEST, first

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")

DOCUMENT = {
    "spec": {"size": 3, "on": False, "list": [1, 2, 3], "a.b": "dotted"},
    "metadata": {"annotations": {"example.com/owner": "shop"}},
    "status": {
        "conditions": [
            {"type": "Synced", "status": "False"},
            {"type": "Ready", "status": "True", "n": 1, "yes": True},
        ]
    },
}


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (".spec.size", 3),
        ("{.spec.size}", 3),
        ("$.spec.size", 3),
        (".spec.on", False),
        (".spec.list[1]", 2),
        (".spec.list[-1]", 3),
        (".spec.list[7]", None),
        (".spec.list[*]", 1),
        (".spec['a.b']", "dotted"),
        (r".spec.a\.b", "dotted"),
        (r".metadata.annotations.example\.com/owner", "shop"),
        ('.metadata.annotations["example.com/owner"]', "shop"),
        ('.status.conditions[?(@.type=="Ready")].status', "True"),
        (".status.conditions[?(@.type == 'Ready')].status", "True"),
        ('.status.conditions[?(@.type!="Ready")].status', "False"),
        (".status.conditions[?(@.n==1)].type", "Ready"),
        (".status.conditions[?(@.yes==true)].type", "Ready"),
        ('.status.conditions[?(@.type=="Gone")].status', None),
        (".spec.gone.deeper", None),
        (".spec.size.deeper", None),
    ],
)
def test_a_path_leads_where_it_leads_in_kubernetes(path: str, value: object):
    assert first(DOCUMENT, path) == value


@pytest.mark.parametrize(
    "path", ["spec.size", ".spec..size", ".spec[", ".spec[?(@.a>1)]", "." + "a" * LONGEST]
)
def test_a_path_that_is_not_read_finds_nothing(path: str):
    assert first(DOCUMENT, path) is None


@given(st.text(max_size=60))
def test_no_path_is_a_fault(path: str):
    first(DOCUMENT, path)
    first(DOCUMENT, f".status{path}")
