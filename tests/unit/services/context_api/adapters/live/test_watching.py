"""Which pods are decoded to choose logs: a cluster of well ones is left as it is."""

from __future__ import annotations

from typing import Any

import pytest

from services.context_api.adapters.live.shelf import Kept, Shelf
from services.context_api.adapters.live.watching import worth_a_look
from services.context_api.adapters.recording import objects
from tests.support import kube

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-008")


def kept(document: dict[str, Any], shelf: Shelf) -> Kept:
    admitted, raw = objects.admit(document, origin="", object_bytes=1_000_000)
    return Kept(admitted, raw, shelf)


def test_of_many_pods_those_with_a_reason_are_chosen_and_a_few_others():
    shelf = Shelf(1_000_000)
    documents = [
        *(kube.pod(f"well-{n}", statuses=[kube.running()]) for n in range(500)),
        kube.pod("crashes", statuses=[kube.crashing()]),
        kube.pod("complained-of", statuses=[kube.running()]),
        {
            **kube.pod("new", statuses=[kube.running()]),
            "metadata": kube.thing("Pod", "new", age=5)["metadata"],
        },
        kube.thing("Node", "crashes", None),
    ]

    chosen = worth_a_look(
        [kept(document, shelf) for document in documents], {("shop", "complained-of")}, kube.NOW, healthy=10
    )

    assert [pod.name for pod in chosen[:3]] == ["crashes", "complained-of", "new"]
    assert len(chosen) == 3 + 40
    assert shelf.decodings == 0
