"""A model's command is shown when it is harmless and names what was looked at."""

from __future__ import annotations

import pytest

from services.holmesgpt_api.domain.advice import harmless, unseen_in
from services.holmesgpt_api.domain.claims import Archive
from tests.support.investigations import CHECKOUT

pytestmark = pytest.mark.requirement("HAPI-004", "HAPI-073")


@pytest.mark.parametrize(
    ("command", "unseen"),
    [
        ("kubectl get deploy checkout -n shop", []),
        ("kubectl get deploy billing -n shop", ["deployment billing"]),
        ("kubectl get pods -n payments", ["namespace payments"]),
    ],
)
def test_objects_nobody_looked_at_are_named(command: str, unseen: list[str]):
    assert unseen_in(command, Archive({}, targets=[CHECKOUT])) == unseen


def test_a_command_that_prints_a_secret_is_not_harmless():
    assert harmless("kubectl get secret db -n shop")
    assert not harmless("kubectl get secret db -n shop -o yaml")
