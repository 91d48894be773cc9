from __future__ import annotations

import pytest

from cli.serve_recording.paths import MOST_PARAMETERS, Asked, query_of, resource_path, segments
from cli.serve_recording.statuses import Refused

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        (b"/api/v1/pods", Asked("", "v1", "pods")),
        (b"/api/v1/pods/", Asked("", "v1", "pods")),
        (b"/api/v1/nodes/n", Asked("", "v1", "nodes", None, "n")),
        (b"/api/v1/namespaces", Asked("", "v1", "namespaces")),
        (b"/api/v1/namespaces/shop", Asked("", "v1", "namespaces", None, "shop")),
        (b"/api/v1/namespaces/shop/pods", Asked("", "v1", "pods", "shop")),
        (b"/api/v1/namespaces/shop/pods/a", Asked("", "v1", "pods", "shop", "a")),
        (b"/api/v1/namespaces/shop/pods/a/log", Asked("", "v1", "pods", "shop", "a", "log")),
        (b"/apis/apps/v1/namespaces/shop/deployments/a/scale", Asked("apps", "v1", "deployments", "shop", "a", "scale")),
        (b"/api/v1/namespaces/shop/services/a/proxy/x/y", Asked("", "v1", "services", "shop", "a", "proxy")),
        (b"/api/v1/namespaces/s/pods/a%2Fb", Asked("", "v1", "pods", "s", "a/b")),
    ],
)  # fmt: skip
def test_a_path_says_which_object_or_list_is_meant(path: bytes, asked: Asked):
    assert resource_path(segments(path)) == asked


@pytest.mark.parametrize(
    "path", [b"/api/v1//pods", b"/api/v1/namespaces/s/pods/a/log/more", b"/apis/apps/v1/a/b/c/d"]
)
def test_a_path_of_another_shape_leads_nowhere(path: bytes):
    with pytest.raises(Refused) as refused:
        resource_path(segments(path))

    assert refused.value.code == 404


@pytest.mark.parametrize("path", [b"/api/%00", b"/api/v1/pods/%0a", b"/api/v1/%ff", b"/api/v1/p%7F"])
def test_what_is_no_text_is_refused(path: bytes):
    with pytest.raises(Refused) as refused:
        segments(path)

    assert refused.value.code == 400


def test_of_a_repeated_parameter_the_first_counts():
    query = query_of(b"limit=3&limit=4&watch&container=a%20b&follow=false&timestamps=0&empty=")

    assert query.number("limit") == 3
    assert query.text("container") == "a b"
    assert query.flag("watch")
    assert not query.flag("follow")
    assert not query.flag("timestamps")
    assert not query.flag("absent")
    assert query.number("empty") is None
    assert query.number("absent") is None


@pytest.mark.parametrize("value", ["abc", "1_000", "１", "1.5", "0x1", "9" * 19, "9" * 5000])
def test_a_number_that_is_none_is_refused(value: str):
    from urllib.parse import quote

    with pytest.raises(Refused) as refused:
        query_of(f"limit={quote(value)}".encode()).number("limit")

    assert refused.value.code == 400
    assert len(refused.value.message) < 200


@pytest.mark.parametrize(
    "raw", [b"a=%ff", b"a=\xff", b"a=%00", b"&".join(b"a=1" for _ in range(MOST_PARAMETERS + 1))]
)
def test_a_query_that_nobody_means_is_refused(raw: bytes):
    with pytest.raises(Refused) as refused:
        query_of(raw)

    assert refused.value.code == 400
