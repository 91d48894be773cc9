from __future__ import annotations

import pytest

from services.context_api.domain.words import kind_meant

pytestmark = pytest.mark.requirement("API-BR-CAPI-005")

KINDS = ["Pod", "Deployment", "NetworkPolicy", "Ingress", "Endpoints", "Rocket", "Gas"]


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("pods", "Pod"), ("pod", "Pod"), ("po", "Pod"), ("Pod", "Pod"), ("PODS", "Pod"), ("deploy", "Deployment"),
        ("deployments.apps", "Deployment"), ("networkpolicies", "NetworkPolicy"), ("ingresses", "Ingress"), ("ing", "Ingress"),
        ("endpoints", "Endpoints"), ("ep", "Endpoints"), ("rockets", "Rocket"), ("rocket", "Rocket"), ("gas", "Gas"), ("gases", "Gas"),
        ("secrets", "Secret"), ("events", "Event"), ("jobs", "Job"),
        ("checkout", None), ("web-0", None), ("s", None), (".", None),
    ],
)  # fmt: skip
def test_a_word_means_the_kind_that_kubectl_takes_it_for(word: str, kind: str | None):
    assert kind_meant(word, KINDS) == kind
