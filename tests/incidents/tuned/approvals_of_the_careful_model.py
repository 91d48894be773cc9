"""The run that carries features to the online store was suspended for a move and forgotten; a model decides on defaults."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from tests.incidents.curves import about, slope, whole
from tests.incidents.incident import Half, Incident, Trait
from tests.incidents.logs import chatter, printed
from tests.incidents.runs import cron_job, start
from tests.incidents.stage import Body, Stage
from tests.incidents.workloads import config_map, container, deployment, service, stateful_set, system

INCIDENT = Incident(
    title="carry-hourly was suspended for the warehouse's move and never resumed, so the fraud model decides on defaults",
    half=Half.tuned,
    story=(
        "Two days ago the hourly run that carries card activity into the online store was suspended while the warehouse moved. It was not resumed; the values are"
        " dropped when they are older than a day, and the scorer puts defaults in their place. All answers are 200, and decisions refuses twice as many"
        " payments. A new model version (four days ago) and a new threshold file (this morning) are harmless."
    ),
    sources=[
        "https://kubernetes.io/docs/concepts/workloads/controllers/cron-jobs/#schedule-suspension",
        "https://docs.feast.dev/how-to-guides/running-feast-in-production",
        "https://docs.feast.dev/getting-started/concepts/feature-view",
        "https://github.com/kubernetes/kube-state-metrics/blob/main/docs/metrics/workload/cronjob-metrics.md",
        "https://research.google/pubs/reliable-machine-learning/",
    ],
    labels={
        "alertname": "ApprovalRateLow",
        "namespace": "payments",
        "service": "decisions",
        "job": "decisions",
        "severity": "warning",
    },
    annotations={"summary": "decisions approves less than 80 % of card payments for half an hour; it was 93 % in the last week."},
    causes=["CronJob/features/carry-hourly"],
    says=[["suspend"]],
    innocent=["Deployment/payments/decisions", "Service/payments/decisions", "Deployment/models/scorer", "ConfigMap/payments/decision-thresholds"],
    traits=frozenset({Trait.innocent, Trait.metrics_only}),
    authored=["cronjob-controller"],
)  # fmt: skip

THRESHOLDS = "card: 0.82\ntransfer: 0.90\nwallet: 0.85\n"
SUSPENDED = datetime(2026, 11, 20, 13, 16, tzinfo=UTC)
DAILY = datetime(2026, 11, 22, 3, 20, tzinfo=UTC)


def _until(stage: Stage, moment: datetime) -> None:
    stage.wait(seconds=(moment - stage.now).total_seconds())


def play(stage: Stage) -> None:
    online = "redis://online.features.svc:6379"
    feast = {"FEAST_REGISTRY": "s3://registry/features.pb", "ONLINE_STORE": online}
    stage.apply(system())
    stage.apply([
        stateful_set("features/online", container("redis", "redis:7.4.5", port=6379, memory=("4Gi", "6Gi"))),
        service("features/online", 6379),
        deployment("features/server", container("server", "feast/feature-server:0.55.0", port=6566, ready="/health", env=feast), replicas=3),
        service("features/server", 6566),
        cron_job("features/carry-hourly", "7 * * * *", container("carry", "feast/feature-server:0.55.0", env=feast, args=["materialize-incremental", "--views", "card_activity_1h"], memory=("1Gi", "2Gi"))),
        cron_job("features/carry-daily", "20 3 * * *", container("carry", "feast/feature-server:0.55.0", env=feast, args=["materialize-incremental", "--views", "merchant_profile,customer_profile"], memory=("1Gi", "2Gi"))),
        deployment("models/scorer", container("scorer", "models/scorer:2026.10.1", port=8000, ready="/v2/health/ready", memory=("1Gi", "2Gi"), cpu="500m",
                                              env={"FEATURES_URL": "http://server.features.svc:6566", "FEATURE_SERVICE": "card_fraud_v7"}), replicas=3),
        service("models/scorer", 80, 8000),
        config_map("payments/decision-thresholds", {"thresholds.yaml": THRESHOLDS}),
        deployment("payments/decisions", container("decisions", "payments/decisions:18.1.0", port=8080, ready="/ready", alive="/alive", mounts={"thresholds": "/etc/decisions"},
                                                   env={"SCORER_URL": "http://scorer.models", "SANCTIONS_URL": "http://sanctions"}), replicas=3,
                   pod={"volumes": [{"name": "thresholds", "configMap": {"name": "decision-thresholds"}}]}),
        service("payments/decisions", 80, 8080),
        deployment("payments/sanctions", container("sanctions", "payments/sanctions:5.5.0", port=8080, ready="/ready")),
        service("payments/sanctions", 80, 8080),
        deployment("payments/api", container("api", "payments/api:27.0.2", port=8080, ready="/ready", env={"DECISIONS_URL": "http://decisions"}), replicas=3),
        service("payments/api", 80, 8080),
    ])  # fmt: skip
    stage.calm()
    stage.wait(days=15, hours=3)
    stage.kubectl(
        "set",
        "image",
        "deployment/scorer",
        "scorer=registry.example.com/models/scorer:2026.11.0",
        "-n",
        "models",
    )
    stage.calm()
    _until(stage, SUSPENDED)
    stage.kubectl(
        "patch",
        "cronjob",
        "carry-hourly",
        "-n",
        "features",
        "--type=merge",
        "-p",
        '{"spec":{"suspend":true}}',
    )
    stage.status("cronjobs/features/carry-hourly", {
        "lastScheduleTime": stage.stamp(at=SUSPENDED.replace(minute=7)), "lastSuccessfulTime": stage.stamp(at=SUSPENDED.replace(minute=10)),
    }, manager="kube-controller-manager")  # fmt: skip
    _until(stage, DAILY)
    start(stage, "features/carry-daily")
    stage.calm()
    daily = stage.pods("features/carry-daily")[0]
    stage.wait(minutes=6)
    kubelet = stage.kubelets[daily["spec"]["nodeName"]]
    (daily,) = stage.pods("features/carry-daily")
    ended = stage.now
    kubelet.complete(daily, began=stage.clock.real(stage.ago(minutes=6)), ended=stage.clock.real(ended))
    stage.log(f"features/{daily['metadata']['name']}", printed(ended - timedelta(minutes=6), [
        "Materializing <2-2> feature views to <%Y-%m-%d %H:%M:%S>+00:00 into the redis online store.",
        "merchant_profile from <%Y-%m-%d> 03:20:00+00:00 to <%Y-%m-%d> 03:20:00+00:00: 100%|############| 48211/48211",
        "customer_profile from <%Y-%m-%d> 03:20:00+00:00 to <%Y-%m-%d> 03:20:00+00:00: 100%|############| 913004/913004",
    ], every_s=150))  # fmt: skip
    stage.rest()
    stage.status(
        "cronjobs/features/carry-daily",
        {"active": [], "lastSuccessfulTime": stage.stamp()},
        manager="kube-controller-manager",
    )
    stage.wait(hours=5)

    def thresholds(body: Body) -> None:
        body["data"]["thresholds.yaml"] = THRESHOLDS.replace("wallet: 0.85", "wallet: 0.86")

    stage.edit("configmaps/payments/decision-thresholds", thresholds)
    stage.wait(hours=3, minutes=40)
    stage.heartbeat()
    _logs(stage, SUSPENDED + timedelta(hours=24))
    _metrics(stage)
    stage.fire(minutes_ago=95)


def _logs(stage: Stage, stale: datetime) -> None:
    chatter(stage, "models/scorer", [
        "<%Y-%m-%d %H:%M:%S,%3> WARNING scorer.features: card_activity_1h:txn_count is null for 1 of 1 rows, default 0 used",
        "<%Y-%m-%d %H:%M:%S,%3> WARNING scorer.features: card_activity_1h:txn_amount_avg is null for 1 of 1 rows, default 0.0 used",
        "<%Y-%m-%d %H:%M:%S,%3> INFO scorer: scored model=2026.11.0 score=0.<80-97> took=<6-14>ms",
    ], count=48, minutes=24)  # fmt: skip
    chatter(
        stage,
        "features/server",
        ['INFO:     10.244.1.<3-9>:<40000-60000> - "POST /get-online-features HTTP/1.1" 200 OK'],
    )
    chatter(stage, "payments/decisions", [
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"decided","kind":"card","score":0.<80-97>,"outcome":"refused"}',
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"decided","kind":"card","score":0.<10-60>,"outcome":"approved"}',
        '{"time":"<%Y-%m-%dT%H:%M:%S.%3>Z","level":"INFO","msg":"decided","kind":"transfer","score":0.<10-60>,"outcome":"approved"}',
    ], count=36)  # fmt: skip
    chatter(
        stage,
        "payments/api",
        ["INFO  api.http POST /payments 200 <40-90>ms", "INFO  api.http POST /payments 402 <40-90>ms"],
    )
    chatter(stage, "payments/sanctions", ["INFO  list 2026-11 checked hits=0 <2-6>ms"])
    stage.log("features/online-0", printed(stale, [
        "1:M <%d %b %Y %H:%M:%S.%3> * 10000 changes in 60 seconds. Saving...",
        "1:M <%d %b %Y %H:%M:%S.%3> * Background saving terminated with success",
    ] * 4, every_s=1900))  # fmt: skip


def _metrics(stage: Stage) -> None:
    """Every half an hour for three days: suspended 46.8 hours ago, values dropped after 24 hours."""
    count, since, stale = 144, 93, 45
    step = {"step_s": 1800}
    stage.metric("approved", 'sum by (namespace, service, kind) (rate(decisions_total{outcome="approved"}[30m])) / sum by (namespace, service, kind) (rate(decisions_total[30m]))', [
        ({"namespace": "payments", "service": "decisions", "kind": "card"}, [*about(0.93, count - stale, noise=0.01), *slope(0.92, 0.79, 40), *about(0.76, stale - 40, noise=0.02)]),
        ({"namespace": "payments", "service": "decisions", "kind": "transfer"}, about(0.97, count, noise=0.01)),
    ], **step)  # fmt: skip
    stage.metric("feature-age", 'time() - max by (namespace, feature_view) (feature_view_newest_event_timestamp_seconds)', [
        ({"namespace": "features", "feature_view": "card_activity_1h"}, [*about(2400, count - since, noise=0.5), *slope(2400, 2400 + 1800 * since, since, noise=0)]),
        ({"namespace": "features", "feature_view": "merchant_profile"}, about(43000, count, noise=0.8)),
    ], **step)  # fmt: skip
    stage.metric("defaults", 'sum by (namespace, service, feature_view) (rate(scorer_defaulted_features_total[30m])) / sum by (namespace, service, feature_view) (rate(scorer_features_total[30m]))', [
        ({"namespace": "models", "service": "scorer", "feature_view": "card_activity_1h"}, [*about(0.004, count - stale, noise=0.5), *slope(0.02, 0.93, 40), *about(0.98, stale - 40, noise=0.01)]),
        ({"namespace": "models", "service": "scorer", "feature_view": "merchant_profile"}, about(0.003, count, noise=0.5)),
    ], **step)  # fmt: skip
    stage.metric("last-schedule", 'time() - max by (namespace, cronjob) (kube_cronjob_status_last_schedule_time{namespace="features"})', [
        ({"namespace": "features", "cronjob": "carry-hourly"}, whole([*about(1800, count - since, noise=0.9), *slope(1800, 1800 + 1800 * since, since, noise=0)])),
        ({"namespace": "features", "cronjob": "carry-daily"}, whole(about(43000, count, noise=0.9))),
    ], **step)  # fmt: skip
    stage.metric("errors", 'sum by (namespace, service) (rate(http_requests_total{code=~"5.."}[30m])) / sum by (namespace, service) (rate(http_requests_total[30m]))', [
        ({"namespace": namespace, "service": name}, about(0.0005, count, noise=0.9))
        for namespace, name in (("payments", "decisions"), ("payments", "api"), ("models", "scorer"))
    ], **step)  # fmt: skip
