"""Reading ahead changes no answer, and leaves less to be read by the first one."""

from __future__ import annotations

import pytest

from services.context_api.domain.ahead import read_ahead
from services.context_api.domain.triage import find_causes
from tests.support.kube import deployment, node, service, snapshot, thing

pytestmark = pytest.mark.requirement("API-BR-CAPI-006")


def evidence():
    odd = thing("Pod", "odd", spec=7, status=[])
    return snapshot(deployment("api"), service("api"), node("node-1"), odd)


def test_an_answer_is_the_same_whether_or_not_objects_were_read_ahead():
    unread, ahead = evidence(), evidence()
    read_ahead(ahead.objects)

    assert find_causes(ahead) == find_causes(unread)


def test_what_every_answer_asks_is_known_then():
    found = evidence()
    assert not any(obj.readings for obj in found.objects)

    read_ahead(found.objects)

    assert all(obj.readings for obj in found.objects)
