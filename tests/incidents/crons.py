"""Runs of CronJobs: their controller would start them for the machine's hour, so the script does what it does."""

from __future__ import annotations

from datetime import datetime, timedelta

from tests.incidents.stage import Body, Stage

MANAGER = "kube-controller-manager"


def job_name(cron: str, scheduled: datetime) -> str:
    """What the CronJob controller calls a run: minutes since 1970 of its scheduled time."""
    return f"{cron}-{int(scheduled.timestamp()) // 60}"


def start(stage: Stage, place: str, scheduled: datetime) -> str:
    """Start the run of a scheduled time: the Job, its event, the CronJob's status. Returns the Job's name."""
    namespace, cron_name = place.split("/")
    cron = stage.get(f"cronjobs/{place}")
    name = job_name(cron_name, scheduled)
    template = cron["spec"]["jobTemplate"]
    job = stage.cluster.ask("POST", f"/apis/batch/v1/namespaces/{namespace}/jobs?fieldManager={MANAGER}", {
        "apiVersion": "batch/v1", "kind": "Job",
        "metadata": {
            "name": name, "namespace": namespace,
            "annotations": {"batch.kubernetes.io/cronjob-scheduled-timestamp": stage.stamp(at=scheduled)},
            "ownerReferences": [{
                "apiVersion": "batch/v1", "kind": "CronJob", "name": cron_name, "uid": cron["metadata"]["uid"],
                "controller": True, "blockOwnerDeletion": True,
            }],
        },
        "spec": template["spec"],
    })  # fmt: skip
    _tell(stage, cron, "SuccessfulCreate", f"Created job {name}")
    reference = {key: job["metadata"][key] for key in ("namespace", "name", "uid", "resourceVersion")}
    active = [
        *cron.get("status", {}).get("active", []),
        {"apiVersion": "batch/v1", "kind": "Job", **reference},
    ]
    _say(stage, place, {"active": active, "lastScheduleTime": stage.stamp(at=scheduled)})
    return name


def complete(stage: Stage, place: str, job: str, *, lasts_s: float) -> Body:
    """Let a started run's pod do its work and end well; returns that pod as it was placed."""
    namespace = place.split("/")[0]
    (pod,) = stage.placed(f"{namespace}/{job}")
    kubelet = stage.kubelets[pod["spec"]["nodeName"]]
    began = stage.now + timedelta(seconds=2)
    kubelet.started(pod, at=stage.clock.real(began))
    stage.wait(seconds=lasts_s + 2)
    (pod,) = stage.placed(f"{namespace}/{job}")
    kubelet.complete(pod, began=stage.clock.real(began), ended=stage.clock.real(stage.now))
    _saw(stage, place, job, "Complete")
    _say(stage, place, {"lastSuccessfulTime": stage.stamp()})
    return pod


def fail(stage: Stage, place: str, job: str, *, log: str, lasts_s: float) -> None:
    """Let a started run's only pod end badly; its Job allows no second try."""
    namespace = place.split("/")[0]
    stage.placed(f"{namespace}/{job}")
    stage.wait(seconds=lasts_s + 2)
    stage.failed(f"{namespace}/{job}", log=log, lives_s=lasts_s)
    _saw(stage, place, job, "Failed")


def skip(stage: Stage, place: str, *, count: int) -> None:
    """What the controller says, again and again, of a run that it does not start as one is still active."""
    words = "Not starting job because prior execution is running and concurrency policy is Forbid"
    stage.event(
        stage.get(f"cronjobs/{place}"), "JobAlreadyActive", words, kind="Normal", component="cronjob-controller", count=count,
    )  # fmt: skip


def _saw(stage: Stage, place: str, job: str, condition: str) -> None:
    namespace = place.split("/")[0]

    def ended() -> bool:
        status = stage.get(f"jobs/{namespace}/{job}").get("status", {})
        return any(c["type"] == condition and c["status"] == "True" for c in status.get("conditions", []))

    stage.cluster.until(f"{job} {condition}", ended)
    cron = stage.get(f"cronjobs/{place}")
    _tell(stage, cron, "SawCompletedJob", f"Saw completed job: {job}, condition: {condition}")
    _say(stage, place, {"active": [one for one in cron["status"].get("active", []) if one["name"] != job]})


def _tell(stage: Stage, cron: Body, reason: str, message: str) -> None:
    stage.event(cron, reason, message, kind="Normal", component="cronjob-controller")


def _say(stage: Stage, place: str, status: Body) -> None:
    stage.status(f"cronjobs/{place}", status, manager=MANAGER)
