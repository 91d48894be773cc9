"""A night's export was cut off by its database and went well at the second try; a gateway keeps what either has pushed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents import crons
from tests.incidents.curves import about
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
    title="ExportFailed of yields: the first pod's exit code stays in the Pushgateway under that pod's name, and the second pod has brought everything out 22 minutes ago",
    half=Half.tuned,
    story=(
        "The export reads a standby. At half past four the standby had to remove rows that the export was still reading, as vacuum had run on the primary, and cancelled its statement. The Job's first pod pushed"
        " exit code 1 and ended; the second one took a quarter of an hour, brought out all 612 fields and pushed 0, under its own name. The Pushgateway forgets nothing, and the rule takes the highest of all."
        " The partner has fetched the file. A setting of scales was edited in the evening; weather was released yesterday."
    ),
    sources=[
        "https://prometheus.io/docs/practices/pushing/",
        "https://github.com/prometheus/pushgateway/issues/117",
        "https://www.postgresql.org/docs/current/hot-standby.html#HOT-STANDBY-CONFLICT",
        "https://kubernetes.io/docs/concepts/workloads/controllers/job/#pod-backoff-failure-policy",
    ],
    labels={"alertname": "ExportFailed", "severity": "critical", "namespace": "harvest", "job": "yields-export"},
    annotations={"summary": "The export of yields has failed.", "description": "The last run of yields-export ended with exit code 1. The partner expects the file at six."},
    no_cause="already-recovered",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller"],
)  # fmt: skip

PLACE = "harvest/yields-export"
RULES = """\
groups:
- name: exports
  rules:
  - alert: ExportFailed
    expr: max by (namespace, job) (export_exit_code) > 0
    for: 5m
    labels: {severity: critical}
    annotations:
      summary: The export of yields has failed.
