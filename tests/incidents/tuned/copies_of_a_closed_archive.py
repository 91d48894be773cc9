"""A nightly copy was suspended for good reasons, which are written beside it; a rule about copies does not read them."""

from __future__ import annotations

from datetime import timedelta

from tests.incidents import crons
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import (
    config_map,
    container,
    deployment,
    from_secret,
    secret,
    service,
    stateful_set,
    system,
)

INCIDENT = Incident(
    title="The copy of an archive that was closed nine days ago is suspended with a note saying why, and CopyTooOld fires",
    half=Half.tuned,
    story=(
        "Since the archive of deeds was closed, nothing is written into it. Its last copy is kept for good, so the nightly run was suspended and an"
        " annotation says so. The rule wants a success within 26 hours of every CronJob that makes copies. The other archive, which lives, is copied each night."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-suspension",
        "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/cronjob-metrics.md",
        "https://sre.google/sre-book/monitoring-distributed-systems/",
    ],
    labels={
        "alertname": "CopyTooOld",
        "severity": "warning",
        "namespace": "deeds",
        "cronjob": "copy",
        "job": "kube-state-metrics",
        "container": "kube-rbac-proxy-main",
        "instance": "10.244.2.9:8443",
    },
    annotations={"summary": "CronJob deeds/copy had no success for more than 26 hours."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller", "prometheus-operator objects"],
)

WHY = "archive closed on 2026-11-21, read only since; the last copy is kept for good (change 20411)"


def play(stage: Stage) -> None:
    stage.crd("monitoring.coreos.com", "v1", "PrometheusRule", "prometheusrules")
    dump = container("dump", "postgres:17.6", args=["pg_dumpall", "--clean"], env={"PGHOST": "store", "PGPASSWORD": from_secret("store-login", "password")})  # fmt: skip
    stage.apply([
        *system(),
        {"apiVersion": "monitoring.coreos.com/v1", "kind": "PrometheusRule", "metadata": {"name": "copies", "namespace": "monitoring"},
         "spec": {"groups": [{"name": "copies", "rules": [
             {"alert": "CopyTooOld", "expr": 'time() - kube_cronjob_status_last_successful_time{cronjob="copy"} > 26 * 3600', "for": "15m", "labels": {"severity": "warning"},
              "annotations": {"summary": "CronJob {{ $labels.namespace }}/{{ $labels.cronjob }} had no success for more than 26 hours."}}]}]}},
        *(secret(f"{ns}/store-login", {"password": ""}) for ns in ("deeds", "permits")),
        *(stateful_set(f"{ns}/store", container("postgres", "postgres:17.6", port=5432, memory=("512Mi", "1Gi"), env={"POSTGRES_PASSWORD": from_secret("store-login", "password")})) for ns in ("deeds", "permits")),
        *(service(f"{ns}/store", 5432, headless=True) for ns in ("deeds", "permits")),
        *(cron_job(f"{ns}/copy", "10 2 * * *", dump, successfulJobsHistoryLimit=1, failedJobsHistoryLimit=1) for ns in ("deeds", "permits")),
        config_map("deeds/reader-settings", {"mode": "read-write", "language": "de"}),
        deployment("deeds/reader", container("reader", "deeds/reader:2.4.1", port=8080, ready="/ready", env={"DB_HOST": "store.deeds.svc", "MODE": {"configMapKeyRef": {"name": "reader-settings", "key": "mode"}}})),
        service("deeds/reader", 80, 8080),
        deployment("permits/desk", container("desk", "permits/desk:8.1.0", port=8080, ready="/ready", env={"DB_HOST": "store.permits.svc", "DEEDS_URL": "http://reader.deeds.svc"}), replicas=3),
        service("permits/desk", 80, 8080),
        deployment("permits/forms", container("forms", "permits/forms:1.14.2", port=8080, ready="/ready")),
        service("permits/forms", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=17, hours=16, minutes=58)
    _copied(stage, "deeds", "last copy")
    stage.wait(hours=6, minutes=20)

    def close(body: Body) -> None:
        body["data"]["mode"] = "read-only"

    stage.edit("configmaps/deeds/reader-settings", close)
    stage.restart("deployments/deeds/reader")

    def suspend(body: Body) -> None:
        body["metadata"].setdefault("annotations", {})["example.com/suspended-because"] = WHY
        body["spec"]["suspend"] = True

    stage.edit("cronjobs/deeds/copy", suspend)
    stage.calm()
    stage.wait(days=8, hours=17, minutes=40)
    _copied(stage, "permits", "copied")
    stage.wait(hours=6)
    stage.kubectl(
        "set", "image", "deployment/forms", "forms=registry.example.com/permits/forms:1.14.3", "-n", "permits"
    )
    stage.calm()
    stage.wait(minutes=47)
    stage.heartbeat()
    chatter(stage, "deeds/reader", ["INFO reader: GET /deeds/<1000-9999> 200 <4-16>ms", "WARN reader: PUT /deeds/<1000-9999> 405, the archive is closed"], count=20)  # fmt: skip
    chatter(stage, "deeds/store", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=2)  # fmt: skip
    chatter(stage, "permits/store", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time"], count=4)  # fmt: skip
    chatter(stage, "permits/desk", ["INFO desk: POST /permits 201 <14-40>ms", "INFO desk: GET /deeds 200 <9-30>ms"])  # fmt: skip
    chatter(stage, "permits/forms", ["INFO forms: form <1-80> rendered"])
    _metrics(stage)
    stage.fire(minutes_ago=round(7.65 * 24 * 60))


def _copied(stage: Stage, namespace: str, word: str) -> None:
    """A night's run that went well."""
    place = f"{namespace}/copy"
    done = crons.complete(stage, place, crons.start(stage, place, stage.now), lasts_s=260)
    stage.log(f"{namespace}/{done['metadata']['name']}", printed(stage.ago(seconds=250), [
        "pg_dumpall: dumping globals", f"pg_dumpall: {word}, 4 databases, <30-90>.<1-9> GiB",
    ], every_s=240))  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every six hours for fourteen days."""
    count, step = 56, 6 * 3600
    ages = [float((n * 6 + 3) % 24) * 3600 for n in range(count)]
    closed = round(timedelta(days=9).total_seconds() / step)
    stage.metric("age", "time() - kube_cronjob_status_last_successful_time", [
        ({"namespace": "permits", "cronjob": "copy"}, ages),
        ({"namespace": "deeds", "cronjob": "copy"}, [*ages[: count - closed], *(7 * 3600.0 + step * n for n in range(closed))]),
    ], step_s=step)  # fmt: skip
    stage.metric("suspended", "kube_cronjob_spec_suspend", [
        ({"namespace": "permits", "cronjob": "copy"}, [0.0] * count),
        ({"namespace": "deeds", "cronjob": "copy"}, [*[0.0] * (count - closed), *[1.0] * closed]),
    ], step_s=step)  # fmt: skip
