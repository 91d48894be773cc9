from __future__ import annotations

import pytest

from services.context_api.domain.catalogue import Catalogue
from services.context_api.domain.graph import Graph
from services.context_api.domain.triage import find_causes
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "HAPI-167")


def test_what_causes_cite_without_a_question_is_found_by_its_id():
    api = kube.deployment("api", statuses=[kube.crashing()])
    snapshot = kube.snapshot(api, kube.event(kube.pods_in(api)[0], "BackOff", "Back-off restarting"))
    answer = find_causes(snapshot)

    catalogue = Catalogue(Graph(snapshot))

    assert answer.evidence
    assert [catalogue.get(item.id) for item in answer.evidence] == answer.evidence


def test_the_record_of_a_healthy_object_is_in_it_too():
    pod = kube.pod("api-0")
    catalogue = Catalogue(Graph(kube.snapshot(pod, kube.event(pod, "Pulled", "pulled", type_="Normal"))))

    assert len(catalogue) == 3


def test_an_id_nobody_gave_is_not_found():
    catalogue = Catalogue(Graph(kube.snapshot()))

    assert "ev-0000000000000000" not in catalogue
    assert catalogue.get("ev-0000000000000000") is None


def test_what_cannot_be_written_down_is_left_out():
    pod = kube.pod("api-0", conditions=[{"type": "Ready", "status": "True", "reason": "\ud800"}])

    assert len(Catalogue(Graph(kube.snapshot(pod)))) <= 1
