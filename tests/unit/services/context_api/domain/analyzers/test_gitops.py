"""GitOps controllers that cannot apply, are suspended, or put back what a person did."""

from __future__ import annotations

import pytest

from services.context_api.domain.analyzers import gitops
from services.context_api.domain.scene import Scene
from services.context_api.domain.triage import observe
from tests.support.kube import (
    Doc,
    ago,
    config_map,
    container,
    crashing,
    deployment,
    edit,
    snapshot,
    thing,
)
from tests.support.triage import causes, first, said, seen

pytestmark = pytest.mark.requirement("API-BR-CAPI-001", "API-BR-CAPI-006")

TRACKED = {"argocd.argoproj.io/tracking-id": "web:apps/Deployment:shop/api"}


def application(**status: object) -> Doc:
    spec = {
        "source": {"repoURL": "https://git.example.com/shop.git", "path": "prod"},
        "syncPolicy": {"automated": {"selfHeal": True}},
    }
    return thing("Application", "web", "argocd", api="argoproj.io/v1alpha1", spec=spec, status=status)


def of_gitops(*objects: object) -> list[tuple[str, str]]:
    return said([o for o in observe(Scene(snapshot(*objects))) if o.analyzer == gitops.NAME])


def test_a_failed_sync_is_told_with_the_resources_that_failed():
    failed = {
        "kind": "Service",
        "namespace": "shop",
        "name": "api",
        "status": "SyncFailed",
        "message": "port 80 twice",
    }
    (found,) = seen(
        gitops,
        application(
            operationState={
                "phase": "Failed",
                "message": "one or more objects failed to apply",
                "finishedAt": ago(9),
                "syncResult": {"resources": [failed, {"kind": "ConfigMap", "name": "c", "status": "Synced"}]},
            }
        ),
    )

    assert said([found]) == [("Application/argocd/web", "SyncFailed")]
    assert "Service api: port 80 twice" in found.text
    assert "ConfigMap" not in found.text


def test_a_sync_that_failed_and_was_done_again_is_history():
    assert seen(gitops, application(operationState={"phase": "Succeeded"}, sync={"status": "Synced"})) == []


def test_an_error_condition_is_told_with_its_words():
    (found,) = seen(
        gitops,
        application(conditions=[{"type": "ComparisonError", "message": "authentication required", "lastTransitionTime": ago(9)}]),
    )  # fmt: skip

    assert found.reason == "ComparisonError"
    assert "authentication required" in found.text


def test_a_workload_that_lacks_what_was_not_written_leads_to_the_application():
    uses = container(envFrom=[{"configMapRef": {"name": "settings"}}])
    waits = {"name": "app", "ready": False, "restartCount": 0, "lastState": {}, "state": {"waiting": {"reason": "CreateContainerConfigError", "message": 'configmap "settings" not found'}}}  # fmt: skip
    failed = {
        "kind": "ConfigMap",
        "namespace": "shop",
        "name": "settings",
        "status": "SyncFailed",
        "message": "invalid",
    }
    app = application(operationState={"phase": "Failed", "message": "one or more objects failed", "finishedAt": ago(30), "syncResult": {"resources": [failed]}})  # fmt: skip

    answer = causes(
        app,
        deployment("api", containers=[uses], statuses=[waits]),
        config_map("other"),
        target="Deployment/shop/api",
    )

    assert first(answer) == ("Application/argocd/web", "SyncFailed")


def test_differences_and_suspension_are_harmless_by_themselves():
    suspended = thing("HelmRelease", "web", api="helm.toolkit.fluxcd.io/v2", spec={"suspend": True})
    found = seen(gitops, application(sync={"status": "OutOfSync"}), suspended)

    assert sorted(o.reason for o in found) == ["OutOfSync", "ReconciliationSuspended"]
    assert all(o.latent for o in found)
    assert causes(application(sync={"status": "OutOfSync"}), suspended).no_cause


def test_a_suspended_cron_job_is_not_the_gitops_controllers():
    assert seen(gitops, thing("CronJob", "x", api="batch/v1", spec={"suspend": True})) == []


def written(*edits: Doc) -> list[Doc]:
    """A crash-looping Deployment that Argo CD tracks, with these writes."""
    objects = deployment("api", statuses=[crashing()], edits=edits)
    objects[0]["metadata"]["annotations"].update(TRACKED)
    return objects


PERSON = edit(40, "spec/replicas", by="kubectl-edit")
ARGO = edit(25, "spec/template/spec/containers", by="argocd-controller")


def test_a_controllers_write_after_a_persons_is_the_cause_of_what_follows():
    answer = causes(application(), written(PERSON, ARGO), target="Deployment/shop/api")

    assert first(answer) == ("Application/argocd/web", "ManualChangeReverted")
    assert "kubectl-edit" in answer.ranked[0].text
    assert "https://git.example.com/shop.git" in answer.ranked[0].text


def test_a_self_heal_tells_that_something_was_put_back_though_the_person_left_no_trace():
    healed = application(
        operationState={
            "phase": "Succeeded", "startedAt": ago(25.2), "finishedAt": ago(25),
            "operation": {"initiatedBy": {"automated": True}, "sync": {"autoHealAttemptsCount": 1}},
        }
    )  # fmt: skip

    assert of_gitops(healed, written(ARGO)) == [("Application/argocd/web", "ManualChangeReverted")]