"""
RUN = """\
#!/bin/sh
/app/export --all-fields --out "s3://partner-harvest/$(date -u +%F).parquet"
code=$?
echo "export_exit_code $code" | curl -sf --data-binary @- "http://push.harvest.svc:9091/metrics/job/yields-export/namespace/harvest/instance/$HOSTNAME"
exit $code
"""


def play(stage: Stage) -> None:
    work = cron_job(PLACE, "20 4 * * *", container("export", "harvest/export:5.1.4", command=["/bin/sh", "/run/export.sh"], memory=("256Mi", "512Mi"), mounts={"run": "/run"}, env={"DB_HOST": "yields-standby.harvest.svc", "DB_PASSWORD": from_secret("yields-login", "password")}),
                    pod={"volumes": [{"name": "run", "configMap": {"name": "export-run"}}]}, successfulJobsHistoryLimit=2, failedJobsHistoryLimit=1)  # fmt: skip
    work["spec"]["jobTemplate"]["spec"]["backoffLimit"] = 3
    login = {"POSTGRES_PASSWORD": from_secret("yields-login", "password")}
    stage.apply([
        *system(),
        secret("harvest/yields-login", {"password": ""}),
        config_map("harvest/export-run", {"export.sh": RUN}),
        work,
        stateful_set("harvest/yields-primary", container("postgres", "postgres:17.6", port=5432, cpu="200m", memory=("512Mi", "1Gi"), env=login)), service("harvest/yields-primary", 5432, headless=True),
        stateful_set("harvest/yields-standby", container("postgres", "postgres:17.6", port=5432, cpu="200m", memory=("512Mi", "1Gi"), env=login, args=["-c", "hot_standby=on", "-c", "max_standby_streaming_delay=30s"])), service("harvest/yields-standby", 5432, headless=True),
        deployment("harvest/push", container("pushgateway", "prom/pushgateway:v1.11.1", port=9091, ready="/-/ready", alive="/-/healthy"), replicas=1), service("harvest/push", 9091),
        config_map("harvest/scales", {"scales.yaml": "unit: kg\nround: 1\n"}),
        deployment("harvest/scales", container("scales", "harvest/scales:8.2.2", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "yields-primary.harvest.svc"}, mounts={"settings": "/etc/scales"}), replicas=3, pod={"volumes": [{"name": "settings", "configMap": {"name": "scales"}}]}), service("harvest/scales", 80, 8080),
        deployment("fieldwork/weather", container("weather", "fieldwork/weather:2.0.0", port=8080, ready="/ready")), service("fieldwork/weather", 80, 8080),
        deployment("fieldwork/tablets", container("tablets", "fieldwork/tablets:17.3.0", port=3000, ready="/up", env={"SCALES_URL": "http://scales.harvest.svc", "WEATHER_URL": "http://weather.fieldwork.svc"})), service("fieldwork/tablets", 80, 3000),
        config_map("alerts/exports", {"exports.yaml": RULES}),
    ])  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 19, 17, 3, tzinfo=UTC))
    stage.recovered("harvest/push", restarts=1, code=2, lived_s=1400000, waited_s=2)
    stage.calm()
    stage.clock.until(datetime(2026, 11, 26, 4, 20, 1, tzinfo=UTC))
    before = crons.complete(stage, PLACE, crons.start(stage, PLACE, stage.now), lasts_s=802)
    _brought_out(stage, before["metadata"]["name"], stage.ago(seconds=800))
    stage.clock.until(datetime(2026, 11, 26, 13, 41, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/weather", "weather=registry.example.com/fieldwork/weather:2.0.1", "-n", "fieldwork")  # fmt: skip
    stage.calm()
    stage.clock.until(datetime(2026, 11, 26, 19, 15, tzinfo=UTC))
    stage.edit("configmaps/harvest/scales", lambda body: body["data"].update({"scales.yaml": "unit: kg\nround: 2\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 27, 4, 20, 1, tzinfo=UTC))
    job = crons.start(stage, PLACE, stage.now)
    stage.placed(f"harvest/{job}", 1)
    stage.wait(minutes=10, seconds=12)
    stage.failed(f"harvest/{job}", lives_s=604)
    (first,) = [p["metadata"]["name"] for p in stage.pods(f"harvest/{job}") if p["status"]["phase"] == "Failed"]  # fmt: skip
    cancelled = stage.now
    stage.log(f"harvest/{first}", "\n".join([
        printed(stage.ago(seconds=602), [
            "<%Y-%m-%d %H:%M:%S> INFO  export: reading 612 fields from yields-standby.harvest.svc",
            *["<%Y-%m-%d %H:%M:%S> INFO  export: <30-50> fields brought out"] * 9,
        ], every_s=57),
        printed(stage.ago(seconds=1.9), [
            "<%Y-%m-%d %H:%M:%S> ERROR export: psycopg.errors.SerializationFailure: canceling statement due to conflict with recovery",
            "<%Y-%m-%d %H:%M:%S> FATAL export: file is not complete, removed it; exit 1",
        ], every_s=0.4),
    ]))  # fmt: skip
    stage.wait(seconds=30)
    stage.placed(f"harvest/{job}", 2)
    second = _second(stage, job, first)
    stage.wait(minutes=22)
    stage.heartbeat()
    _logs(stage, cancelled)
    _metrics(stage, before["metadata"]["name"], first, second)
    stage.fire(minutes_ago=31)


def _second(stage: Stage, job: str, first: str) -> str:
    """The second pod does the work, the Job is complete, and its CronJob says so; returns the pod's name."""
    pod = next(p for p in stage.pods(f"harvest/{job}") if p["metadata"]["name"] != first)
    name, kubelet = pod["metadata"]["name"], stage.kubelets[pod["spec"]["nodeName"]]
    began = stage.now + timedelta(seconds=2)
    kubelet.started(pod, at=stage.clock.real(began))
    stage.wait(seconds=871)
    pod = next(p for p in stage.pods(f"harvest/{job}") if p["metadata"]["name"] == name)
    kubelet.complete(pod, began=stage.clock.real(began), ended=stage.clock.real(stage.now))
    _brought_out(stage, name, began)
    stage.cluster.until("the Job is complete", lambda: bool(stage.get(f"jobs/harvest/{job}").get("status", {}).get("completionTime")))  # fmt: skip
    stage.event(stage.get(f"cronjobs/{PLACE}"), "SawCompletedJob", f"Saw completed job: {job}, condition: Complete", kind="Normal", component="cronjob-controller")  # fmt: skip
    stage.status(f"cronjobs/{PLACE}", {"active": [], "lastSuccessfulTime": stage.stamp()}, manager=crons.MANAGER)  # fmt: skip
    return str(name)


def _brought_out(stage: Stage, pod: str, began: datetime) -> None:
    stage.log(f"harvest/{pod}", printed(began, [
        "<%Y-%m-%d %H:%M:%S> INFO  export: reading 612 fields from yields-standby.harvest.svc",
        *["<%Y-%m-%d %H:%M:%S> INFO  export: <30-50> fields brought out"] * 14,
        "<%Y-%m-%d %H:%M:%S> INFO  export: 612 of 612 fields brought out, file closed, checksum kept beside it",
    ], every_s=49))  # fmt: skip


