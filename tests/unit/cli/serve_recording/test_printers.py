"""Every printer at once; what each shows is tested beside it, and against a real API server's tables."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cli.serve_recording.printers import PRINTERS, printer_of
from cli.serve_recording.resources import Resource
from cli.serve_recording.tables import GUESSED, PLAIN, table
from services.context_api.domain.kinds import BUILT_IN
from tests.support.kube import NOW

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")

WORDS = (
    "metadata", "spec", "status", "conditions", "type", "containers", "containerStatuses", "initContainerStatuses", "initContainers", "state",
    "terminated", "waiting", "reason", "selector", "matchExpressions", "key", "operator", "values", "ports", "port", "metrics", "currentMetrics",
    "resource", "target", "averageValue", "rules", "host", "subsets", "addresses", "endpoints", "hard", "used", "subjects", "kind", "name",
    "ownerReferences", "deletionTimestamp", "creationTimestamp", "lastState", "finishedAt", "series", "count", "involvedObject", "template",
)  # fmt: skip
LEAVES = st.one_of(
    st.none(), st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "True", "Resource", "In", "2026-11-18T09:00:00Z", "0001-01-01T00:00:00Z", "²", "ü", *WORDS]),
)  # fmt: skip
BODIES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from(WORDS), inner, max_size=4)
    ),
    max_leaves=25,
)


@pytest.mark.parametrize("key", PRINTERS)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.dictionaries(st.sampled_from(WORDS), BODIES, max_size=5))
def test_no_object_is_a_fault_and_every_row_has_its_columns(key: tuple[str, str], body: dict[str, Any]):
    printer = PRINTERS[key]

    assert len(printer.cells(body, NOW)) == len(printer.columns)
    orjson.dumps(table(printer, [(body, None)], NOW, {}))


def test_printers_are_for_built_in_kinds():
    assert set(PRINTERS) <= set(BUILT_IN)


def test_a_kind_is_printed_by_its_group_too():
    assert printer_of(Resource("example.com", "v1", "Pod", "pods", "pod", True)) is GUESSED
    assert printer_of(Resource("build.openshift.io", "v1", "Build", "builds", "build", True)) is GUESSED
    assert (
        printer_of(Resource("resource.k8s.io", "v1", "DeviceClass", "deviceclasses", "deviceclass", False))
        is PLAIN
    )
    assert printer_of(Resource("", "v1", "Pod", "pods", "pod", True)) is PRINTERS["", "Pod"]
