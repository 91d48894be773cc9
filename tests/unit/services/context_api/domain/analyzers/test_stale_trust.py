"""Copies of an authority that were left behind."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import stale_trust
from services.context_api.domain.snapshot import ContainerLog
from tests.support.kube import Doc, ago, deployment, edit, log, pods_in, service, thing
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-006", "API-BR-CAPI-007")

DISTRUST = (
    "ERROR Connection to node -1 (bus.streams/10.96.1.9:9093) failed authentication due to: SSL handshake failed\n"
    "javax.net.ssl.SSLHandshakeException: PKIX path validation failed: Path does not chain with any of the trust anchors"
)


def using(name: str) -> dict[str, object]:
    return {"volumes": [{"name": "trust", "secret": {"secretName": name}}]}


def authority(name: str, namespace: str, begins: float, *, key: str = "ca.crt", **more: object) -> Doc:
    summary = {key: {"bytes": 900, "not_before": ago(begins), "not_after": ago(-60 * 24 * 300)}}
    return thing("Secret", name, namespace, age=60 * 24 * 90, dataSummary=summary, **more)  # type: ignore[arg-type]


SERVER = [deployment("bus", "streams", spec=using("bus-ca")), service("bus", "streams", port=9093, ready=2)]
CLIENT = deployment("reader", spec=using("copy"))
OLD, NEW = authority("copy", "shop", 60 * 24 * 90), authority("bus-ca", "streams", 60, edits=[edit(60, "data/ca.crt")])  # fmt: skip


def told(text: str = DISTRUST) -> list[ContainerLog]:
    return [log(pods_in(CLIENT)[0], text)]


def test_a_copy_of_an_authority_that_was_renewed_since_is_the_cause():
    answer = causes(SERVER, CLIENT, OLD, NEW, target="Deployment/shop/reader", logs=told())

    assert first(answer) == ("Secret/shop/copy", "TrustOutdated")
    assert "Secret streams/bus-ca was renewed" in answer.ranked[0].text


def test_a_copy_elsewhere_that_was_renewed_along_with_it_is_told():
    logs, other = told(), authority("copy", "returns", 60)

    answer = causes(SERVER, CLIENT, OLD, NEW, other, target="Deployment/shop/reader", logs=logs)

    assert "the copy in namespace returns was renewed along with it" in answer.ranked[0].text


@pytest.mark.parametrize(
    ("mine", "theirs", "text"),
    [
        (OLD, NEW, DISTRUST.splitlines()[0].replace("SSL handshake failed", "SASL mechanism unknown")),
        (authority("copy", "shop", 60), NEW, DISTRUST),
        (authority("copy", "shop", 60 * 24 * 90, edits=[edit(30, "data/ca.crt")]), NEW, DISTRUST),
        (authority("copy", "shop", 60 * 24 * 90, key="tls.crt"), NEW, DISTRUST),
        (OLD, authority("bus-ca", "streams", 60 * 24 * 90), DISTRUST),
    ],
    ids=["another complaint", "renewed too", "written since", "no authority", "nothing renewed"],
)
def test_trust_that_was_not_left_behind_is_innocent(mine: Doc, theirs: Doc, text: str):
    assert said(seen(stale_trust, SERVER, CLIENT, mine, theirs, logs=told(text))) == []