def _logs(stage: Stage, cancelled: datetime) -> None:
    stage.log("harvest/yields-standby-0", "\n".join([
        printed(cancelled - timedelta(minutes=25), ["<%Y-%m-%d %H:%M:%S.%3> UTC [28] LOG:  restartpoint starting: time"] * 5, every_s=298),
        printed(cancelled - timedelta(seconds=2), [
            "<%Y-%m-%d %H:%M:%S.%3> UTC [4711] ERROR:  canceling statement due to conflict with recovery",
            "<%Y-%m-%d %H:%M:%S.%3> UTC [4711] DETAIL:  User query might have needed to see row versions that must be removed.",
        ], every_s=0.01),
        printed(cancelled + timedelta(minutes=1), ["<%Y-%m-%d %H:%M:%S.%3> UTC [28] LOG:  restartpoint starting: time", "<%Y-%m-%d %H:%M:%S.%3> UTC [28] LOG:  recovery restart point at 2F/<100000-999999>10"] * 7, every_s=150),
    ]))  # fmt: skip
    chatter(stage, "harvest/yields-primary", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", '<%Y-%m-%d %H:%M:%S.%3> UTC [<900-999>] LOG:  automatic vacuum of table "yields.public.weighings": index scans: 1, tuples: <1000-9000> removed'], count=12, minutes=60)  # fmt: skip
    chatter(stage, "harvest/push", ['ts=<%Y-%m-%dT%H:%M:%S.%3>Z level=info caller=diskmetricstore.go:238 msg="metric families inconsistent help strings, set to the same" err="Metric families have inconsistent help strings. The latter will have priority."'], count=3, minutes=50)  # fmt: skip
    chatter(stage, "harvest/scales", ["INFO  scales: weighing <100000-999999> taken", "WARN  scales: bridge 3 sent 0 kg, weighing refused"], count=30, minutes=60)  # fmt: skip
    chatter(stage, "fieldwork/weather", ["INFO  weather: <40-60> stations read"], count=12, minutes=60)
    chatter(stage, "fieldwork/tablets", ["GET /fields 200 <10-40>ms"], minutes=60)


def _metrics(stage: Stage, before: str, first: str, second: str) -> None:
    """Every minute for six hours; the first pod pushed 37 minutes ago, the second one 22 minutes ago."""
    count, failed, well = 360, 37, 22
    here: Body = {"namespace": "harvest", "job": "yields-export"}
    # Yesterday's pod pushed, and its Job was complete, at 04:33.
    yesterday = [88430.0 - 60 * (count - 1 - n) for n in range(count)]
    stage.metric("exit-code", "export_exit_code", [
        ({**here, "instance": before}, [0.0] * count), ({**here, "instance": first}, [1.0] * failed), ({**here, "instance": second}, [0.0] * well),
    ])  # fmt: skip
    stage.metric("highest", "max by (namespace, job) (export_exit_code)", [(here, [*[0.0] * (count - failed), *[1.0] * failed])])  # fmt: skip
    stage.metric("pushed-before", 'time() - push_time_seconds{job="yields-export"}', [
        ({**here, "instance": before}, yesterday),
        ({**here, "instance": first}, [60.0 * n for n in range(failed)]), ({**here, "instance": second}, [60.0 * n for n in range(well)]),
    ])  # fmt: skip
    stage.metric("job-succeeded", 'time() - max by (namespace, cronjob) (kube_cronjob_status_last_successful_time{cronjob="yields-export"})', [
        ({"namespace": "harvest", "cronjob": "yields-export"}, [*yesterday[: count - well], *(60.0 * n for n in range(well))]),
    ])  # fmt: skip
    stage.metric("conflicts", 'increase(pg_stat_database_conflicts_total{datname="yields"}[5m])', [({"namespace": "harvest", "server": "yields-standby-0", "datname": "yields"}, [*[0.0] * (count - failed), *[1.0] * 5, *[0.0] * (failed - 5)])])  # fmt: skip
    stage.metric("behind", 'max by (namespace, server) (pg_replication_lag_seconds{namespace="harvest"})', [({"namespace": "harvest", "server": "yields-standby-0"}, [*about(0.4, count - failed - 1, noise=0.8), 28.0, *about(0.4, failed, noise=0.8, of="since")])])  # fmt: skip
    stage.metric("asked-for", 'sum by (bucket, method, code) (increase(s3_requests_total{bucket="partner-harvest"}[5m]))', [
        ({"bucket": "partner-harvest", "method": "PUT", "code": "200"}, [*[0.0] * (count - well), *[1.0] * 5, *[0.0] * (well - 5)]),
        ({"bucket": "partner-harvest", "method": "GET", "code": "200"}, [*[0.0] * (count - 9), *[1.0] * 5, *[0.0] * 4]),
    ])  # fmt: skip
