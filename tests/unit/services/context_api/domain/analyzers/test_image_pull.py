"""Image pulls that fail: the exact image, the registry's answer read, and what ran before."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import image_pull
from tests.support.kube import config_map, container, deployment, event, pod, pods_in, thing, waiting
from tests.support.triage import said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

IMAGE = "registry.example/team/api:2.0-rc1"


def stuck(message: str = "", reason: str = "ImagePullBackOff"):
    return [waiting(reason=reason, message=message or f'Back-off pulling image "{IMAGE}"')]


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ('failed to resolve reference "registry.example/team/api:2.0-rc1": not found', "ImageNotFound"),
        ("manifest unknown: manifest unknown", "ImageNotFound"),
        ("pulling from host registry.example failed with status code: 401 Unauthorized", "ImagePullUnauthorized"),
        ("pull access denied, repository does not exist or may require authorization: denied: requested access to the resource is denied", "ImagePullUnauthorized"),
        ("dial tcp: lookup registry.example on 10.96.0.10:53: no such host", "RegistryUnreachable"),
        ("toomanyrequests: You have reached your pull rate limit", "ImageRateLimited"),
        ("no match for platform in manifest: not found", "ImagePlatformMissing"),
        ("something nobody has seen", "ImagePullBackOff"),
    ],
)  # fmt: skip
def test_the_registrys_answer_decides_the_reason(message: str, reason: str):
    objects = deployment("api", containers=[container(image=IMAGE)], statuses=stuck())
    told = event(pods_in(objects)[0], "Failed", f'Failed to pull image "{IMAGE}": {message}')

    (found,) = seen(image_pull, objects, told)

    assert said([found]) == [("Deployment/shop/api", reason)]
    assert IMAGE in found.text
    assert message[:40] in found.text


def test_the_image_before_the_rollout_is_told_and_offered_as_the_remedy():
    objects = deployment(
        "api",
        containers=[container(image=IMAGE)],
        before=[container(image="registry.example/team/api:1.9")],
        rolled_out=8,
        statuses=stuck(),
    )

    (found,) = seen(image_pull, objects)

    assert "`registry.example/team/api:1.9`" in found.text
    assert found.remediation
    assert "app=registry.example/team/api:1.9" in (found.remediation.command or "")


def test_a_refused_pull_names_the_pull_secret_that_does_not_exist():
    objects = deployment(
        "api",
        containers=[container(image=IMAGE)],
        statuses=stuck(),
        spec={"imagePullSecrets": [{"name": "regcred"}]},
    )
    told = event(pods_in(objects)[0], "Failed", "Failed to pull image: 401 Unauthorized")
    other = thing("Secret", "another", type="Opaque")

    (found,) = seen(image_pull, objects, told, other)

    assert found.reason == "ImagePullSecretMissing"
    assert "regcred does not exist" in found.text


def test_the_kubelets_word_for_a_missing_pull_secret_is_enough_where_no_secret_was_recorded():
    objects = deployment(
        "api",
        containers=[container(image=IMAGE)],
        statuses=stuck(),
        spec={"imagePullSecrets": [{"name": "regcred"}]},
    )
    one = pods_in(objects)[0]
    refused = event(one, "Failed", "Failed to pull image: 401 Unauthorized")
    said_so = event(
        one,
        "FailedToRetrieveImagePullSecret",
        "Unable to retrieve some image pull secrets (regcred); attempting to pull the image may not succeed.",
    )

    assert seen(image_pull, objects, refused, said_so)[0].reason == "ImagePullSecretMissing"
    assert seen(image_pull, objects, refused)[0].reason == "ImagePullUnauthorized"


def test_a_missing_pull_secret_does_not_hide_an_image_that_is_not_there():
    objects = deployment(
        "api",
        containers=[container(image=IMAGE)],
        statuses=stuck(),
        spec={"imagePullSecrets": [{"name": "regcred"}]},
    )
    told = event(pods_in(objects)[0], "Failed", "Failed to pull image: manifest unknown")

    assert (
        seen(image_pull, objects, told, thing("Secret", "another", type="Opaque"))[0].reason
        == "ImageNotFound"
    )


def test_an_invalid_name_needs_no_event():
    (found,) = seen(
        image_pull,
        pod(
            "web-0",
            containers=[container(image="Registry/API:1")],
            statuses=[
                waiting(
                    reason="InvalidImageName",
                    message="Failed to apply default image tag: couldn't parse image name",
                )
            ],
        ),
    )

    assert found.reason == "InvalidImageName"


def test_a_pull_error_in_an_event_alone_is_history_once_the_container_runs():
    healthy = pod("web-0")

    assert (
        seen(
            image_pull, healthy, event(healthy, "Failed", "Failed to pull image: not found"), config_map("x")
        )
        == []
    )
