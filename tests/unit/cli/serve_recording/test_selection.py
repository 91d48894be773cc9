from __future__ import annotations

from urllib.parse import urlencode

import pytest

from cli.serve_recording.index import index_of
from cli.serve_recording.paths import Asked, query_of
from cli.serve_recording.selection import LONGEST_SELECTOR, Page, check_version, page_of, selection_of
from cli.serve_recording.statuses import Refused
from tests.support.kube import pod, snapshot

pytestmark = pytest.mark.requirement("API-BR-CAPI-005", "API-BR-SEC-006")

INDEX = index_of(
    snapshot([pod(f"p{n}", space, labels={"n": str(n)}) for space in ("bank", "shop") for n in range(5)])
)
PODS = INDEX.shelves["", "v1", "pods"]


def page(namespace: str | None = None, **query: object) -> Page:
    asked, read = Asked("", "v1", "pods", namespace), query_of(urlencode(query).encode())
    return page_of(INDEX, PODS, selection_of(asked, read, PODS), read)


def names(found: Page) -> list[str]:
    return [f"{item.namespace}/{item.name}" for item in found.items]


def test_without_a_limit_everything_comes_at_once():
    assert len(page().items) == 10
    assert page().proceed == ""
    assert len(page(limit=-1).items) == len(page(limit=0).items) == 10
    assert names(page("shop", labelSelector="n in (1,3)")) == ["shop/p1", "shop/p3"]
    assert names(page(fieldSelector="metadata.namespace!=shop", labelSelector="n=2")) == ["bank/p2"]


@pytest.mark.parametrize(
    "query", [{}, {"labelSelector": "n notin (0)"}, {"fieldSelector": "metadata.name!=p4"}]
)
@pytest.mark.parametrize("namespace", [None, "shop", "nowhere"])
@pytest.mark.parametrize("limit", [1, 3, 10, 1000])
def test_pages_together_are_the_whole_list_each_object_once(
    query: dict[str, str], namespace: str | None, limit: int
):
    found, token = [], ""
    while True:
        part = page(namespace, limit=limit, **query, **({"continue": token} if token else {}))
        assert len(part.items) <= limit
        found += names(part)
        token = part.proceed
        if not token:
            break

    assert found == names(page(namespace, **query))


def test_what_is_left_is_counted_where_no_selector_has_to_look():
    assert page(limit=4).remaining == 6
    assert page(limit=4, labelSelector="n").remaining is None
    assert page(limit=10).remaining is None


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ({"limit": "x"}, 400),
        ({"continue": "x"}, 400),
        ({"labelSelector": "a b"}, 400),
        ({"labelSelector": "a=" + "b," * LONGEST_SELECTOR}, 400),
        ({"fieldSelector": "spec.foo=1"}, 400),
        ({"resourceVersion": "x"}, 400),
        ({"resourceVersion": "1", "resourceVersionMatch": "Sometimes"}, 422),
        ({"resourceVersionMatch": "Exact"}, 422),
        ({"resourceVersion": "1", "resourceVersionMatch": "Exact"}, 410),
        ({"resourceVersion": "999999"}, 504),
    ],
)
def test_what_is_no_such_list_is_refused(query: dict[str, str], code: int):
    with pytest.raises(Refused) as refused:
        page(**query)

    assert refused.value.code == code


@pytest.mark.parametrize("query", [b"", b"resourceVersion=0", b"resourceVersion=1000", b"resourceVersion=1000&resourceVersionMatch=Exact", b"resourceVersion=5"])  # fmt: skip
def test_the_recordings_own_version_and_those_before_it_are_had(query: bytes):
    check_version(INDEX, query_of(query))


def test_a_watch_on_one_object_is_one_on_its_name():
    chosen = selection_of(Asked("", "v1", "pods", "shop"), query_of(b""), PODS).only("p1")

    assert [item.name for item in PODS.items if chosen.takes(item)] == ["p1", "p1"]
