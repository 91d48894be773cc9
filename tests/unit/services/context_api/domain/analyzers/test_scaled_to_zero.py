"""Scaling to zero: latent, and with a name behind it."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import scaled_to_zero
from tests.support.kube import deployment, edit, thing
from tests.support.triage import seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")


def test_scaling_to_zero_is_latent_and_names_who_did_it():
    (found,) = seen(
        scaled_to_zero,
        deployment("api", replicas=0, edits=[edit(30, "spec/replicas", by="kubectl-scale")]),
        deployment("web"),
    )

    assert found.latent
    assert "kubectl-scale" in found.text


def test_a_suspended_job_is_latent_and_a_running_one_is_none():
    held = thing("Job", "load", api="batch/v1", spec={"suspend": True, "template": {"spec": {}}})
    runs = thing("Job", "store", api="batch/v1", spec={"template": {"spec": {}}})

    found = seen(scaled_to_zero, held, runs)

    assert [(str(o.about), o.reason, o.latent) for o in found] == [("Job/shop/load", "Suspended", True)]
