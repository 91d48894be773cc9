"""Starts a CronJob's run as its controller does, which does not run on the test bed: the Job, its event, the status."""

from __future__ import annotations

from tests.incidents.stage import Body, Stage


def cron_job(place: str, schedule: str, *containers: Body, pod: Body | None = None, **spec: object) -> Body:
    """A CronJob NAMESPACE/NAME whose pods are not started again."""
    namespace, name = place.split("/")
    template = {
        "metadata": {"labels": {"app": name}},
        "spec": {"restartPolicy": "Never", **(pod or {}), "containers": list(containers)},
    }
    return {
        "apiVersion": "batch/v1",
        "kind": "CronJob",
        "metadata": {"name": name, "namespace": namespace, "labels": {"app": name}},
        "spec": {
            "schedule": schedule,
            "concurrencyPolicy": "Forbid",
            "jobTemplate": {"spec": {"backoffLimit": 1, "template": template}},
            **spec,
        },
    }


def start(stage: Stage, place: str) -> str:
    """Start a run now; returns the Job's name. Its pod is the kubelets' (`stage.calm`)."""
    namespace, name = place.split("/")
    cron = stage.get(f"cronjobs/{place}")
    owner = {"apiVersion": "batch/v1", "kind": "CronJob", "name": name, "uid": cron["metadata"]["uid"]}
    made = f"{name}-{int(stage.now.timestamp()) // 60}"
    job = stage.cluster.ask("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs?fieldManager=kube-controller-manager", {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": made, "namespace": namespace, "labels": {"app": name},
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": stage.stamp()},
            "ownerReferences": [{**owner, "controller": True, "blockOwnerDeletion": True}],
        },
        "spec": cron["spec"]["jobTemplate"]["spec"],
    })  # fmt: skip
    stage.event(
        cron, "SuccessfulCreate", f"Created job {made}", kind="Normal", component="cronjob-controller"
    )
    active = {
        "apiVersion": "batch/v1", "kind": "Job", "namespace": namespace, "name": made,
        "uid": job["metadata"]["uid"], "resourceVersion": job["metadata"]["resourceVersion"],
    }  # fmt: skip
    stage.status(
        f"cronjobs/{place}", {"active": [active], "lastScheduleTime": stage.stamp()},
        manager="kube-controller-manager",
    )  # fmt: skip
    return made
