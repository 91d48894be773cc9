from __future__ import annotations

import pytest

from services.context_api.adapters.recording.layout import Place, Role
from services.context_api.adapters.recording.logs import dump_logs, log_of, namespace_of_pod

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")

DUMP = b"""==== START logs for container web of pod shop/api-0 ====
listening
ready
==== END logs for container web of pod shop/api-0 ====
==== START logs for container proxy of pod shop/api-0 ====
==== END logs for container proxy of pod shop/api-0 ====
"""


def test_a_log_is_text_whatever_its_bytes():
    log = log_of(Place(Role.log, "shop", "api-0", "web"), b"ok \xff \0\n", truncated=True, origin="f")

    assert log.text == "ok \ufffd \ufffd\n"
    assert (log.namespace, log.pod, log.container, log.truncated) == ("shop", "api-0", "web", True)


def test_a_dump_holds_each_containers_log_between_its_marks():
    first, second = dump_logs(DUMP, keep=1000, truncated=False, origin="f")

    assert (first.namespace, first.pod, first.container, first.text) == (
        "shop",
        "api-0",
        "web",
        "listening\nready\n",
    )
    assert (second.container, second.text) == ("proxy", "")
    assert not first.truncated


def test_a_dump_cut_at_its_beginning_still_tells_whose_the_first_part_is():
    first, second = dump_logs(DUMP[60:], keep=1000, truncated=True, origin="f")

    assert (first.container, first.truncated) == ("web", True)
    assert first.text.endswith("ready\n")
    assert not second.truncated


def test_each_container_of_a_dump_keeps_its_own_end():
    first, _ = dump_logs(DUMP, keep=6, truncated=False, origin="f")

    assert (first.text, first.truncated) == ("ready\n", True)


@pytest.mark.parametrize(
    ("namespaces", "expected"),
    [({}, None), ({"a": {"x"}}, "x"), ({"a": {"x", "y"}}, None), ({"b": {"x"}}, None)],
)
def test_a_pod_lies_in_a_namespace_only_when_one_alone_has_it(
    namespaces: dict[str, set[str]], expected: str | None
):
    assert namespace_of_pod("a", namespaces) == expected
