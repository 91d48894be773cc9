from __future__ import annotations

import pytest

from cli.serve_recording.negotiation import Form, form_of, form_of_discovery, text_wanted
from cli.serve_recording.statuses import Refused

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")

KUBECTL_GET = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json"
KUBECTL_DISCOVERS = (
    "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,"
    "application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json"
)


@pytest.mark.parametrize(
    ("accept", "form"),
    [
        ("", Form.plain),
        ("*/*", Form.plain),
        ("application/json", Form.plain),
        ("application/json;stream=watch", Form.plain),
        (KUBECTL_GET, Form.table),
        ("application/vnd.kubernetes.protobuf,application/json", Form.plain),
        ("application/json;as=PartialObjectMetadataList;g=meta.k8s.io;v=v1", Form.partial),
        ("application/json;as=Table;v=v1beta1;g=meta.k8s.io,application/json", Form.plain),
        ("application/json;q=0.9, text/html", Form.plain),
    ],
)
def test_the_first_shape_we_have_is_taken(accept: str, form: Form):
    assert form_of(accept) is form


@pytest.mark.parametrize(
    "accept", ["application/vnd.kubernetes.protobuf", "application/yaml", "text/html", "application/json;as=Picture"]
)  # fmt: skip
def test_what_we_cannot_say_is_refused(accept: str):
    with pytest.raises(Refused) as refused:
        form_of(accept)

    assert refused.value.code == 406


def test_the_list_of_groups_comes_in_the_form_that_is_asked_for():
    assert form_of_discovery(KUBECTL_DISCOVERS) is Form.discovery
    assert form_of_discovery(KUBECTL_DISCOVERS.partition(",")[2]) is Form.older_discovery
    assert form_of_discovery("application/json") is Form.plain
    assert (
        Form.discovery.content_type == "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
    )
    assert Form.table.content_type == "application/json"


def test_a_log_is_text_whatever_clients_ask_for_beside_it():
    for accept in (
        "",
        "text/plain",
        "*/*",
        "application/json, */*",
        "application/vnd.kubernetes.protobuf,application/json",
    ):
        text_wanted(accept)
    with pytest.raises(Refused):
        text_wanted("image/png")
