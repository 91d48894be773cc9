"""A weekly Job takes fifteen hours, as it always has; a rule of the mixin asks after twelve."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents import crons
from tests.incidents.curves import about
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.manifests import kube_prometheus
from tests.incidents.runs import cron_job
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

BEGINS = datetime(2026, 11, 21, 2, 0, tzinfo=UTC)
HOUSEHOLDS = 39.1

INCIDENT = Incident(
    title="KubeJobNotCompleted of Saturday's recount, which needs fifteen hours for 39 million households and is at four fifths after twelve and a half",
    half=Half.tuned,
    story=(
        "Each Saturday at two all households are counted anew. It took 15 hours and 20 minutes two weeks ago and 15 hours and 35 minutes last week; the run of today is as far as those were after the"
        " same time. The rule of the mixin fires for any Job that is active for twelve hours. Its own deadline is 24 hours. The portal goes on with last week's figures, as"
        " every Saturday. A release of the portal yesterday and skipped pages of the input are of no consequence."
    ),
    sources=[
        "https://runbooks.prometheus-operator.dev/runbooks/kubernetes/kubejobnotcompleted/",
        "https://github.com/kubernetes-monitoring/kubernetes-mixin/blob/master/alerts/apps_alerts.libsonnet",
        "https://kubernetes.io/docs/concepts/workloads/controllers/job/#job-termination-and-cleanup",
    ],
    labels=kube_prometheus("KubeJobNotCompleted", namespace="census", job_name=crons.job_name("recount", BEGINS)),
    annotations={"summary": "Job did not complete in time.", "description": "Job census/recount is taking more than 12h to complete."},
    no_cause="nothing-wrong",
    traits=frozenset({Trait.healthy}),
    authored=["cronjob-controller"],
)  # fmt: skip


def play(stage: Stage) -> None:
    work = cron_job("census/recount", "0 2 * * 6", container("recount", "census/recount:5.0.4", cpu="1", memory=("1Gi", "2Gi"), env={"DB_HOST": "households.census.svc", "PAGE": "20000"}), successfulJobsHistoryLimit=3)  # fmt: skip
    work["spec"]["jobTemplate"]["spec"]["activeDeadlineSeconds"] = 86400
    stage.apply([
        *system(),
        work,
        cron_job("census/addresses", "15 1 * * *", container("addresses", "census/addresses:1.8.0"), suspend=True),
        stateful_set("census/households", container("postgres", "postgres:17.6", port=5432, cpu="500m", memory=("1Gi", "2Gi"))), service("census/households", 5432, headless=True),
        deployment("census/figures", container("figures", "census/figures:11.2.0", port=8080, ready="/ready", alive="/alive", env={"DB_HOST": "households.census.svc"}), replicas=3), service("census/figures", 80, 8080),
        config_map("census/districts", {"districts.csv": "0101,Harbour\n0102,Old Town\n"}),
        deployment("web/statistics", container("statistics", "web/statistics:30.3.0", port=3000, ready="/up", env={"FIGURES_URL": "http://figures.census.svc"}), replicas=3), service("web/statistics", 80, 3000),
        deployment("web/maps", container("maps", "web/maps:9.9.2", port=3000, ready="/up")), service("web/maps", 80, 3000),
    ])  # fmt: skip
    stage.calm()
    for week, minutes in ((2, 920), (1, 935)):
        at = BEGINS - timedelta(days=7 * week)
        stage.clock.until(at + timedelta(seconds=1))
        done = crons.complete(
            stage, "census/recount", crons.start(stage, "census/recount", at), lasts_s=minutes * 60
        )
        stage.log(f"census/{done['metadata']['name']}", "\n".join([
            printed(stage.ago(minutes=minutes), ["<%Y-%m-%d %H:%M:%S> INFO  recount: 5.0.4, 39100000 households, pages of 20000"]),
            printed(stage.ago(minutes=31), [
                "<%Y-%m-%d %H:%M:%S> INFO  recount: 38220000 of 39100000 households",
                "<%Y-%m-%d %H:%M:%S> INFO  recount: 38640000 of 39100000 households",
                f"<%Y-%m-%d %H:%M:%S> INFO  recount: 39100000 of 39100000 households, {4 - week} pages skipped; done after {minutes} minutes",
            ], every_s=740),
        ]))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 18, 10, 31, tzinfo=UTC))
    stage.recovered(f"census/{stage.pods('census/figures')[0]['metadata']['name']}", restarts=1, code=137, reason="OOMKilled", lived_s=1200000)  # fmt: skip
    stage.clock.until(datetime(2026, 11, 20, 14, 20, tzinfo=UTC))
    stage.kubectl("set", "image", "deployment/statistics", "statistics=registry.example.com/web/statistics:30.4.0", "-n", "web")  # fmt: skip
    stage.calm()
    stage.clock.until(BEGINS + timedelta(seconds=1))
    job = crons.start(stage, "census/recount", BEGINS)
    stage.calm()
    began = stage.now
    stage.clock.until(datetime(2026, 11, 21, 13, 51, tzinfo=UTC))
    stage.edit("configmaps/census/districts", lambda body: body["data"].update({"districts.csv": "0101,Harbour\n0102,Old Town\n0103,New Town\n"}))  # fmt: skip
    stage.clock.until(datetime(2026, 11, 21, 14, 36, tzinfo=UTC))
    stage.heartbeat()
    _logs(stage, job, began)
    _metrics(stage)
    stage.fire(minutes_ago=35)


def _logs(stage: Stage, job: str, began: datetime) -> None:
    counted = [420000 * n for n in range(1, 75)]
    lines = ["<%Y-%m-%d %H:%M:%S> INFO  recount: 5.0.4, 39100000 households, pages of 20000"]
    for n, one in enumerate(counted):
        lines.append(f"<%Y-%m-%d %H:%M:%S> INFO  recount: {one} of 39100000 households")
        if n in (17, 52):
            lines.append(
                "<%Y-%m-%d %H:%M:%S> ERROR recount: page <400-1500> is malformed: unexpected end of record; page skipped, taken from last week"
            )
    stage.log(f"census/{job}", printed(began, lines, every_s=588))
    chatter(stage, "census/households", ["<%Y-%m-%d %H:%M:%S.%3> UTC [27] LOG:  checkpoint starting: time", "<%Y-%m-%d %H:%M:%S.%3> UTC [<300-900>] ERROR:  canceling autovacuum task"], count=14, minutes=55)  # fmt: skip
    chatter(stage, "census/figures", ["INFO  figures: GET /districts/<100-999> 200 <6-25>ms", "WARN  figures: figures are of 2026-11-14, next ones are being made"], minutes=55)  # fmt: skip
    chatter(stage, "web/statistics", ["GET /tables/<1-60> 200 <20-70>ms"], minutes=55)
    chatter(stage, "web/maps", ["GET /tiles/<1000-9999> 200 <4-20>ms"], minutes=55)


def _metrics(stage: Stage) -> None:
    """Every half an hour for fifteen days; three recounts began within them."""
    count, step = 720, 1800
    runs = ((12.58, 15.5), (12.58 + 168, 15.58), (12.58 + 336, 15.33))
    done, active = [], []
    for n in range(count):
        age = (count - 1 - n) * 0.5
        share = next(((since - age) / lasts for since, lasts in runs if 0 <= since - age < lasts), None)
        done.append(0.0 if share is None else round(share * HOUSEHOLDS * 1e6))
        active.append(0.0 if share is None else 1.0)
    here: Body = {"namespace": "census"}
    stage.metric("counted", "max by (namespace) (recount_households_done)", [(here, done)], step_s=step)
    stage.metric("active", 'sum by (namespace) (kube_job_status_active{namespace="census",job_name=~"recount-.+"})', [(here, active)], step_s=step)  # fmt: skip
    busy = about(0.93, count, noise=0.05)
    stage.metric("cpu", 'sum by (namespace, container) (rate(container_cpu_usage_seconds_total{namespace="census",container="recount"}[5m]))', [
        ({**here, "container": "recount"}, [b if one else 0.0 for one, b in zip(active, busy, strict=True)]),
    ], step_s=step)  # fmt: skip
    stage.metric("failed", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[5m])) / sum by (namespace, service) (rate(http_requests_total[5m]))', [
        ({**here, "service": "figures"}, about(0.0003, count, noise=0.9)),
        ({"namespace": "web", "service": "statistics"}, about(0.0004, count, noise=0.9)),
    ], step_s=step)  # fmt: skip
    stage.metric("p99", "histogram_quantile(0.99, sum by (namespace, service, le) (rate(http_request_duration_seconds_bucket[5m])))", [
        ({**here, "service": "figures"}, about(0.058, count, noise=0.12)),
    ], step_s=step)  # fmt: skip