@pytest.mark.parametrize(
    "writes",
    [
        (ARGO,),
        (edit(25, "spec/template", by="kubectl-edit"), edit(40, "spec/template", by="argocd-controller")),
        (edit(40, "spec/replicas", by="kube-controller-manager"), ARGO),
        (edit(60 * 9, "spec/replicas", by="kubectl-edit"), ARGO),
        (
            edit(60 * 8, "spec/replicas", by="kubectl-edit"),
            edit(60 * 7, "spec/template", by="argocd-controller"),
        ),
    ],
    ids=["a-new-commit", "person-came-last", "a-controller-before", "person-long-before", "long-ago"],
)
def test_an_ordinary_sync_puts_nothing_back(writes: tuple[Doc, ...]):
    assert of_gitops(application(), written(*writes)) == []


def test_what_no_application_tracks_is_nobodys_to_put_back():
    assert of_gitops(application(), deployment("api", statuses=[crashing()], edits=[PERSON, ARGO])) == []


def test_a_config_map_put_back_counts_for_those_who_use_it():
    uses = container(envFrom=[{"configMapRef": {"name": "settings"}}])
    settings = config_map(
        "settings", a="1", edits=[edit(40, "data/b"), edit(25, "data/a", by="kustomize-controller")]
    )
    settings["metadata"]["labels"] = {
        "kustomize.toolkit.fluxcd.io/name": "apps",
        "kustomize.toolkit.fluxcd.io/namespace": "flux-system",
    }
    flux = thing("Kustomization", "apps", "flux-system", api="kustomize.toolkit.fluxcd.io/v1", spec={})

    assert of_gitops(flux, settings, deployment("api", containers=[uses], statuses=[crashing()])) == [
        ("Kustomization/flux-system/apps", "ManualChangeReverted")
    ]


def window(**more: object) -> dict[str, object]:
    """A window that denies syncs from nine o'clock on for two hours; it is half past nine."""
    return {"kind": "deny", "schedule": "0 9 * * *", "duration": "2h", "applications": ["*"], **more}


def project(*windows: dict[str, object], name: str = "default") -> Doc:
    return thing(
        "AppProject", name, "argocd", api="argoproj.io/v1alpha1", spec={"syncWindows": list(windows)}
    )


@pytest.mark.parametrize(
    "one",
    [
        window(),
        window(applications=["api", "we*"]),
        window(schedule="30 10 * * wed", timeZone="Europe/Berlin", duration="10m"),
        window(schedule="0 18 * * 5", duration="168h"),
    ],
    ids=["of all applications", "of it by name", "in its own time zone", "since Friday"],
)
def test_what_its_project_keeps_from_syncing_at_this_hour_is_out_of_sync_as_somebody_wished(one):
    assert seen(gitops, application(sync={"status": "OutOfSync"}), project(one)) == []


@pytest.mark.parametrize(
    "others",
    [
        project(window(schedule="0 6 * * *")),
        project(window(schedule="0 10 * * *")),
        project(window(kind="allow")),
        project(window(applications=["api", "website"])),
        project(window(applications=[])),
        project(window(duration="two hours")),
        project(window(duration=7200)),
        project(window(timeZone="Europe/Atlantis")),
        project(window(timeZone="Europe")),
        project(window(timeZone="x" * 5000)),
        project(window(schedule="0 9 * *")),
        project(window(), name="payments"),
        project(),
    ],
    ids=[
        "over", "not yet", "one that allows", "of other applications", "of none", "an unreadable duration", "a number", "no such place", "a folder of places", "a long place",
        "a broken schedule", "of another project", "no window",
    ],
)  # fmt: skip
def test_windows_that_do_not_keep_it_from_syncing_excuse_nothing(others):
    found = seen(gitops, application(sync={"status": "OutOfSync"}), others)

    assert [o.reason for o in found] == ["OutOfSync"]


@pytest.mark.parametrize("windows", [["always"], "always", [7], {"kind": "deny"}])
def test_windows_that_nobody_can_read_may_be_closed(windows: object):
    denies = thing(
        "AppProject", "default", "argocd", api="argoproj.io/v1alpha1", spec={"syncWindows": windows}
    )

    assert seen(gitops, application(sync={"status": "OutOfSync"}), denies) == []


def test_one_unreadable_window_hides_no_other():
    windows = project(window(duration="long"), window())

    assert seen(gitops, application(sync={"status": "OutOfSync"}), windows) == []


def test_a_sync_that_failed_is_told_inside_such_a_window_too():
    failed = application(
        operationState={"phase": "Failed", "message": "denied"}, sync={"status": "OutOfSync"}
    )

    assert [o.reason for o in seen(gitops, failed, project(window()))] == ["SyncFailed"]


@pytest.mark.parametrize(
    ("status", "told"),
    [
        ({"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}, []),
        ({"sync": {"status": "OutOfSync"}, "health": {"status": "Healthy"}}, ["SyncFailed"]),
        ({"sync": {"status": "Synced"}, "health": {"status": "Degraded"}}, ["SyncFailed"]),
    ],
    ids=["put right since", "still differs", "not well"],
)
def test_a_failed_sync_is_history_when_what_runs_is_what_is_wanted_and_well(status: dict[str, Doc], told: list[str]):  # fmt: skip
    failed = {"phase": "Failed", "message": "x", "finishedAt": ago(200)}

    assert [o.reason for o in seen(gitops, application(operationState=failed, **status))] == told


def test_a_hook_that_failed_after_all_was_applied_is_told():
    hook = {"kind": "Job", "name": "migrate", "status": "Synced", "hookPhase": "Failed"}
    operation = {"phase": "Failed", "message": "x", "syncResult": {"resources": [hook]}}
    well = {"sync": {"status": "Synced"}, "health": {"status": "Healthy"}}

    assert [o.reason for o in seen(gitops, application(operationState=operation, **well))] == ["SyncFailed"]
