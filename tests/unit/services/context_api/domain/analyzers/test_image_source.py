"""Builds that should have made the image a workload waits for."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import image_source
from tests.support.kube import Doc, ago, container, deployment, thing, waiting
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

PLACE = "registry.svc:5000/shop/web"
CONFIG = thing("BuildConfig", "web", api="build.openshift.io/v1", spec={"output": {"to": {"kind": "ImageStreamTag", "name": "web:latest"}}})  # fmt: skip


def build(number: int, phase: str, ended: float = 20) -> Doc:
    return thing(
        "Build", f"web-{number}", api="build.openshift.io/v1", owner=CONFIG, age=ended + 2,
        status={"phase": phase, "reason": "DockerBuildFailed", "message": "no such file", "completionTimestamp": ago(ended)},
    )  # fmt: skip


def stream(*items: Doc) -> Doc:
    return thing("ImageStream", "web", api="image.openshift.io/v1", status={"dockerImageRepository": PLACE, "tags": [{"tag": "latest", "items": list(items)}]})  # fmt: skip


def runs() -> list[Doc]:
    lacks = waiting(reason="ImagePullBackOff", message=f'Back-off pulling image "{PLACE}:latest": not found')
    return deployment("web", containers=[container(image=f"{PLACE}:latest")], statuses=[lacks])


def test_an_image_that_was_never_made_leads_to_the_build_configuration():
    answer = causes(
        CONFIG, build(1, "Failed", 40), build(2, "Failed"), stream(), runs(), target="Deployment/shop/web"
    )

    assert first(answer) == ("BuildConfig/shop/web", "BuildFailed")
    assert "web-2" in answer.ranked[0].text
    assert "holds no image yet" in answer.ranked[0].text


def test_a_failed_build_while_an_older_image_runs_is_about_the_build_alone():
    (found,) = seen(image_source, CONFIG, build(2, "Failed"), stream({"image": "sha256:1"}), deployment("web", containers=[container(image=f"{PLACE}:latest")]))  # fmt: skip

    assert said([found]) == [("BuildConfig/shop/web", "BuildFailed")]
    assert found.explains == ()


@pytest.mark.parametrize(
    "builds",
    [
        [build(1, "Failed", 40), build(2, "Complete")],
        [build(1, "Failed", 60 * 50)],
        [build(1, "Running")],
    ],
    ids=["made-since", "days-ago", "still-building"],
)
def test_failures_that_were_overcome_or_are_old_are_history(builds: list[Doc]):
    assert seen(image_source, CONFIG, *builds, stream({"image": "sha256:1"})) == []


def imported(*items: Doc) -> Doc:
    failed = {"type": "ImportSuccess", "status": "False", "reason": "Unauthorized", "message": "you may not have access to the container image", "lastTransitionTime": ago(30)}  # fmt: skip
    return thing("ImageStream", "web", api="image.openshift.io/v1", status={"dockerImageRepository": PLACE, "tags": [{"tag": "latest", "items": list(items) or None, "conditions": [failed]}]})  # fmt: skip


def test_an_import_that_failed_is_why_there_is_no_image():
    answer = causes(imported(), runs(), target="Deployment/shop/web")

    assert first(answer) == ("ImageStream/shop/web", "ImageImportFailed")
    assert "Unauthorized" in answer.ranked[0].text


def test_a_failed_import_beside_an_older_image_stops_nobody():
    assert seen(image_source, imported({"image": "sha256:1"})) == []
